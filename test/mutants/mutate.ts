// Small mistakes in a source file, as a person might make them: what its tests are worth is how many of them they notice.
// Every place in the syntax tree that fits one of the rules below gives mutants; nobody chooses. Left out is what no test could or should
// notice: types, imports, and what an error says.
import ts from "typescript";

export interface Mutant {
  kind: "operator" | "constant" | "swapped arguments" | "dropped line";
  /** the text from `start` to `end` becomes `text` */
  start: number;
  end: number;
  text: string;
  /** of the first character, from 1 */
  line: number;
}

const K = ts.SyntaxKind;
const operators: Partial<Record<ts.SyntaxKind, string[]>> = {
  [K.PlusToken]: ["-"],
  [K.MinusToken]: ["+"],
  [K.AsteriskToken]: ["/"],
  [K.SlashToken]: ["*"],
  [K.PercentToken]: ["*"],
  [K.AsteriskAsteriskToken]: ["*"],
  [K.LessThanToken]: ["<=", ">="],
  [K.LessThanEqualsToken]: ["<", ">"],
  [K.GreaterThanToken]: [">=", "<="],
  [K.GreaterThanEqualsToken]: [">", "<"],
  [K.EqualsEqualsEqualsToken]: ["!=="],
  [K.ExclamationEqualsEqualsToken]: ["==="],
  [K.EqualsEqualsToken]: ["!="],
  [K.ExclamationEqualsToken]: ["=="],
  [K.AmpersandAmpersandToken]: ["||"],
  [K.BarBarToken]: ["&&"],
  [K.AmpersandToken]: ["|"],
  [K.BarToken]: ["&"],
  [K.CaretToken]: ["|"],
  [K.LessThanLessThanToken]: [">>"],
  [K.GreaterThanGreaterThanToken]: ["<<"],
  [K.GreaterThanGreaterThanGreaterThanToken]: ["<<"],
  [K.PlusEqualsToken]: ["-="],
  [K.MinusEqualsToken]: ["+="],
  [K.AsteriskEqualsToken]: ["/="],
  [K.SlashEqualsToken]: ["*="],
};

/** Functions that are operators in tensor code, and the one that each is mistaken for. */
const pairs = [
  ...[
    ["add", "sub"],
    ["mul", "div"],
    ["greater", "greaterEqual"],
    ["less", "lessEqual"],
    ["sum", "mean"],
    ["max", "min"],
  ],
  ...[
    ["maximum", "minimum"],
    ["floor", "ceil"],
    ["logicalAnd", "logicalOr"],
    ["equal", "notEqual"],
    ["sqrt", "square"],
  ],
  ...[
    ["zeros", "ones"],
    ["zerosLike", "onesLike"],
    ["argMax", "argMin"],
    ["some", "every"],
    ["startsWith", "endsWith"],
  ],
];
const mistaken = new Map(pairs.flatMap(([a, b]) => [[a!, b!] as const, [b!, a!] as const]));
/** The order of their arguments says nothing. */
const commute = /^(add|mul|maximum|minimum|max|min|equal|notEqual|logicalAnd|logicalOr|hypot)$/;

/** All mutants of a file, in the order of their places. */
export function mutants(source: string, path = "file.ts"): Mutant[] {
  const file = ts.createSourceFile(path, source, ts.ScriptTarget.Latest, true);
  const found: Mutant[] = [];
  const add = (kind: Mutant["kind"], { start, end }: { start: number; end: number }, text: string) => {
    if (source.slice(start, end) === text) return;
    found.push({ kind, start, end, text, line: file.getLineAndCharacterOfPosition(start).line + 1 });
  };
  const place = (node: ts.Node) => ({ start: node.getStart(file), end: node.getEnd() });

  function visit(node: ts.Node): void {
    if (ts.isTypeNode(node) || ts.isImportDeclaration(node) || ts.isInterfaceDeclaration(node)) return;
    if (ts.isTypeAliasDeclaration(node)) return;
    if (isDroppable(node)) add("dropped line", place(node), ";");
    if (saysWhatIsWrong(node)) return;
    if (ts.isBinaryExpression(node)) {
      for (const text of operators[node.operatorToken.kind] ?? []) add("operator", place(node.operatorToken), text);
      if (node.operatorToken.kind === K.QuestionQuestionToken)
        add("operator", place(node), `(${node.right.getText(file)})`);
    } else if (ts.isPrefixUnaryExpression(node)) {
      if (node.operator === K.ExclamationToken || node.operator === K.MinusToken)
        add("operator", place(node), node.operand.getText(file));
      else if (node.operator === K.PlusPlusToken) add("operator", place(node), `--${node.operand.getText(file)}`);
    } else if (ts.isPostfixUnaryExpression(node)) {
      const other = node.operator === K.PlusPlusToken ? "--" : "++";
      add("operator", place(node), `${node.operand.getText(file)}${other}`);
    } else if (ts.isConditionalExpression(node)) {
      const [yes, no] = [node.whenTrue.getText(file), node.whenFalse.getText(file)];
      add("operator", { start: node.whenTrue.getStart(file), end: node.whenFalse.getEnd() }, `(${no}) : (${yes})`);
    } else if (ts.isIfStatement(node)) {
      for (const text of ["true", "false"]) add("operator", place(node.expression), text);
    } else if (ts.isNumericLiteral(node) && !ts.isPropertyAssignment(node.parent)) numbers(node);
    else if (ts.isNumericLiteral(node) && ts.isPropertyAssignment(node.parent) && node.parent.initializer === node)
      numbers(node);
    else if (node.kind === K.TrueKeyword || node.kind === K.FalseKeyword)
      add("constant", place(node), node.kind === K.TrueKeyword ? "false" : "true");
    else if (ts.isCallExpression(node)) calls(node);
    ts.forEachChild(node, visit);
  }

  function numbers(node: ts.NumericLiteral): void {
    const value = Number(node.text);
    add("constant", place(node), String(value + 1));
    if (value !== 0) add("constant", place(node), "0");
  }

  function calls({ expression, arguments: given }: ts.CallExpression): void {
    const name = ts.isPropertyAccessExpression(expression) ? expression.name : expression;
    const called = name.getText(file);
    const other = mistaken.get(called);
    if (other !== undefined && ts.isPropertyAccessExpression(expression)) add("operator", place(name), other);
    if (commute.test(called)) return;
    for (const [i, left] of given.entries()) {
      const right = given[i + 1];
      if (!right || ts.isSpreadElement(left) || ts.isSpreadElement(right)) continue;
      const [a, b] = [left.getText(file), right.getText(file)];
      const between = source.slice(left.getEnd(), right.getStart(file));
      if (a !== b) add("swapped arguments", { start: left.getStart(file), end: right.getEnd() }, b + between + a);
    }
  }

  visit(file);
  return found.sort((a, b) => a.start - b.start || a.end - b.end);
}

function isDroppable(node: ts.Node): boolean {
  if (ts.isExpressionStatement(node) || ts.isThrowStatement(node) || ts.isContinueStatement(node)) return true;
  return ts.isBreakStatement(node) && !ts.isCaseOrDefaultClause(node.parent);
}

/** What is inside changes a message at most. */
function saysWhatIsWrong(node: ts.Node): boolean {
  if (ts.isThrowStatement(node)) return true;
  return ts.isNewExpression(node) && /Error$/.test(node.expression.getText());
}

/** The source with the mistake in it. */
export function apply(source: string, { start, end, text }: Mutant): string {
  return source.slice(0, start) + text + source.slice(end);
}

/** The lines that differ, as in a diff. */
export function diff(source: string, mutant: Mutant): string {
  const [before, after] = [source, apply(source, mutant)].map((text) => text.split("\n"));
  let top = 0;
  while (before![top] === after![top]) top++;
  let below = 0;
  while (
    before!.at(-1 - below) === after!.at(-1 - below) &&
    before!.length - below > top + 1 &&
    after!.length - below > top
  )
    below++;
  const lines = (sign: string, text: string[]) =>
    text.slice(top, Math.max(top + 1, text.length - below)).map((line) => `${sign} ${line}`);
  return [...lines("-", before!), ...lines("+", after!)].join("\n");
}
