import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { claimsIn, claimsTable, withTable } from "../../kernel/run/claims.ts";
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
  });

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
});
