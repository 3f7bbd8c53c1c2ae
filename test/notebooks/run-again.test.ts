import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { CodeCell } from "../../kernel/run/notebook.ts";
import { readNotebook, writeNotebook } from "../../kernel/run/notebook.ts";
import type { Report } from "../../kernel/run/report.ts";
import { temporaryFolder, until } from "../made.ts";

const cli = join(import.meta.dirname, "../../kernel/run/cli.ts");

function start(cwd: string, args: string[]) {
  const child = spawn(process.execPath, [cli, ...args], {
    cwd,
    env: { ...process.env, WHETSTONE_QUICK: "" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => (said += text));
  const ended = new Promise<{ code: number | null; said: string }>((resolve) => {
    child.on("close", (code) => resolve({ code, said }));
  });
  return { child, ended };
}

describe("npm run notebooks: what need not be run again", () => {
  const folder = temporaryFolder();
  const at = (...names: string[]) => join(folder.path, ...names);
  const run = async (...args: string[]) => {
    const { code, said } = await start(folder.path, [...args, "--reports", "out"]).ended;
    const { notebooks } = JSON.parse(readFileSync(at("out/notebooks.json"), "utf8")) as Report;
    return { code, said, kept: notebooks.filter(({ isCached }) => isCached).map(({ name }) => name), notebooks };
  };
  const shown = (name: string) =>
    readNotebook(at("out/executed", `${name}.ipynb`)).cells.flatMap((cell) =>
      ((cell as CodeCell).outputs ?? []).flatMap((output) =>
        "data" in output ? String(output.data["text/plain"]) : [],
      ),
    );

  it("a notebook runs again when its code, a file that it imports or reads, or a parameter has changed, and says why", async () => {
    mkdirSync(at("recipes"));
    mkdirSync(at("data"));
    writeFileSync(at("recipes/inner.ts"), "export const two = 2;\n");
    writeFileSync(at("recipes/outer.ts"), "import { two } from './inner.ts';\nexport const four = two * 2;\n");
    writeFileSync(at("data/a.txt"), "text");
    const cells = [
      "# a title",
      { source: "const steps = 5;", tags: ["parameters"] },
      "import { readFileSync, readdirSync, writeFileSync } from 'node:fs';\nimport { four } from './recipes/outer.ts';",
      "[readFileSync('data/a.txt', 'utf8'), readdirSync('data').length, four, steps].join(' ')",
      "writeFileSync('made.txt', String(Math.random())); readFileSync('made.txt').length > 0",
    ];
    const path = folder.make("reads", cells);
    folder.make("other", ["1"]);
    const names = ["reads", "other"];
    assert.deepEqual((await run(...names)).kept, []);
    assert.equal(shown("reads")[0], "'text 1 4 5'");

    const again = await run(...names);
    assert.deepEqual(again.kept, names);
    assert.equal(again.code, 0);
    assert.match(again.said, /5 passed, 0 failed \(.*2 of them unchanged since they passed: --fresh/);
    assert.equal(shown("reads")[0], "'text 1 4 5'", "the outputs are there all the same");
    assert.deepEqual((await run(...names, "--fresh")).kept, []);
    assert.deepEqual((await run(...names)).kept, names);

    const changes: [string, () => void, RegExp, string][] = [
      ["an import of an import", () => writeFileSync(at("recipes/inner.ts"), "export const two = 3;\n"), /inner\.ts has changed/, "'text 1 6 5'"], // biome-ignore format: a table
      ["data", () => writeFileSync(at("data/a.txt"), "more text"), /a\.txt has changed/, "'more text 1 6 5'"],
      ["a folder that it lists", () => writeFileSync(at("data/b.txt"), ""), /data has changed/, "'more text 2 6 5'"],
      ["code", () => writeNotebook(path, edited(path, "steps = 5", "steps = 7")), /its code/, "'more text 2 6 7'"],
      ["packages", () => writeFileSync(at("package-lock.json"), "{}"), /its packages/, "'more text 2 6 7'"],
    ];
    for (const [what, change, why, result] of changes) {
      change();
      const { kept, said } = await run("reads");
      assert.deepEqual(kept, [], what);
      assert.match(said, why, what);
      assert.equal(shown("reads")[0], result, what);
    }
    assert.deepEqual((await run("reads", "--set", "steps=9")).kept, []);
    assert.deepEqual((await run("reads", "--quick")).kept, []);
    assert.deepEqual((await run("reads", "--set", "steps=9")).kept, ["reads"]);
    assert.equal(shown("reads").includes("'more text 2 6 9'"), true);

    // What changes nothing: another time of change, another text cell.
    utimesSync(at("data/a.txt"), new Date(), new Date());
    writeNotebook(path, edited(path, "# a title", "# another title"));
    assert.deepEqual((await run("reads")).kept, ["reads"]);
    assert.equal(readNotebook(at("out/executed/reads.ipynb")).cells[0]!.source, "# another title");
  }).timeout(600_000);

  it("--from-failed runs what did not pass the last time, until all has", async () => {
    rmSync(at("out"), { recursive: true, force: true });
    folder.make("good", ["1"]);
    const bad = folder.make("bad", ["throw new Error('no')"]);
    const all = ["good", "bad"];
    assert.equal((await run(...all)).code, 1);
    const second = await run(...all, "--from-failed");
    assert.deepEqual([second.code, second.notebooks.map(({ name }) => name)], [1, ["bad"]]);
    writeNotebook(bad, edited(bad, "throw new Error('no')", "2"));
    assert.equal((await run(...all, "--from-failed")).code, 0);
    const last = await run(...all, "--from-failed");
    assert.match(last.said, /every notebook passed when it was run last/);
    assert.equal(last.code, 0);
  }).timeout(400_000);

  it("--compare and --repeat: what a cell shows must be what it showed", async () => {
    const path = folder.make("shows", ["1.0001", { source: "Math.random()", tags: ["volatile"] }, "'a'"]);
    const written = await run("shows", "--write");
    assert.equal(written.code, 0, written.said);
    const same = await run("shows", "--compare");
    assert.deepEqual([same.code, same.kept], [0, []], same.said);
    writeNotebook(path, edited(path, "1.0001", "1.0003"));
    assert.equal((await run("shows", "--compare")).code, 0);
    writeNotebook(path, edited(path, "1.0003", "1.5"));
    const { code, said } = await run("shows", "--compare");
    assert.equal(code, 1);
    assert.match(said, /shows\.ipynb, cell 1 \(c1\): error[\s\S]*output 1 \(execute_result\) differs from the one in the file: text\/plain: 1\.0001 → 1\.5/); // biome-ignore format: one line
    assert.match(said, /Next: if the new output is right, run it with --write/);
    folder.make("chance", ["1", "Math.random() + 1"]);
    const twice = await run("chance", "--repeat", "3");
    assert.equal(twice.code, 1);
    assert.match(twice.said, /cell 2 \(c2\): error[\s\S]*differs from that of the first of 2 runs/);
    assert.equal((await run("good", "--repeat", "2")).code, 0);
  }).timeout(400_000);

  it("--resume goes on with a run that was stopped: what had ended stays, what was cut runs to its end", async () => {
    folder.make("a-done", ["'done'"]);
    folder.make("b-cut", [
      { source: "const wanted = 'full';", tags: ["parameters"] },
      "import { appendFileSync, existsSync } from 'node:fs';\nappendFileSync('b.log', 'x');",
      "appendFileSync('b.at', '');\nwhile (!existsSync('go')) await new Promise((done) => setTimeout(done, 20));\n1",
      "'end'",
    ]);
    folder.make("c-waits", ["'late'"]);
    const args = ["a-done", "b-cut", "c-waits", "--workers", "1", "--reports", "cut", "--quick"];
    const first = start(folder.path, args);
    await until("the third cell", () => existsSync(at("b.at")), 60);
    first.child.kill("SIGTERM");
    const stopped = await first.ended;
    assert.equal(stopped.code, 143);
    assert.match(stopped.said, /Next: npm run notebooks -- --resume/);
    writeFileSync(at("go"), "");
    const resumed = await start(folder.path, ["--resume", "--reports", "cut"]).ended;
    assert.equal(resumed.code, 0, resumed.said);
    assert.match(resumed.said, /b-cut {2}its first 2 cells run again, to bring back their variables/);
    const report = JSON.parse(readFileSync(at("cut/notebooks.json"), "utf8")) as Report;
    assert.deepEqual(report.notebooks.map(({ name, isPassed, resumedAfter }) => [name, isPassed, resumedAfter]), [["a-done", true, undefined], ["b-cut", true, 2], ["c-waits", true, undefined]]); // biome-ignore format: a table
    assert.equal(report.mode, "quick", "the mode is that of the run that was stopped");
    assert.equal(readFileSync(at("b.log"), "utf8"), "xx");
    const nothing = await start(folder.path, ["--resume", "--reports", "cut"]).ended;
    assert.equal(nothing.code, 2);
    assert.match(nothing.said, /the last run came to its end[\s\S]*Next: --from-failed/);
    const none = await start(folder.path, ["--resume", "--reports", "never"]).ended;
    assert.match(none.said, /no run was stopped/);
    assert.equal(none.code, 2);
    const own = await start(folder.path, ["good", "--resume"]).ended;
    assert.match(own.said, /--resume takes the files and options of the run that was stopped/);
  }).timeout(400_000);

  it("--coverage counts the lines of a folder that were executed", async () => {
    mkdirSync(at("counted"));
    writeFileSync(at("counted/used.ts"), "export function half(n: number): number {\n  if (n > 100) {\n    return -1;\n  }\n  return n / 2;\n}\nexport const never = () => 3;\n"); // biome-ignore format: lines
    writeFileSync(at("counted/unused.ts"), "export const a = 1;\n\nexport type B = number;\n");
    folder.make("counts", ["import { half } from './counted/used.ts';", "half(4)"]);
    await run("counts");
    const { said, code } = await run("counts", "--coverage", "counted");
    assert.equal(code, 0, said);
    const { coverage } = JSON.parse(readFileSync(at("out/notebooks.json"), "utf8")) as Report;
    const [unused, used] = coverage!;
    assert.deepEqual([unused!.covered, unused!.lines, unused!.missed], [0, 1, [1]]);
    assert.deepEqual([used!.covered, used!.lines, used!.missed], [2, 4, [3, 7]]);
    assert.match(
      readFileSync(at("out/notebooks.md"), "utf8"),
      /\| counted\/used\.ts \| 50 % \| 4 \| 3, 7 \||used\.ts \| 50 %/,
    );
    assert.match((await start(folder.path, ["counts", "--coverage", "nowhere"]).ended).said, /there is no such folder/);
  }).timeout(400_000);
});

function edited(path: string, from: string, to: string) {
  const notebook = readNotebook(path);
  const cell = notebook.cells.find(({ source }) => source.includes(from))!;
  assert.ok(cell, `no cell has ${from}`);
  cell.source = cell.source.replace(from, to);
  return notebook;
}
