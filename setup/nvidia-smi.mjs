// @ts-check
// What nvidia-smi says of the cards of this machine.
import { CallFailed, call } from "./call.mjs";

/**
 * @typedef {object} Gpu
 * @property {string} name
 * @property {string} driver version of NVIDIA's driver
 * @property {string} [cuda] the newest CUDA that the driver serves
 * @property {string} [compute] compute capability
 * @property {number} memoryMB
 * @property {number} [usedMB] of all processes
 * @property {number} [busyPercent]
 * @property {number} [celsius]
 * @property {number} [watts]
 * @property {number} [wattsLimit]
 */

const fields = [
  "name",
  "driver_version",
  "compute_cap",
  "memory.total",
  "memory.used",
  "utilization.gpu",
  "temperature.gpu",
  "power.draw",
  "power.limit",
];

/**
 * The cards, or why none can be read: `absent` is a machine without nvidia-smi, else it is there and fails.
 * @param {NodeJS.ProcessEnv} [env]
 * @returns {Promise<Gpu[] | { absent: boolean, why: string }>}
 */
export async function readGpus(env = {}) {
  try {
    const query = [`--query-gpu=${fields.join(",")}`, "--format=csv,noheader,nounits"];
    const table = await call("nvidia-smi", query, { env, timeoutMs: 20_000 });
    const cuda = /CUDA Version:\s*([\d.]+)/.exec(await call("nvidia-smi", [], { env, timeoutMs: 20_000 }))?.[1];
    return parseGpus(table).map((gpu) => ({ ...gpu, cuda }));
  } catch (error) {
    const { message, output = "" } = /** @type {CallFailed} */ (error);
    if (/ENOENT|EACCES/.test(message)) return { absent: true, why: "there is no nvidia-smi on the PATH" };
    if (!(error instanceof CallFailed)) return { absent: false, why: message };
    return { absent: false, why: `nvidia-smi: ${output.trim().split("\n").at(-1) || message.replace(/^.*?: /, "")}` };
  }
}

/**
 * Lines of `--query-gpu` with the fields above, without header and units; what a card does not tell stands in brackets.
 * @param {string} table @returns {Gpu[]}
 */
export function parseGpus(table) {
  return table
    .trim()
    .split(/\r?\n/)
    .map((line) => {
      const values = line.split(/\s*,\s*/);
      if (values.length !== fields.length)
        throw new Error(`nvidia-smi: ${fields.length} values were asked for, but it says "${line}"`);
      const told = (/** @type {number} */ i) => (/^\[|^$/.test(values[i]) ? undefined : values[i]);
      const number = (/** @type {number} */ i) => (told(i) === undefined ? undefined : Number(told(i)));
      return {
        name: values[0],
        driver: values[1],
        compute: told(2),
        memoryMB: number(3) ?? 0,
        usedMB: number(4),
        busyPercent: number(5),
        celsius: number(6),
        watts: number(7),
        wattsLimit: number(8),
      };
    });
}

/** The first line that a report gives a card. @param {Gpu} gpu */
export function describeGpu({
  name,
  driver,
  cuda,
  compute,
  memoryMB,
  usedMB,
  busyPercent,
  celsius,
  watts,
  wattsLimit,
}) {
  const gigabytes = (/** @type {number} */ mb) => (mb / 1024).toFixed(1);
  return [
    `${name}, driver ${driver}${cuda ? ` (CUDA ${cuda})` : ""}`,
    compute && `compute ${compute}`,
    usedMB === undefined ? `${gigabytes(memoryMB)} GiB` : `${gigabytes(usedMB)} of ${gigabytes(memoryMB)} GiB used`,
    busyPercent !== undefined && `${busyPercent} % busy`,
    celsius !== undefined && `${celsius} °C`,
    watts !== undefined && `${watts.toFixed(0)}${wattsLimit === undefined ? "" : ` of ${wattsLimit.toFixed(0)}`} W`,
  ]
    .filter(Boolean)
    .join(", ");
}

/** The oldest driver that CUDA 12 runs on. */
export const oldestDriver = 525;
