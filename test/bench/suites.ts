// The public suites of Jupyter kernels on ours, ipykernel, Deno and tslab: how many tests each passes. Writes the table of kernel/README.md.
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { deno, denoVersion, pythonWith } from "./peers.ts";
import type { Row } from "./run.ts";

const root = join(import.meta.dirname, "../..");
const readme = join(root, "kernel/README.md");
const python = join(root, ".venv", process.platform === "win32" ? "Scripts/python.exe" : "bin/python");

/** Seconds that a test may take, and all tests of a kernel: one that does not answer must not hold up the rest. */
const limits = { test: 10, run: 2400 };
/** A test that fails is tried again, as a busy machine may be to blame; not where the kernel was silent until the limit. */
const tries = 2;

const suites = {
  test_jupyter_kernel_test: "jupyter_kernel_test",
  test_testbed: "kernel-testbed",
  test_ipykernel_spec: "ipykernel's tests",
  test_message_fields: "fields of messages",
} as const;
type Suite = keyof typeof suites;

/** The verdict on one test: that of its worst part. */
type Outcome = "passed" | "skipped" | "failed" | "hung";
const order: Outcome[] = ["passed", "skipped", "failed", "hung"];

interface Subject {
  name: string;
  title: string;
  /** Its kernelspec; ours is installed by our own installer. */
  spec?: { argv: string[]; language: string };
}

export async function* rows(): AsyncGenerator<Row> {
  if (!existsSync(python)) throw new Error("there is no .venv to run the tests with: npm run setup says why");
  const folder = mkdtempSync(join(tmpdir(), "whetstone-suites-"));
  try {
    const found = new Map<Subject, Map<string, Outcome>>();
    const [own, ...peers] = subjects();
    for (const subject of [own!, ...peers]) install(subject, join(folder, subject.name));
    found.set(own!, await judge(own!, folder));
    // Most of their time the clients of a peer wait for what does not come.
    const judged = await Promise.all(peers.map((subject) => judge(subject, folder)));
    for (const [i, subject] of peers.entries()) found.set(subject, judged[i]!);
    for (const [subject, verdicts] of found) {
      const notPassed = [...verdicts.values()].filter((outcome) => outcome !== "passed").length;
      const counts = Object.keys(suites).map((suite) => `${suites[suite as Suite]} ${score(verdicts, suite as Suite)}`);
      const id = subject.name === "whetstone" ? "suites" : `suites-${subject.name}`;
      yield { id, value: notPassed, unit: "failed", note: `${subject.title}: ${counts.join(", ")}` };
    }
    write(table(found));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function subjects(): Subject[] {
  const { version } = JSON.parse(readFileSync(join(root, "kernel/package.json"), "utf8"));
  const tslab = join(root, "node_modules/tslab");
  const ipykernel = "7.4.0";
  return [
    { name: "whetstone", title: `Whetstone ${version}` },
    {
      name: "ipykernel",
      title: `ipykernel ${ipykernel}`,
      spec: {
        argv: [
          pythonWith([`ipykernel==${ipykernel}`, "jupyter-client==8.9.1"]),
          "-m",
          "ipykernel_launcher",
          "-f",
          "{connection_file}",
        ],
        language: "python",
      },
    },
    {
      name: "deno",
      title: `Deno ${denoVersion}`,
      spec: { argv: [deno(), "jupyter", "--kernel", "--conn", "{connection_file}"], language: "typescript" },
    },
    {
      name: "tslab",
      title: `tslab ${JSON.parse(readFileSync(join(tslab, "package.json"), "utf8")).version}`,
      spec: {
        argv: [process.execPath, join(tslab, "bin/tslab"), "kernel", "--config-path={connection_file}"],
        language: "typescript",
      },
    },
  ];
}

function install({ name, spec }: Subject, folder: string) {
  mkdirSync(folder, { recursive: true });
  if (spec !== undefined) {
    writeFileSync(join(folder, "kernel.json"), JSON.stringify({ ...spec, display_name: name }));
    return;
  }
  const script = join(root, "kernel/install/kernelspec.ts");
  const { status, stderr } = spawnSync(process.execPath, [script, folder], { encoding: "utf8" });
  if (status !== 0) throw new Error(`the kernelspec cannot be written: ${stderr}`);
}

/** The verdicts by test. */
async function judge(subject: Subject, folder: string): Promise<Map<string, Outcome>> {
  const report = join(folder, `${subject.name}.jsonl`);
  const env = {
    ...process.env,
    SUITE_KERNEL: subject.name,
    SUITE_KERNELS: folder,
    SUITE_LIMIT: String(limits.test),
    SUITE_REPORT: report,
  };
  const verdicts = new Map<string, Outcome>();
  let left = Object.keys(suites).map((suite) => `test/kernel/${suite}.py`);
  for (let i = 0; i < tries && left.length > 0; i++) {
    rmSync(report, { force: true });
    const args = ["-m", "pytest", "-q", "-p", "no:cacheprovider", ...left];
    const { code, text } = await run(args, env);
    // 0: all passed, 1: some failed; anything else is no verdict.
    if (code !== 0 && code !== 1) throw new Error(`pytest on ${subject.title}: ${text.slice(-2000)}`);
    for (const [id, outcome] of read(report)) verdicts.set(id, outcome);
    left = [...verdicts].filter(([, outcome]) => outcome === "failed").map(([id]) => id);
  }
  return verdicts;
}

/** Runs Python; the code is null where it was ended at the limit. */
function run(args: string[], env: NodeJS.ProcessEnv): Promise<{ code: number | null; text: string }> {
  const { promise, resolve, reject } = Promise.withResolvers<{ code: number | null; text: string }>();
  const child = spawn(python, args, { cwd: root, env, stdio: ["ignore", "pipe", "inherit"] });
  // SIGINT, so that pytest ends the kernels it has started.
  const timer = setTimeout(() => child.kill("SIGINT"), limits.run * 1000);
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (chunk) => (text += chunk));
  child.on("error", reject);
  child.on("close", (code) => {
    clearTimeout(timer);
    resolve({ code, text });
  });
  return promise;
}

/** Subtests have the id of their test. */
function read(report: string): Map<string, Outcome> {
  const verdicts = new Map<string, Outcome>();
  for (const line of readFileSync(report, "utf8").trim().split("\n")) {
    const told = JSON.parse(line) as { id: string; outcome: Outcome; why: string };
    const { id } = told;
    const outcome = told.why.startsWith("TimeoutError: no end") ? "hung" : told.outcome;
    const worst = Math.max(order.indexOf(outcome), order.indexOf(verdicts.get(id) ?? "passed"));
    verdicts.set(id, order[worst]!);
  }
  return verdicts;
}

const inSuite = (id: string, suite: Suite) => id.startsWith(`test/kernel/${suite}.py::`);

function score(verdicts: Map<string, Outcome>, suite: Suite): string {
  const all = [...verdicts].filter(([id]) => inSuite(id, suite));
  return `${all.filter(([, outcome]) => outcome === "passed").length} of ${all.length}`;
}

function table(found: Map<Subject, Map<string, Outcome>>): string {
  const head = ["", ...[...found.keys()].map(({ title }) => title)];
  const body = (Object.keys(suites) as Suite[]).map((suite) => [
    suites[suite],
    ...[...found.values()].map((verdicts) => score(verdicts, suite)),
  ]);
  const line = (cells: string[]) => `| ${cells.join(" | ")} |`;
  const failures = [...found].flatMap(([{ title }, verdicts]) => {
    const named = (outcome: Outcome) =>
      [...verdicts].filter(([, each]) => each === outcome).map(([id]) => `\`${id.replace(/^.*::(test_)?/, "")}\``);
    const parts = [
      ["fails", named("failed")],
      ["does not answer in", named("hung")],
      ["documents no way to", named("skipped")],
    ] as const;
    return parts
      .filter(([, names]) => names.length > 0)
      .map(([verb, names]) => `- ${title} ${verb} ${names.join(", ")}.`);
  });
  return [line(head), `|---|${"---:|".repeat(found.size)}`, ...body.map(line), "", ...failures].join("\n");
}

/** Puts the table between its markers. */
function write(text: string) {
  const before = readFileSync(readme, "utf8");
  const markers = /(<!-- suites -->\n)[\s\S]*?(<!-- \/suites -->)/;
  if (!markers.test(before)) throw new Error(`${relative(root, readme)} has no place <!-- suites --> for the table`);
  writeFileSync(
    readme,
    before.replace(markers, (_, begin, end) => `${begin}${text}\n${end}`),
  );
}
