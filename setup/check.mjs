// @ts-check
// `npm run check`: types and lint, as the tests do.
import { spawnSync } from "node:child_process";
import { root } from "./place.mjs";

const tools = [
  ["node_modules/typescript/bin/tsc", "--noEmit"],
  ["node_modules/@biomejs/biome/bin/biome", "check", ...process.argv.slice(2)],
];
let bad = false;
for (const tool of tools) bad = spawnSync(process.execPath, tool, { cwd: root, stdio: "inherit" }).status !== 0 || bad;
process.exitCode = bad ? 1 : 0;
