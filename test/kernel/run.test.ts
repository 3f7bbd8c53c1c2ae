import assert from "node:assert/strict";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { KernelDied, startKernel } from "../../kernel/run/client.ts";
import type { CodeCell, Notebook } from "../../kernel/run/notebook.ts";
import { type NotebookResult, type RunOptions, runNotebook, runNotebooks } from "../../kernel/run/runner.ts";
import { isAlive, type Made, temporaryFolder, until } from "../made.ts";

const verdicts = ({ cells }: NotebookResult) => cells.map(({ verdict }) => verdict);
const streams = (notebook: Notebook | undefined, cell: number) =>
  (notebook!.cells[cell - 1] as CodeCell).outputs.flatMap((output) =>
    output.output_type === "stream" ? output.text : [],
  );

describe("runner: verdicts", () => {
  const folder = temporaryFolder();
  let serial = 0;
  const run = (cells: Made[], options?: RunOptions) => runNotebook(folder.make(`n${++serial}`, cells), options);

  it("ok, skipped, error, not reached; text and empty cells have none", async () => {
    const { result, notebook } = await run([
      "# a text",
      "const x = 20; x + 1",
      { source: "nonsense(", tags: ["skip-execution"] },
      "  ",
      "console.log(x)\nthrow new RangeError('too far')",
      "x",
    ]);
    assert.deepEqual(verdicts(result), ["ok", "skipped", "error", "not reached"]);
    assert.equal(result.isPassed, false);
    assert.equal(result.problem, undefined);
    const [good, skipped, bad, rest] = result.cells;
    assert.deepEqual([good!.id, good!.position, rest!.position], ["c2", 2, 6]);
    assert.match(skipped!.reason!, /skip-execution/);
    assert.equal(bad!.reason, "RangeError: too far");
    assert.equal(bad!.line, 2);
    assert.equal(bad!.source, "throw new RangeError('too far')");
    assert.ok(bad!.traceback!.length > 0);
    assert.deepEqual(streams(notebook, 5), ["20\n"]);
    assert.ok(result.startSeconds > 0 && result.startSeconds <= result.seconds);
  });

  it("a cell that is too long is interrupted and named", async () => {
    const { result, notebook } = await run(["1", "console.log('begun')\nwhile (true) {}", "2"], {
      budgets: { cell: 1 },
    });
    assert.deepEqual(verdicts(result), ["ok", "timeout", "not reached"]);
    assert.match(result.cells[1]!.reason!, /longer than the 1 s a cell may take$/);
    assert.equal(result.cells[1]!.id, "c2");
    assert.ok(result.cells[1]!.seconds >= 1 && result.cells[1]!.seconds < 10, `${result.cells[1]!.seconds} s`);
    assert.deepEqual(streams(notebook, 2), ["begun\n"]);
  });

  it("a notebook that is too long, and a cell that is silent for too long", async () => {
    const forever = "await new Promise(() => {})";
    const long = await run([forever], { budgets: { notebook: 2 } });
    assert.deepEqual(verdicts(long.result), ["timeout"]);
    assert.match(long.result.cells[0]!.reason!, /the notebook ran longer/);
    const beat =
      "for (let i = 0; i < 16; i++) { console.log(i); await new Promise<void>((done) => setTimeout(done, 250)); }";
    const silent = await run([beat, forever], { budgets: { silence: 3 } });
    assert.deepEqual(verdicts(silent.result), ["ok", "timeout"]);
    assert.match(silent.result.cells[1]!.reason!, /no sign of life for 3 s/);
  });

  it("a process that ends, whoever ends it, is dead", async () => {
    const worker = await run(["let a = 1", "console.log('last'); process.exit(3)", "a"]);
    assert.deepEqual(verdicts(worker.result), ["ok", "dead", "not reached"]);
    assert.match(worker.result.cells[1]!.reason!, /ProcessExit: .*exit code 3/);
    assert.deepEqual(streams(worker.notebook, 2), ["last\n"]);
    const front = await run([
      "console.log('last')\nprocess.kill(process.ppid, 'SIGKILL'); await new Promise(() => {})",
    ]);
    assert.deepEqual(verdicts(front.result), ["dead"]);
    assert.match(front.result.cells[0]!.reason!, /kernel whetstone died: its process was ended by SIGKILL/);
  });

  it("a kernel that dies, or is stuck, after its last cell", async () => {
    // Immediates run before the next request is read; whether the cell's reply has left by then is another matter.
    const dead = await run(["1", "setImmediate(() => process.kill(process.ppid, 'SIGKILL')); 2"]);
    assert.deepEqual(verdicts(dead.result), ["ok", "dead"]);
    const lost = await run(["1", "setImmediate(() => process.exit(4)); 2"]);
    assert.deepEqual(verdicts(lost.result), ["ok", "dead"]);
    assert.match(lost.result.cells[1]!.reason!, /ProcessExit: .*exit code 4/);
    const stuck = await run(["setImmediate(() => { while (true) {} }); 1"], { budgets: { cell: 5, grace: 1 } });
    assert.deepEqual(verdicts(stuck.result), ["timeout"]);
  });

  it("a death between two cells is that of the first", async () => {
    const { result } = await run([
      "setTimeout(() => process.exit(5), 50); let a = 1; a",
      { source: "await new Promise((done) => setTimeout(done, 400)); a", tags: [] },
    ]);
    assert.equal(result.isPassed, false);
    assert.equal(verdicts(result).includes("dead"), true, JSON.stringify(result.cells));
  });

  it("errors that come late are those of their cell", async () => {
    const wait = "await new Promise((done) => setTimeout(done, 300))";
    const { result } = await run(["setTimeout(() => { throw new TypeError('late') }, 50); 1", wait, "2"]);
    assert.deepEqual(verdicts(result), ["error", "ok", "ok"]);
    assert.equal(result.cells[0]!.reason, "after the cell had ended: TypeError: late");
    assert.equal(result.isPassed, false);
  });

  it("an error that is shown counts, although the reply is ok", async () => {
    const { result } = await run([
      "Promise.reject(new Error('nobody waits'))\nawait new Promise((done) => setTimeout(done, 200)); 1",
    ]);
    assert.deepEqual(verdicts(result), ["error"]);
    assert.match(result.cells[0]!.reason!, /nobody waits/);
  });

  it("an expected error must come, and match", async () => {
    const raises = (source: string, ...expected: string[]): Made => ({
      source,
      tags: ["raises-exception", ...expected.map((text) => `expect:${text}`)],
    });
    const range = "throw new RangeError('index 7 of 5')";
    const good = await run([
      raises(range),
      raises(range, "RangeError"),
      raises(range, "RangeError", "index 7"),
      raises("const n: number = 'x'", "TS2322"),
      "1",
    ]);
    assert.deepEqual(verdicts(good.result), ["ok", "ok", "ok", "ok", "ok"]);
    assert.equal(good.result.isPassed, true);
    const other = await run([raises(range, "TypeError")]);
    assert.deepEqual(verdicts(other.result), ["error"]);
    assert.match(
      other.result.cells[0]!.reason!,
      /an error with TypeError is expected; it failed with RangeError: index 7/,
    );
    const none = await run([raises("1", "index 7")]);
    assert.deepEqual(verdicts(none.result), ["error"]);
    assert.match(
      none.result.cells[0]!.reason!,
      /it should fail \(an error with index 7 is expected\), and ran through/,
    );
    const bare = await run([raises("1")]);
    assert.deepEqual(verdicts(bare.result), ["error"]);
  });

  it("says why a notebook could not run", async () => {
    const broken = join(folder.path, "broken.ipynb");
    writeFileSync(broken, '{"nbformat": 3}');
    assert.match(
      (await runNotebook(broken)).result.problem!,
      /broken\.ipynb is not a notebook of format 4: nbformat is 3/,
    );
    const stranger = folder.make("stranger", ["1"], { name: "no-such-kernel" });
    assert.match(
      (await runNotebook(stranger)).result.problem!,
      /no kernelspec "no-such-kernel"; there are: .*whetstone/,
    );
    const { result } = await run(["1"], {
      kernel: [process.execPath, "-e", "console.error('no licence'); process.exit(9)"],
    });
    assert.match(result.problem!, /exit code 9.*\n.*no licence/s);
    assert.deepEqual(verdicts(result), ["not reached"]);
    const mute = await run(["1"], {
      kernel: [process.execPath, "-e", "setInterval(() => {}, 1e6)"],
      budgets: { start: 1 },
    });
    assert.match(mute.result.problem!, /did not answer within 1 s/);
  });
});

describe("runner: the run", () => {
  const folder = temporaryFolder();

  it("runs in the notebook's folder, in quick mode when asked, with the outputs of this run only", async () => {
    const path = folder.make("where", ["process.cwd()", "process.env.WHETSTONE_QUICK ? 'quick' : 'full'"]);
    const { notebook } = await runNotebook(path, { quick: true });
    const results = notebook!.cells.map((cell) =>
      (cell as CodeCell).outputs.map((output: any) => output.data["text/plain"]),
    );
    assert.deepEqual(results, [[`'${folder.path}'`], ["'quick'"]]);
    assert.deepEqual(
      notebook!.cells.map((cell) => cell.execution_count),
      [1, 2],
    );
    const before = process.env.WHETSTONE_QUICK;
    process.env.WHETSTONE_QUICK = "1";
    try {
      const full = (await runNotebook(path, { quick: false })).notebook!.cells[1] as CodeCell;
      assert.equal((full.outputs[0] as any).data["text/plain"], "'full'");
    } finally {
      if (before === undefined) delete process.env.WHETSTONE_QUICK;
      else process.env.WHETSTONE_QUICK = before;
    }
  });

  it("updates displays in whatever cell they stand, and writes lines over as a terminal does", async () => {
    const path = folder.make("updates", [
      "const shown = display('first'); display('other'); 1",
      "process.stdout.write('10 %\\r'); process.stdout.write('20 %\\r'); console.log('done')",
      "shown.update('second')",
      "console.log('gone'); clearOutput(); console.log('kept')",
    ]);
    const { result, notebook } = await runNotebook(path);
    assert.equal(result.isPassed, true, JSON.stringify(result.cells));
    const texts = (notebook!.cells[0] as CodeCell).outputs.map((output: any) => output.data["text/plain"]);
    assert.match(texts[0], /second/);
    assert.match(texts[1], /other/);
    assert.deepEqual(streams(notebook, 2), ["done\n"]);
    assert.deepEqual(streams(notebook, 4), ["kept\n"]);
  });

  it("runs two at a time: each of these waits for the other", async () => {
    const meet = (own: string, other: string) =>
      `import { existsSync, writeFileSync } from "node:fs";
writeFileSync("${own}", "");
while (!existsSync("${other}")) await new Promise((done) => setTimeout(done, 20));`;
    const paths = [folder.make("left", [meet("l", "r")]), folder.make("right", [meet("r", "l")])];
    const results = await runNotebooks(paths, { workers: 2, budgets: { cell: 20 } });
    assert.deepEqual(results.map(({ name, isPassed }) => [name, isPassed]), [["left", true], ["right", true]]); // biome-ignore format: pairs
  });

  it("starts with the longest of the last time, and those that are new; results keep their order", async () => {
    const paths = ["short", "long", "new"].map((name) => folder.make(name, ["1"]));
    const seconds = new Map([[paths[0], 1], [paths[1], 9]]); // biome-ignore format: pairs
    const order: string[] = [];
    const results = await runNotebooks(paths, {
      workers: 1,
      lastSeconds: (path) => seconds.get(path),
      onStart: ({ name }) => void order.push(name),
    });
    assert.deepEqual(order, ["new", "long", "short"]);
    assert.deepEqual(results.map(({ name }) => name), ["short", "long", "new"]); // biome-ignore format: one line
  });

  it("gives up a kernel that starts when the run is stopped", async () => {
    const stop = new AbortController();
    const running = runNotebook(folder.make("never", ["1"]), {
      kernel: [process.execPath, "-e", "setInterval(() => {}, 1e6)"],
      abort: stop.signal,
    });
    await sleep(200);
    const began = performance.now();
    stop.abort(new Error("enough"));
    const { result } = await running;
    assert.equal(result.problem, "enough");
    assert.ok(performance.now() - began < 5000);
  });
});

describe("runner: the kernel's client", () => {
  it("sees a killed kernel at once, and leaves none of its processes", async () => {
    const kernel = await startKernel("whetstone");
    const { outputs } = await kernel.execute("process.pid");
    const worker = Number((outputs[0] as any).data["text/plain"]);
    const running = kernel.execute("while (true) {}");
    await sleep(200);
    const began = performance.now();
    process.kill(kernel.pid, "SIGKILL");
    await assert.rejects(running, (error: Error) => error instanceof KernelDied && /SIGKILL/.test(error.message));
    const seen = performance.now() - began;
    assert.ok(seen < 2000, `${seen} ms`);
    await assert.rejects(kernel.execute("1"), KernelDied);
    assert.ok((await kernel.died) instanceof KernelDied);
    await until("the end of the cells' process", () => !isAlive(worker));
  });

  it("reads what a kernel said before it died", async () => {
    const kernel = await startKernel("whetstone");
    const outputs: any[] = [];
    const code =
      "for (let i = 0; i < 20_000; i++) console.log(i); await new Promise((done) => setTimeout(done, 500)); process.kill(process.ppid, 'SIGKILL'); await new Promise(() => {})";
    await assert.rejects(kernel.execute(code, { outputs }), KernelDied);
    assert.equal(
      outputs
        .map(({ text }) => text)
        .join("")
        .split("\n").length,
      20_001,
    );
  });

  it("starts over, asks, completes and interrupts", async () => {
    const kernel = await startKernel("whetstone");
    try {
      await kernel.execute("const kept = 1");
      const asked = await kernel.execute("const name = await prompt('who?'); name", {
        onInput: (question) => `${question} me`,
      });
      assert.equal((asked.outputs[0] as any).data["text/plain"], "'who? me'");
      await assert.rejects(
        kernel.execute("await prompt('who?')", { onInput: () => Promise.reject(new Error("nobody there")) }),
        /nobody there/,
      );
      const running = kernel.execute("while (true) {}");
      await sleep(200);
      await kernel.interrupt();
      assert.equal((await running).reply.status, "error");
      await kernel.restart();
      const { reply } = await kernel.execute("const kept = 2", { userExpressions: { two: "kept * 1" } });
      assert.equal(reply.status, "ok");
      assert.equal(reply.user_expressions.two.data["text/plain"], "2");
    } finally {
      await kernel.shutdown();
    }
    assert.equal(isAlive(kernel.pid), false);
  });
});

describe("runner: another kernel", () => {
  const folder = temporaryFolder();
  const python = { name: "python3", language: "python" };
  const interpreter = join(import.meta.dirname, "../../.venv/bin/python");
  const kernel = { ...python, argv: [interpreter, "-m", "ipykernel_launcher", "-f", "{connection_file}"] };

  before(function () {
    if (!existsSync(interpreter)) this.skip();
  });

  it("runs Python notebooks: outputs, line of an error, interrupt by signal, death", async () => {
    const make = (name: string, cells: Made[], budgets = {}) =>
      runNotebook(folder.make(name, cells, python), { kernel, budgets });
    const [good, bad, long, dead] = await Promise.all([
      make("good", ["x = 6", "print(x * 7)\nx"]),
      make("bad", ["def f():\n    raise KeyError('gone')", "1\n2\nf()", "3"]),
      make("long", ["while True: pass"], { cell: 3 }),
      make("dead", ["import os\nos._exit(7)", "1"]),
    ]);
    assert.equal(good.result.isPassed, true, JSON.stringify(good.result));
    assert.deepEqual(streams(good.notebook, 2), ["42\n"]);
    assert.deepEqual(verdicts(bad.result), ["ok", "error", "not reached"]);
    assert.equal(bad.result.cells[1]!.reason, "KeyError: 'gone'");
    assert.deepEqual([bad.result.cells[1]!.line, bad.result.cells[1]!.source], [3, "f()"]);
    assert.deepEqual(verdicts(long.result), ["timeout"]);
    assert.deepEqual(verdicts(dead.result), ["dead", "not reached"]);
    assert.match(dead.result.cells[0]!.reason!, /exit code 7/);
  });

  it("ends a cell that does not let itself be interrupted", async () => {
    const path = folder.make(
      "deaf",
      ["import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass"],
      python,
    );
    const { result } = await runNotebook(path, { kernel, budgets: { cell: 1, grace: 1 } });
    assert.deepEqual(verdicts(result), ["timeout"]);
    assert.match(result.cells[0]!.reason!, /did not stop when interrupted, and was ended/);
  });

  it("refuses parameters it cannot set", async () => {
    const path = folder.make("set", [{ source: "a = 1", tags: ["parameters"] }], python);
    assert.match((await runNotebook(path, { kernel, set: { a: "2" } })).result.problem!, /written in python/);
  });
});
