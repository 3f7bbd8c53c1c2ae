// The command `whetstone`: out of the clone, and out of the package in a project that has nothing else.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { startKernel } from "../../kernel/index.ts";
import { pack } from "../../setup/pack.mjs";
import { temporaryFolder } from "../made.ts";

const root = join(import.meta.dirname, "../..");
const bin = join(root, "kernel/install/whetstone.mjs");

/** Runs the command in a folder, with no other variables than these. */
function whetstone(cwd: string, args: string[], env: Record<string, string> = {}, program = [process.execPath, bin]) {
  const [command, ...before] = program as [string, ...string[]];
  const done = spawnSync(command, [...before, ...args], { cwd, env, encoding: "utf8", timeout: 60_000 });
  return { code: done.status, out: done.stdout.trim(), err: done.stderr.trim() };
}

describe("whetstone install, uninstall, list", () => {
  const folder = temporaryFolder();
  const home = () => join(folder.path, "home");
  const run = (...args: string[]) => whetstone(folder.path, args, { HOME: home(), PATH: "" });
  const kernels = (...parts: string[]) => join(folder.path, ...parts, "share/jupyter/kernels");
  const specOf = (path: string) => JSON.parse(readFileSync(join(path, "kernel.json"), "utf8"));

  it("installs for the user, which is what happens when no place is named", () => {
    const wanted = join(home(), ".local/share/jupyter/kernels/whetstone");
    assert.deepEqual(run("install"), { code: 0, out: `installed whetstone: ${wanted}`, err: "" });
    assert.deepEqual(readdirSync(wanted).sort(), ["kernel.json", "logo-32x32.png", "logo-64x64.png", "logo-svg.svg"]);
    const { argv, display_name, interrupt_mode } = specOf(wanted);
    assert.deepEqual(argv, [process.execPath, join(root, "kernel/dist/front.js"), "{connection_file}"]);
    assert.deepEqual([display_name, interrupt_mode], ["TypeScript (Whetstone)", "message"]);
    assert.deepEqual(run("install", "--user").code, 0, "again");
    assert.equal(run("uninstall").out, `uninstalled whetstone: ${wanted}`);
    assert.ok(!existsSync(wanted));
    const data = whetstone(folder.path, ["install", "--user"], {
      HOME: home(),
      JUPYTER_DATA_DIR: join(home(), "data"),
    });
    assert.equal(data.out, `installed whetstone: ${join(home(), "data/kernels/whetstone")}`);
  });

  it("installs below a prefix, under another name, with another title", () => {
    const { code, out } = run("install", "--prefix", "a ü", "--name", "My.Kernel", "--display-name", "Größe 'x'");
    assert.equal(code, 0);
    assert.match(out, /JUPYTER_PATH names .*a ü.share.jupyter$/);
    assert.equal(specOf(join(kernels("a ü"), "my.kernel")).display_name, "Größe 'x'");
    assert.equal(run("list", "--prefix", "a ü").out, `my.kernel  ${join(kernels("a ü"), "my.kernel")}`);
    assert.equal(run("uninstall", "--prefix", "a ü", "my.KERNEL").code, 0);
    assert.match(run("list", "--prefix", "a ü").out, /^no Whetstone kernel is installed/);
  });

  it("makes aliases of names that other kernels had", () => {
    run("install", "--prefix", "alias", "--name", "tslab");
    const { env, language } = specOf(join(kernels("alias"), "tslab"));
    assert.deepEqual([env, language], [{ WHETSTONE_DIALECT: "tslab" }, "typescript"]);
  });

  it("installs into the active environment, else into that of the Python on the PATH", () => {
    const at = (env: Record<string, string>) =>
      whetstone(folder.path, ["install", "--sys-prefix"], { HOME: home(), ...env });
    for (const name of ["VIRTUAL_ENV", "CONDA_PREFIX"]) {
      const { out } = at({ PATH: "", [name]: join(folder.path, name) });
      assert.equal(out, `installed whetstone: ${join(kernels(name), "whetstone")}`);
    }
    const path = join(folder.path, "path");
    mkdirSync(path);
    assert.match(at({ PATH: path }).err, /no Python on the PATH: activate the environment, or take --user or --prefix/);
    assert.equal(at({ PATH: path }).code, 1);
    writeFileSync(join(path, "python3"), `#!/bin/sh\necho "${join(folder.path, "python")}"\n`);
    chmodSync(join(path, "python3"), 0o755);
    assert.equal(at({ PATH: path }).out, `installed whetstone: ${join(kernels("python"), "whetstone")}`);
  });

  it("says what is wrong with a command, in one line, with exit code 2", () => {
    const cases: [string[], RegExp][] = [
      [["install", "--usr"], /^whetstone: Unknown option '--usr'; there are --user, --sys-prefix, --prefix, --name/],
      [["install", "--prefix"], /'--prefix <value>' argument missing/],
      [["install", "--prefix", ""], /--prefix wants a folder/],
      [["install", "--prefix", "--user"], /'--prefix' argument is ambiguous/],
      [["install", "--user", "--prefix", "x"], /--user and --prefix are two places; choose one/],
      [["install", "whetstone"], /takes options only, not "whetstone"/],
      [["install", "--name", "my kernel"], /"my kernel" is no name of a kernel: it has letters a to z, digits/],
      [["install", "--name", "../x"], /"\.\.\/x" is no name/],
      [["install", "--name", ".."], /"\.\." is no name/],
      [["install", "--name", ""], /"" is no name/],
      [["install", "--name", "größe"], /"größe" is no name/],
      [["install", "--display-name", " "], /--display-name is empty/],
      [["uninstall", "a", "b"], /takes one name/],
      [["uninstall", "--display-name", "x"], /Unknown option '--display-name'; there are --user/],
      [["list", "x"], /takes options only/],
    ];
    for (const [args, wanted] of cases) {
      const { code, out, err } = run(...args);
      assert.match(err, wanted);
      assert.deepEqual([code, out, err.split("\n").length], [2, "", 1], err);
    }
    for (const [args, wanted] of [
      [[], /which command\?\nusage: /],
      [["frobnicate"], /no command "frobnicate"\nusage: /],
      [["constructor"], /no command "constructor"/],
    ] as [string[], RegExp][]) {
      const { code, err } = run(...args);
      assert.equal(code, 2);
      assert.match(err, wanted);
    }
    assert.match(run("--help").out, /^usage: whetstone install/);
  });

  it("says what is in the way on the machine, with exit code 1", () => {
    writeFileSync(join(folder.path, "file"), "");
    const { code, err } = run("install", "--prefix", "file");
    assert.equal(code, 1);
    assert.match(err, /^whetstone: cannot write .*file.share.jupyter.kernels.whetstone: ENOTDIR/);
    // The kernel of a system's folder says no to everyone, whatever rights the tests run with.
    const denied = run("install", "--prefix", "/sys");
    assert.equal(denied.code, 1);
    assert.match(denied.err, /cannot write \/sys\/share.*(EPERM|EACCES|EROFS).*take a folder of your own: --user/);
  });

  it("leaves the kernels of others alone", () => {
    const other = join(kernels("others"), "python3");
    mkdirSync(other, { recursive: true });
    const text = JSON.stringify({ argv: ["python", "-m", "ipykernel_launcher"], display_name: "Python 3" });
    writeFileSync(join(other, "kernel.json"), text);
    const into = run("install", "--prefix", "others", "--name", "python3");
    assert.equal(into.code, 1);
    assert.match(into.err, /another kernel's, which starts python; give this one another name/);
    assert.match(
      run("uninstall", "--prefix", "others", "python3").err,
      /another kernel's; jupyter kernelspec uninstall python3/,
    );
    assert.match(run("list", "--prefix", "others").out, /^no Whetstone kernel/);
    assert.equal(readFileSync(join(other, "kernel.json"), "utf8"), text);
  });

  it("says which there are when the one to uninstall is not there, or is there twice", () => {
    run("install", "--prefix", "one", "--name", "here");
    const gone = run("uninstall", "--prefix", "one", "there");
    assert.equal(gone.code, 1);
    assert.match(
      gone.err,
      /no Whetstone kernel "there" is installed in .*; there are:\nhere {2}.*one.share.jupyter.kernels.here$/,
    );
    const env = { HOME: home(), PATH: "", VIRTUAL_ENV: join(folder.path, "one") };
    whetstone(folder.path, ["install", "--user", "--name", "here"], env);
    const twice = whetstone(folder.path, ["uninstall", "here"], env);
    assert.equal(twice.code, 2);
    assert.match(
      twice.err,
      /"here" is installed in 2 folders; say which with --user, --sys-prefix or --prefix:\nhere /,
    );
    assert.equal(whetstone(folder.path, ["uninstall", "--sys-prefix", "here"], env).code, 0);
    assert.equal(whetstone(folder.path, ["uninstall", "here"], env).code, 0);
  });

  it("marks what can no longer start", () => {
    run("install", "--prefix", "broken");
    const file = join(kernels("broken"), "whetstone/kernel.json");
    writeFileSync(file, readFileSync(file, "utf8").replace(process.execPath, "/gone/node"));
    assert.match(run("list", "--prefix", "broken").out, /\(broken: \/gone\/node does not exist; install it again\)$/);
  });

  it("is a door of the clone, and takes paths from where the user stands", () => {
    const door = [process.execPath, join(root, "setup/run.mjs")];
    const { PATH = "" } = process.env;
    const listed = whetstone(folder.path, ["list", "--prefix", "alias"], { HOME: home(), PATH }, door);
    assert.deepEqual(listed, { code: 0, out: `tslab  ${join(kernels("alias"), "tslab")}`, err: "" });
    assert.equal(
      whetstone(folder.path, ["uninstall", "--prefix", "alias", "tslab"], { HOME: home(), PATH }, door).code,
      0,
    );
  });
});

describe("the packed kernel in an empty project, in a path with a space and an umlaut", function () {
  this.timeout(180_000);
  const folder = temporaryFolder();
  let project: string;
  const env = () => ({ HOME: join(folder.path, "home"), PATH: process.env.PATH ?? "" });
  const npm = process.env.npm_execpath?.endsWith(".js") ? [process.execPath, process.env.npm_execpath] : ["npm"];

  before(async () => {
    project = join(folder.path, "Übung eins");
    mkdirSync(project);
    const file = await pack("kernel", join(folder.path, "packed"));
    writeFileSync(join(project, "package.json"), JSON.stringify({ name: "empty", private: true }));
    const args = [...npm.slice(1), "install", "--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund", file];
    // npm would take the clone's settings from the variables that npm test sets.
    const clean = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^npm_config_/i.test(name)));
    const { status, stderr } = spawnSync(npm[0]!, args, { cwd: project, encoding: "utf8", env: clean });
    assert.equal(status, 0, stderr);
  });

  it("holds bundles, JavaScript and declarations, and nothing that fits one machine only", () => {
    const own = join(project, "node_modules/@whetstone/kernel");
    for (const file of [
      "index.js",
      "index.d.ts",
      "dist/front.js",
      "dist/compile.cjs",
      "dist/globals.d.ts",
      "LICENSE",
    ]) {
      assert.ok(existsSync(join(own, file)), file);
    }
    const all = readdirSync(own, { recursive: true }).map(String);
    assert.deepEqual(
      all.filter((file) => /(?<!\.d)\.ts$|\.blob$|build\.json$/.test(file)),
      [],
    );
  });

  it("is installed by npx, and prepares the type checker for this machine", () => {
    // The Node that runs the tests is the one that npx finds.
    const path = join(folder.path, "path");
    mkdirSync(path);
    symlinkSync(process.execPath, join(path, "node"));
    const variables = { ...env(), PATH: `${path}:${env().PATH}` };
    const npx = [...npm, "exec", "--offline", "--", "whetstone"];
    const { code, out, err } = whetstone(project, ["install", "--prefix", "."], variables, npx);
    assert.equal(code, 0, err);
    assert.match(out, /^installed whetstone: .*Übung eins.share.jupyter.kernels.whetstone$/m);
    assert.match(err, /preparing the type checker/);
    assert.ok(existsSync(join(project, "node_modules/@whetstone/kernel/dist/check.blob")));
    const again = whetstone(project, ["install", "--prefix", "."], variables, npx);
    assert.deepEqual([again.code, again.err], [0, ""], "a second time nothing has to be prepared");
  });

  it("runs cells with types, Node's among them, and modules of the folder", async () => {
    writeFileSync(join(project, "recipe.ts"), "export const half = (n: number): number => n / 2;\n");
    const spec = join(project, "share/jupyter/kernels/whetstone");
    const kernel = await startKernel(spec, { cwd: project, startTimeout: 60_000 });
    try {
      assert.ok(kernel.spec.argv[1]!.startsWith(project));
      const run = async (code: string) => (await kernel.execute(code)).outputs as any[];
      const [result] = await run(
        'import { half } from "./recipe.ts"; import { platform } from "node:os"; half(84) + platform().length * 0',
      );
      assert.equal(result.data["text/plain"], "42");
      const [wrong] = await run("process.cwd() * half('x')");
      assert.equal(wrong.ename, "TS2362");
      const { matches } = await kernel.complete("process.hrt");
      assert.deepEqual(matches, ["hrtime"]);
    } finally {
      await kernel.shutdown();
    }
  });

  it("says what an old Node lacks", () => {
    const old = join(folder.path, "old.mjs");
    const command = join(project, "node_modules/@whetstone/kernel/install/whetstone.mjs");
    // No old Node is at hand everywhere: this one says that it is.
    writeFileSync(old, `Object.defineProperty(process.versions, "node", { value: "20.19.0" });\n`);
    const { code, err } = whetstone(project, ["list"], env(), [process.execPath, "--import", old, command]);
    assert.equal(code, 1);
    assert.match(err, /runs on Node 24 or newer, and this is Node 20\.19\.0/);
  });
});
