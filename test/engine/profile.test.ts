// profile(f): which op took how long, where it was written, in eager code and inside of compiled programs.
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { jit, memory, type Profile, profile, scan, tf, useDevice, valueAndGrad } from "@whetstone/engine";

const here = import.meta.filename;
/** The number of the line of this file that holds a text. */
const lineOf = (text: string) =>
  1 +
  readFileSync(here, "utf8")
    .split("\n")
    .findIndex((line) => line.includes(text));
const bundle = (p: Profile<unknown>): Record<string, string> => (p as any)[Symbol.for("Jupyter.display")]();
const sum = (values: number[]) => values.reduce((a, b) => a + b, 0);

function loss(w: tf.Tensor, x: tf.Tensor): tf.Scalar {
  const hidden = tf.relu(tf.matMul(x, w)); // line of the product
  return tf.mean(tf.square(tf.softmax(hidden)));
}

function update(w: tf.Tensor, x: tf.Tensor): tf.Tensor {
  const { grads } = valueAndGrad(loss)(w, x);
  return tf.sub(w, grads); // line of the update
}

describe("profile", function () {
  this.timeout(60_000);
  let w: tf.Tensor;
  let x: tf.Tensor;
  before(() => {
    w = tf.ones([96, 96]);
    x = tf.ones([200, 96]);
    update(w, x).dispose();
  });
  after(async () => {
    await useDevice("auto");
  });

  it("has a row for each op, line and pass, with times, shapes and bytes", () => {
    const p = profile(() => update(w, x));
    assert.deepEqual(p.value.shape, [96, 96]);
    const row = (op: string, pass: string) => p.rows.filter((r) => r.op === op && r.pass === pass && r.kind === "op");
    const [product] = row("matMul", "forward");
    assert.equal(product.count, 1);
    assert.deepEqual(product.shapes, ["float32[200,96], float32[96,96] -> float32[200,96]"]);
    assert.equal(product.bytes, 4 * 200 * 96);
    assert.ok(product.line.endsWith(`profile.test.ts:${lineOf("// line of the product")})`), product.line);
    // Its gradient stands at the same line, and says whose it is.
    const gradient = row("matMul", "backward");
    assert.equal(gradient.length, 1);
    assert.equal(gradient[0].of, "matMul");
    assert.equal(gradient[0].line, product.line);
    assert.ok(row("mul", "backward").some(({ of }) => of === "softmax"));
    const [step] = row("sub", "forward");
    assert.ok(step.line.endsWith(`profile.test.ts:${lineOf("// line of the update")})`), step.line);
    // Every op once, and no time twice.
    assert.ok(Math.abs(sum(p.rows.map(({ share }) => share)) - 1) < 1e-9);
    assert.ok(sum(p.rows.map(({ ms }) => ms)) <= p.ms);
    assert.ok(p.rows.every(({ ms }) => ms >= 0) && p.ms > 0);
    // The backward pass begins after the forward pass.
    assert.deepEqual(
      p.scopes.map(({ name }) => name),
      ["forward", "backward"],
    );
    const [forward, backward] = p.scopes;
    assert.ok(forward.start + forward.ms <= backward.start);
    for (const event of p.events)
      if (event.pass === "backward")
        assert.ok(event.start >= backward.start && event.start <= backward.start + backward.ms);
    assert.deepEqual(p.jit, []);
    p.value.dispose();
  });

  it("tells bytes and the peak of memory", () => {
    const before = memory().bytes;
    const p = profile(() => tf.tidy(() => tf.sum(tf.mul(tf.ones([256, 1024]), 2))));
    assert.equal(p.memory.before, before);
    assert.equal(p.memory.after - before, 4);
    const all = sum(p.rows.map(({ bytes }) => bytes));
    assert.ok(all >= 2 * 2 ** 20 && p.memory.peak - before >= 2 * 2 ** 20, `${all}, ${p.memory.peak - before}`);
    const mul = p.rows.find(({ op }) => op === "mul")!;
    assert.equal(mul.bytes, 2 ** 20);
    p.value.dispose();
  });

  it("finds the op that takes the time", () => {
    const large = tf.ones([700, 700]);
    const p = profile(() => tf.tidy(() => tf.sum(tf.matMul(tf.matMul(large, large), large)).dataSync()[0]));
    assert.ok(Math.abs(p.value / 700 ** 4 - 1) < 1e-6);
    assert.equal(p.rows[0].op, "matMul");
    assert.equal(p.rows[0].count, 2);
    assert.equal(p.rows.find(({ op }) => op === "dataSync")?.kind, "copy");
  });

  it("sees inside of a program of XLA: the user's ops and lines, what was fused, and compilation apart", () => {
    const step = jit(update);
    const p = profile(() => {
      tf.dispose([step(w, x), step(w, x)]);
    });
    const [summary] = p.jit;
    assert.deepEqual([p.jit.length, summary.name, summary.calls, summary.programs], [1, "jit(update)", 2, 1]);
    assert.ok(summary.compileMs > 0 && summary.traceMs > 0 && summary.runMs > 0);
    assert.ok(summary.opsMs! > 0, p.notes.join());
    const inside = p.rows.filter(({ kind, within }) => kind === "xla" && within === "jit(update)");
    const product = inside.find(({ op, pass }) => op === "matMul" && pass === "forward")!;
    assert.ok(product.line.endsWith(`profile.test.ts:${lineOf("// line of the product")})`), product.line);
    assert.deepEqual(product.shapes, ["float32[200,96]"]);
    assert.ok(inside.some(({ op, pass, of }) => op === "matMul" && pass === "backward" && of === "matMul"));
    assert.ok(inside.some(({ op }) => op.includes("softmax")));
    assert.ok(p.rows.some(({ op, kind }) => op === "compiling jit(update)" && kind === "compile"));
    // Once compiled, the names and lines are still known.
    const later = profile(() => step(w, x));
    assert.equal(later.jit[0].programs, 0);
    const again = later.rows.find(({ kind, op, pass }) => kind === "xla" && op === "matMul" && pass === "forward")!;
    assert.equal(again.line, product.line);
    const event = later.events.find(({ kind, op, pass }) => kind === "xla" && op === "matMul" && pass === "forward")!;
    assert.deepEqual(
      event.frames.slice(0, 3).map((frame) => Number(/(\d+)\)?$/.exec(frame)?.[1])),
      [lineOf("// line of the product"), lineOf("valueAndGrad(loss)(w, x);"), lineOf("const later = profile(() =>")],
    );
    assert.match(bundle(later)["text/plain"], /jit\(update\): 1 calls, ran in [\d.]+ ms, its ops took/);
    later.value.dispose();
  });

  it("knows the ops of a program that was traced before, and those in a loop", () => {
    const power = jit((w: tf.Tensor) =>
      scan((c: tf.Tensor): [tf.Tensor, null] => [tf.tanh(tf.matMul(c, w)), null], w, null, { length: 5 }),
    );
    const [first] = power(w);
    const p = profile(() => power(w)[0]);
    const product = p.events.filter(({ kind, op }) => kind === "xla" && op === "matMul");
    assert.equal(product.length, 5, JSON.stringify(p.rows.map(({ op }) => op)));
    assert.ok(p.rows.some(({ kind, op }) => kind === "xla" && op.includes("tanh")));
    // A loop's own time is without that of its body.
    assert.ok(sum(p.events.filter(({ kind }) => kind === "xla").map(({ self }) => self)) <= 2 * p.ms);
    tf.dispose([first, p.value]);
  });

  it("runs jitted functions op by op when it is asked to, with the same result", () => {
    const step = jit(update);
    const compiled = step(w, x);
    const p = profile(() => step(w, x), { unfused: true });
    assert.ok(p.rows.some(({ op, kind, pass }) => op === "softmax" && kind === "op" && pass === "forward"));
    assert.ok(p.rows.every(({ kind }) => kind !== "jit" && kind !== "xla"));
    assert.match(p.notes.join(), /unfused/);
    assert.ok(tf.max(tf.abs(tf.sub(p.value, compiled))).dataSync()[0] < 1e-6);
    // Afterwards it is compiled again.
    assert.equal(profile(() => step(w, x).dispose()).jit[0].calls, 1);
  });

  it("waits for asynchronous functions, and times calls off the event loop", async () => {
    const step = jit(update);
    (await step.async(w, x)).dispose();
    const p = await profile(async () => {
      await new Promise((resolve) => setTimeout(resolve, 5));
      return step.async(w, x);
    });
    assert.ok(p.ms >= 4);
    const [call] = p.events.filter(({ kind }) => kind === "jit");
    assert.equal(call.op, "jit(update)");
    assert.ok(call.ms > 0);
    assert.ok(p.events.some(({ kind, op }) => kind === "xla" && op === "matMul"));
    p.value.dispose();
  });

  it("leaves nothing behind, also when f throws", async () => {
    const kept = () => {
      const { native } = tf.backend() as any;
      return [
        native.executeOp,
        native.executeRaw,
        native.run,
        native.add,
        native.setTracer,
        native.pin,
        native.createTensor,
      ];
    };
    const before = kept();
    const { numTensors, bytes } = memory();
    assert.throws(
      () =>
        profile(() => {
          tf.tidy(() => void tf.add(w, 1));
          throw new RangeError("mine");
        }),
      new RangeError("mine"),
    );
    await assert.rejects(
      profile(async () => {
        tf.tidy(() => void tf.add(w, 1));
        throw new RangeError("later");
      }),
      new RangeError("later"),
    );
    assert.deepEqual(kept(), before);
    assert.deepEqual([memory().numTensors, memory().bytes], [numTensors, bytes]);
    assert.throws(() => profile(() => profile(() => 1)), /another profile is running/);
    assert.throws(() => profile(jit((x: tf.Tensor) => x)(w) as never), /give it a function/);
    assert.throws(() => jit((x: tf.Tensor) => profile(() => tf.add(x, 1)).value)(w), /inside jit nothing runs/);
    assert.equal(profile(() => 1).value, 1);
  });

  it("shows as a table, draws a flame figure and writes a trace for Perfetto", () => {
    const p = profile(() => update(w, x));
    const { "text/plain": text, "text/html": html } = bundle(p);
    const [head, titles, ...lines] = text.split("\n");
    assert.match(head, /^Profile: [\d.]+ ms, .*memory .* at the peak, .*backward begins at [\d.]+ ms$/);
    assert.match(titles, /^op +in +pass +line +shapes +count +total ms +share +memory$/);
    assert.ok(lines.length >= 10 && lines.every((line) => / \d+\.\d %/.test(line)));
    assert.match(html, /<table>.*backward of matMul.*<\/table>/s);
    assert.ok(!html.includes("->"), "what looks like a tag is escaped");

    const { data, layout } = p.flame;
    const [icicle] = data as any[];
    assert.equal(icicle.type, "icicle");
    assert.equal(icicle.branchvalues, "total");
    const ids: string[] = icicle.ids;
    assert.equal(new Set(ids).size, ids.length);
    // What stands in a branch takes no longer than it.
    ids.forEach((id, i) => {
      const inner = sum(icicle.values.filter((_: number, k: number) => icicle.parents[k] === id));
      assert.ok(inner <= icicle.values[i] * (1 + 1e-9) + 1e-9, `${icicle.labels[i]}: ${inner} in ${icicle.values[i]}`);
    });
    const path = (label: string): string[] => {
      const names: string[] = [];
      for (let i = icicle.labels.indexOf(label); i >= 0; i = ids.indexOf(icicle.parents[i]))
        names.unshift(icicle.labels[i]);
      return names;
    };
    assert.deepEqual(
      path("softmax")
        .slice(-3, -1)
        .map((name) => name.split(" ")[0]),
      ["update", "loss"],
    );
    assert.match(path("backward of softmax").at(-2)!, /^loss \(profile\.test\.ts:\d+\)$/);
    assert.match((layout.title as { text: string }).text, /^Time by code and op/);

    const folder = mkdtempSync(join(tmpdir(), "profile-"));
    try {
      p.save(join(folder, "trace.json"));
      const file = JSON.parse(readFileSync(join(folder, "trace.json"), "utf8"));
      assert.equal(file.displayTimeUnit, "ms");
      // The fields that the format requires of complete events and of metadata.
      const phases = new Set(file.traceEvents.map(({ ph }: any) => ph));
      assert.deepEqual([...phases].sort(), ["C", "M", "X"]);
      for (const event of file.traceEvents) {
        assert.equal(typeof event.name, "string");
        assert.ok(Number.isInteger(event.pid) && Number.isInteger(event.tid), event.name);
        if (event.ph === "M") assert.equal(typeof event.args.name, "string");
        else assert.ok(Number.isFinite(event.ts) && event.ts >= 0, `${event.name} ${event.ts}`);
        if (event.ph === "X") assert.ok(event.dur >= 0 && typeof event.cat === "string");
      }
      const named = file.traceEvents.filter(({ name }: any) => name === "thread_name").map(({ tid }: any) => tid);
      assert.ok(file.traceEvents.every(({ tid, ph }: any) => ph === "M" || named.includes(tid)));
      // Slices of a thread nest: an op is within its pass.
      const slices = file.traceEvents.filter(({ ph, tid }: any) => ph === "X" && tid === 1);
      const backward = slices.find(({ name, cat }: any) => name === "backward" && cat === "pass");
      const within = slices.filter(
        ({ ts, dur }: any) => ts >= backward.ts && ts + dur <= backward.ts + backward.dur + 1,
      );
      assert.ok(within.some(({ name, args }: any) => name === "matMul" && args.pass === "backward of matMul"));
    } finally {
      rmSync(folder, { recursive: true });
    }
    p.value.dispose();
  });

  it("works on WASM, by the kernels of tfjs", async () => {
    await useDevice("wasm");
    const [w, x] = [tf.ones([64, 64]), tf.ones([80, 64])];
    const step = jit(update);
    const p = profile(() => step(w, x));
    const product = p.rows.find(({ op, pass }) => op === "matMul" && pass === "forward")!;
    assert.ok(product.ms > 0 && product.line.includes("profile.test.ts"), JSON.stringify(product));
    assert.ok(p.rows.some(({ op, pass, of }) => op === "matMul" && pass === "backward" && of === "matMul"));
    assert.ok(p.memory.peak >= p.memory.before);
    assert.match(bundle(p)["text/plain"], /matMul/);
    assert.throws(() => profile(() => { throw new Error("mine"); }), /mine/); // biome-ignore format: one line
    assert.equal(profile(() => tf.add(1, 2).dataSync()[0]).value, 3);
    await useDevice("auto");
  });
});
