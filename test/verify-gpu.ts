// `npm run verify:gpu`: the numerics, the bench and the quick notebooks on the GPU of this machine, and a log that can be published.
//   npm run verify:gpu -- [--device cuda|cpu] [--only numerics,bench,notebooks] [--tests glob] [--bench name] [--notebooks names] [--out file]
// Exit code 0: all passed; 1: something failed; 2: asked wrongly; 3: there is no GPU (what was looked for is said).
import { existsSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { constants } from "node:os";
import { dirname, join, relative, resolve } from "node:path";
import { parseArgs } from "node:util";
import { readJUnit } from "./junit.ts";
import { endParts, runPart } from "./part.ts";
import { readTold } from "./reporter.ts";
import { logOf, type Section, withoutMachine } from "./verify/log.ts";
import { look, lookedFor, machineRows } from "./verify/machine.ts";

const root = join(import.meta.dirname, "..");
const parts = ["numerics", "bench", "notebooks"];

const fail = (message: string): never => {
  console.error(message);
  process.exit(2);
};

function ask() {
  try {
    return parseArgs({
      options: {
        device: { type: "string", default: "cuda" },
        only: { type: "string", default: parts.join() },
        tests: { type: "string", default: "test/engine/*.test.ts" },
        bench: { type: "string", default: "engine" },
        notebooks: { type: "string", default: "" },
        out: { type: "string", default: "reports/verify-gpu.md" },
      },
    }).values;
  } catch (error) {
    return fail((error as Error).message);
  }
}
const values = ask();
const only = values.only.split(",");
const strange = only.find((part) => !parts.includes(part));
if (strange !== undefined) fail(`--only ${strange}: there are ${parts.join(", ")}`);
if (!["cuda", "cpu"].includes(values.device))
  fail(`--device ${values.device}: it can be cuda, or cpu to try the command`);
const tests = globSync(values.tests, { cwd: root }).sort();
if (only.includes("numerics") && tests.length === 0) fail(`--tests ${values.tests}: there is no such file`);

// Tests choose the best device there is: without cards in sight that is the CPU.
const env = {
  WHETSTONE_DEVICE: values.device,
  ...(values.device === "cpu" && { CUDA_VISIBLE_DEVICES: "" }),
  CI: "true",
};
const found = look({ WHETSTONE_DEVICE: "", ...(values.device === "cpu" && { CUDA_VISIBLE_DEVICES: "" }) });
if (!found.devices.some(({ type }) => type === values.device)) {
  console.error(`there is no ${values.device === "cuda" ? "GPU" : values.device} that the engine can use. Looked for:`);
  for (const line of await lookedFor(found)) console.error(`  ${line}`);
  console.error(
    "To mend it: nvidia-smi must list the card (NVIDIA's driver 525 or newer; a container needs --gpus all), and TensorFlow must be its\n" +
      "CUDA build, which npm run setup fetches where it finds a driver (WHETSTONE_TENSORFLOW=cuda npm run setup fetches it anyway).",
  );
  process.exit(3);
}

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(signal, async () => {
    await endParts();
    process.exit(128 + constants.signals[signal]);
  });
}

const work = join(root, "reports", `verify-${values.device}`);
mkdirSync(work, { recursive: true });

async function numerics(): Promise<Section> {
  const report = join(work, "mocha.jsonl");
  rmSync(report, { force: true });
  const mocha = ["node_modules/mocha/bin/mocha.js", "--reporter", "test/reporter.ts", "--timeout", "120000", ...tests];
  const { code, output, late } = await runPart(process.execPath, mocha, {
    cwd: root,
    env: { ...env, WHETSTONE_REPORT: report },
    seconds: 1800,
  });
  const { verdicts, isWhole } = existsSync(report) ? readTold(readFileSync(report, "utf8")) : readTold("");
  if (!isWhole)
    verdicts.failed.push({ name: "the whole run", text: `${late ? "too late" : `exit code ${code}`}\n${output}` });
  return { title: "Numerics", ...verdicts, skipped: verdicts.skipped.map(({ name }) => name), seconds: 0 };
}

async function bench(): Promise<Section> {
  const args = ["test/bench/run.ts", values.bench];
  const { code, output, late } = await runPart(process.execPath, args, { cwd: root, env, seconds: 3600 });
  const lines = output.trim().split("\n");
  // Each row is told when it is measured, so that those before a failure count; the last line is JSON.
  const rows = lines.flatMap((line) => {
    const [, id, value, unit, note] = /^(\S+) +(-?[\d.]+(?:e[+-]?\d+)?) (\S+) *(.*)$/.exec(line) ?? [];
    return id && Number.isFinite(Number(value)) ? [{ id, value: Number(value), unit, note }] : [];
  });
  const failed =
    code === 0 ? [] : [{ name: values.bench, text: `${late ? "too late" : `exit code ${code}`}\n${output}` }];
  return { title: "Bench", passed: rows.length, failed, skipped: [], seconds: 0, rows };
}

async function notebooks(): Promise<Section> {
  const names = values.notebooks.split(",").filter(Boolean);
  const report = join(work, "notebooks.xml");
  rmSync(report, { force: true });
  const args = ["kernel/run/cli.ts", "--quick", "--reports", work, ...names];
  const { code, output, late } = await runPart(process.execPath, args, { cwd: root, env, seconds: 3600 });
  const whole = { name: "the whole run", text: `${late ? "too late" : `exit code ${code}`}\n${output}` };
  if (!existsSync(report)) return { title: "Notebooks", passed: 0, failed: [whole], skipped: [], seconds: 0 };
  const verdicts = readJUnit(readFileSync(report, "utf8"));
  if (code !== 0 && verdicts.failed.length === 0) verdicts.failed.push(whole);
  return { title: "Notebooks, quick mode", ...verdicts, skipped: verdicts.skipped.map(({ name }) => name), seconds: 0 };
}

const sections: Section[] = [];
for (const [name, run] of Object.entries({ numerics, bench, notebooks })) {
  if (!only.includes(name)) continue;
  console.log(`· ${name} on ${values.device} ...`);
  const begin = Date.now();
  const section = { ...(await run()), seconds: (Date.now() - begin) / 1000 };
  sections.push(section);
  console.log(
    `${section.failed.length ? "✗" : "✓"} ${name}: ${section.passed} passed, ${section.failed.length} failed`,
  );
  for (const { name, text } of section.failed) console.log(`  ✗ ${name}: ${text.split("\n")[0]}`);
}
const title = values.device === "cuda" ? "Whetstone on a GPU" : `Whetstone on the device ${values.device}`;
const date = new Date().toISOString().slice(0, 10);
const out = resolve(root, values.out);
mkdirSync(dirname(out), { recursive: true });
writeFileSync(out, withoutMachine(logOf(title, date, await machineRows(found, values.device), sections), root));
console.log(`the log is in ${relative(process.cwd(), out)}`);
process.exitCode = sections.some(({ failed }) => failed.length > 0) ? 1 : 0;
