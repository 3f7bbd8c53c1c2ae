import assert from "node:assert/strict";
import { temporaryFolder } from "../made.ts";
import { faults, judgeFaults } from "./faults.ts";

describe("runner: faults", () => {
  const folder = temporaryFolder();
  let judged: Awaited<ReturnType<typeof judgeFaults>>;

  before(async function () {
    if (process.platform !== "linux") this.skip();
    this.timeout(600_000);
    judged = await judgeFaults(folder.path);
  });

  for (const { name, verdicts } of faults) {
    it(`${name}: ${verdicts.join(", ") || "is not run"}, and a message that helps`, () => {
      const { wrong, shown } = judged.get(name)!;
      assert.deepEqual(wrong, [], shown);
    });
  }
});
