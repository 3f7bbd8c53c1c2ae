// Runs as it is: node --test hub-receive.test.ts
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { bring } from "./hub-receive.ts";

const content = Buffer.from("the weights of a model");
const oid = createHash("sha256").update(content).digest("hex");
const entries = [{ path: "model.safetensors", size: content.length, lfs: { oid, size: content.length } }];

test("goes on behind what is there, checks the hash, links the file; what has another hash does not stay", async () => {
  const store = mkdtempSync(join(tmpdir(), "hub-receive-"));
  try {
    const folder = join(store, "snapshots/x");
    mkdirSync(join(store, "blobs"));
    writeFileSync(join(store, "blobs", `${oid}.incomplete`), content.subarray(0, 5));
    const ranges: (string | null)[] = [];
    const get = async (_: unknown, init?: RequestInit) => {
      ranges.push(new Headers(init?.headers).get("range"));
      return new Response(content.subarray(5), { status: 206, headers: { "content-range": "bytes 5-21/22" } });
    };
    const way = { store, folder, url: (name: string) => `http://hub/${name}`, get };
    await bring(entries, way);
    assert.deepEqual(ranges, ["bytes=5-"]);
    assert.deepEqual(readFileSync(join(folder, "model.safetensors")), content);
    const other = [{ ...entries[0], path: "other", lfs: { oid: "0".repeat(64), size: content.length } }];
    const wrong = { ...way, get: async () => new Response(content) };
    await assert.rejects(bring(other, wrong), { name: "HubError", message: /came with the hash/ });
    assert.ok(!existsSync(join(store, "blobs", `${"0".repeat(64)}.incomplete`)));
  } finally {
    rmSync(store, { recursive: true });
  }
});
