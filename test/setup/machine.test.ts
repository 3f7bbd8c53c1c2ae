// What set-up decides about a machine, and how it explains what went wrong.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import lock from "../../package-lock.json" with { type: "json" };
import { CallFailed } from "../../setup/call.mjs";
import { cudaRequirements, tensorflowFor } from "../../setup/libtensorflow.mjs";
import { npmDone } from "../../setup/npm.mjs";
import { explain } from "../../setup/trouble.mjs";

const root = join(import.meta.dirname, "../..");
const where = { path: "/clone/.venv", log: "/clone/.setup/venv.log" };
const failed = (output: string) => explain(new CallFailed("pip install", "exit code 1", output), where);

describe("the machine", () => {
  it("gets the smallest TensorFlow that fits", () => {
    const wheel = (platform: NodeJS.Platform, arch: NodeJS.Architecture, nvidia: boolean) =>
      tensorflowFor(platform, arch, nvidia);
    assert.deepEqual(wheel("linux", "x64", false), {
      name: "tensorflow-cpu",
      platform: "manylinux_2_27_x86_64",
      variant: "cpu",
    });
    assert.deepEqual(wheel("linux", "x64", true), {
      name: "tensorflow",
      platform: "manylinux_2_27_x86_64",
      variant: "cuda",
    });
    assert.deepEqual(wheel("darwin", "arm64", false), {
      name: "tensorflow",
      platform: "macosx_12_0_arm64",
      variant: "cpu",
    });
    assert.match(
      (wheel("win32", "x64", false) as { none: string }).none,
      /no library for win32-x64; the engine runs on WASM/,
    );
  });

  it("takes the CUDA libraries that the wheel names", () => {
    const metadata = 'Requires-Dist: nvidia-cublas-cu12<13.0,>=12.5; extra == "and-cuda"\nRequires-Dist: numpy\n';
    assert.deepEqual(cudaRequirements(metadata), ["nvidia-cublas-cu12<13.0,>=12.5"]);
    assert.throws(() => cudaRequirements("Requires-Dist: numpy"), /names no nvidia-\* package/);
  });

  it("tells a full disk, a certificate, and what it does not know apart", () => {
    assert.match(failed("OSError: [Errno 28] No space left on device"), /The disk that holds \/clone\/\.venv is full/);
    assert.match(
      failed("ssl.SSLCertVerificationError: CERTIFICATE_VERIFY_FAILED"),
      /certificate of the package registry is not trusted/,
    );
    const unknown = failed("one\ntwo\nsomething new");
    assert.match(unknown, /something new/);
    assert.match(unknown, /whole output is in \/clone\/\.setup\/venv\.log/);
  });

  it("has a lock file without download addresses, and the packages in it", () => {
    const withAddress = Object.entries(lock.packages).filter(
      ([, entry]) => "resolved" in entry && /^https?:/.test(String(entry.resolved)),
    );
    assert.deepEqual(
      withAddress.map(([path]) => path),
      [],
    );
    assert.ok(npmDone());
    assert.equal(lock.packages["node_modules/typescript"].version, "6.0.3");
  });

  it("gives danfojs the project's own tfjs, so that one engine is in the process", () => {
    const code = `
      import { createRequire } from "node:module";
      const danfo = createRequire(createRequire(import.meta.url).resolve("danfojs-node"));
      const own = createRequire(import.meta.url);
      console.log(danfo.resolve("@tensorflow/tfjs-core") === own.resolve("@tensorflow/tfjs-core"), own("xlsx/package.json").version);`;
    const { stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", code], {
      cwd: root,
      encoding: "utf8",
    });
    assert.equal(stdout.trim(), "true 0.18.5", stderr);
  });

  it("sees within two seconds that nothing is missing", () => {
    const begin = performance.now();
    const { status, stdout, stderr } = spawnSync(process.execPath, [join(root, "setup/run.mjs"), "setup"], {
      encoding: "utf8",
    });
    // Where a step failed on this machine (no Python), the second run tries again, and that is right.
    if (status !== 0) assert.match(stderr, /cannot go on without/);
    else {
      assert.match(stdout, /set up in \d\.\d s/);
      assert.ok(performance.now() - begin < 10_000, "far more than two seconds");
    }
  });
});
