// Placement on four virtual CPU devices, in a process of its own: prints what it finds as JSON.
import {
  copyTo,
  deviceOf,
  devices,
  jit,
  memory,
  random,
  scan,
  tf,
  useDevice,
  valueAndGrad,
  withDevice,
} from "@whetstone/engine";
import koffi from "koffi";
import { tensorflowBackend } from "../../engine/backend.ts";

const backend = tensorflowBackend()!;
const { lib } = backend.native;
const backingDevice = koffi
  .load(`${lib.dir}/libtensorflow_cc.so.2`)
  .func("const char *TFE_TensorHandleBackingDeviceName(void *handle, void *status)");
/** where TensorFlow itself says that a tensor lies */
const truth = (x: tf.Tensor) =>
  String(backingDevice(backend.native.get(backend.idOf(x)).handle, lib.status)).replace(/^.*device:/, "");
const both = (x: tf.Tensor) => [deviceOf(x), truth(x)];
const refusal = (run: () => unknown) => {
  try {
    run();
  } catch (error) {
    return (error as Error).message;
  }
  return "no error";
};
const values = (x: tf.Tensor) => Array.from(x.dataSync());

const x = tf.tensor([1, 2, 3]);
const y = copyTo(x, "CPU:1");
const tree = copyTo({ w: [x, tf.scalar(true, "bool")], label: "a" }, "cpu:2");
const inside = withDevice("CPU:2", () => ({
  made: tf.tensor([5]),
  sum: tf.add(x, y),
  nested: withDevice("CPU:3", () => tf.neg(x)),
}));
const variable = tf.variable(copyTo(x, "CPU:3"));
const optimizer = tf.train.adam(0.1);
optimizer.minimize(() => tf.sum(tf.square(variable)) as tf.Scalar, false, [variable]);

type Params = { w: tf.Tensor };
const loss = (p: Params, batch: tf.Tensor) => tf.mean(tf.square(tf.tanh(tf.matMul(batch, p.w))));
const step = jit(
  (p: Params, batch: tf.Tensor) => {
    const { value, grads } = valueAndGrad(loss)(p, batch);
    return { value, p: { w: tf.sub(p.w, tf.mul(grads.w, 0.1)) } };
  },
  { donate: [0] },
);
/** three steps on a device, eager random numbers and those of a compiled function */
const drawn = jit((key: tf.Tensor) => random.normal(key, [8]));
function trainOn(device: string) {
  const key = copyTo(random.key(7), device);
  let p: Params = { w: copyTo(random.normal(key, [16, 16]), device) };
  const batch = copyTo(random.uniform(key, [32, 16]), device);
  let value = tf.scalar(0);
  for (let i = 0; i < 3; i++) ({ value, p } = step(p, batch));
  const bits = copyTo(random.bits(key, [4]), device);
  const fresh = drawn(key);
  return { at: [both(value), both(p.w), both(bits), both(fresh)], found: [p.w, value, bits, fresh].map(values) };
}
const runs = ["CPU:0", "CPU:1", "CPU:3"].map(trainOn);
const grad = tf.grad((w: tf.Tensor) => tf.sum(tf.square(tf.mul(copyTo(w, "CPU:3"), y))))(x);
const [carry, sums] = scan(
  (c: tf.Tensor, v: tf.Tensor) => [tf.add(c, v), tf.mul(c, v)],
  copyTo(tf.scalar(0), "CPU:1"),
  tf.range(0, 5),
) as [tf.Tensor, tf.Tensor];

const placed = {
  copies: { x: both(x), y: both(y), tree: [both(tree.w[0]), both(tree.w[1])], label: tree.label, values: values(y) },
  ops: { placed: both(tf.add(y, 1)), mixed: both(tf.add(y, x)), plain: both(tf.add(x, 1)), sum: values(tf.add(y, x)) },
};

const before = memory().devices!.find(({ name }) => name === "CPU:2")!;
const large = withDevice("CPU:2", () => tf.fill([256, 256], 1));
const during = memory();
large.dispose();
const after = memory().devices!.find(({ name }) => name === "CPU:2")!;

await useDevice("CPU:2");
const onDefault = tf.add(x, 1);
const elsewhere = tf.add(y, 1);
const active = (await devices()).filter((device) => device.active).map(({ name }) => name);

console.log(
  JSON.stringify({
    list: (await devices()).map(({ name, type }) => [name, type]),
    ...placed,
    inside: { made: both(inside.made), sum: both(inside.sum), nested: both(inside.nested) },
    variable: { at: both(variable), values: values(variable) },
    runs,
    programs: step.cacheSize(),
    asynchronous: both((await step.async({ w: copyTo(tf.ones([16, 16]), "CPU:3") }, tf.ones([32, 16]))).value),
    grad: { at: both(grad), values: values(grad) },
    scan: { at: both(sums), values: [values(carry), values(sums)] },
    memory: {
      grown: during.devices!.find(({ name }) => name === "CPU:2")!.bytes - before.bytes,
      left: after.bytes - before.bytes,
      peak: after.peakBytes >= before.bytes + 256 * 256 * 4,
      process: during.processBytes > 50e6,
      names: during.devices!.map(({ name }) => name),
      limits: during.devices!.every(({ memoryBytes }) => memoryBytes > 2 ** 28),
    },
    useDevice: { active, onDefault: both(onDefault), elsewhere: both(elsewhere) },
    refusals: {
      copyTo: refusal(() => copyTo(x, "CPU:9")),
      withDevice: refusal(() => withDevice("GPU:0", () => x)),
      useDevice: await useDevice("GPU:1").catch((error: Error) => error.message),
      inJit: refusal(() => jit((v: tf.Tensor) => copyTo(v, "CPU:1"))(x)),
      asynchronous: refusal(() => withDevice("CPU:1", async () => x)),
      scopeLeft: both(tf.add(x, 1)),
    },
  }),
);
