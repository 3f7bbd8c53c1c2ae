// What the compiler rehearses must not be seen: no name of it, and nothing of what cells have declared is changed.
import { deepEqual, equal, ok } from "node:assert/strict";
import { tmpdir } from "node:os";
import { createCells } from "../../kernel/compile/cells.ts";
import { rehearse } from "../../kernel/compile/rehearse.ts";

it("rehearsals end, and leave no trace", function () {
  this.timeout(60_000);
  const cells = createCells(tmpdir());
  const codes = (code: string) => cells.check("In[9]", code).diagnostics.map((found) => found.code);
  deepEqual(codes("const rate0 = 'mine'; function scale0() { return 1 }"), []);
  let steps = 1;
  while (rehearse(cells)) steps++;
  ok(steps > 1);
  equal(rehearse(cells), false);
  deepEqual(codes("rate0.toUpperCase(); scale0() + 1"), []);
  deepEqual(codes("losses0"), [2304]);
  deepEqual(codes("run1"), [2304]);
  // Cells of the same words still mean what they say.
  deepEqual(codes("let losses0: string = 1"), [2322]);
});
