// Runs as it is, with @tensorflow/tfjs-core: node --test hub-files.test.ts
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { cached, inside, needed, shardsOf } from "./hub-files.ts";

const listed = (...names: string[]) => names.map((path) => ({ path, size: 1 }));

test("takes safetensors and what belongs to them, else the only GGUF; refuses pickles and asks which of several", () => {
  const all = listed("README.md", "model.safetensors", "config.json", "pytorch_model.bin", "tokenizer.json");
  assert.deepEqual(needed("a/b", all), ["config.json", "tokenizer.json", "model.safetensors"]);
  assert.deepEqual(needed("a/b", listed("x.gguf", "y.txt")), ["x.gguf"]);
  assert.throws(() => needed("a/b", listed("x.gguf", "y.gguf")), /several models; choose one, \{ file: "x.gguf" \}/);
  assert.throws(() => needed("a/b", listed("config.json", "pytorch_model.bin")), /pickles, programs that would run/);
  assert.throws(() => needed("a/b", listed("x.gguf"), "z.gguf"), { name: "HubError", status: 404 });
});

test("paths stay inside", () => {
  assert.ok(inside("a/b.txt"));
  for (const path of ["", "/a", "../a", "a/../b", "a//b", "c:a", "a\\b"]) assert.ok(!inside(path), path);
});

test("the cache has a model when it has all of it; an index names safetensors only", () => {
  const store = mkdtempSync(join(tmpdir(), "hub-files-"));
  try {
    const commit = "0".repeat(40);
    const folder = join(store, "snapshots", commit);
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "config.json"), "{}");
    assert.equal(cached(store, commit), undefined);
    const index = join(folder, "model.safetensors.index.json");
    writeFileSync(index, JSON.stringify({ weight_map: { a: "1.safetensors", b: "2.safetensors" } }));
    writeFileSync(join(folder, "1.safetensors"), "");
    assert.equal(cached(store, commit), undefined);
    writeFileSync(join(folder, "2.safetensors"), "");
    assert.deepEqual(cached(store, commit), { folder });
    writeFileSync(index, JSON.stringify({ weight_map: { a: "../1.safetensors" } }));
    assert.throws(() => shardsOf(index), { name: "HubError" });
  } finally {
    rmSync(store, { recursive: true });
  }
});
