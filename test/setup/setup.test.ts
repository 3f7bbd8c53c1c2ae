// Set-up on machines that lack something: each run is the real one, in a clone of its own, with another PATH or environment.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const root = join(import.meta.dirname, "../..");
const python = join(root, ".venv/bin/python");

/** A clone that has the project's packages and kernel, and nothing that Python brings. */
function clone(): string {
  const folder = mkdtempSync(join(realpathSync(tmpdir()), "whetstone-setup-"));
  for (const name of ["package.json", "package-lock.json", ".npmrc"]) cpSync(join(root, name), join(folder, name));
  cpSync(join(root, "setup"), join(folder, "setup"), { recursive: true });
  mkdirSync(join(folder, "data"));
  mkdirSync(join(folder, "path"));
  for (const name of ["node_modules", "kernel", "engine"]) symlinkSync(join(root, name), join(folder, name));
  return folder;
}

/** Puts a program on the PATH of a clone: a link to one of this machine, or a script. */
function provide(folder: string, name: string, program: { link: string } | { script: string }) {
  const file = join(folder, "path", name);
  if ("link" in program) return symlinkSync(program.link, file);
  writeFileSync(file, `#!/bin/sh\n${program.script}\n`);
  chmodSync(file, 0o755);
}

/** Python as the machine has it, but for what the script takes away. */
const handicapped = (change: string) => ({
  script: `[ "$1" = -c ] || exit 1\nexec ${python} -c "$2\n${change}"`,
});

function run(folder: string, command: string, env: NodeJS.ProcessEnv = {}, args: string[] = []) {
  const { PATH, ...inherited } = process.env;
  const clean = Object.fromEntries(Object.entries(inherited).filter(([name]) => !/proxy$/i.test(name)));
  const done = spawnSync(process.execPath, ["setup/run.mjs", command, ...args], {
    cwd: folder,
    env: { ...clean, PATH: `${join(folder, "path")}`, ...env },
    encoding: "utf8",
    timeout: 90_000,
  });
  return { code: done.status, out: done.stdout, err: done.stderr };
}

describe("set-up", function () {
  this.timeout(100_000);
  let folder: string;
  beforeEach(() => {
    folder = clone();
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it("without Python says what to install and what works meanwhile", () => {
    const { code, err } = run(folder, "setup");
    assert.equal(code, 1);
    assert.match(err, /No Python was found .* install it with .* then run `npm run setup` again.* work on WASM/);
    assert.equal(err.split("\n\n").filter((paragraph) => paragraph.includes("No Python")).length, 1);
    assert.match(err, /npm run setup cannot go on without: venv, tensorflow, minilm, smollm2, kernelspec/);
  });

  it("without Python runs notebook 00, on WASM", () => {
    cpSync(join(root, "notebooks"), join(folder, "notebooks"), { recursive: true });
    const args = ["--quick", "--reports", join(folder, "reports"), "00-start-here"];
    // The packages of this clone are links into another, whose TensorFlow the engine would find.
    const { code, out, err } = run(folder, "notebooks", { WHETSTONE_DEVICE: "wasm" }, args);
    assert.equal(code, 0, out + err);
    assert.match(err, /No Python was found/);
    assert.match(out, /\n[1-9]\d* passed, 0 failed \(cells of 1 notebooks, quick mode/);
    assert.match(readFileSync(join(folder, "reports/executed/00-start-here.ipynb"), "utf8"), /wasm of \[/);
  });

  it("names a Python that is too old, and where it stands", () => {
    provide(
      folder,
      "python3",
      handicapped(
        `print(json.dumps({'path': '/opt/old', 'version': [3, 8, 2], 'venv': True, 'ensurepip': True, 'pip': [20, 0]}))`,
      ),
    );
    const { code, err } = run(folder, "setup");
    assert.equal(code, 1);
    assert.match(err, /Python 3\.8\.2 at \/opt\/old is too old: JupyterLab needs Python 3\.10 or newer\./);
  });

  it("says how to get a missing venv module", () => {
    provide(
      folder,
      "python3",
      handicapped(
        `print(json.dumps({'path': '/usr/bin/python3', 'version': [3, 11, 7], 'venv': False, 'ensurepip': True, 'pip': None}))`,
      ),
    );
    assert.match(run(folder, "setup").err, /has no venv module.*sudo apt install python3\.11-venv/);
  });

  it("says how to get a missing pip", () => {
    provide(
      folder,
      "python3",
      handicapped(
        `print(json.dumps({'path': '/usr/bin/python3', 'version': [3, 11, 7], 'venv': True, 'ensurepip': False, 'pip': [20, 3]}))`,
      ),
    );
    assert.match(run(folder, "setup").err, /neither ensurepip nor pip 22\.3 or newer/);
  });

  it("without network says how to check it, and keeps what it has", () => {
    provide(folder, "python3", { link: realpathSync(python) });
    const env = {
      PIP_INDEX_URL: "http://127.0.0.1:9/simple",
      PIP_RETRIES: "1",
      PIP_CONFIG_FILE: "/dev/null",
      HTTPS_PROXY: "",
      HTTP_PROXY: "",
    };
    const { code, err } = run(folder, "setup", env);
    assert.equal(code, 1);
    assert.match(err, /The package registry cannot be reached: no network/);
    assert.doesNotMatch(err, /Traceback/);
    assert.ok(existsSync(join(folder, ".setup/venv.log")), "the whole output is kept");
  });

  it("blames the proxy where one is set", () => {
    provide(folder, "python3", { link: realpathSync(python) });
    const proxy = "http://name:secret@127.0.0.1:9";
    const { code, err } = run(folder, "setup", {
      PIP_RETRIES: "1",
      PIP_CONFIG_FILE: "/dev/null",
      HTTPS_PROXY: proxy,
      HTTP_PROXY: proxy,
    });
    assert.equal(code, 1);
    assert.match(err, /The proxy http:\/\/\*\*\*@127\.0\.0\.1:9 refuses or does not answer/);
    assert.doesNotMatch(err, /secret/);
  });

  it("goes on after it was cut off, and the lock of the dead is worth nothing", async () => {
    provide(folder, "python3", { script: `echo begun > ${join(folder, "begun")}; exec /bin/sleep 30` });
    const first = spawn(process.execPath, ["setup/run.mjs", "setup"], {
      cwd: folder,
      env: { ...process.env, PATH: join(folder, "path") },
      detached: true,
      stdio: "ignore",
    });
    while (!existsSync(join(folder, "begun"))) await sleep(20);
    const ended = once(first, "exit");
    process.kill(-first.pid!, "SIGKILL");
    await ended;
    assert.equal(readFileSync(join(folder, ".setup/lock"), "utf8"), String(first.pid));
    rmSync(join(folder, "path/python3"));
    const { err } = run(folder, "setup");
    assert.match(err, /No Python was found/, "the second run came to its end");
    assert.ok(!existsSync(join(folder, ".setup/lock")));
  });

  it("names the commands when one is wrong", () => {
    const { code, err } = run(folder, "strat");
    assert.equal(code, 2);
    assert.match(err, /there is no command "strat" There are: setup, start,/);
  });
});
