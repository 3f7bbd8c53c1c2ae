// The corpus is what the zoo was trained on, and no text is in two splits.
import assert from "node:assert/strict";
import { type Corpus, loadText, describe as shape } from "../../data/corpus.ts";
import splits from "../../data/splits.json" with { type: "json" };
import { chars } from "../../recipes/core/tokenizer.ts";

describe("corpus", () => {
  let text: Corpus;

  before(() => {
    text = loadText("sotu");
  });

  it("has the hashes and sizes of data/splits.json", () => {
    assert.deepEqual(shape("sotu"), splits.sotu);
    assert.deepEqual(
      Object.fromEntries(Object.entries(text).map(([split, { length }]) => [split, length])),
      Object.fromEntries(Object.entries(splits.sotu).map(([split, { characters }]) => [split, characters])),
    );
  });

  it("has no sentence of any length in two splits, but the formulas that speeches open with", () => {
    const sentences = (part: string) =>
      new Set(
        part
          .split(/[.\n]+/)
          .map((one) => one.trim())
          .filter((one) => one.length > 60),
      );
    const [train, validation, test] = [text.train, text.validation, text.test].map(sentences);
    const shared = [...validation, ...test].filter((one) => train.has(one));
    shared.push(...[...validation].filter((one) => test.has(one)));
    assert.ok(
      shared.length <= 0.005 * (validation.size + test.size),
      `${shared.length}: ${shared.slice(0, 5).join(" | ")}`,
    );
    assert.ok(validation.size > 4000 && test.size > 2000);
  });

  it("is written in the alphabet of the tokenizers", () => {
    for (const part of Object.values(text))
      assert.equal(chars.decode(chars.encode(part.slice(0, 50_000))), part.slice(0, 50_000));
  });

  it("names a corpus that there is not", () => {
    assert.throws(() => loadText("moby" as "sotu"), /There is no corpus "moby"; there are "sotu" and "moby-dick"/);
  });
});
