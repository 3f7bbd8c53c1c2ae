// `npm run bench -- [name]`: measures beside peers. Each test/bench/<name>.ts that exports `rows` is a bench; the last line is JSON.
import { existsSync, readdirSync } from "node:fs";
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
const asked = process.argv.slice(2);
const names = asked.length
  ? asked
  : readdirSync(here)
      .filter((file) => file.endsWith(".ts") && file !== "run.ts")
      .map((file) => file.slice(0, -3));

const rows: Row[] = [];
for (const name of names) {
  const file = join(here, `${name}.ts`);
  if (!existsSync(file)) {
    console.error(`there is no bench "${name}": ${file} is missing`);
    process.exit(1);
  }
  const bench = await import(pathToFileURL(file).href);
  if (!bench.rows) {
    if (asked.length) {
      console.error(`${file} exports no rows()`);
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
