import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { findKernelspec, kernelspecFolders } from "../../kernel/run/kernelspec.ts";
import { temporaryFolder } from "../made.ts";

describe("runner: kernelspecs", () => {
  const folder = temporaryFolder();
  const kernels = join(folder.path, "share/jupyter/kernels");
  const write = (name: string, spec: unknown) => {
    mkdirSync(join(kernels, name), { recursive: true });
    writeFileSync(join(kernels, name, "kernel.json"), typeof spec === "string" ? spec : JSON.stringify(spec));
  };
  const find = (name: string) => findKernelspec(name, [join(folder.path, "none"), kernels]);

  it("finds a kernel by its name, whatever the case, or by the path of its folder", () => {
    write("Deno", { argv: ["deno", "jupyter", "--conn", "{connection_file}"], interrupt_mode: "message" });
    const spec = find("deno");
    assert.deepEqual([spec.name, spec.argv[0], spec.interrupt_mode], ["Deno", "deno", "message"]);
    assert.deepEqual(find(join(kernels, "Deno")), spec);
    assert.deepEqual(find(join(kernels, "Deno/kernel.json")), spec);
  });

  it("takes the Python of the environment that the spec stands in", () => {
    const argv = ["python", "-m", "ipykernel_launcher", "-f", "{connection_file}"];
    write("python3", { argv });
    assert.equal(find("python3").argv[0], "python");
    mkdirSync(join(folder.path, "bin"));
    writeFileSync(join(folder.path, "bin/python"), "");
    assert.deepEqual(find("python3").argv, [join(folder.path, "bin/python"), ...argv.slice(1)]);
  });

  it("says what is wrong with a spec, and which there are", () => {
    write("cut", '{"argv": [');
    write("empty", { argv: [] });
    write("gone", { argv: [join(folder.path, "gone/node")] });
    assert.throws(() => find("cut"), /cannot read the kernelspec .*cut.kernel\.json/);
    assert.throws(() => find("empty"), /has argv = \[\], not a list of texts/);
    assert.throws(() => find("gone"), /starts .*gone.node, which does not exist/);
    assert.throws(() => find("nobody"), /no kernelspec "nobody"; there are: .*Deno.*Looked in .*none/);
  });

  it("looks where Jupyter does, in the project first", () => {
    const folders = kernelspecFolders({ HOME: "/h", JUPYTER_PATH: ["/a", "/b"].join(delimiter), VIRTUAL_ENV: "/v" });
    const at = (start: string) => folders.findIndex((path) => path.startsWith(start));
    assert.ok(folders[0]!.endsWith(join(".venv/share/jupyter/kernels")));
    assert.ok(
      0 < at("/a") && at("/a") < at("/b") && at("/b") < at("/h") && at("/h") < at("/v") && at("/v") < at("/usr"),
    );
    const data = kernelspecFolders({ HOME: "/h", JUPYTER_DATA_DIR: "/d" });
    assert.ok(data.includes(join("/d/kernels")) && !data.some((path) => path.startsWith("/h")));
  });
});
