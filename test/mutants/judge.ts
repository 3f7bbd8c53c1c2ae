// How many seeded mistakes in a recipe its own tests notice, and which they do not.
import { globSync, readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import ts from "typescript";
import { rng } from "../../recipes/core/rng.ts";
import { apply, type Mutant, mutants } from "./mutate.ts";
import { root, Tree } from "./tree.ts";

export interface Options {
  seed: number;
  /** mutants of each recipe; all of them if there are fewer */
  count: number;
  /** ask a recipe's notebooks too, in quick mode, where its tests notice nothing */
  notebooks: boolean;
  workers: number;
  /** instead of the tests that belong to a recipe: paths in the clone */
  tests?: string[];
  /** hears of a test that fails without any mistake; it is not asked then */
  unsure?: (test: string, output: string) => void;
}

export interface Verdict {
  recipe: string;
  mutant: Mutant;
  /** the test that failed; undefined for a survivor */
  by?: string;
  /** it did not fail, it did not end */
  late?: boolean;
}

/** Mutants of a recipe that compile, drawn by the seed; a type error is no survivor and no merit of a test. */
export function draw(recipe: string, source: string, { seed, count }: Pick<Options, "seed" | "count">): Mutant[] {
  const path = join(root, "recipes", `${recipe}.ts`);
  const order = rng(seed).fork(recipe).shuffle(mutants(source, path));
  const drawn: Mutant[] = [];
  for (let from = 0; from < order.length && drawn.length < count; from += 2 * count) {
    const some = order.slice(from, from + 2 * count);
    const fine = compile(
      path,
      some.map((mutant) => apply(source, mutant)),
    );
    drawn.push(...some.filter((_, i) => fine[i]));
  }
  return drawn.slice(0, count).sort((a, b) => a.start - b.start);
}

const parsed = new Map<string, ts.SourceFile | undefined>();

/** Whether each of these texts in the place of a file has the types that the clone's settings want: one program for all of them. */
function compile(path: string, texts: string[]): boolean[] {
  const { config } = ts.readConfigFile(join(root, "tsconfig.json"), ts.sys.readFile);
  const { options } = ts.parseJsonConfigFileContent({ ...config, include: [] }, ts.sys, root);
  const made = new Map(texts.map((text, i) => [path.replace(/\.ts$/, `.mutant${i}.ts`), text]));
  const host = ts.createCompilerHost(options);
  const { getSourceFile, fileExists } = host;
  host.fileExists = (name) => made.has(name) || fileExists(name);
  host.getSourceFile = (name, language) => {
    const text = made.get(name);
    if (text !== undefined) return ts.createSourceFile(name, text, language, true);
    if (!parsed.has(name)) parsed.set(name, getSourceFile(name, language));
    return parsed.get(name);
  };
  const program = ts.createProgram([...made.keys()], options, host);
  return [...made.keys()].map((name) => {
    const file = program.getSourceFile(name)!;
    return program.getSyntacticDiagnostics(file).length + program.getSemanticDiagnostics(file).length === 0;
  });
}

/** Tests that are about other things notice little more, and take long. */
const mostTests = 3;

/**
 * The tests of a recipe, as paths in the clone: the one beside it, and of those in test/recipes that import it the one of its name and those
 * that use it most. Where none does, it is a part of others, and theirs are its own.
 */
export function testsOf(recipe: string, seen = new Set<string>()): string[] {
  if (seen.has(recipe)) return [];
  seen.add(recipe);
  const beside = globSync(`recipes/${recipe}.test.ts`, { cwd: root });
  const direct = importing(recipe).slice(0, mostTests);
  const users = globSync("recipes/*/*.ts", { cwd: root }).filter((file) => {
    const name = new RegExp(`"(\\.|\\.\\./${dirname(recipe)})/${basename(recipe)}\\.ts"`);
    return !file.endsWith(".test.ts") && name.test(readFileSync(join(root, file), "utf8"));
  });
  const all = direct.length > 0 ? direct : users.flatMap((file) => testsOf(file.slice("recipes/".length, -3), seen));
  return [...new Set([...beside, ...all])];
}

/** Tests that import a recipe: the one of its name first, then those that use most of what they take from it. */
function importing(recipe: string): string[] {
  return globSync("test/recipes/*.ts", { cwd: root })
    .flatMap((file) => {
      const text = readFileSync(join(root, file), "utf8");
      const list = new RegExp(`import ([^;]+?) from "[./]*recipes/${recipe}\\.ts"`).exec(text)?.[1];
      // What is started by a test as a process of its own has that test's name.
      const test = file.replace(/-child\.ts$/, ".test.ts");
      if (list === undefined || !test.endsWith(".test.ts")) return [];
      const names = list
        .split(",")
        .flatMap((name) => (/^[\s{]*type /.test(name) ? [] : (/(\w+)[\s}]*$/.exec(name)?.[1] ?? [])));
      const uses = names.reduce((sum, name) => sum + text.match(new RegExp(`\\b${name}\\b`, "g"))!.length, 0);
      return [{ test, uses: basename(test) === `${basename(recipe)}.test.ts` ? Number.POSITIVE_INFINITY : uses }];
    })
    .sort((a, b) => b.uses - a.uses)
    .map(({ test }) => test);
}

/** The notebooks about a recipe; core is in all of them, and they are about something else. */
export function notebooksOf(recipe: string): string[] {
  if (recipe.startsWith("core/")) return [];
  return globSync("notebooks/*.ipynb", { cwd: root }).filter((file) =>
    readFileSync(join(root, file), "utf8").includes(`recipes/${recipe}.ts`),
  );
}

/** Nobody may be called slow: what goes round for ever is ended after a minute and ten times what the tests took without a mistake. */
const patience = (seconds: number) => 60 + 10 * seconds;

/** Runs one test, or a notebook, in a tree. */
function runTest(tree: Tree, test: string, seconds: number) {
  const path = join(tree.folder, test);
  if (test.endsWith(".ipynb")) {
    const cli = join(root, "kernel/run/cli.ts");
    return tree.run([cli, path, "--quick", "--workers", "1", "--reports", join(tree.folder, "reports")], seconds);
  }
  if (test.startsWith("recipes/")) {
    const imports = ["@tensorflow/tfjs-layers", "@tensorflow/tfjs-backend-wasm"].flatMap((name) => ["--import", name]);
    return tree.run([...imports, path], seconds);
  }
  return tree.run([join(root, "node_modules/mocha/bin/mocha.js"), "--bail", "--timeout", "60000", path], seconds);
}

/** Verdicts on all mutants of the recipes, as they come. */
export async function* judge(recipes: string[], options: Options): AsyncGenerator<Verdict> {
  const trees = Array.from({ length: options.workers }, () => new Tree());
  const stop = () => {
    for (const tree of trees) tree.remove();
    process.exit(130);
  };
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, stop);
  try {
    const usual = new Map<string, Promise<number | undefined>>(); // seconds of each test without a mistake; none if it fails
    const jobs = (function* () {
      for (const recipe of recipes) {
        const source = readFileSync(join(trees[0]!.folder, "recipes", `${recipe}.ts`), "utf8");
        const tests = options.tests ?? [...testsOf(recipe), ...(options.notebooks ? notebooksOf(recipe) : [])];
        for (const mutant of draw(recipe, source, options)) yield { recipe, source, mutant, tests };
      }
    })();
    type Job = typeof jobs extends Generator<infer T> ? T : never;
    const work = async (tree: Tree, job: Job): Promise<Verdict> => {
      const { recipe, source, mutant, tests } = job;
      const file = `recipes/${recipe}.ts`;
      for (const test of tests) {
        if (!usual.has(test)) usual.set(test, timed(tree, test, options.unsure));
        const took = await usual.get(test);
        if (took === undefined) continue;
        tree.write(file, apply(source, mutant));
        const { failed } = await runTest(tree, test, patience(took)).finally(() => tree.write(file, source));
        if (failed !== false) return { recipe, mutant, by: test, ...(failed === null && { late: true }) };
      }
      return { recipe, mutant };
    };
    const lane = async function* (tree: Tree): AsyncGenerator<Verdict> {
      for (let next = jobs.next(); !next.done; next = jobs.next()) yield await work(tree, next.value);
    };
    yield* merged(trees.map(lane));
  } finally {
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.off(signal, stop);
    for (const tree of trees) tree.remove();
  }
}

/** Seconds that a test takes without a mistake. */
async function timed(tree: Tree, test: string, unsure: Options["unsure"]): Promise<number | undefined> {
  const begin = performance.now();
  const { failed, output } = await runTest(tree, test, 900);
  if (failed === false) return (performance.now() - begin) / 1000;
  unsure?.(test, output);
  return undefined;
}

/** What several generators give, as it comes. */
async function* merged<T>(sources: AsyncGenerator<T>[]): AsyncGenerator<T> {
  const next = (source: AsyncGenerator<T>) => source.next().then((result) => ({ source, result }));
  const waiting = new Map(sources.map((source) => [source, next(source)]));
  while (waiting.size > 0) {
    const { source, result } = await Promise.race(waiting.values());
    if (result.done) waiting.delete(source);
    else {
      waiting.set(source, next(source));
      yield result.value;
    }
  }
}
