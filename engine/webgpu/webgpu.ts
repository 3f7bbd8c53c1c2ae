// A GPU of any vendor: tfjs' WebGPU backend on Dawn, which drives Vulkan (Linux), Metal (macOS) and Direct3D 12 (Windows) from Node.
// Eager only. What tfjs 4.22 has for the browser is replaced: values can be read in place, dataSync included.
import * as tf from "@tensorflow/tfjs-core";
import { type GpuBuffer, type GpuDevice, map, mapNow, requestAdapter, requestDevice, takeTurns } from "./dawn.ts";
import { mendProgram, registerWebGpuKernels } from "./webgpu-kernels.ts";

interface Data {
  dtype: tf.DataType;
  shape: number[];
  values: tf.backend_util.BackendValues | null;
  resource?: GpuBuffer | null;
  refCount: number;
  complexTensorInfos?: { real: tf.TensorInfo; imag: tf.TensorInfo };
}

/** The parts of tfjs' backend that we use or replace. */
export interface WebGpuBackend extends tf.KernelBackend {
  readonly device: GpuDevice;
  /** why the device is of no use any more */
  readonly lost: Error | undefined;
  pipelineCache: Record<string, unknown>;
  readonly tensorMap: { get(id: object): Data; has(id: object): boolean };
  readonly bufferManager: {
    numBytesUsed: number;
    numBytesAllocated: number;
    freeBuffers: Map<string, GpuBuffer[]>;
    numFreeBuffers: number;
    acquireBuffer(size: number, usage: number, mapped?: boolean, reuse?: boolean): GpuBuffer;
    releaseBuffer(buffer: GpuBuffer, reuse?: boolean): void;
  };
  commandEncoder: {
    copyBufferToBuffer(from: GpuBuffer, a: number, to: GpuBuffer, b: number, size: number): void;
  } | null;
  ensureCommandEncoderReady(): void;
  endComputePassEncoder(): void;
  submitQueue(): void;
  uploadToGPU(dataId: object): void;
  shouldExecuteOnCPU(inputs: tf.TensorInfo[], most?: number): boolean;
  makeTensorInfo(shape: number[], dtype: tf.DataType, values?: unknown): tf.TensorInfo;
  runWebGPUProgram(
    program: object,
    inputs: tf.TensorInfo[],
    dtype: tf.DataType,
    uniforms?: { type: "int32" | "uint32" | "float32"; data: number[] }[],
    output?: tf.TensorInfo,
  ): tf.TensorInfo;
  readSync(dataId: object): tf.backend_util.BackendValues;
  read(dataId: object): Promise<tf.backend_util.BackendValues>;
}

type Base = new (device: GpuDevice, info: object) => WebGpuBackend;

/** Values written by JavaScript stay readable without a copy from the GPU when there are no more: keys of random numbers, scalars. */
const SMALL = 64;
/** Bytes of buffers that wait to be used again, beyond those in use. */
const IDLE = 2 ** 28;

const OUT_OF_MEMORY = "GPUOutOfMemoryError";
const COPY_DST = 8;
const MAP_READ = 1;

function backendClass(Base: Base): Base {
  return class extends Base {
    /** what went wrong in the call of Dawn that was the last */
    #failure: Error | undefined;
    override lost: Error | undefined;
    // Keyed by dataId: every tensor that shares the data holds that object.
    readonly #abandoned: FinalizationRegistry<Data>;

    constructor(device: GpuDevice, info: object) {
      super(device, info);
      device.addEventListener("uncapturederror", (event) => {
        event.preventDefault(); // Dawn prints it otherwise
        this.#failure ??= event.error;
      });
      device.lost.then(({ message }) => {
        this.#lose(message);
      });
      this.#abandoned = new FinalizationRegistry((data) => {
        const { resource } = data;
        data.resource = null;
        if (resource) this.bufferManager.releaseBuffer(resource);
      });
      // A shader that does not compile would spoil all that waits in the queue with it, and stay.
      this.pipelineCache = new Proxy(this.pipelineCache, {
        set: (cache, key, pipeline) => {
          this.#check();
          return Reflect.set(cache, key, pipeline);
        },
      });
      const { bufferManager } = this;
      const { acquireBuffer } = bufferManager;
      bufferManager.acquireBuffer = (size, ...how) => {
        // A shader cannot have an empty buffer.
        const buffer = acquireBuffer.call(bufferManager, Math.max(size, 4), ...how);
        if (!this.#failure) return buffer;
        bufferManager.releaseBuffer(buffer, false);
        this.#check();
        return buffer;
      };
    }

    override write(values: tf.backend_util.BackendValues, shape: number[], dtype: tf.DataType): object {
      const dataId = super.write(values, shape, dtype);
      this.#abandoned.register(dataId, this.tensorMap.get(dataId));
      return dataId;
    }

    override move(
      dataId: object,
      values: tf.backend_util.BackendValues,
      shape: number[],
      dtype: tf.DataType,
      refs: number,
    ): void {
      super.move(dataId, values, shape, dtype, refs);
      this.#abandoned.register(dataId, this.tensorMap.get(dataId));
    }

    override uploadToGPU(dataId: object): void {
      const data = this.tensorMap.get(dataId);
      if (data.resource) return;
      const bytes = tf.util.sizeFromShape(data.shape) * 4;
      const { maxStorageBufferBindingSize } = this.device.limits;
      if (bytes > maxStorageBufferBindingSize) {
        const most = (maxStorageBufferBindingSize / 1e9).toFixed(1);
        const needed = (bytes / 1e9).toFixed(1);
        throw new Error(
          `no memory for ${data.dtype}[${data.shape}] (${needed} GB): a tensor on this GPU can have ${most} GB`,
        );
      }
      const { values } = data;
      try {
        super.uploadToGPU(dataId);
      } catch (error) {
        if ((error as Error).name !== OUT_OF_MEMORY) throw error;
        // What waits to be used again has other sizes.
        this.#flush();
        this.#trim();
        try {
          super.uploadToGPU(dataId);
        } catch {
          throw new Error(`no memory for ${data.dtype}[${data.shape}] (${(bytes / 1e9).toFixed(1)} GB) on the GPU`);
        }
      }
      if (values && values.length <= SMALL) data.values = values;
    }

    override runWebGPUProgram(...args: Parameters<WebGpuBackend["runWebGPUProgram"]>): tf.TensorInfo {
      mendProgram(args[0], args[1], args[2]);
      const output = super.runWebGPUProgram(...args);
      this.#check();
      // Where it writes into a tensor that was there, the values that JavaScript had are gone.
      if (args[4] && tf.util.sizeFromShape(output.shape) > 0) this.tensorMap.get(output.dataId).values = null;
      return output;
    }

    // tfjs takes values that are on the GPU as well for those that are only there.
    override shouldExecuteOnCPU(
      inputs: tf.TensorInfo[],
      most = tf.env().getNumber("WEBGPU_CPU_HANDOFF_SIZE_THRESHOLD"),
    ): boolean {
      return (
        tf.env().getBool("WEBGPU_CPU_FORWARD") &&
        inputs.every(({ dataId, shape }) => this.tensorMap.get(dataId).values && tf.util.sizeFromShape(shape) < most)
      );
    }

    #flush(): void {
      this.endComputePassEncoder();
      if (this.commandEncoder) this.submitQueue();
    }

    override submitQueue(): void {
      super.submitQueue();
      const { bufferManager } = this;
      if (bufferManager.numBytesAllocated - bufferManager.numBytesUsed > bufferManager.numBytesUsed + IDLE)
        this.#trim();
    }

    /** Frees the buffers that wait to be used again. */
    #trim(): void {
      const { bufferManager } = this;
      for (const buffers of bufferManager.freeBuffers.values()) {
        for (const buffer of buffers.splice(0)) {
          buffer.destroy();
          bufferManager.numBytesAllocated -= buffer.size;
          bufferManager.numFreeBuffers--;
        }
      }
    }

    override readSync(dataId: object): tf.backend_util.BackendValues {
      return this.#known(dataId) ?? this.#keep(dataId, this.#download(dataId, mapNow));
    }

    override async read(dataId: object): Promise<tf.backend_util.BackendValues> {
      const known = this.#known(dataId);
      if (known) return known;
      let mapped: Promise<void> | undefined;
      const take = this.#download(dataId, (buffer) => {
        mapped = map(buffer).catch((error) => {
          throw this.#lose(error.message);
        });
      });
      await mapped;
      return this.#keep(dataId, take);
    }

    /** The values, where JavaScript has them. */
    #known(dataId: object): tf.backend_util.BackendValues | undefined {
      const { values, shape, dtype, complexTensorInfos } = this.tensorMap.get(dataId);
      if (tf.util.sizeFromShape(shape) === 0) return tf.util.getTypedArrayFromDType(dtype as tf.NumericDataType, 0);
      if (values || dtype === "string") return values ?? [];
      if (!complexTensorInfos) return undefined;
      const [real, imag] = [complexTensorInfos.real, complexTensorInfos.imag].map((part) => this.readSync(part.dataId));
      return tf.backend_util.mergeRealAndImagArrays(real as Float32Array, imag as Float32Array);
    }

    /** Copies a tensor's buffer to one that can be mapped, and gives what takes the values out of it when it is. */
    #download(dataId: object, wait: (staging: GpuBuffer) => void): () => tf.backend_util.BackendValues {
      const { resource, dtype } = this.tensorMap.get(dataId);
      if (!resource) throw new Error("the tensor has no values yet");
      const { bufferManager } = this;
      const staging = bufferManager.acquireBuffer(resource.size, COPY_DST | MAP_READ);
      this.ensureCommandEncoderReady();
      this.endComputePassEncoder();
      this.commandEncoder!.copyBufferToBuffer(resource, 0, staging, 0, resource.size);
      this.submitQueue();
      try {
        wait(staging);
      } catch (error) {
        throw this.#lose((error as Error).message);
      }
      return () => {
        const bytes = staging.getMappedRange().slice(0);
        staging.unmap();
        bufferManager.releaseBuffer(staging);
        this.#check();
        return tf.util.convertBackendValuesAndArrayBuffer(bytes, dtype);
      };
    }

    #keep(dataId: object, take: () => tf.backend_util.BackendValues): tf.backend_util.BackendValues {
      const values = take();
      // It may have been disposed while we waited.
      if (this.tensorMap.has(dataId)) this.tensorMap.get(dataId).values = values;
      return values;
    }

    #lose(message: string): Error {
      const cure = 'its tensors are gone; useDevice("webgpu") opens it again';
      this.lost ??= new Error(`the GPU was lost (${message.split("\n")[0]}): ${cure}`);
      return this.lost;
    }

    #check(): void {
      if (this.lost) throw this.lost;
      const failure = this.#failure;
      this.#failure = undefined;
      if (!failure) return;
      const error = new Error(`WebGPU: ${failure.message.split("\n")[0]}`);
      if (failure.constructor.name === OUT_OF_MEMORY) error.name = OUT_OF_MEMORY;
      throw error;
    }
  } as unknown as Base;
}

let opening: Promise<void> | undefined;

/**
 * Registers the backend "webgpu", again where its device was lost. Throws where there is no adapter: `findAdapter` in
 * webgpu-adapter.ts tells why.
 */
export async function registerWebGpu(): Promise<void> {
  takeTurns(); // a loss is told then
  await undefined;
  const there = tf.findBackend("webgpu") as unknown as WebGpuBackend | null;
  if (there && !there.lost) return;
  opening ??= open(there !== null).finally(() => {
    opening = undefined;
  });
  await opening;
}

async function open(again: boolean): Promise<void> {
  const { default: tfjs } = (await import("@tensorflow/tfjs-backend-webgpu" as string)) as {
    default: { WebGPUBackend: Base };
  };
  const Backend = backendClass(tfjs.WebGPUBackend);
  const adapter = await requestAdapter();
  if (!adapter) throw new Error("WebGPU: the adapter is gone");
  const device = await requestDevice(adapter);
  if (again) tf.removeBackend("webgpu");
  tf.registerBackend(
    "webgpu",
    () => withNavigator(() => new Backend(device, adapter.info) as unknown as tf.KernelBackend),
    3,
  );
  registerWebGpuKernels();
}

// tfjs looks for navigator.gpu; other libraries must not take Node for a browser because of it.
function withNavigator<T>(run: () => T): T {
  const before = Object.getOwnPropertyDescriptor(globalThis, "navigator");
  Object.defineProperty(globalThis, "navigator", { value: { gpu: true }, configurable: true });
  try {
    return run();
  } finally {
    if (before) Object.defineProperty(globalThis, "navigator", before);
    else delete (globalThis as { navigator?: unknown }).navigator;
  }
}
