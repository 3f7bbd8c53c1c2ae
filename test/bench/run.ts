// `npm run bench -- [name]`: measures beside peers. Each file that exports `rows` is a bench, or part of the bench its folder names; the last line is JSON.
import { globSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

/** One figure: the id is the one of the issue that sets its bar. */
export interface Row {
  id: string;
  value: number;
  unit: string;
  /** what was measured beside it, for the table */
  note?: string;
}

const here = import.meta.dirname;
// A bench is test/bench/<name>.ts, or a folder of them; `engine/eager` is one of a folder.
const files = globSync("{*,*/*}.ts", { cwd: here })
  .map((file) => file.replaceAll("\\", "/").slice(0, -3))
  .filter((name) => name !== "run")
  .sort();
const asked = process.argv.slice(2);
for (const name of asked) {
  if (files.some((file) => file === name || file.startsWith(`${name}/`))) continue;
  console.error(`there is no bench "${name}"; there are ${files.join(", ")}`);
  process.exit(1);
}
const names = files.filter(
  (file) => !asked.length || asked.some((name) => file === name || file.startsWith(`${name}/`)),
);

const rows: Row[] = [];
for (const name of names) {
  const bench = await import(pathToFileURL(join(here, `${name}.ts`)).href);
  if (!bench.rows) {
    if (asked.includes(name)) {
      console.error(`${name}.ts exports no rows()`);
      process.exit(1);
    }
    continue; // what benches share, such as a model
  }
  for await (const row of bench.rows() as AsyncIterable<Row>) {
    rows.push(row);
    console.log(
      `${row.id.padEnd(36)} ${row.value.toPrecision(4).padStart(10)} ${row.unit.padEnd(8)} ${row.note ?? ""}`,
    );
  }
}
console.log(JSON.stringify(rows.map(({ id, value, unit }) => ({ id, value, unit }))));
