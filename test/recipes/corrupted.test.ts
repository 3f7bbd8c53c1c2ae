// 500 structurally damaged files of each format, made from a seed: every one is a FormatError, nothing crashes, nothing asks
// for memory that the file cannot fill. Other programs have refused each of them too (test/fixtures/damaged.py).
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { tf } from "@whetstone/engine";
import { FormatError } from "../../recipes/core/io.ts";
import { rng } from "../../recipes/core/rng.ts";
import { fromPretrained } from "../../recipes/model/index.ts";
import { outcome } from "../bench/models/corrupted.ts";
import { formats } from "../fixtures/damaged.ts";

const checked = JSON.parse(readFileSync(join(import.meta.dirname, "../fixtures/damaged.json"), "utf8"));
const LIMIT = 100e6; // bytes of memory, beyond what was there

describe("damaged files", function () {
  this.timeout(300_000);
  let top: string;
  before(() => {
    top = mkdtempSync(join(tmpdir(), "damaged-"));
  });
  after(() => rmSync(top, { recursive: true }));

  for (const name of Object.keys(formats))
    it(`${name}: 500 are refused`, () => {
      const { files, typed, others, extra, sha256, tensors, crash } = outcome(name);
      assert.equal(crash, undefined, crash);
      assert.equal(sha256, checked[name].sha256, "these are not the files that damaged.py has checked: run it again");
      assert.deepEqual([files, typed, others, tensors], [500, 500, [], 0]);
      assert.ok(extra < LIMIT, `${extra / 1e6} MB`);
    });

  it("single bytes changed anywhere load or are refused, nothing else", async () => {
    for (const [name, { ending, sound, open }] of Object.entries(formats)) {
      const files = sound();
      const path = join(top, `flipped.${ending}`);
      let taken = 0;
      for (let i = 0; i < 80; i++) {
        const random = rng(i).fork(`flip ${name}`);
        const file = Uint8Array.from(files[i % files.length]);
        file[random.int(file.length)] = random.int(256);
        writeFileSync(path, file);
        const before = tf.memory().numTensors;
        try {
          await open(path);
          taken++;
        } catch (error) {
          assert.ok(error instanceof FormatError, `${name} ${i}: ${(error as Error).stack}`);
        }
        assert.equal(tf.memory().numTensors, before);
      }
      assert.ok(taken > 5 && taken < 80, `${name}: ${taken}`);
    }
  });

  it("pickles are refused by name, whatever they hold, with the command that converts them", async () => {
    for (const ending of ["bin", "pt", "pth", "ckpt", "pkl", "pickle"]) {
      const folder = mkdtempSync(join(top, "pickle-"));
      const path = join(folder, `model.${ending}`);
      writeFileSync(path, Uint8Array.of(0x80, 4, 0x2e));
      const refused =
        /is a pickle: a program that would run\. Convert it where you trust it: python -c "from transformers/;
      await assert.rejects(fromPretrained(path), refused);
      await assert.rejects(fromPretrained(folder), refused);
    }
  });
});
