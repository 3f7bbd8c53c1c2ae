// Writes a large file and reads it, for read.test.ts: in a heap that could not hold it.
import { closeSync, openSync, statSync, writeSync } from "node:fs";
import { extname } from "node:path";
import { read } from "../../recipes/data/read.ts";

const path = process.argv[2];
const kind = extname(path);
const words = "Of whales in paint; in teeth; in wood; größe. ".repeat(8);
const line = {
  ".csv": (i: number) => `${i},"${words} ""${i}""\nand a second line"\n`,
  ".jsonl": (i: number) => `${JSON.stringify({ i, text: words })}\n`,
  ".txt": (i: number) => `${i} ${words}\n`,
}[kind]!;
const file = openSync(path, "w");
if (kind === ".csv") writeSync(file, "i,text\n");
let written = 0;
for (let piece = 0; piece < 50; piece++) {
  let text = "";
  for (; text.length < 1e6; written++) text += line(written);
  writeSync(file, text);
}
closeSync(file);

const before = process.memoryUsage.rss();
let [given, extra] = [0, 0];
for await (const _ of read(path, { shuffle: 200 })) {
  given++;
  if (given % 1000 === 0) extra = Math.max(extra, process.memoryUsage.rss() - before);
}
console.log(JSON.stringify({ bytes: statSync(path).size, written, given, extra }));
