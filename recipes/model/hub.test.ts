// Runs as it is, with @huggingface/hub: node --test hub.test.ts. A hub of its own answers here, on this machine.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { download, HubError, isHubId } from "./hub.ts";

const commit = "c".repeat(40);
const files: Record<string, string> = { "config.json": "{}", "model.safetensors": "weights", "README.md": "more" };
let damaged = false;
const asked: string[] = [];
const hub = createServer(({ url = "" }, response) => {
  asked.push(url);
  const json = (value: unknown) => response.setHeader("content-type", "application/json").end(JSON.stringify(value));
  if (url.includes("/revision/"))
    return json({ _id: "1", id: "org/name", sha: commit, private: false, gated: false, downloads: 0, likes: 0 });
  if (url.includes("/tree/"))
    return json(
      Object.entries(files).map(([path, text]) => {
        const oid = createHash("sha1").update(`blob ${text.length}\0${text}`).digest("hex");
        return { type: "file", path, size: text.length, oid };
      }),
    );
  const text = files[url.split("/").at(-1)!];
  if (text === undefined || !url.startsWith("/org/name/")) return response.writeHead(404).end();
  return response.end(damaged ? text.toUpperCase() : text);
});
await once(hub.listen(0, "127.0.0.1"), "listening");
const endpoint = `http://127.0.0.1:${(hub.address() as AddressInfo).port}`;
const cacheDir = mkdtempSync(join(tmpdir(), "hub-"));
after(() => {
  hub.closeAllConnections();
  hub.close();
  rmSync(cacheDir, { recursive: true });
});

test("brings what a model needs into the cache of huggingface_hub, once", async () => {
  let all = 0;
  const place = await download("org/name", { endpoint, cacheDir, onProgress: (told) => (all = told.all.loaded) });
  assert.equal(place.folder, join(cacheDir, "models--org--name/snapshots", commit));
  assert.equal(readFileSync(join(place.folder, "model.safetensors"), "utf8"), "weights");
  assert.equal(readFileSync(join(cacheDir, "models--org--name/refs/main"), "utf8"), commit);
  assert.equal(all, "{}weights".length);
  assert.ok(!asked.some((url) => url.includes("README")));
  const before = asked.length;
  assert.deepEqual(await download("org/name", { endpoint, cacheDir, offline: true }), place);
  assert.equal(asked.length, before);
});

test("a file that does not have its hash is not kept; what cannot be had is said", async () => {
  damaged = true;
  const cache = join(cacheDir, "other");
  await assert.rejects(download("org/name", { endpoint, cacheDir: cache }), /came with the hash/);
  await assert.rejects(download("org/name", { endpoint, cacheDir: cache, offline: true }), HubError);
  await assert.rejects(download("org/name", { endpoint, cacheDir: cache, file: "x.bin" }), /programs that would run/);
  await assert.rejects(download("org/name", { endpoint, cacheDir: cache, file: "../x" }), /wanted a path inside/);
  await assert.rejects(download("org/name", { endpoint, cacheDir: cache, file: "x.gguf" }), /has no x.gguf/);
  assert.deepEqual(["org/name", "name", "a/../b", "/x"].map(isHubId), [true, false, false, false]);
});
