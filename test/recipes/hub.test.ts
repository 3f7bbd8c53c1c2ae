// fromPretrained("org/name") against a hub of our own over HTTP: what it asks for, what the cache holds then, connections
// that are cut, and what it says when the hub refuses.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import {
  existsSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { tf } from "@whetstone/engine";
import { load, toSafetensors } from "../../recipes/core/io.ts";
import { rng } from "../../recipes/core/rng.ts";
import { initGPT } from "../../recipes/model/gpt.ts";
import { download, type HubError, isHubId, type Progress } from "../../recipes/model/hub.ts";
import { fromPretrained, type GPT, save } from "../../recipes/model/index.ts";
import { textTokenizer } from "../../recipes/model/tokenizer.ts";
import { type Repository, startHub } from "../fixtures/hub.ts";
import { bpeJson } from "../fixtures/tokenizers.ts";

const COMMIT = "0123456789abcdef0123456789abcdef01234567";
const small = readFileSync(join(import.meta.dirname, "../fixtures/small.gguf"));
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
const text = (value: unknown) => Buffer.from(JSON.stringify(value));
const variables = ["HF_TOKEN", "HF_ENDPOINT", "HF_HUB_OFFLINE", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME"];
const cfg = { layers: 1, dim: 64, heads: 2, ctx: 8, vocab: 13 };

describe("hub", function () {
  this.timeout(30_000);
  let top: string;
  let hub: Awaited<ReturnType<typeof startHub>>;
  let cacheDir: string;
  const files: Record<string, Uint8Array> = {};
  const repositories: Record<string, Repository> = {};
  const env = variables.map((name) => [name, process.env[name]] as const);
  const params = initGPT(cfg, rng(1));
  const options = () => ({ endpoint: hub.url, cacheDir });
  const store = (id: string) => join(cacheDir, `models--${id.replace("/", "--")}`);
  const says = async (run: Promise<unknown>, message: RegExp, status?: number) => {
    await assert.rejects(run, (error: Error) => {
      assert.match(error.message, message);
      if (status !== undefined) assert.equal((error as HubError).status, status);
      return true;
    });
  };

  before(async () => {
    top = mkdtempSync(join(tmpdir(), "hub-"));
    const tokenizer = await textTokenizer(bpeJson, { tokenizer_class: "PreTrainedTokenizerFast", eos_token: "<end>" });
    save(join(top, "saved"), { family: "gpt2", cfg, params, tokenizer });
    for (const name of readdirSync(join(top, "saved"))) files[name] = readFileSync(join(top, "saved", name));
    Object.assign(repositories, {
      "org/gpt": {
        commit: COMMIT,
        files: { ...files, "README.md": text("read"), "pytorch_model.bin": text(1), "onnx/model.onnx": text(2) },
      },
      "org/private": { commit: COMMIT, files, token: "hf_secret" },
      "org/gated": { commit: COMMIT, files, gated: true },
      "org/pickle": { commit: COMMIT, files: { "config.json": files["config.json"], "pytorch_model.bin": text(1) } },
      "org/ggufs": { commit: COMMIT, files: { "a.gguf": small, "b.gguf": small, "deep/c d.gguf": small } },
      "org/none": { commit: COMMIT, files: { "README.md": text("read") } },
    });
    hub = await startHub(repositories);
  });
  beforeEach(() => {
    cacheDir = mkdtempSync(join(top, "cache-"));
    hub.asked.length = 0;
    hub.cuts = [];
    hub.ranges = true;
    hub.answer = () => false;
    for (const name of variables) delete process.env[name];
  });
  after(async () => {
    for (const [name, value] of env) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
    await hub?.close();
    rmSync(top, { recursive: true });
  });

  it("brings what a model needs, and no more, into the cache as huggingface_hub has it", async () => {
    const seen: Progress[] = [];
    const model = (await fromPretrained("org/gpt", { ...options(), onProgress: (p) => seen.push(p) })) as GPT;
    const ids = tf.tensor2d([[1, 2, 3]], undefined, "int32");
    const here = (await fromPretrained(join(top, "saved"))) as GPT;
    assert.deepEqual(model.forward(ids).dataSync(), here.forward(ids).dataSync());
    assert.deepEqual([...model.tokenizer!.encode("abcab")], [10, 9]);

    const of = store("org/gpt");
    assert.equal(readFileSync(join(of, "refs/main"), "utf8"), COMMIT);
    const folder = join(of, "snapshots", COMMIT);
    assert.equal(model.meta.source, folder);
    const wanted = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "whetstone.json"];
    assert.deepEqual(readdirSync(folder).sort(), wanted);
    if (process.platform !== "win32") {
      assert.ok(lstatSync(join(folder, "model.safetensors")).isSymbolicLink());
      const blob = sha256(files["model.safetensors"]);
      assert.equal(readlinkSync(join(folder, "model.safetensors")), `../../blobs/${blob}`);
      const { length } = files["config.json"];
      const git = createHash("sha1").update(`blob ${length}\0`).update(files["config.json"]).digest("hex");
      assert.equal(readlinkSync(join(folder, "config.json")), `../../blobs/${git}`);
    }
    for (const name of wanted) assert.deepEqual(readFileSync(join(folder, name)), files[name]);
    assert.deepEqual(
      readdirSync(join(of, "blobs")).filter((name) => name.includes(".")),
      [],
    );

    const all = wanted.reduce((sum, name) => sum + files[name].length, 0);
    const last = seen.at(-1)!;
    assert.deepEqual([last.file, last.loaded, last.all], ["model.safetensors", last.size, { loaded: all, size: all }]);
    assert.ok(seen.every(({ all }, i) => i === 0 || all.loaded >= seen[i - 1].all.loaded));
  });

  it("asks for a branch once more, for a commit in the cache nobody, and no file twice", async () => {
    const place = await download("org/gpt", options());
    const files = hub.asked.filter(({ path }) => path.includes("/resolve/")).length;
    assert.equal(files, 5);
    hub.asked.length = 0;
    assert.deepEqual(await download("org/gpt", { ...options(), revision: "v1" }), place);
    assert.ok(hub.asked.every(({ path }) => path.startsWith("/api/")));
    assert.equal(readFileSync(join(store("org/gpt"), "refs/v1"), "utf8"), COMMIT);
    hub.asked.length = 0;
    assert.deepEqual(await download("org/gpt", { ...options(), revision: COMMIT }), place);
    assert.deepEqual(hub.asked, []);
  });

  it("goes on where a connection was cut, in the same call and in the next", async () => {
    const { length } = files["model.safetensors"];
    hub.answer = ({ path }) => {
      if (path.endsWith("model.safetensors") && !hub.cuts.length) hub.cuts = [1000];
      return false;
    };
    const asked = () => hub.asked.filter(({ host }) => host === "cdn").map(({ range }) => range);
    const stop = new AbortController();
    const stopped = download("org/gpt", {
      ...options(),
      signal: stop.signal,
      onProgress: ({ file, loaded }) => {
        if (file === "model.safetensors" && loaded >= 3000) stop.abort();
      },
    });
    await assert.rejects(stopped, { name: "AbortError" });
    assert.deepEqual(asked().slice(0, 3), [undefined, "bytes=1000-", "bytes=2000-"]);
    const [partial] = readdirSync(join(store("org/gpt"), "blobs")).filter((name) => name.endsWith(".incomplete"));
    assert.equal(partial, `${sha256(files["model.safetensors"])}.incomplete`);
    const have = lstatSync(join(store("org/gpt"), "blobs", partial)).size;
    assert.ok(have >= 3000 && have < length, `${have}`);
    hub.asked.length = 0;
    hub.answer = () => false;
    hub.cuts = [];
    const { folder } = await download("org/gpt", options());
    assert.deepEqual(asked(), [`bytes=${have}-`]);
    assert.deepEqual(readFileSync(join(folder, "model.safetensors")), files["model.safetensors"]);
  });

  it("begins anew where the server knows no ranges, and gives up where nothing comes", async () => {
    const blob = join(store("org/gpt"), "blobs", sha256(files["model.safetensors"]));
    hub.cuts = [1e9, 1e9, 1e9, 1e9, 700]; // the four small files are whole
    hub.ranges = false;
    const { folder } = await download("org/gpt", options());
    assert.deepEqual(
      hub.asked.filter(({ host }) => host === "cdn").map(({ range }) => range),
      [undefined, "bytes=700-"],
    );
    assert.deepEqual(readFileSync(join(folder, "model.safetensors")), files["model.safetensors"]);
    rmSync(blob);
    hub.cuts = [0, 0, 0, 0, 0];
    await says(
      download("org/gpt", options()),
      /model.safetensors was cut off at 0 of \d+ bytes; the next call goes on/,
    );
  });

  it("checks SHA-256 and git's hash of what came, and keeps nothing that differs", async () => {
    for (const name of ["model.safetensors", "config.json"]) {
      const good = repositories["org/gpt"].files[name];
      hub.answer = ({ path, host }, response) => {
        if (!path.endsWith(name) || (name === "model.safetensors" && host === "hub")) return false;
        const bad = Buffer.from(good);
        bad[40] ^= 1;
        response.end(bad);
        return true;
      };
      await says(download("org/gpt", options()), /came with the hash \w+, but the hub says \w+: download it again/);
      assert.ok(!existsSync(join(store("org/gpt"), "snapshots", COMMIT, name)));
      assert.deepEqual(
        readdirSync(join(store("org/gpt"), "blobs")).filter((name) => name.includes(".")),
        [],
      );
      hub.answer = () => false;
      await download("org/gpt", options());
      rmSync(store("org/gpt"), { recursive: true });
    }
    hub.answer = ({ path }, response) => path.endsWith("config.json") && Boolean(response.end("x".repeat(9999)));
    await says(download("org/gpt", options()), /config.json sends more than the \d+ bytes that the hub says/);
  });

  it("two at once download a file once; a lock that was left is taken over", async () => {
    const [one, two] = await Promise.all([download("org/gpt", options()), download("org/gpt", options())]);
    assert.deepEqual(one, two);
    assert.equal(hub.asked.filter(({ host }) => host === "cdn").length, 1);
    rmSync(join(store("org/gpt"), "snapshots"), { recursive: true });
    const blob = join(store("org/gpt"), "blobs", sha256(files["model.safetensors"]));
    rmSync(blob);
    writeFileSync(`${blob}.lock`, "");
    utimesSync(`${blob}.lock`, new Date(0), new Date(0));
    await download("org/gpt", options());
    assert.ok(existsSync(blob) && !existsSync(`${blob}.lock`));
  });

  it("offline it takes what the cache has, whole models only, and asks nobody", async () => {
    await says(
      download("org/gpt", { ...options(), offline: true }),
      /not whole in .*HF_HUB_OFFLINE is set: download it/,
    );
    const place = await download("org/gpt", options());
    hub.asked.length = 0;
    process.env.HF_HUB_OFFLINE = "1";
    assert.deepEqual(await download("org/gpt", options()), place);
    await says(download("org/gpt", { ...options(), revision: "v2" }), /org\/gpt at v2 is not whole/);
    await says(download("org/gpt", { ...options(), file: "x.gguf" }), /org\/gpt\/x.gguf at main is not whole/);
    rmSync(join(store("org/gpt"), "blobs", sha256(files["model.safetensors"])));
    await says(download("org/gpt", options()), /not whole/);
    assert.deepEqual(hub.asked, []);
  });

  it("reads HF_HOME, HF_ENDPOINT and HF_TOKEN; the token goes to the hub and not to its CDN", async () => {
    Object.assign(process.env, { HF_HOME: cacheDir, HF_ENDPOINT: `${hub.url}/`, HF_TOKEN: "hf_secret" });
    const { folder } = await download("org/private");
    assert.equal(folder, join(cacheDir, "hub/models--org--private/snapshots", COMMIT));
    const by = (host: string) => new Set(hub.asked.flatMap((one) => (one.host === host ? [one.authorization] : [])));
    assert.deepEqual([by("hub"), by("cdn")], [new Set(["Bearer hf_secret"]), new Set([undefined])]);
  });

  it("brings shards by their index, and a GGUF by its name", async () => {
    const { params } = load(join(top, "saved/model.safetensors"));
    const map = Object.fromEntries(Object.keys(params).map((name, i) => [name, `part-${i % 2}.safetensors`]));
    const part = (i: number) =>
      toSafetensors(
        Object.fromEntries(Object.entries(params).filter(([name]) => map[name] === `part-${i}.safetensors`)),
      );
    const shards = {
      "config.json": files["config.json"],
      "model.safetensors.index.json": text({ weight_map: map }),
      "part-0.safetensors": part(0),
      "part-1.safetensors": part(1),
    };
    repositories["org/shards"] = { commit: COMMIT, files: shards };
    const model = (await fromPretrained("org/shards", options())) as GPT;
    assert.deepEqual(model.params["wte.weight"].dataSync(), params["wte.weight"].dataSync());
    const { "part-1.safetensors": _, ...less } = shards;
    repositories["org/shards"] = { commit: COMMIT.replace("0", "1"), files: less };
    await says(download("org/shards", options()), /names part-1.safetensors, which the repository does not have/);

    await says(download("org/ggufs", options()), /has several models; choose one, \{ file: "a.gguf" \}/);
    const { folder, file } = await download("org/ggufs", { ...options(), file: "deep/c d.gguf" });
    assert.deepEqual(readFileSync(join(folder, file!)), small);
    assert.deepEqual(readdirSync(folder), ["deep"]);
    await says(download("org/ggufs", { ...options(), file: "d.gguf" }), /has no d.gguf; it has a.gguf, b.gguf/, 404);
    repositories["org/ggufs"].files = { "a.gguf": small };
    assert.equal((await download("org/ggufs", options())).file, "a.gguf");
  });

  it("says what to do about each refusal", async () => {
    const of = (id: string, more = {}) => download(id, { ...options(), ...more });
    await says(of("org/absent"), /org\/absent is not there, or private \(status 401, no token\).*HF_TOKEN/, 401);
    await says(of("org/absent", { token: "hf_x" }), /has no model org\/absent \(status 404, the token that was/, 404);
    await says(
      of("org/gated", { token: "hf_x" }),
      /org\/gated is only for those who accepted its terms \(status 403/,
      403,
    );
    await says(of("org/gpt", { revision: "v9" }), /org\/gpt has no revision "v9"/, 404);
    await says(of("org/pickle"), /pytorch_model.bin: pickles, programs that would run.*python -c "from transformers/);
    await says(of("org/pickle", { file: "pytorch_model.bin" }), /pytorch_model.bin: pickles/);
    await says(of("org/none"), /no model.safetensors with a config.json and no .gguf; it has README.md/);
    await says(of("org/gpt", { file: "../x" }), /wanted a path inside/);
    await says(of("org/gpt", { revision: "../main" }), /wanted a branch, a tag or a commit/);
    assert.ok(!isHubId("a/b/c") && !isHubId("./a") && !isHubId("/a") && !isHubId("a") && isHubId("a-b/c_1.5"));
  });

  it("waits as the hub asks, tries again, and says when it gives up", async () => {
    let times = 0;
    const refuse = (status: number, headers: Record<string, string>) => {
      times = 0;
      hub.answer = ({ path }, response) => {
        if (!path.endsWith("tokenizer.json") || ++times > 2) return false;
        response.writeHead(status, headers).end();
        return true;
      };
    };
    refuse(429, { "retry-after": "0" });
    await download("org/gpt", options());
    refuse(503, {});
    rmSync(store("org/gpt"), { recursive: true });
    const { folder } = await download("org/gpt", options());
    assert.equal(times, 3);
    hub.answer = (_, response) => Boolean(response.writeHead(429, { ratelimit: '"api";r=0;t=300' }).end());
    await says(
      download("org/gpt", options()),
      /no more requests for now \(status 429, no token\).*in 300 s; with a token/,
      429,
    );
    const closed = await startHub({});
    await closed.close();
    const warn = console.warn;
    const said: string[] = [];
    console.warn = (message) => said.push(message);
    try {
      hub.answer = (_, response) => Boolean(response.writeHead(500).end());
      assert.equal((await download("org/gpt", options())).folder, folder);
      assert.match(said[0], /status 500: try again later. org\/gpt is taken from the cache/);
      await says(download("org/none", options()), /answers .* with status 500/, 500);
      const nowhere = { ...options(), endpoint: closed.url };
      assert.equal((await download("org/gpt", nowhere)).folder, folder);
      await says(download("org/none", nowhere), /cannot be reached \(.+\): check the network and HF_ENDPOINT/, 0);
    } finally {
      console.warn = warn;
    }
  });
});
