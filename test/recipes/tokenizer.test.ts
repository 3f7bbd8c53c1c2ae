// Text to ids and back.
import assert from "node:assert/strict";
import fc from "fast-check";
import { ALPHABET, ascii, bpe, chars, tokenizer } from "../../recipes/core/tokenizer.ts";

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
    assert.throws(() => bpe("ab", 90), /vocab is 90, but the text has 96 characters/);
    assert.throws(() => bpe("ab ab", 99), /pairs for 97 ids only, not for 99/);
    assert.throws(() => tokenizer({ alphabet: "ab", merges: [[0, 7]] }), /merge 0 joins an id not made before it/);
  });
});
