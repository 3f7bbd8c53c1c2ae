// The table of hosts and platforms in environment.md, and the Dockerfile: each line is tested by a test that is there, or says "untested".
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "../..");
const read = (path: string) => readFileSync(join(root, path), "utf8");

describe("hosts and platforms", () => {
  const section = read("environment.md").split("## Hosts and platforms")[1]!.split("\n## ")[0]!;
  const rows = section
    .split("\n")
    .filter((line) => /^\| (?!host|-)/.test(line) && !line.startsWith("|---"))
    .map((line) =>
      line
        .split("|")
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );

  it("each line names the tests that are there, or says that there is none", () => {
    assert.ok(rows.length >= 12);
    for (const [host, , by] of rows) {
      const tests = [...by!.matchAll(/`(test\/[^`]+)`/g)].map(([, path]) => path!);
      assert.ok(by === "all tests" || by!.startsWith("untested") || tests.length > 0, `${host}: ${by}`);
      for (const test of tests) assert.ok(existsSync(join(root, test)), `${host}: there is no ${test}`);
    }
  });

  it("none that people ask for is missing", () => {
    const text = rows.map(([host]) => host).join("\n");
    for (const host of [
      "JupyterLab",
      "nbclient",
      "papermill",
      "nbconvert",
      "GitHub",
      "VS Code",
      "JupyterHub",
      "Binder",
    ])
      assert.match(text, new RegExp(host));
    for (const platform of ["Linux", "ARM", "macOS", "Windows", "WSL2", "Docker", "GPU"])
      assert.match(text, new RegExp(platform));
  });

  it("what a test is named for is in it", () => {
    for (const [test, word] of [
      ["test/kernel/test_nbclient.py", /NotebookClient/],
      ["test/kernel/test_install.py", /"papermill"/],
      ["test/kernel/test_install.py", /"nbconvert"/],
      ["test/kernel/test_install.py", /console/],
      ["test/interop/notebooks.test.ts", /JupyterLab Dark/],
    ] as const)
      assert.match(read(test), word);
  });
});

describe("the Dockerfile", () => {
  const lines = read("Dockerfile")
    .replace(/\\\n\s*/g, "")
    .split("\n");
  const steps = lines.filter((line) => line && !line.startsWith("#"));
  const values = (name: string) =>
    steps.flatMap((line) => (line.startsWith(`${name} `) ? [line.slice(name.length + 1)] : []));
  const [, shell] = /```sh\n([\s\S]*?)```/.exec(read("README.md"))!;
  const commands = shell!
    .split("\n")
    .map((line) => line.replace(/ *#.*/, "").trim())
    .filter(Boolean);

  it("starts what the README starts, and says how to run its other command", () => {
    assert.deepEqual(commands, ["npm start", "npm test"]);
    const [start] = values("CMD").map((text) => JSON.parse(text) as string[]);
    assert.equal(start!.slice(0, 2).join(" "), commands[0]);
    assert.match(lines.filter((line) => line.startsWith("#")).join("\n"), new RegExp(`docker run .*${commands[1]}`));
    const { scripts } = JSON.parse(read("package.json"));
    for (const run of values("RUN").filter((text) => text.startsWith("npm ")))
      assert.ok(scripts[/^npm run (\S+)$/.exec(run)![1]!], run);
  });

  it("has what environment.md asks for: Node, git, Python with venv and pip, an account that is not root", () => {
    assert.deepEqual(
      [...new Set(steps.map((line) => line.split(" ")[0]))].sort(),
      "CMD COPY EXPOSE FROM RUN USER WORKDIR".split(" "),
    );
    assert.ok(Number(/^node:(\d+)-/.exec(values("FROM")[0]!)![1]) >= 20);
    const installed = values("RUN")[0]!;
    for (const name of ["git", "python3", "python3-venv", "python3-pip"])
      assert.match(installed, new RegExp(` ${name} `));
    assert.notEqual(values("USER").at(-1), "root");
    assert.ok(
      steps.findIndex((line) => line.startsWith("USER")) < steps.findIndex((line) => line.includes("npm run setup")),
    );
  });

  it("takes nothing along that set-up made on this machine", () => {
    const left = read(".dockerignore")
      .split("\n")
      .map((line) => line.replace(/^\*\*\/|\/$/g, ""));
    const made = read(".gitignore")
      .split("\n")
      .filter((line) => /^[\w./*-]+\/$/.test(line) && !line.startsWith("!"))
      .map((line) => line.slice(0, -1));
    assert.ok(made.length > 6);
    for (const folder of made)
      assert.ok(
        left.some((one) => one === folder || (one.endsWith("*") && folder.startsWith(one.slice(0, -1)))),
        folder,
      );
  });

  it("says that it is untested, as environment.md does", () => {
    assert.match(lines.join("\n"), /^# Untested/m);
    assert.match(read("environment.md"), /\| Docker \|.*\| untested/);
  });
});
