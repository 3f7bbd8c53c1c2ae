// Random sequences of cells over few names, so that names are declared again, in other kinds and with other types, and used rightly and wrongly.

const values = ["alpha", "beta", "gamma", "delta", "status"];
const types = ["Alpha", "Beta", "Gamma", "Event"];
const plainTypes = [
  "number",
  "string",
  "boolean",
  "number[]",
  "string | null",
  "{ size: number }",
  "((x: number) => string)",
];
const literals = ["1", "'text'", "true", "[1, 2]", "null", "{ size: 3 }", "(x: number) => String(x)", "undefined"];
const members = ["length", "size", "toFixed", "value", "map", "call"];

/** A source of sequences that are the same for the same seed. */
export function createGenerator(seed: number): (cells: number) => string[] {
  let state = seed;
  const random = (below: number) => {
    // mulberry32
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
  const pick = <T>(from: readonly T[]): T => from[random(from.length)]!;
  const name = () => pick(values);
  const typeName = () => pick(types);
  const type = (): string => (random(3) === 0 ? typeName() : pick(plainTypes));
  const expression = (): string =>
    pick([
      () => pick(literals),
      () => pick(literals),
      () => name(),
      () => `${name()}.${pick(members)}`,
      () => `${name()}(${pick(literals)})`,
      () => `[${name()}, ${pick(literals)}]`,
      () => `new ${typeName()}()`,
      () => `await ${name()}`,
    ])();
  const statement = (): string =>
    pick([
      () => `let ${name()}: ${type()} = ${expression()};`,
      () => `let ${name()} = ${expression()};`,
      () => `const ${name()} = ${expression()};`,
      () => `var ${name()} = ${expression()};`,
      () => `${name()} = ${expression()};`,
      () => `function ${name()}(x: ${type()}) { return x }`,
      () => `function ${name()}<T>(x: T, y = ${pick(literals)}): [T, typeof y] { return [x, y] }`,
      () => `async function ${name()}() { return ${expression()} }`,
      () => `class ${typeName()} { value: ${type()} = ${pick(literals)}; get size() { return 1 } }`,
      () => `interface ${typeName()} { value: ${type()} }`,
      () => `type ${typeName()} = ${type()} | ${pick(plainTypes)};`,
      () => `enum ${typeName()} { A, B }`,
      () => `if (${name()}) { console.log(${name()}.${pick(members)}) }`,
      () => `for (const each of [${expression()}]) { each.${pick(members)} }`,
      () => `const { ${pick(members)}: ${name()} } = ${expression()};`,
      () => `${expression()};`,
    ])();
  /** Every name, rightly declared, so that what follows is not wrong only because a name is missing. */
  const start = (): string =>
    [
      ...values.map((each) => `let ${each} = ${pick(literals)};`),
      ...types.map((each) =>
        pick([`interface ${each} { value: ${pick(plainTypes)} }`, `class ${each} { size = ${pick(literals)} }`]),
      ),
    ].join("\n");
  const cell = () => Array.from({ length: 1 + random(2) }, statement).join("\n");
  return (cells) => [start(), ...Array.from({ length: cells - 1 }, cell)];
}
