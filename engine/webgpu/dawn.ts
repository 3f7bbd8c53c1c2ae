// Dawn, Chromium's WebGPU, in Node: npm's package `webgpu`. Loaded only when the device is asked for.
//
// Dawn completes what it is asked (mapping a buffer, say) while it processes events, and has the global setImmediate call it for
// that, again and again while anything is open: the loss of a device is, always, so Node would spin and could not end. Here its
// turns are kept, and taken while somebody waits. So a value can be waited for in place, which WebGPU has no way to do.

/** The parts of WebGPU that the engine itself uses. */
export interface GpuBuffer {
  readonly size: number;
  readonly usage: number;
  readonly mapState: "unmapped" | "pending" | "mapped";
  mapAsync(mode: number): Promise<void>;
  getMappedRange(): ArrayBuffer;
  unmap(): void;
  destroy(): void;
}
export interface GpuDevice {
  readonly limits: Record<string, number>;
  readonly features: ReadonlySet<string>;
  readonly lost: Promise<{ reason?: string; message: string }>;
  addEventListener(type: "uncapturederror", listener: (event: { error: Error; preventDefault(): void }) => void): void;
  destroy(): void;
}
export interface GpuAdapter {
  readonly info: { vendor: string; architecture: string; device: string; description: string };
  readonly features: ReadonlySet<string>;
  readonly limits: Record<string, number>;
  requestDevice(options: object): Promise<GpuDevice>;
}
interface Gpu {
  requestAdapter(options: object): Promise<GpuAdapter | null>;
}

/** Dawn's next turn, and those refused. */
const turns: (() => void)[] = [];
const { setImmediate: later } = globalThis;

/** Calls Dawn, and keeps what it wants to have called later. */
function keepingTurns<T>(call: () => T): T {
  const before = globalThis.setImmediate;
  globalThis.setImmediate = ((turn: () => void) => void turns.push(turn)) as never;
  try {
    return call();
  } finally {
    globalThis.setImmediate = before;
  }
}

/** Lets Dawn process what has happened. */
export function takeTurns(): void {
  for (const turn of turns.splice(0)) keepingTurns(turn);
}

/** What Dawn promises, with the turns that it needs for it. The first come at once; then every millisecond. */
async function promised<T>(call: () => Promise<T>): Promise<T> {
  let open = true;
  const done = keepingTurns(call).finally(() => {
    open = false;
  });
  let count = 0;
  const turn = () => {
    takeTurns();
    if (!open) return;
    if (count++ < 100) later(turn);
    else setTimeout(turn, 1);
  };
  later(turn);
  return done;
}

const pause = new Int32Array(new SharedArrayBuffer(4));

/** Waits in place until a buffer is mapped. Throws when it cannot be: then the device is lost. */
export function mapNow(buffer: GpuBuffer): void {
  let failure: Error | undefined;
  keepingTurns(() => mapAsync.call(buffer, READ)).catch((error) => {
    failure = error;
  });
  for (let count = 0; buffer.mapState === "pending"; count++) {
    takeTurns();
    if (count > 100) Atomics.wait(pause, 0, 0, count > 1000 ? 1 : 0.1);
  }
  if (buffer.mapState !== "mapped") throw failure ?? new Error("the values cannot be read: the device is lost");
}

const READ = 1; // GPUMapMode.READ

/** Maps a buffer for reading. */
export const map = (buffer: GpuBuffer): Promise<void> => buffer.mapAsync(READ);

/** Dawn's own */
let mapAsync: GpuBuffer["mapAsync"];
let gpu: Promise<Gpu> | undefined;

async function load(): Promise<Gpu> {
  const { create, globals } = (await import("webgpu" as string)) as {
    create: (options: string[]) => Gpu;
    globals: Record<string, unknown> & { GPUBuffer: { prototype: GpuBuffer } };
  };
  // tfjs maps buffers as well, for its timers.
  ({ mapAsync } = globals.GPUBuffer.prototype);
  globals.GPUBuffer.prototype.mapAsync = function (...args) {
    return promised(() => mapAsync.apply(this, args));
  };
  // GPUBuffer, GPUBufferUsage and their like, which the backend takes for globals as in a browser.
  for (const [name, value] of Object.entries(globals))
    if (name.startsWith("GPU") && !(name in globalThis)) (globalThis as Record<string, unknown>)[name] = value;
  return create([]);
}

/** The best adapter of this machine, if there is one. */
export async function requestAdapter(): Promise<GpuAdapter | null> {
  gpu ??= load();
  const found = await gpu;
  return promised(() => found.requestAdapter({ powerPreference: "high-performance" }));
}

/** A device of an adapter, with all that it can do of these limits and features. */
export function requestDevice(adapter: GpuAdapter): Promise<GpuDevice> {
  const limits = [
    "maxBufferSize",
    "maxStorageBufferBindingSize",
    "maxComputeWorkgroupStorageSize",
    "maxComputeWorkgroupsPerDimension",
    "maxComputeWorkgroupSizeX",
    "maxComputeInvocationsPerWorkgroup",
    "maxStorageBuffersPerShaderStage",
  ];
  return promised(() =>
    adapter.requestDevice({
      requiredFeatures: ["timestamp-query"].filter((name) => adapter.features.has(name)),
      requiredLimits: Object.fromEntries(limits.map((name) => [name, adapter.limits[name]])),
    }),
  );
}
