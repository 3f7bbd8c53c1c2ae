// Collectives between processes of one machine through memory that they share. TensorFlow's ring goes over gRPC, which copies each
// byte five times: 64 MB between two processes take 140 ms there, 80 ms with gloo over TCP, 25 ms here (2 cores).
import { closeSync, openSync, unlinkSync, writeSync } from "node:fs";
import koffi from "koffi";

/** How values of the processes become one. */
export type Reduction = "sum" | "mean" | "max" | "min";

/** Bytes at an address of this process. */
export interface Span {
  address: bigint;
  bytes: number;
}

/** What a process is about to do: all must say the same. */
export interface Call {
  /** `allReduce(sum, 3 tensors)`, for messages */
  what: string;
  dtype: "float32" | "int32";
  /** bytes each process brings */
  bytes: number;
}

export interface SharedMemory {
  /** What every process brings in `from`, reduced element by element, into `to` of each. */
  reduce(from: Span[], to: Span[], op: Reduction, call: Call, wait: Waiting): void;
  /** What each of the `roots` brings, one after the other, into `to(root)` of every process. */
  gather(from: Span[], roots: number[], to: (root: number) => Span[], call: Call, wait: Waiting): void;
  /** Ends the waiting of the other processes, with a reason. */
  abort(reason: string): void;
  close(): void;
}

/** How long to wait for others, and when to stop. */
export interface Waiting {
  seconds: number;
  /** Called now and then; throws when waiting makes no sense any more. */
  check(): void;
  /** The error for a process that has aborted, with its reason. */
  aborted(rank: number, reason: string): Error;
  /** The error for processes that do not call the same. */
  differ(calls: string): Error;
  /** The error for processes that did not come in time. */
  late(ranks: number[]): Error;
}

// Bytes of one piece: what two cores hand to each other stays in their caches of 1 MB. 64 MB take 25 ms then, 44 with pieces of 1 MB
// and 32 with pieces of 128 KB, which meet more often.
const PIECE = 2 ** 19;
const LINE = 64; // bytes of a cache line: words that different processes write stand apart
const DESCRIPTION = 256; // bytes in which a process says what it calls
const TURNS = 2000; // looks at a word, about 20 us, before the thread sleeps on it

const directory = "/dev/shm";

/** Bytes of the file for so many processes: words, descriptions and slots, one of each for an abort and the result. */
const sizeFor = (size: number) => align((LINE + 2 * DESCRIPTION) * (size + 1)) + 2 * PIECE * (size + 1);
const align = (bytes: number) => Math.ceil(bytes / 4096) * 4096;

/** Makes the file; its path goes to the others. undefined where there is no such memory, or too little. */
export function createSharedFile(size: number, name: string): string | undefined {
  if (process.platform !== "linux") return undefined;
  const path = `${directory}/${name}`;
  try {
    const file = openSync(path, "wx", 0o600);
    try {
      // Written, not only sized: memory that is not there would end the process when it is touched.
      const zeros = new Uint8Array(2 ** 20);
      for (let left = sizeFor(size); left > 0; ) left -= writeSync(file, zeros, 0, Math.min(left, zeros.length));
    } finally {
      closeSync(file);
    }
    return path;
  } catch {
    removeSharedFile(path);
    return undefined;
  }
}

/** Removes the name. Processes that have the memory open keep it. */
export function removeSharedFile(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // another process, or nobody, had it
  }
}

/** Opens the file as process `rank` of `size`; undefined when it is not of this machine. */
export function openSharedMemory(path: string, size: number, rank: number): SharedMemory | undefined {
  const libc = koffi.load("libc.so.6");
  const mmap = libc.func("void *mmap(void *at, size_t bytes, int protection, int flags, int file, int64_t offset)");
  const munmap = libc.func("int munmap(void *at, size_t bytes)");
  const memcpy = libc.func("void *memcpy(void *to, const void *from, size_t bytes)");
  const bytes = sizeFor(size);
  let file: number;
  try {
    file = openSync(path, "r+");
  } catch {
    return undefined;
  }
  const [PROT_READ, PROT_WRITE, MAP_SHARED, MAP_PRIVATE, MAP_ANONYMOUS] = [1, 2, 1, 2, 0x20];
  const base: bigint = mmap(null, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  closeSync(file);
  // What this process reduces itself of what it brings: nobody else has to see it.
  const own: bigint = mmap(null, PIECE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if ([base, own].some((address) => BigInt.asIntN(64, address) === -1n)) return undefined;

  const memory: ArrayBuffer = koffi.view(base, bytes);
  const ownMemory: ArrayBuffer = koffi.view(own, PIECE);
  const words = new Int32Array(memory, 0, (LINE / 4) * (size + 1));
  const wordOf = (r: number) => (LINE / 4) * r;
  const ABORTED = wordOf(size);
  const RESULT = size;
  // Descriptions and slots are there twice, used in turn: nobody writes what another may still read.
  const describedAt = LINE * (size + 1);
  const slots = align((LINE + 2 * DESCRIPTION) * (size + 1));
  const slotOf = (r: number, piece: number) => slots + PIECE * (2 * r + (piece & 1));
  const sleep = futex(libc, base);
  let round = 0;
  let calls = 0;
  /** pieces that went through, of all calls */
  let pieces = 0;

  /** Waits until every process came here as often as this one. */
  function meet(wait: Waiting) {
    round = (round + 1) | 0;
    Atomics.store(words, wordOf(rank), round);
    sleep.wake(wordOf(rank));
    for (let r = 0; r < size; r++) if (r !== rank) waitFor(r, wait);
  }

  const isBehind = (seen: number) => ((seen - round) | 0) < 0;

  function waitFor(r: number, wait: Waiting) {
    const at = wordOf(r);
    for (let turn = 0; turn < TURNS; turn++) if (!isBehind(Atomics.load(words, at))) return;
    const begin = performance.now();
    for (;;) {
      const seen = Atomics.load(words, at);
      if (!isBehind(seen)) return;
      const aborted = Atomics.load(words, ABORTED);
      if (aborted) throw wait.aborted(aborted - 1, readText(size, 0));
      wait.check();
      if (performance.now() - begin > wait.seconds * 1000) {
        throw wait.late(Array.from({ length: size }, (_, i) => i).filter((i) => isBehind(words[wordOf(i)])));
      }
      sleep.wait(at, seen);
    }
  }

  const textOf = (r: number, call: number) =>
    new Uint8Array(memory, describedAt + DESCRIPTION * (2 * r + (call & 1)), DESCRIPTION);

  function writeText(r: number, call: number, text: string) {
    const bytes = new TextEncoder().encode(text).subarray(0, DESCRIPTION - 1);
    textOf(r, call).set(bytes);
    textOf(r, call)[bytes.length] = 0;
  }

  function readText(r: number, call: number): string {
    const bytes = textOf(r, call);
    return new TextDecoder().decode(bytes.slice(0, bytes.indexOf(0)));
  }

  const describe = ({ what, dtype, bytes }: Call) =>
    writeText(rank, ++calls, `${what} of ${bytes / 4} ${dtype} values`);

  /** Meets, and makes sure that all are about to do the same. */
  function agree(wait: Waiting) {
    meet(wait);
    const said = Array.from({ length: size }, (_, r) => readText(r, calls));
    const other = said.findIndex((call) => call !== said[0]);
    if (other > 0) throw wait.differ(`0 calls ${said[0]}, ${other} calls ${said[other]}`);
  }

  return {
    reduce(from, to, op, call, wait) {
      const Values = call.dtype === "int32" ? Int32Array : Float32Array;
      const viewOf = (r: number, piece: number) => new Values(memory, slotOf(r, piece), PIECE / 4);
      const mine = new Values(ownMemory);
      const views = [0, 1].map((piece) => ({
        parts: Array.from({ length: size }, (_, r) => (r === rank ? mine : viewOf(r, piece))),
        result: viewOf(RESULT, piece),
      }));
      const take = spans(from);
      const give = spans(to);
      const sizeOf = (k: number) => Math.min(PIECE, call.bytes - k * PIECE);
      const shareOf = (k: number) => {
        const values = sizeOf(k) / 4;
        return [Math.floor((values * rank) / size), Math.floor((values * (rank + 1)) / size)];
      };
      const bring = (k: number) => {
        const slot = base + BigInt(slotOf(rank, pieces + k));
        const [begin, end] = shareOf(k);
        const into = (start: bigint) => (address: bigint, n: number, at: number) =>
          memcpy(start + BigInt(at), address, n);
        take(4 * begin, into(slot));
        take(4 * (end - begin), into(own + BigInt(4 * begin)));
        take(sizeOf(k) - 4 * end, into(slot + BigInt(4 * end)));
      };
      const count = Math.max(1, Math.ceil(call.bytes / PIECE));
      describe(call);
      bring(0);
      agree(wait);
      // One meeting a piece: before it this one is reduced and the next one brought, after it this one is fetched.
      for (let k = 0; k < count; k++) {
        const [begin, end] = shareOf(k);
        const { result, parts } = views[(pieces + k) & 1];
        reductions[op](result, parts, begin, end);
        if (k + 1 < count) bring(k + 1);
        meet(wait);
        give(sizeOf(k), (address, n, at) => memcpy(address, base + BigInt(slotOf(RESULT, pieces + k) + at), n));
      }
      pieces += count;
    },
    gather(from, roots, to, call, wait) {
      const take = spans(from);
      const give = roots.map((root) => spans(to(root)));
      describe(call);
      const count = Math.max(1, Math.ceil(call.bytes / PIECE));
      for (let k = 0; k < count; k++) {
        const piece = pieces + k;
        const bytes = Math.min(PIECE, call.bytes - k * PIECE);
        if (roots.includes(rank))
          take(bytes, (address, n, at) => memcpy(base + BigInt(slotOf(rank, piece) + at), address, n));
        if (k === 0) agree(wait);
        else meet(wait);
        roots.forEach((root, i) => {
          give[i](bytes, (address, n, at) => memcpy(address, base + BigInt(slotOf(root, piece) + at), n));
        });
      }
      pieces += count;
    },
    abort(reason) {
      if (Atomics.load(words, ABORTED)) return;
      writeText(size, 0, reason);
      Atomics.store(words, ABORTED, rank + 1);
      for (let r = 0; r < size; r++) sleep.wake(wordOf(r));
    },
    close() {
      munmap(base, bytes);
      munmap(own, PIECE);
    },
  };
}

/** Goes through spans piece by piece: each call passes on the next `count` bytes, as runs with their offset in the piece. */
function spans(list: Span[]) {
  let index = 0;
  let done = 0;
  return (count: number, run: (address: bigint, bytes: number, offset: number) => void) => {
    for (let offset = 0; offset < count; ) {
      const { address, bytes } = list[index];
      const n = Math.min(bytes - done, count - offset);
      if (n > 0) run(address + BigInt(done), n, offset);
      offset += n;
      done += n;
      if (done === bytes) {
        index++;
        done = 0;
      }
    }
  };
}

type Values = Float32Array | Int32Array;
type Reduce = (out: Values, parts: Values[], begin: number, end: number) => void;

// Two parts at a time, 1 ns a value; NaN stays NaN.
const reductions: Record<Reduction, Reduce> = {
  sum(out, [first, second, ...rest], begin, end) {
    for (let i = begin; i < end; i++) out[i] = first[i] + second[i];
    for (const part of rest) for (let i = begin; i < end; i++) out[i] += part[i];
  },
  mean(out, parts, begin, end) {
    reductions.sum(out, parts, begin, end);
    const size = parts.length;
    for (let i = begin; i < end; i++) out[i] /= size;
  },
  max(out, [first, second, ...rest], begin, end) {
    for (let i = begin; i < end; i++) out[i] = Math.max(first[i], second[i]);
    for (const part of rest) for (let i = begin; i < end; i++) out[i] = Math.max(out[i], part[i]);
  },
  min(out, [first, second, ...rest], begin, end) {
    for (let i = begin; i < end; i++) out[i] = Math.min(first[i], second[i]);
    for (const part of rest) for (let i = begin; i < end; i++) out[i] = Math.min(out[i], part[i]);
  },
};

/** Sleeping on a word of shared memory until another process wakes who sleeps there, at most 50 ms. */
function futex(libc: ReturnType<typeof koffi.load>, base: bigint) {
  const call = libc.func(
    "long syscall(long number, void *word, int operation, int value, const void *timeout, void *word2, int value3)",
  );
  const number = process.arch === "arm64" ? 98 : 202;
  const [FUTEX_WAIT, FUTEX_WAKE] = [0, 1];
  const timeout = BigInt64Array.of(0n, 50_000_000n); // seconds, nanoseconds
  const EVERYBODY = 2 ** 31 - 1;
  return {
    wait: (word: number, value: number) => call(number, base + BigInt(4 * word), FUTEX_WAIT, value, timeout, null, 0),
    wake: (word: number) => call(number, base + BigInt(4 * word), FUTEX_WAKE, EVERYBODY, null, null, 0),
  };
}
