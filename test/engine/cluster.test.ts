// Processes that compute together: real ones, with both ways that carry collectives.
import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { cluster, jit, tf } from "@whetstone/engine";

const child = join(import.meta.dirname, "cluster-child.ts");
const run = join(import.meta.dirname, "../../setup/run.mjs");
const transports = ["auto", "tensorflow"];

interface Ended {
  code: number | null;
  signal: string | null;
  stdout: string;
  stderr: string;
  /** what it told */
  told: any;
}

const started = new Set<ChildProcess>();

function start(
  command: string,
  args: string[],
  env: NodeJS.ProcessEnv = {},
): { process: ChildProcess; ended: Promise<Ended> } {
  const made = spawn(command, args, {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, TF_NUM_INTRAOP_THREADS: "1", ...env },
  });
  started.add(made);
  let stdout = "";
  let stderr = "";
  made.stdout!.on("data", (text) => (stdout += text));
  made.stderr!.on("data", (text) => (stderr += text));
  const ended = once(made, "close").then(([code, signal]) => {
    started.delete(made);
    const last = stdout.trim().split("\n").pop() ?? "";
    return { code, signal, stdout, stderr, told: last.startsWith("{") ? JSON.parse(last) : undefined };
  });
  return { process: made, ended };
}

async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer().listen(0, "127.0.0.1");
      await once(server, "listening");
      return server;
    }),
  );
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  for (const server of servers) server.close();
  return ports;
}

/** Starts `size` processes of cluster-child.ts. */
async function team(size: number, args: string[], env: NodeJS.ProcessEnv = {}) {
  const worker = (await freePorts(size)).map((port) => `127.0.0.1:${port}`);
  return worker.map((_, index) =>
    start(process.execPath, [child, ...args], {
      ...env,
      TF_CONFIG: JSON.stringify({ cluster: { worker }, task: { type: "worker", index } }),
    }),
  );
}

/** What all processes tell. */
async function tellers(size: number, args: string[], env: NodeJS.ProcessEnv = {}): Promise<any[]> {
  const ended = await Promise.all((await team(size, args, env)).map(({ ended }) => ended));
  return ended.map(({ told, code, signal, stderr }) => {
    assert.ok(told, `${args.join(" ")} ended with ${signal ?? code}: ${stderr}`);
    return told;
  });
}

const sumTo = (n: number) => (n * (n + 1)) / 2;

describe("cluster", function () {
  this.timeout(120_000);
  this.slow(20_000);
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), "whetstone-cluster-"));
  });
  after(async () => {
    for (const process of started) process.kill("SIGKILL");
    rmSync(folder, { recursive: true, force: true });
  });

  // One start of processes serves several tests: loading TensorFlow is most of their time. What breaks a cluster stands last.
  const teams = new Map<string, Promise<any[]>>();
  const toldBy = (size: number, transport: string): Promise<any[]> => {
    const key = `${size} ${transport}`;
    const last = { "2 auto": ",bad,train,differ", "4 auto": ",abort", "2 tensorflow": ",abort" }[key] ?? "";
    if (!teams.has(key)) teams.set(key, tellers(size, [`values,traced,gradients${last}`], { TRANSPORT: transport }));
    return teams.get(key)!;
  };

  for (const transport of transports) {
    for (const size of [2, 4]) {
      it(`collectives give the right values: ${size} processes, ${transport}`, async () => {
        for (const { rank, transport: carrier, values } of await toldBy(size, transport)) {
          if (process.platform === "linux")
            assert.equal(carrier, transport === "auto" ? "shared memory" : "TensorFlow");
          const x = [1, 2, 3, -4];
          const last = size - 1;
          const scaled = (factor: number) => x.map((value) => value * factor);
          assert.deepEqual(values.ops, [
            { x: scaled(sumTo(size)), n: [sumTo(last)], name: "kept" },
            { x: scaled(sumTo(size) / size), n: [Math.trunc(sumTo(last) / size)], name: "kept" },
            { x: [size, 2 * size, 3 * size, -4], n: [last], name: "kept" },
            { x: [1, 2, 3, -4 * size], n: [0], name: "kept" },
          ]);
          assert.deepEqual(values.sent, { x: scaled(size), even: [last % 2 === 0 ? 1 : 0, 1] });
          assert.deepEqual(values.all, { x: [size, 2, 2], s: Array.from({ length: size }, (_, r) => r) });
          assert.deepEqual(values.scattered, [2 * rank * size, (2 * rank + 1) * size]);
          assert.deepEqual(values.empty, [0, 3]);
          assert.ok(values.largeIsRight && values.gatheredIsRight);
        }
      });

      it(`collectives inside jit and under gradients: ${size} processes, ${transport}`, async () => {
        for (const { rank, traced } of await toldBy(size, transport)) {
          const scaled = (factor: number) => [1, 2, 3, 4].map((value) => value * factor);
          const sum = sumTo(size);
          // The sum of x + 1 over all processes, which each of them adds up again.
          const total = size * (10 * sum + 4 * size);
          const one = [scaled(2 * sum).map((value) => value + total), scaled(2 * sum), [1, 1], scaled(rank + 1)];
          assert.deepEqual(traced.calls, [one, one]);
          assert.equal(traced.left, 0);
          assert.deepEqual(traced.gradients, [scaled(2 * (rank + 1) * sum), scaled(2 * (rank + 1) * sum)]);
          assert.deepEqual(traced.gathered, [sum, sum, sum, sum]);
          assert.match(traced.maxGradient, /allReduce\(max\) has no gradient/);
        }
      });

      it(`gradients of ${size} processes equal those of one: ${transport}`, async () => {
        const [[alone], all] = [await toldBy(1, "auto"), await toldBy(size, transport)];
        assert.equal(alone.transport, "none");
        const one = alone.gradients;
        const most = Math.max(...one.grads.map(Math.abs));
        for (const { gradients } of all) {
          for (const grads of [gradients.grads, gradients.traced]) {
            assert.equal(grads.length, one.grads.length);
            const worst = Math.max(...grads.map((g: number, i: number) => Math.abs(g - one.grads[i])));
            assert.ok(worst <= 1e-6 * most, `off by ${worst} of ${most}`);
          }
          assert.ok(Math.abs(gradients.value[0] / one.value[0] - 1) < 1e-6);
          // All processes have the same bits, so that their weights stay the same.
          assert.deepEqual(gradients.grads, all[0].gradients.grads);
        }
      });
    }
  }

  it("a mistake in a call is an error of that call only", async () => {
    for (const { bad } of await toldBy(2, "auto")) {
      const { errors, sum } = bad;
      assert.match(
        errors[0],
        /allReduce\(sum\): the argument is string; it takes float32, int32 at .*cluster-child\.ts:\d+/,
      );
      assert.match(errors[1], /allReduce: "product" is not a reduction; take "sum", "mean", "max" or "min"/);
      assert.match(errors[2], /broadcast: root is 2; with 2 processes it is 0 to 1/);
      assert.match(errors[3], /is \[3\]; its first axis must be a multiple of 2 processes/);
      assert.deepEqual(sum, [2]);
    }
  });

  it("processes that do not call the same are told so", async function () {
    if (process.platform !== "linux") this.skip();
    for (const { differ } of await toldBy(2, "auto"))
      assert.match(
        differ.error,
        /0 calls allReduce\(sum\) of 1 float32 values, 1 calls allReduce\(sum\) of 2 float32 values/,
      );
  });

  it("abort ends what others wait for, with its reason", async function () {
    if (process.platform !== "linux") this.skip();
    for (const { abort } of await toldBy(4, "auto")) {
      assert.match(abort.error, /the loss is not a number/);
      assert.match(abort.again, /the loss is not a number/);
    }
  });

  it("over TensorFlow's transport others are told of an abort when its process ends", async () => {
    const [first, second] = await toldBy(2, "tensorflow");
    assert.match(first.abort.error, /the loss is not a number|worker 1 \(127\.0\.0\.1:\d+\) does not answer/);
    assert.ok(first.abort.seconds < 15, `${first.abort.seconds} s, of which 4 before the process ended`);
    assert.match(second.abort.error, /the loss is not a number/);
  });

  for (const transport of transports) {
    it(`a killed process is named to the others within 10 s: ${transport}`, async () => {
      const processes = await team(3, ["gone"], { TRANSPORT: transport });
      const [first, killed, third] = await Promise.all(processes.map(({ ended }) => ended));
      assert.equal(killed.signal, "SIGKILL");
      for (const { told, stderr } of [first, third]) {
        assert.ok(told, stderr);
        const { gone } = told;
        assert.equal(gone.calls, 10);
        assert.match(
          gone.error,
          /allReduce\(sum\): .*worker 1 \(127\.0\.0\.1:\d+\) does not answer: .* at .*cluster-child\.ts:\d+/,
        );
        assert.match(gone.error, /Start all processes again, from the last checkpoint/);
        assert.match(gone.again, /barrier: .*worker 1/);
        assert.ok(gone.seconds < 10, `${gone.seconds} s`);
        assert.deepEqual(
          gone.health.map(({ rank, alive }: any) => [rank, alive]),
          [
            [0, true],
            [1, true],
            [2, true],
          ],
        );
      }
    });
  }

  it("a process that hangs is named within 10 s", async () => {
    const processes = await team(2, ["gone"], { SIGNAL: "SIGSTOP" });
    const { told, stderr } = await processes[0].ended;
    processes[1].process.kill("SIGKILL");
    await processes[1].ended;
    assert.ok(told, stderr);
    assert.match(told.gone.error, /worker 1 \(127\.0\.0\.1:\d+\) does not answer/);
    assert.ok(told.gone.seconds < 10, `${told.gone.seconds} s`);
  });

  for (const transport of transports) {
    it(`a process that does not call in time is an error: ${transport}`, async () => {
      const processes = await team(2, ["late"], { TRANSPORT: transport });
      const { told, stderr } = await processes[0].ended;
      processes[1].process.kill("SIGKILL");
      await processes[1].ended;
      assert.ok(told, stderr);
      assert.match(told.late.error, /2 s went by without the same call from worker 1 \(127\.0\.0\.1:\d+\)/);
    });
  }

  it("training goes on from the checkpoint after a process was killed and all were started again", async () => {
    const [{ train: whole }] = await toldBy(2, "auto");
    assert.equal(whole.losses.length, 60);
    assert.ok(whole.losses[59] < 0.5 * whole.losses[0], `${whole.losses[0]} -> ${whole.losses[59]}`);
    const [left, killed] = await Promise.all((await team(2, ["train", folder])).map(({ ended }) => ended));
    assert.equal(killed.signal, "SIGKILL");
    assert.match(left.told?.train.error ?? left.stderr, /worker 1 \(127\.0\.0\.1:\d+\) does not answer/);
    assert.equal(left.told.train.step, 35);
    for (const { train } of await tellers(2, ["train", folder])) {
      assert.deepEqual([train.first, train.step], [30, 60]);
      // The same bits as if nothing had happened.
      assert.deepEqual(train.losses, whole.losses.slice(30));
    }
  });

  it("without TF_CONFIG a process is alone, and collectives give back what they get", async () => {
    assert.equal(process.env.TF_CONFIG, undefined);
    const { rank, size, transport, allReduce, allGather, reduceScatter, broadcast, barrier, health } = await cluster();
    assert.deepEqual([rank, size, transport], [0, 1, "none"]);
    const x = tf.tensor1d([1, 2]);
    const results = [allReduce(x, "mean"), broadcast(x), reduceScatter(x), allGather(x)];
    assert.deepEqual(
      results.map((y) => [y.shape, ...y.dataSync()]),
      [
        [[2], 1, 2],
        [[2], 1, 2],
        [[2], 1, 2],
        [[1, 2], 1, 2],
      ],
    );
    barrier();
    assert.equal((await health())[0].alive, true);
  });

  it("a wrong TF_CONFIG is an error that names the field", async () => {
    const two = { worker: ["a:1", "b:2"] };
    const wrong: [unknown, RegExp][] = [
      ["{", /TF_CONFIG is not JSON .*it looks like \{"cluster"/],
      [7, /TF_CONFIG has no "cluster"/],
      [{ cluster: {}, task: { type: "worker", index: 0 } }, /cluster names no worker/],
      [{ cluster: { worker: "a:1" } }, /cluster\.worker must be a list/],
      [{ cluster: two }, /TF_CONFIG has no "task"/],
      [{ cluster: two, task: { type: "worker", index: 2 } }, /which is not in the cluster; it has worker 0, worker 1/],
      [{ cluster: two, task: { type: "chief", index: 0 } }, /not in the cluster/],
      [{ cluster: two, task: { type: "evaluator", index: 0 } }, /evaluator, which is outside of the cluster/],
      [{ cluster: { ...two, ps: ["c:3"] }, task: { type: "worker", index: 0 } }, /has a job "ps"/],
      [{ cluster: { worker: ["a:1", "b"] }, task: { type: "worker", index: 0 } }, /address of worker 1 is "b"/],
      [
        { cluster: { worker: ["a:1", "b:99999"] }, task: { type: "worker", index: 0 } },
        /address of worker 1 is "b:99999"/,
      ],
      [
        { cluster: { chief: ["a:1"], worker: ["a:1"] }, task: { type: "chief", index: 0 } },
        /chief 0 and worker 0 have one address/,
      ],
    ];
    try {
      for (const [config, message] of wrong) {
        process.env.TF_CONFIG = typeof config === "string" ? config : JSON.stringify(config);
        await assert.rejects(cluster(), message);
      }
      delete process.env.TF_CONFIG;
      await assert.rejects(cluster({ workers: ["a:1", "b:1"] }), /rank is undefined; with 2 workers it is 0 to 1/);
      await assert.rejects(cluster({ workers: ["a:1", "b:1"], rank: 2 }), /rank is 2/);
      await assert.rejects(cluster({ rank: 0 }), /rank is given without workers/);
      await assert.rejects(cluster({ timeout: 0 }), /seconds above 0/);
      await assert.rejects(
        cluster({ transport: "mpi" as "auto" }),
        /transport is "mpi"; it can be "auto" or "tensorflow"/,
      );
      // Others that do not come are named. This makes the process a member, so it stands last. TensorFlow makes its devices anew
      // for that: ops and programs that ran before must run on.
      const x = tf.tensor1d([1, 2, 3]);
      const twice = jit((x: tf.Tensor) => tf.mul(x, 2));
      const use = () => [[...tf.pow(x, 2).dataSync()], [...twice(x).dataSync()]];
      use();
      const [port, other] = await freePorts(2);
      const workers = [`127.0.0.1:${port}`, `127.0.0.1:${other}`];
      await assert.rejects(
        cluster({ workers, rank: 0, startTimeout: 1 }),
        new RegExp(`worker 1 \\(127\\.0\\.0\\.1:${other}\\) did not come within 1 s`),
      );
      assert.deepEqual(use(), [
        [1, 4, 9],
        [2, 4, 6],
      ]);
    } finally {
      delete process.env.TF_CONFIG;
    }
  });

  it("two hosts: processes in network namespaces of their own", async function () {
    const script = join(folder, "hosts.sh");
    // Two namespaces joined by a cable, and a /dev/shm for each, as two machines have it.
    writeFileSync(
      script,
      `set -e
ip link set lo up
unshare -n -m sleep 100 & other=$!
trap 'kill $other' EXIT
sleep 0.5
ip link add left type veth peer name right
ip link set right netns $other
ip addr add 10.99.0.1/24 dev left; ip link set left up
on() { nsenter -t $other -n -m "$@"; }
on ip link set lo up; on ip addr add 10.99.0.2/24 dev right; on ip link set right up
mount -t tmpfs none /dev/shm
on mount -t tmpfs none /dev/shm
[ "$1" = check ] && exit 0
config() { echo '{"cluster":{"worker":["10.99.0.1:2222","10.99.0.2:2222"]},"task":{"type":"worker","index":'$1'}}'; }
TF_CONFIG=$(config 1) on "$@" >/dev/null & second=$!
TF_CONFIG=$(config 0) "$@"
wait $second
`,
    );
    const inNamespaces = ["-U", "-r", "-n", "-m", "sh", script];
    const check = spawnSync("unshare", [...inNamespaces, "check"], { encoding: "utf8", timeout: 20_000 });
    if (check.status !== 0) {
      const reason = check.error?.message ?? check.stderr.trim().split("\n")[0];
      (this.test as Mocha.Test).title += ` (skipped: no network namespaces here: ${reason})`;
      this.skip();
    }
    const { ended } = start("unshare", [...inNamespaces, process.execPath, child, "gradients"]);
    const [alone] = await toldBy(1, "auto");
    const { told, stderr, code } = await ended;
    assert.equal(code, 0, stderr);
    assert.deepEqual([told.size, told.transport], [2, "TensorFlow"]);
    const worst = Math.max(
      ...told.gradients.grads.map((g: number, i: number) => Math.abs(g - alone.gradients.grads[i])),
    );
    assert.ok(worst < 1e-5, `off by ${worst}`);
  });
});

describe("whetstone launch", function () {
  this.timeout(120_000);
  this.slow(20_000);
  let folder: string;
  let script: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), "whetstone-launch-"));
    script = join(folder, "script.ts");
    writeFileSync(
      script,
      `const { cluster, task } = JSON.parse(process.env.TF_CONFIG!);
const [what] = process.argv.slice(2) as string[];
console.log("worker", task.index, "of", cluster.worker.length, process.env.TF_NUM_INTRAOP_THREADS, process.argv.slice(2).join(" "));
console.error("to stderr", process.pid);
if (what === "fail" && task.index === 1) process.exit(7);
// Blocked: no event is handled while it waits.
if (what) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 60_000);
`,
    );
  });
  after(() => {
    for (const process of started) process.kill("SIGKILL");
    rmSync(folder, { recursive: true, force: true });
  });
  const launch = (...args: string[]) => start(process.execPath, [run, "launch", ...args]);
  const pidsIn = (text: string) => [...text.matchAll(/to stderr (\d+)/g)].map(([, pid]) => Number(pid));
  const isAlive = (pid: number) => {
    try {
      process.kill(pid, 0);
      return true;
    } catch {
      return false;
    }
  };
  const allEnd = async (pids: number[]) => {
    for (let i = 0; i < 100 && pids.some(isAlive); i++) await setTimeout(100);
    assert.deepEqual(pids.filter(isAlive), []);
  };

  it("starts the processes with TF_CONFIG, threads and prefixed lines", async () => {
    const { code, stdout, stderr } = await launch("--workers", "3", "--threads=2", script).ended;
    assert.equal(code, 0, stderr);
    const lines = stdout.split("\n").filter((line) => line.startsWith("["));
    assert.deepEqual(lines.map((line) => line.trim()).sort(), [
      "[0] worker 0 of 3 2",
      "[1] worker 1 of 3 2",
      "[2] worker 2 of 3 2",
    ]);
    assert.match(stderr, /^\[1\] to stderr \d+$/m);
  });

  it("ends with the code of the first that fails, and ends the others", async () => {
    const { code, stdout, stderr } = await launch("--workers", "2", "--threads", "1", script, "fail", "--workers")
      .ended;
    assert.equal(code, 7);
    assert.match(stdout, /\[1\] worker 1 of 2 1 fail --workers/); // the other may be ended before it has said anything
    assert.match(stderr, /launch: worker 1 ended with code 7; the others are ended/);
    await allEnd(pidsIn(stderr));
  });

  for (const signal of ["SIGTERM", "SIGKILL"] as const) {
    it(`its processes end with it: ${signal}`, async () => {
      const { process: parent, ended } = launch("--workers", "2", script, "wait");
      let seen = "";
      parent.stderr!.on("data", (text) => (seen += text));
      for (let i = 0; i < 600 && pidsIn(seen).length < 2; i++) await setTimeout(100);
      const pids = pidsIn(seen);
      assert.equal(pids.length, 2, seen);
      parent.kill(signal);
      await allEnd(pids);
      await ended;
    });
  }

  it("says what is wrong with a command line", async () => {
    const cases: [string[], RegExp][] = [
      [[script], /--workers is missing/],
      [["--workers", "0", script], /--workers takes a whole number above 0, not 0/],
      [["--workers", "2"], /which script\?/],
      [["--workers", "2", join(folder, "none.ts")], /there is no file .*none\.ts/],
      [["--wrong", "2", script], /there is no option --wrong/],
    ];
    const file = join(import.meta.dirname, "../../engine/cluster/launch.ts");
    for (const [args, message] of cases) {
      const { status, stderr } = spawnSync(process.execPath, [file, ...args], { encoding: "utf8" });
      assert.equal(status, 2);
      assert.match(stderr, message);
      assert.match(stderr, /whetstone launch --workers N/);
    }
  });
});
