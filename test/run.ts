// `npm test`: all parts of the tests, two at a time, then the notebooks; every count is that of a test that ran.
//   npm test -- [--only types,lint,mocha,pytest,notebooks] [--limit seconds] [--reports folder] [--slow] [files]
// `npm run test:slow` is the same with --slow: also what takes long (the soak, the large fuzz), and notebooks in full.
// A file goes to the part it belongs to (*.test.ts, test_*.py, *.ipynb), and only those parts run then.
import { existsSync, globSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { constants } from "node:os";
import { basename, dirname, join, relative, resolve, sep } from "node:path";
import { parseArgs } from "node:util";
import { readJUnit, type Verdicts } from "./junit.ts";
import { type Ended, endParts, runPart } from "./part.ts";
import { readTold } from "./reporter.ts";

const root = join(import.meta.dirname, "..");
const python = join(root, ".venv", process.platform === "win32" ? "Scripts/python.exe" : "bin/python");

interface Part {
  name: string;
  kind: "types" | "lint" | "mocha" | "pytest" | "notebooks";
  /** longest it may take, in seconds */
  limit: number;
  args: string[];
  command?: string;
  env?: NodeJS.ProcessEnv;
  /** the report it writes; without one the exit code is the verdict, and it counts as one test */
  report?: string;
  /** why it cannot run on this machine */
  cannot?: string;
}

const { values, positionals } = parseArgs({
  options: {
    only: { type: "string" },
    limit: { type: "string" },
    reports: { type: "string", default: "reports" },
    slow: { type: "boolean", default: false },
  },
  allowPositionals: true,
});
const reports = resolve(root, values.reports);
const kinds = ["types", "lint", "mocha", "pytest", "notebooks"];
const only = values.only?.split(",");
const strange = only?.find((kind) => !kinds.includes(kind));
if (strange !== undefined) fail(`--only ${strange}: there are ${kinds.join(", ")}`);
/** Tests ask for it to decide what to run, and how often. */
const slowly: NodeJS.ProcessEnv = values.slow ? { WHETSTONE_SLOW: "1" } : {};
const patience = values.slow ? 8 : 1;
const limit = values.limit === undefined ? undefined : Number(values.limit);
if (limit !== undefined && !(limit > 0)) fail(`--limit ${values.limit}: a number of seconds above 0 is wanted`);
const files = positionals.map((file) => (existsSync(file) ? file : fail(`${file} does not exist`)));
const homeless = files.find((file) => kindOf(file) === undefined);
if (homeless) fail(`${homeless} is no test: they are *.test.ts, test_*.py and *.ipynb`);

function fail(message: string): never {
  console.error(message);
  process.exit(2);
}

function kindOf(file: string): Part["kind"] | undefined {
  if (file.endsWith(".test.ts")) return "mocha";
  if (/^test_.*\.py$/.test(basename(file))) return "pytest";
  if (file.endsWith(".ipynb")) return "notebooks";
  return undefined;
}

/** The folder in test/ that a file stands in: each is a part of its own. */
function areaOf(file: string): string {
  const folder = dirname(relative(join(root, "test"), resolve(root, file)));
  return folder === "." ? "run" : folder.split(sep)[0]!;
}

function parts(): Part[] {
  const named = (kind: Part["kind"]) => files.filter((file) => kindOf(file) === kind);
  const all: Part[] = [];
  const tests = files.length > 0 ? named("mocha") : globSync("test/**/*.test.ts", { cwd: root }).sort();
  for (const [area, group] of Map.groupBy(tests, areaOf)) {
    const report = join(reports, `mocha-${area}.jsonl`);
    const mocha = ["node_modules/mocha/bin/mocha.js", "--reporter", "test/reporter.ts", "--timeout", "60000"];
    all.push({
      name: `mocha ${area}`,
      kind: "mocha",
      limit: 1200,
      args: [...mocha, ...group],
      env: { WHETSTONE_REPORT: report },
      report,
    });
  }
  const report = join(reports, "pytest.xml");
  all.push({
    name: "pytest",
    kind: "pytest",
    limit: 1500,
    command: python,
    args: [
      "-m",
      "pytest",
      "-p",
      "no:cacheprovider",
      `--junitxml=${report}`,
      ...(files.length > 0 ? named("pytest") : ["test"]),
    ],
    report,
    cannot: existsSync(python) ? undefined : "there is no .venv (npm run setup says why)",
  });
  all.push({ name: "tsc", kind: "types", limit: 300, args: ["node_modules/typescript/bin/tsc", "--noEmit"] });
  all.push({ name: "biome", kind: "lint", limit: 120, args: ["node_modules/@biomejs/biome/bin/biome", "ci"] });
  all.push({
    name: "notebooks",
    kind: "notebooks",
    limit: 900,
    args: [
      "kernel/run/cli.ts",
      "--fresh",
      ...(values.slow ? [] : ["--quick"]),
      "--reports",
      reports,
      ...named("notebooks"),
    ],
    report: join(reports, "notebooks.xml"),
  });
  return all.filter(({ kind }) => (only?.includes(kind) ?? true) && (files.length === 0 || named(kind).length > 0));
}

/** What a part showed; whatever it cannot vouch for is a failure. */
function judge(part: Part, ended: Ended): Verdicts {
  const { code, signal, output, late, left } = ended;
  const how = late ? `it was ended after ${part.limit} s` : signal ? `it was ended by ${signal}` : `exit code ${code}`;
  const wrong = (text: string) => ({ name: "the whole run", text: `${text} (${how})\n${output}` });
  let verdicts: Verdicts = { passed: 0, failed: [], skipped: [] };
  let isWhole = true;
  if (!part.report) {
    if (code === 0 && !late) verdicts.passed = 1;
    else verdicts.failed.push({ name: part.name, text: `${how}\n${output}` });
  } else if (!existsSync(part.report)) {
    verdicts.failed.push(wrong(`it wrote no ${relative(root, part.report)}`));
  } else {
    const text = readFileSync(part.report, "utf8");
    try {
      if (part.kind === "mocha") ({ verdicts, isWhole } = readTold(text));
      else verdicts = readJUnit(text);
    } catch (error) {
      verdicts.failed.push(wrong((error as Error).message));
    }
    if (!isWhole) verdicts.failed.push(wrong("it died before its last test"));
    else if (late) verdicts.failed.push(wrong("it did not end after its last test"));
    else if (code !== 0 && verdicts.failed.length === 0) {
      verdicts.failed.push(wrong("it failed, though no test of it did"));
    }
    if (verdicts.passed + verdicts.failed.length === 0) verdicts.failed.push(wrong("it ran no test"));
  }
  if (left.length > 0) {
    verdicts.failed.push({ name: "processes left behind", text: left.join("\n") });
  }
  return verdicts;
}

let stopped = false;
const running = new Map<string, number>();
const since = (begin: number) => `${Math.round((Date.now() - begin) / 1000)} s`;
const rows: { name: string; verdicts: Verdicts; seconds: string }[] = [];

async function run(part: Part): Promise<void> {
  const begin = Date.now();
  let verdicts: Verdicts;
  if (part.cannot) {
    // On CI nothing may go missing in silence.
    const lack = { name: "the whole run", why: part.cannot, text: part.cannot };
    verdicts = process.env.CI ? { passed: 0, failed: [lack], skipped: [] } : { passed: 0, failed: [], skipped: [lack] };
  } else {
    if (part.report) rmSync(part.report, { force: true });
    running.set(part.name, begin);
    console.log(`· ${part.name} ...`);
    const seconds = limit ?? part.limit * patience;
    const ended = await runPart(part.command ?? process.execPath, part.args, {
      cwd: root,
      env: { ...slowly, ...part.env, CI: "true" },
      seconds,
    });
    running.delete(part.name);
    verdicts = judge({ ...part, limit: seconds }, ended);
  }
  rows.push({ name: part.name, verdicts, seconds: since(begin) });
  console.log(`${verdicts.failed.length > 0 ? "✗" : "✓"} ${part.name}: ${counts(verdicts)} (${since(begin)})`);
}

function counts({ passed, failed, skipped }: { passed: number; failed: unknown[]; skipped: unknown[] }): string {
  return `${passed} passed, ${failed.length} failed${skipped.length > 0 ? `, ${skipped.length} skipped` : ""}`;
}

const rank = ({ kind }: Part) => (kind === "pytest" ? 0 : 1);

async function runAll(all: Part[]): Promise<void> {
  // Notebooks measure times and run two at a time themselves, so they have the machine alone.
  // pytest takes longest, so it begins.
  const shared = all.filter(({ kind }) => kind !== "notebooks").sort((a, b) => rank(a) - rank(b));
  const lane = async () => {
    for (let part = shared.shift(); part && !stopped; part = shared.shift()) await run(part);
  };
  await Promise.all([lane(), lane()]);
  for (const part of all.filter(({ kind }) => kind === "notebooks")) if (!stopped) await run(part);
}

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(signal, async () => {
    if (stopped) return;
    stopped = true;
    await endParts();
    console.error(`stopped by ${signal}`);
    process.exit(128 + constants.signals[signal]);
  });
}

mkdirSync(reports, { recursive: true });
const all = parts();
if (all.length === 0) fail("no part of the tests is left to run");
const pulse = setInterval(() => {
  if (running.size > 0) console.log(`  ${[...running].map(([name, begin]) => `${name} ${since(begin)}`).join(", ")}`);
}, 30_000);
await runAll(all);
clearInterval(pulse);
if (!stopped) {
  for (const { name, verdicts } of rows) {
    for (const { name: test, text } of verdicts.failed) console.log(`\n✗ ${name}: ${test}\n${text.trimEnd()}`);
  }
  console.log();
  const width = Math.max(...rows.map(({ name }) => name.length));
  for (const { name, verdicts, seconds } of rows) {
    console.log(`${name.padEnd(width)}  ${counts(verdicts)}  ${seconds}`);
  }
  for (const { name, verdicts } of rows) {
    for (const { name: test, why } of verdicts.skipped) console.log(`skipped: ${name}: ${test}${why && `: ${why}`}`);
  }
  const total = {
    passed: rows.reduce((sum, { verdicts }) => sum + verdicts.passed, 0),
    failed: rows.flatMap(({ verdicts }) => verdicts.failed),
    skipped: rows.flatMap(({ verdicts }) => verdicts.skipped),
  };
  process.exitCode = total.failed.length > 0 ? 1 : 0;
  console.log(counts(total));
}
