// `npx whetstone copy`: every recipe of the tree goes into a bare npm project of its own that has the packages which copy names and no
// other; there its types hold under strict and its test passes, on both backends that run anywhere.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { copy, needed, recipes } from "../../setup/copy.mjs";

const root = join(import.meta.dirname, "../..");
const core = "@tensorflow/tfjs-core";
const backends = ["@tensorflow/tfjs-backend-cpu", "@tensorflow/tfjs-backend-wasm"];

/** A new npm project below `top`, as `npm init` makes it but for what is given. */
function project(top: string, name: string, manifest: object = { type: "module" }): string {
  const folder = join(top, name);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "package.json"), JSON.stringify({ name: "bare", version: "1.0.0", ...manifest }));
  return folder;
}

/** Does what the steps say of `npm install`, with the packages of this clone. */
function install(folder: string, steps: string[]) {
  const named = steps.filter((step) => step.startsWith("npm install ")).flatMap((step) => step.split(" ").slice(2));
  for (const [, name] of named.flatMap((one) => [/^(@?[^@]+)@[\d.]+$/.exec(one) ?? []])) {
    if (name === undefined) continue; // --save-dev
    const to = join(folder, "node_modules", name);
    mkdirSync(dirname(to), { recursive: true });
    symlinkSync(join(root, "node_modules", name), to, "junction");
  }
}

/** Runs test files in one process, on a backend and with the gradients that tfjs-core alone lacks on Node. */
function runTests(files: string[], backend: string, cwd: string) {
  const imports = ["@tensorflow/tfjs-layers", backend].flatMap((name) => ["--import", import.meta.resolve(name)]);
  const args = [...imports, "--test", "--test-isolation=none", "--test-reporter=tap", ...files];
  const { status, stdout } = spawnSync(process.execPath, args, { cwd, encoding: "utf8", timeout: 500_000 });
  const count = (what: string) => Number(new RegExp(`^# ${what} (\\d+)$`, "m").exec(stdout)?.[1]);
  return { status, stdout, passed: count("pass"), skipped: count("skipped") };
}

describe("whetstone copy", function () {
  this.timeout(600_000); // on a busy machine; it takes half a minute
  let top: string;
  before(() => {
    top = mkdtempSync(join(realpathSync(tmpdir()), "whetstone-copy-"));
  });
  after(() => rmSync(top, { recursive: true, force: true }));

  describe("of every recipe", () => {
    const names = recipes();
    let tests: string[];
    before(() => {
      for (const name of names) {
        const folder = project(top, `all/${name}`);
        install(folder, copy(name, join(folder, "src")).steps);
      }
      tests = globSync("all/**/src/*/*.test.ts", { cwd: top, exclude: ["**/node_modules"] });
    });

    it("there are many, and each but those of core has a test beside it that goes along", () => {
      assert.ok(names.length > 25 && names.includes("compress/prune-weights"), names.join(" "));
      const without = names.filter(
        (name) => !name.startsWith("core/") && !needed(name).files.includes(`${name}.test.ts`),
      );
      assert.deepEqual(without, [], "write these tests: node:test, tfjs-core and what the recipe imports, no more");
      assert.equal(tests.length, names.filter((name) => !name.startsWith("core/")).length);
    });

    it("the files are those of the clone, byte by byte, and no others", () => {
      for (const name of names) {
        const folder = join(top, "all", name, "src");
        const files = globSync("*/*.ts", { cwd: folder });
        assert.deepEqual(files.map((file) => file.replaceAll("\\", "/")).sort(), needed(name).files);
        for (const file of files)
          assert.deepEqual(readFileSync(join(folder, file)), readFileSync(join(root, "recipes", file)));
      }
    });

    it("asks for tfjs-core and a backend; only what reads files of others or trains needs more", () => {
      const more = new Set(
        names.flatMap((name) => needed(name).packages).filter((one) => one !== core && !one.startsWith("node:")),
      );
      assert.deepEqual([...more].sort(), [
        "@huggingface/hub",
        "@huggingface/jinja",
        "@huggingface/tokenizers",
        "hyparquet",
        "hyparquet-compressors",
        "papaparse",
      ]);
    });

    it("types hold under strict", () => {
      const config = {
        extends: `./all/${names[0]}/src/tsconfig.json`,
        compilerOptions: { typeRoots: [join(root, "node_modules/@types")] },
        include: ["all/*/*/src"],
      };
      writeFileSync(join(top, "tsconfig.json"), JSON.stringify(config));
      const tsc = join(root, "node_modules/typescript/bin/tsc");
      const { status, stdout } = spawnSync(process.execPath, [tsc, "-p", top], { cwd: top, encoding: "utf8" });
      assert.equal(status, 0, stdout);
    });

    for (const backend of backends)
      it(`the tests pass on ${backend}`, () => {
        const { status, stdout, passed, skipped } = runTests(tests, backend, top);
        assert.equal(status, 0, stdout);
        assert.ok(passed > 2 * tests.length && skipped === 0, `${passed} passed, ${skipped} were skipped`);
      });

    it("without gradients, which tfjs-core alone has none of on Node, training says where they are", () => {
      const folder = project(top, "untrained");
      install(folder, copy("core/grad", folder).steps);
      writeFileSync(
        join(folder, "try.ts"),
        `import * as tf from "@tensorflow/tfjs-core"; import { valueAndGrads } from "./core/grad.ts";
         await tf.ready(); valueAndGrads((p) => tf.sum(p.w))({ w: tf.ones([2]) });`,
      );
      const { status, stderr } = spawnSync(
        process.execPath,
        ["--import", import.meta.resolve(backends[0]!), "try.ts"],
        {
          cwd: folder,
          encoding: "utf8",
        },
      );
      assert.equal(status, 1);
      assert.match(stderr, /tfjs-core alone has no gradients\. On Node, import @tensorflow\/tfjs-layers once/);
    });

    it("a recipe that is broken fails its test there", () => {
      const folder = project(top, "broken");
      install(folder, copy("scaling-law", folder).steps);
      const path = join(folder, "train/scaling-law.ts");
      writeFileSync(path, readFileSync(path, "utf8").replace("exponent: -slope", "exponent: slope"));
      const { status, stdout } = runTests(["train/scaling-law.test.ts"], backends[0], folder);
      assert.equal(status, 1, stdout);
      assert.match(stdout, /^# fail 2$/m);
    });
  });

  describe("as a command", () => {
    const call = (cwd: string, ...args: string[]) =>
      spawnSync(process.execPath, [join(root, "setup/run.mjs"), "copy", ...args], { cwd, encoding: "utf8" });

    it("says what is left to do, and that is enough", () => {
      const folder = project(top, "command");
      const { status, stdout } = call(folder, "prune-weights", "src/whetstone");
      assert.equal(status, 0);
      const steps = stdout
        .slice(stdout.indexOf("What is left"))
        .split("\n")
        .slice(1)
        .filter(Boolean)
        .map((line) => line.trim());
      assert.deepEqual(
        steps.map((step) => step.split(" ").slice(0, 2).join(" ")),
        ["npm install", "npm install", "npx tsc", "node --import"],
      );
      assert.match(steps[0], /^npm install @tensorflow\/tfjs-core@4\.[\d.]+ @tensorflow\/tfjs-backend-wasm@4\.[\d.]+$/);
      install(folder, steps);
      for (const [program, step] of [
        ["node_modules/typescript/bin/tsc", steps[2]],
        [undefined, steps[3]],
      ] as const) {
        const words = step
          .replace(/ +#.*/, "")
          .split(" ")
          .slice(program ? 2 : 1);
        const run = spawnSync(process.execPath, [...(program ? [program] : []), ...words], {
          cwd: folder,
          encoding: "utf8",
        });
        assert.equal(run.status, 0, run.stdout);
      }
    });

    it("keeps what is there and equal, writes nothing where a file differs, and overwrites by --force", () => {
      const folder = project(top, "again");
      assert.equal(call(folder, "compress/prune-weights", "src").status, 0);
      const more = call(folder, "train/optim", "src");
      assert.match(more.stdout, /2 files written, \d were there already/);
      const path = join(folder, "src/core/params.ts");
      writeFileSync(path, "// mine\n");
      rmSync(join(folder, "src/train"), { recursive: true });
      const refused = call(folder, "train/optim", "src");
      assert.equal(refused.status, 1);
      assert.match(
        refused.stderr,
        /src has other files of these names, and nothing was written: core\/params\.ts\..*--force/,
      );
      assert.equal(readFileSync(path, "utf8"), "// mine\n");
      assert.ok(!existsSync(join(folder, "src/train")));
      assert.equal(call(folder, "train/optim", "src", "--force").status, 0);
      assert.deepEqual(readFileSync(path), readFileSync(join(root, "recipes/core/params.ts")));
    });

    it("tells a project what it must set: modules, endings of imports; and leaves its tsconfig alone", () => {
      const folder = project(top, "old", { type: "commonjs", dependencies: { "@tensorflow/tfjs": "4.22.0" } });
      writeFileSync(join(folder, "tsconfig.json"), '{ "compilerOptions": { "strict": true } }');
      const { steps, written } = copy("model/gpt", join(folder, "src"));
      assert.ok(!written.includes("tsconfig.json"));
      assert.match(steps.join("\n"), /^npm pkg set type=module/);
      assert.match(steps.join("\n"), /"rewriteRelativeImportExtensions": true in tsconfig\.json/);
      assert.match(steps.at(-1)!, /^node --import @tensorflow\/tfjs --test src\/model\/gpt\.test\.ts/);
    });

    it("names the recipe that was meant, and what is wrong with the folder", () => {
      const folder = project(top, "wrong");
      mkdirSync(join(top, "nowhere"));
      writeFileSync(join(folder, "file"), "");
      for (const [args, code, message] of [
        [["prune-wieghts", "src"], 2, /no recipe "prune-wieghts"; did you mean compress\/prune-weights\? there are /],
        [["gguf", "src"], 2, /"gguf" may be export\/gguf, model\/gguf; say which/],
        [["train", "src"], 2, /"train" may be core\/train, train\/mup, .*; say which/],
        [["optim"], 2, /wants a recipe and one folder/],
        [["optim", "src", "--fast"], 2, /--fast/],
        [["optim", join(top, "nowhere")], 1, /in no npm project; make one first: npm init -y/],
        [["optim", join(root, "reports/copied")], 1, /in Whetstone's own clone/],
        [["optim", "file"], 1, /file is a file; wanted a folder/],
      ] as const) {
        const { status, stderr } = call(folder, ...args);
        assert.match(stderr, message);
        assert.equal(status, code, stderr);
      }
      assert.deepEqual(readdirSync(folder).sort(), ["file", "package.json"]);
      assert.match(call(folder).stdout, /^usage: [\s\S]*^compress\/prune-weights$/m);
    });
  });
});
