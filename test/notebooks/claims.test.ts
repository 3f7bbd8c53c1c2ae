import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
// @ts-expect-error jsdom comes without types
import { JSDOM } from "jsdom";
import { type ClaimRow, claimsIn, claimsTable, type StoredClaim, withTable } from "../../kernel/run/claims.ts";
import { committed, movedLines, movedSince } from "../../kernel/run/claims-moved.ts";
import { claimsPage } from "../../kernel/run/claims-page.ts";
import { writeNotebook } from "../../kernel/run/notebook.ts";
import { runNotebook } from "../../kernel/run/runner.ts";
import { type Made, notebookOf } from "../made.ts";

const root = join(import.meta.dirname, "../..");
const kit = join(root, "notebooks/kit/index.ts");

describe("npm run claims", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "whetstone-claims-"));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  /** Runs cells that import the kit, and saves them with their outputs. */
  async function run(name: string, cells: Made[]): Promise<void> {
    const path = join(folder, `${name}.ipynb`);
    writeNotebook(path, notebookOf([`import { claim, observed } from ${JSON.stringify(kit)};`, ...cells]));
    const { result, notebook } = await runNotebook(path, { quick: true });
    assert.equal(result.isPassed, true, JSON.stringify(result));
    writeNotebook(path, notebook!);
  }

  it("README's table is that of the committed notebooks", () => {
    const readme = readFileSync(join(root, "README.md"), "utf8");
    const table = claimsTable(claimsIn(join(root, "notebooks")), root);
    assert.equal(readme, withTable(readme, table), "stale: npm run claims -- --markdown README.md");
  });

  it("lists what the notebooks have stored", async () => {
    await run("02-second", ['observed("b.effect", 0.5, ">", 1, { seenAt: "7B", title: "a | b <c>" })']);
    await run("01-first", [
      'claim("a.bytes", 124_439_808, "==", 124_439_808, { title: "bytes", unit: "B", device: "cpu", kind: "exact" })',
      'claim("a.loss", 1.23456, "within", [1, 1.5], { ci: [1.1, 1.4] }); claim("a.small", 1e-7, "<", 2)',
      { source: 'claim("a.wrong", 3, "<", 2)', tags: ["raises-exception", "expect:ClaimError"] },
    ]);
    assert.deepEqual(claimsTable(claimsIn(folder), folder).split("\n"), [
      "| notebook | claim | value | target | verdict | mode | device |",
      "|---|---|---:|---|---|---|---|",
      "| [01](01-first.ipynb) | bytes (`a.bytes`) | 124,439,808 B | == 124,439,808 | ✔ holds | quick | cpu |",
      "| [01](01-first.ipynb) | `a.loss` | 1.235 (1.1 to 1.4) | within 1 to 1.5 | ✔ holds | quick |  |",
      "| [01](01-first.ipynb) | `a.small` | 1.00e-7 | &lt; 2 | ✔ holds | quick |  |",
      "| [02](02-second.ipynb) | a \\| b &lt;c> (`b.effect`) | 0.5 | > 1 | ○ does not hold here | quick |  |",
      "",
      "3 of 3 claims hold; 0 of 1 effects that the literature reports show at this size.",
    ]);
    await run("03-third", ['claim("a.loss", 1, ">", 0)']);
    assert.throws(() => claimsIn(folder), /a\.loss stands in .*01-first\.ipynb and in .*03-third\.ipynb/);
  }).timeout(120_000);

  it("counts a claim that does not hold, and has a column of devices only where one is named", () => {
    const row = (id: string, pass: boolean) => ({
      path: join(folder, "01.ipynb"),
      claim: { id, value: 3, op: "<", target: pass ? 4 : 2, pass, kind: "quality", mode: "full" },
    });
    const table = claimsTable([row("a.holds", true), row("a.fails", false)], folder).split("\n");
    assert.equal(table[0], "| notebook | claim | value | target | verdict | mode |");
    assert.match(table[3]!, /`a\.fails` \| 3 \| &lt; 2 \| ✘ does not hold \| full \|$/);
    assert.match(table.at(-1)!, /^1 of 2 claims hold; /);
  });

  it("says which claim is not whole, and where the table should go", () => {
    const notebook = notebookOf(["1"]);
    const data = { "application/vnd.claim+json": { id: "a", value: 1, op: "<", pass: true } };
    Object.assign(notebook.cells[0]!, { outputs: [{ output_type: "display_data", data, metadata: {} }] });
    writeFileSync(join(folder, "01.ipynb"), JSON.stringify(notebook));
    assert.throws(() => claimsIn(folder), /01\.ipynb, cell 1 \(c1\): a stored claim has no proper "target"/);
    assert.throws(() => withTable("# Title", "table"), /between the lines <!-- claims --> and <!-- \/claims -->/);
    const document = "a\n<!-- claims -->\nold\n<!-- /claims -->\nb";
    assert.equal(withTable(document, "new"), "a\n<!-- claims -->\nnew\n<!-- /claims -->\nb");
    assert.equal(withTable(withTable(document, "x"), "old"), document);
  });

  /** A claim in notebook 01. */
  const row = (claim: Partial<StoredClaim> & { id: string }): ClaimRow => ({
    path: join(folder, "notebooks/01.ipynb"),
    claim: { value: 1, op: "<", target: 2, pass: true, kind: "quality", mode: "full", device: "cpu", ...claim },
  });

  /** A notebook that has run and stored this claim. */
  function save(name: string, claim: StoredClaim): void {
    const notebook = notebookOf(["1"]);
    const output = { output_type: "display_data", data: { "application/vnd.claim+json": claim }, metadata: {} };
    Object.assign(notebook.cells[0]!, { outputs: [output], execution_count: 1 });
    writeNotebook(join(folder, `${name}.ipynb`), notebook);
  }

  it("names claims that have moved: by their verdict, their value beyond what is usual, how they were measured", () => {
    const pairs: [was: Partial<StoredClaim>, is: Partial<StoredClaim>, what: string | undefined][] = [
      [{}, {}, undefined],
      [{ pass: true }, { pass: false, value: 3 }, "verdict"],
      [{ pass: false, kind: "observed" }, { pass: true, kind: "observed", mode: "quick" }, "verdict"],
      [{ kind: "exact" }, { kind: "exact", value: 1.0000001 }, "value"],
      [{}, { value: 1.009 }, undefined],
      [{}, { value: 1.011 }, "value"],
      [{ ci: [0.8, 1.2] }, { value: 1.19 }, undefined],
      [{ ci: [0.8, 1.2] }, { value: 1.21 }, "value"],
      [{ kind: "speed" }, { kind: "speed", value: 1.19 }, undefined],
      [{ kind: "speed" }, { kind: "speed", value: 1.21 }, "value"],
      [{}, { value: null as unknown as number }, "value"],
      [{}, { mode: "quick", value: 9 }, "measured otherwise"],
      [{}, { device: "cuda", value: 9 }, "measured otherwise"],
      // Claims of old name no device.
      [{ device: undefined }, { device: "cpu" }, undefined],
      [{ target: 2 }, { target: 3 }, "target"],
      [{ op: "<" }, { op: "<=" }, "target"],
      [{ target: 2 }, { target: 2.000000001 }, undefined],
    ];
    for (const [was, is, what] of pairs) {
      const [found] = movedSince([row({ id: "a", ...was })], [row({ id: "a", ...is })]);
      assert.equal(found?.what, what, JSON.stringify([was, is]));
    }
    const moved = movedSince(
      [row({ id: "a" }), row({ id: "old" })],
      [row({ id: "new", unit: "B" }), row({ id: "a", value: 5, pass: false })],
    );
    assert.deepEqual(movedLines(moved, "HEAD"), [
      "3 claims have moved since HEAD:",
      "  new: new: 1 B < 2, ✔ holds",
      "  a: verdict: 1 < 2, ✔ holds -> 5 < 2, ✘ does not hold",
      "  old: gone: 1 < 2, ✔ holds",
    ]);
    assert.deepEqual(movedLines([], "HEAD~1"), ["No claim has moved since HEAD~1."]);
    assert.deepEqual(movedLines([], undefined), ["Nothing to compare with: this is no git repository."]);
  });

  it("reads the claims of a revision from git, and says when there is none of that name", () => {
    mkdirSync(join(folder, "notebooks"));
    const git = (...args: string[]) => {
      const settings = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"];
      const { status, stderr } = spawnSync("git", [...settings, ...args], { cwd: folder, encoding: "utf8" });
      assert.equal(status, 0, stderr);
    };
    assert.equal(committed(folder, "notebooks", "HEAD"), undefined);
    git("init", "-q");
    for (const value of [1, 2]) {
      save("notebooks/01-first", row({ id: "a.loss", value }).claim);
      git("add", "notebooks");
      git("commit", "-q", "-m", "run");
    }
    const values = (revision: string) =>
      committed(folder, "notebooks", revision)!.map(({ path, claim }) => [path, claim.value]);
    const path = join(folder, "notebooks/01-first.ipynb");
    assert.deepEqual(values("HEAD"), [[path, 2]]);
    assert.deepEqual(values("HEAD~1"), [[path, 1]]);
    const [moved] = movedSince(committed(folder, "notebooks", "HEAD~1")!, claimsIn(join(folder, "notebooks")));
    assert.deepEqual([moved!.id, moved!.what], ["a.loss", "value"]);
    assert.throws(() => committed(folder, "notebooks", "v9"), /git knows no revision v9/);
  });

  it("a claim says on which device it was measured, where the engine is there", async () => {
    const engine = JSON.stringify(join(root, "engine/index.ts"));
    const cell = `import { tf } from ${engine};\nclaim("a.sum", tf.sum([1, 2]).dataSync()[0]!, "==", 3)`;
    await run("01-first", [cell]);
    const [{ claim }] = claimsIn(folder) as [ClaimRow];
    assert.match(claim.device!, /^(cpu|cuda|webgpu|wasm)$/);
    assert.equal(claim.mode, "quick");
  }).timeout(120_000);

  it("the page has every claim, what has moved, no script, and nothing that a title could smuggle in", () => {
    const evil = '<img src=x onerror="alert(1)"> & "quotes"';
    const rows = [
      row({ id: "a.good", title: evil, unit: "<b>" }),
      row({ id: "a.bad", pass: false }),
      row({ id: "a.absent", pass: false, kind: "observed" }),
    ];
    const moved = movedSince([row({ id: "a.bad" }), row({ id: "a.lost" })], rows);
    const { document } = new JSDOM(claimsPage(rows, moved, folder, "HEAD")).window;
    assert.equal(document.querySelectorAll("script, img, b, [onerror]").length, 0);
    assert.match(document.querySelector("meta[http-equiv]")!.getAttribute("content")!, /default-src 'none'/);
    const lines = [...document.querySelectorAll("tbody tr:not(.notebook)")];
    assert.deepEqual(
      lines.map(({ className }) => className),
      ["holds", "fails", "absent"],
    );
    assert.ok(lines[0]!.textContent!.includes(evil));
    assert.match(lines[1]!.textContent!, /verdict: was 1 < 2, ✔ holds/);
    assert.equal(document.querySelector(".notebook a")!.getAttribute("href"), "notebooks/01.ipynb");
    assert.match(document.body.textContent!, /1 of 2 claims hold; 0 of 1 effects.*4 moved since HEAD/s);
    assert.match(document.body.textContent!, /Gone since HEAD: a\.lost/);
  });

  it("the command writes the page, compares, and takes the notebooks of another folder", () => {
    save("01-first", row({ id: "a.own", op: "==", target: 1 }).claim);
    const command = (...args: string[]) => {
      const { stdout, stderr, status } = spawnSync(process.execPath, [join(root, "kernel/run/claims.ts"), ...args], {
        encoding: "utf8",
      });
      return { text: stdout + stderr, status };
    };
    const page = join(folder, "board.html");
    const done = command("--from", folder, "--html", page);
    assert.equal(done.status, 0, done.text);
    assert.match(
      done.text,
      /board\.html: 1 claims, written\n\d+ claims have moved since HEAD:\n {2}a\.own: new: 1 == 1, ✔ holds\n/,
    );
    assert.match(readFileSync(page, "utf8"), /<code>a\.own<\/code>/);
    const wrong = command("--against", "no-such-revision");
    assert.deepEqual([wrong.status, /git knows no revision no-such-revision/.test(wrong.text)], [2, true]);
  }).timeout(120_000);
});
