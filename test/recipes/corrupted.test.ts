// 500 structurally damaged files of each format, made from a seed: every one is a FormatError, nothing crashes, nothing asks
// for memory that the file cannot fill. What is damaged inside a number or a word is no matter of structure: that may load.
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { tf } from "@whetstone/engine";
import { FormatError, fromSafetensors, readJson, toSafetensors } from "../../recipes/core/io.ts";
import { type Rng, rng } from "../../recipes/core/rng.ts";
import { dequantize, readGGUF } from "../../recipes/export/gguf.ts";
import { textTokenizer } from "../../recipes/model/tokenizer.ts";
import { bpeJson, unigramJson, wordPieceJson } from "../fixtures/tokenizers.ts";

setFlagsFromString("--expose-gc");
const collect: () => void = runInNewContext("gc"); // else rss is what was thrown away, not what was needed
const COUNT = 500;
const LIMIT = 100e6; // bytes of memory, beyond what was there
const pick = <T>(random: Rng, list: readonly T[]): T => list[random.int(list.length)];
const deep = (levels: number) => `${"[".repeat(levels)}${"]".repeat(levels)}`;
const odd = (random: Rng) =>
  pick<unknown>(random, [-1, 1.5, 2 ** 60, "4", true, {}, [], null, [[1]], "x".repeat(5000), [-1], [1e308], [{}]]);

/** Runs f on the damaged files and says how many were refused as what. */
async function refused(kind: string, make: (random: Rng) => unknown, f: (file: any) => unknown): Promise<void> {
  const before = process.memoryUsage().rss;
  const tensors = tf.memory().numTensors;
  for (let i = 0; i < COUNT; i++) {
    if (i % 20 === 0) collect();
    const file = make(rng(i).fork(kind));
    let error: unknown;
    try {
      await f(file);
    } catch (thrown) {
      error = thrown;
    }
    const what = () => `${kind} ${i}: ${error ? (error as Error).stack : "was taken"}\n${String(file).slice(0, 400)}`;
    assert.ok(error instanceof FormatError, what());
    assert.ok(error.message.length > 10 && error.message.length < 20_000, what());
  }
  collect();
  assert.ok(process.memoryUsage().rss - before < LIMIT, `${(process.memoryUsage().rss - before) / 1e6} MB`);
  assert.equal(tf.memory().numTensors, tensors, "a refused file leaves no tensor behind");
}

/** A safetensors file with that header, as text, and that many bytes of data. */
function tensorFile(header: string | Uint8Array, data: number, length?: bigint): Uint8Array {
  const json = typeof header === "string" ? new TextEncoder().encode(header) : header;
  const out = new Uint8Array(8 + json.length + data);
  new DataView(out.buffer).setBigUint64(0, length ?? BigInt(json.length), true);
  out.set(json, 8);
  return out;
}

function damagedTensors(random: Rng): Uint8Array {
  const header: Record<string, any> = {
    __metadata__: { format: "pt" },
    a: { dtype: "F32", shape: [2, 3], data_offsets: [0, 24] },
    b: { dtype: "F16", shape: [4], data_offsets: [24, 32] },
    c: { dtype: "I64", shape: [1], data_offsets: [32, 40] },
    d: { dtype: "BOOL", shape: [8], data_offsets: [40, 48] },
  };
  const text = JSON.stringify(header);
  const whole = tensorFile(text, 48);
  const entry = header[pick(random, ["a", "b", "c", "d"])];
  const bytes = Uint8Array.from(new TextEncoder().encode(text));
  const ways: (() => Uint8Array)[] = [
    () => whole.subarray(0, random.int(whole.length)),
    () => tensorFile(text, 49 + random.int(100)),
    () => tensorFile(text, 48, BigInt(random.int(text.length))),
    () => tensorFile(text, 48, BigInt(text.length + 1 + random.int(48))),
    () => tensorFile(text, 48, 2n ** BigInt(20 + random.int(44)) - 1n),
    () => tensorFile(bytes.with(random.int(bytes.length), 0xff), 48), // never in UTF-8
    () => tensorFile(bytes.with(pick(random, [0, bytes.length - 1]), 0x20), 48),
    () => tensorFile(`{"a": ${deep(10_000 + random.int(90_000))}}`, 48),
    () => tensorFile(text.replace(/}$/, ',"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'), 48),
    () => tensorFile(text.replace('"a"', pick(random, ['"__proto__"', '"constructor"', '"prototype"'])), 48),
    () => change("dtype", pick(random, [...["F31", "f32", "", "F64", "U8"], odd(random)])),
    () => change("shape", pick(random, [[5], [2, 3, 7], [2 ** 26, 2 ** 26], [1, 1, 1, 1, 1, 1, 1, 1, 1], odd(random)])),
    () => change("data_offsets", pick(random, [[24, 0], [0, 25], [1, 25], [0, 1e15], [0], [0, 24, 48], odd(random)])),
    () => change(pick(random, ["dtype", "shape", "data_offsets"]), undefined),
    () => {
      header[pick(random, ["a", "b", "c", "d"])] = odd(random);
      return tensorFile(JSON.stringify(header), 48);
    },
    () => {
      header.__metadata__ = pick<unknown>(random, [{ a: 1 }, { a: null }, { a: {} }, 7, "text", [1], true]);
      return tensorFile(JSON.stringify(header), 48);
    },
  ];
  function change(key: string, value: unknown): Uint8Array {
    // The others stay where they are, so a change that fits itself leaves a hole or an overlap.
    if (key === "shape" && String(value) === String(entry.shape)) value = [99];
    if (key === "dtype" && entry.dtype === "BOOL" && value === "U8") value = "I32";
    if (key === "dtype" && entry.dtype === "I64" && value === "F64") value = "F32";
    entry[key] = value;
    return tensorFile(JSON.stringify(header), 48);
  }
  return pick(random, ways)();
}

// A writer of GGUF that writes what it is told, wrong or not.
interface Spec {
  magic: number;
  version: number;
  tensors: bigint;
  pairs: bigint;
  meta: [key: string | Uint8Array, type: number, value: Uint8Array<ArrayBufferLike>][];
  infos: { name: string | Uint8Array; rank: number; dims: bigint[]; type: number; offset: bigint }[];
  data: number;
}
const u32 = (x: number) => new Uint8Array(Uint32Array.of(x).buffer);
const u64 = (x: bigint) => new Uint8Array(BigUint64Array.of(x).buffer);
const text = (x: string | Uint8Array, length?: bigint) => {
  const bytes = typeof x === "string" ? new TextEncoder().encode(x) : x;
  return Uint8Array.from([...u64(length ?? BigInt(bytes.length)), ...bytes]);
};
function write({ magic, version, tensors, pairs, meta, infos, data }: Spec): Uint8Array {
  const parts: Uint8Array[] = [u32(magic), u32(version), u64(tensors), u64(pairs)];
  for (const [key, type, value] of meta) parts.push(text(key), u32(type), value);
  for (const { name, rank, dims, type, offset } of infos)
    parts.push(text(name), u32(rank), ...dims.map(u64), u32(type), u64(offset));
  const head = parts.flatMap((part) => [...part]);
  return Uint8Array.from([...head, ...Array(Math.ceil(head.length / 32) * 32 - head.length + data).fill(0)]);
}
const sound = (): Spec => ({
  magic: 0x46554747,
  version: 3,
  tensors: 3n,
  pairs: 4n,
  meta: [
    ["general.architecture", 8, text("llama")],
    ["yes", 7, Uint8Array.of(1)],
    ["list", 9, Uint8Array.from([...u32(8), ...u64(2n), ...text("a"), ...text("bc")])],
    ["general.alignment", 4, u32(32)],
  ],
  infos: [
    { name: "a", rank: 2, dims: [32n, 2n], type: 2, offset: 0n }, // 36 bytes
    { name: "b", rank: 1, dims: [8n], type: 0, offset: 64n }, // 32 bytes
    { name: "c", rank: 2, dims: [32n, 1n], type: 8, offset: 96n }, // 34 bytes
  ],
  data: 130,
});

function damagedGGUF(random: Rng): Uint8Array {
  const spec = sound();
  const whole = write(sound());
  const info = pick(random, spec.infos);
  const huge = () => 2n ** BigInt(20 + random.int(44)) - BigInt(random.int(2));
  const set = (change: Partial<Spec>) => write({ ...spec, ...change });
  const tensor = (change: Partial<Spec["infos"][0]>) => {
    Object.assign(info, change);
    return write(spec);
  };
  const pair = (key: string | Uint8Array, type: number, value: Uint8Array) => {
    spec.meta[random.int(4)] = [key, type, value];
    return write(spec);
  };
  const list = (type: number, n: bigint, ...rest: number[]) => Uint8Array.from([...u32(type), ...u64(n), ...rest]);
  const nested = Uint8Array.from(Array.from({ length: 2000 }, () => [...u32(9), ...u64(1n)]).flat());
  const ways: (() => Uint8Array)[] = [
    () => whole.subarray(0, random.int(whole.length)),
    () => set({ magic: random.int(2 ** 32 - 1) & 0x7fffffff }),
    () => set({ version: pick(random, [0, 1, 4, 0x03000000, 77]) }),
    () => set({ tensors: pick(random, [4n, 100n, huge()]) }),
    () => set({ pairs: pick(random, [5n, 100n, huge()]) }),
    () => pair("x", 13 + random.int(1000), u32(7)),
    () => pair("x", 7, Uint8Array.of(2 + random.int(254))),
    () => pair("x", 8, text("abc", huge())),
    () => pair("x", 8, text(Uint8Array.of(0x61, 0xff))),
    () => pair(Uint8Array.of(0xc3), 4, u32(7)),
    () => pair("x", 9, list(pick(random, [0, 4, 8, 9, 12]), huge())),
    () => pair("x", 9, list(13 + random.int(99), 1n, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)),
    () => pair("x", 9, nested),
    () => {
      spec.meta[random.int(3)] = ["general.alignment", 4, u32(32)];
      return write(spec);
    },
    () => {
      spec.meta[3] = ["general.alignment", 4, u32(pick(random, [0, 1, 4, 31, 33, 2 ** 20, 2 ** 31]))];
      return write(spec);
    },
    () => tensor({ name: pick(random, ["__proto__", "constructor", ""]) }),
    () =>
      tensor({
        name: pick(
          random,
          ["a", "b", "c"].filter((name) => name !== info.name),
        ),
      }),
    () => tensor({ rank: pick(random, [0, 5, 9, 2 ** 31]) }),
    () => tensor({ dims: info.dims.with(0, pick(random, [0n, 33n, huge()])), type: pick(random, [2, 3, 8]) }),
    () => tensor({ dims: info.dims.map(() => 2n ** 32n) }),
    () => tensor({ dims: info.dims.with(0, 64n), type: 0 }), // runs into the next, or out of the file
    () => tensor({ type: pick(random, [4, 6, 7, 9, 12, 31, 999]) }),
    () => tensor({ offset: info.offset + BigInt(1 + random.int(31)) }),
    () =>
      tensor({
        offset: pick(
          random,
          [128n, 1024n, huge()].filter((at) => at !== info.offset),
        ),
      }),
    () => tensor({ offset: spec.infos[(spec.infos.indexOf(info) + 1) % 3].offset }),
    () => set({ data: random.int(129) }),
  ];
  return pick(random, ways)();
}

function damagedTokenizer(random: Rng): string {
  const json: any = structuredClone(pick(random, [bpeJson, wordPieceJson, unigramJson]));
  const { model } = json;
  const [type, tokens] = [model.type, Object.keys(model.vocab)];
  const text = JSON.stringify(json);
  const strange = () => pick<unknown>(random, [-1, 1.5, 1e300, true, {}, [7], [[]], "x", 2 ** 24]);
  const ways: (() => unknown)[] = [
    () => text.slice(0, random.int(text.length)),
    () => text.replace(/[{}[\]]/g, (brace) => (random.next() < 0.3 ? "" : brace)).replace(/^/, "{"),
    () => pick(random, ["", "null", "7", '"text"', "[]", deep(50_000), "{}"]),
    () => ({ ...json, model: pick<unknown>(random, [null, 7, "BPE", [], undefined, {}]) }),
    () => ({
      ...json,
      model: { ...model, type: pick<unknown>(random, ["WordLevel", "__proto__", 7, {}, "bpe", "constructor"]) },
    }),
    () => ({ ...json, model: { ...model, vocab: pick<unknown>(random, [null, 7, "abc", undefined, {}, true]) } }),
    () => {
      if (type === "Unigram")
        model.vocab[random.int(tokens.length)] = pick<unknown>(random, [7, "a", ["a"], [1, 2], null]);
      else model.vocab[pick(random, tokens)] = strange();
      return json;
    },
    () => {
      if (type === "Unigram") model.unk_id = pick<unknown>(random, [-1, 1e9, 1.5, "x"]);
      else model.vocab[tokens[0]] = model.vocab[tokens[1]];
      return json;
    },
    () => {
      if (type === "BPE")
        model.merges[random.int(model.merges.length)] = pick<unknown>(random, [
          "a",
          "q z",
          "a b c",
          7,
          ["a"],
          null,
          {},
        ]);
      else if (type === "WordPiece") model.unk_token = pick<unknown>(random, ["[NONE]", undefined, 7, null]);
      else model.vocab = [];
      return json;
    },
    () => ({
      ...json,
      model: {
        ...model,
        ...(type === "BPE" ? { merges: pick<unknown>(random, [7, "a b", undefined, {}]) } : { vocab: 1 }),
      },
    }),
    () => ({
      ...json,
      added_tokens: pick<unknown>(random, [7, "a", {}, [7], [{}], [{ id: -1, content: "x" }], [{ id: 1 }]]),
    }),
    () => ({
      ...json,
      added_tokens: [
        { id: 900, content: "<x>" },
        { id: 900, content: "<y>" },
      ],
    }),
    () => ({ ...json, [pick(random, ["normalizer", "pre_tokenizer", "post_processor", "decoder"])]: part() }),
  ];
  function part(): unknown {
    let chain: any = { type: "Sequence" };
    const lists = { normalizers: [chain], pretokenizers: [chain], processors: [chain], decoders: [chain] };
    for (let i = 0; i < 9; i++)
      chain = {
        type: "Sequence",
        ...lists,
        normalizers: [chain],
        pretokenizers: [chain],
        processors: [chain],
        decoders: [chain],
      };
    return pick<unknown>(random, [
      7,
      "ByteLevel",
      {},
      [],
      { type: "Strange" },
      { type: 7 },
      { type: "Sequence" },
      chain,
    ]);
  }
  const made = pick(random, ways)();
  return typeof made === "string" ? made : JSON.stringify(made);
}

describe("damaged files", function () {
  this.timeout(60_000);
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), "damaged-"));
    collect();
  });
  after(() => rmSync(folder, { recursive: true }));

  it(`safetensors: ${COUNT} are refused`, () => {
    const undamaged = tensorFile('{"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}}', 24);
    fromSafetensors(undamaged).params.a.dispose();
    return refused("safetensors", damagedTensors, fromSafetensors);
  });

  it(`GGUF: ${COUNT} are refused`, () => {
    assert.equal(readGGUF(write(sound())).tensors.length, 3);
    return refused("gguf", damagedGGUF, readGGUF);
  });

  it(`tokenizer.json: ${COUNT} are refused`, async () => {
    for (const json of [bpeJson, wordPieceJson, unigramJson]) await textTokenizer(json);
    const path = join(folder, "tokenizer.json");
    await refused("tokenizer", damagedTokenizer, async (text: string) => {
      writeFileSync(path, text);
      await textTokenizer(readJson(path));
    });
  });

  it("single bytes changed anywhere load or are refused, nothing else", async () => {
    const small = readFileSync(join(import.meta.dirname, "../fixtures/small.gguf"));
    const tensors = toSafetensors({ a: tf.ones([3, 4]), b: tf.zeros([7]) }, { metadata: { a: "b" } });
    const flip = (bytes: Uint8Array, random: Rng) =>
      Uint8Array.from(bytes).with(random.int(bytes.length), random.int(256));
    const json = new TextEncoder().encode(JSON.stringify(bpeJson));
    const path = join(folder, "flipped.json");
    let taken = 0;
    for (let i = 0; i < COUNT; i++) {
      const random = rng(i).fork("flip");
      const runs = [
        () => readGGUF(flip(small, random)).tensors.forEach(({ bytes, type }) => void dequantize(bytes, type)),
        () => tf.dispose(fromSafetensors(flip(tensors, random)).params),
        () => {
          writeFileSync(path, flip(json, random));
          return textTokenizer(readJson(path));
        },
      ];
      for (const run of runs) {
        try {
          await run();
          taken++;
        } catch (error) {
          assert.ok(error instanceof FormatError, `${i}: ${(error as Error).stack}`);
        }
      }
    }
    assert.ok(taken > 100 && taken < 3 * COUNT);
  });
});
