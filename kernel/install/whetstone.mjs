#!/usr/bin/env node
// The command `whetstone`. Plain JavaScript, so that an old Node can say what it lacks.

const oldest = 24;
const { node } = process.versions;
if (Number(node.split(".")[0]) >= oldest) await import("./cli.ts");
else {
  console.error(
    `whetstone: the kernel runs on Node ${oldest} or newer, and this is Node ${node} (${process.execPath}): start whetstone with a newer one`,
  );
  process.exitCode = 1;
}
