// V8 runs what it has seen often several times faster, and a snapshot keeps none of that: the checks of the first hundreds of cells take 0.7 ms each,
// after a rehearsal 0.35.
import { setFlagsFromString } from "node:v8";
import { augmentationsOf, bindCell, decoratorsOf, parseCell, specifiersOf } from "./cell-file.ts";
import type { Cells } from "./cells.ts";
import { emit } from "./emit.ts";
import type { LivingChecker } from "./internals.ts";
import { createScope, type Scope } from "./scope.ts";

/** Rounds over all scenes, until V8 has compiled what they use. */
const rounds = 30;

/** Cells as people write them; each round has names and numbers of its own. */
const scenes = [
  (n: number) => `const rate${n} = ${n} / 10; rate${n} * 2`,
  (n: number) => `function scale${n}(x: number, by = ${n}) { return x * by + rate${n} } scale${n}(2)`,
  (n: number) => `let losses${n}: number[] = [1, ${n}].map((x) => scale${n}(x)); losses${n}.length`,
  (n: number) =>
    `interface Run${n} { name: string; losses: number[] } const run${n}: Run${n} = { name: "a", losses: losses${n} };`,
  (n: number) => `for (const [i, loss] of run${n}.losses.entries()) if (loss > ${n}) console.log(i, \`loss \${loss}\`)`,
];

/**
 * From the first rehearsal on V8 looks at what a function does from its first call on, and compiles it after a few more; by default the numbers are 8,
 * 400 and 500. Set before the first cell, they would cost that 10 ms.
 */
const eager = [
  "--invocation-count-for-feedback-allocation=1",
  "--invocation-count-for-maglev=15",
  "--minimum-invocations-after-ic-update=5",
];

let isEager = false;
let checker: LivingChecker | undefined;
let stage: Scope = createScope();
let turn = 0;

/** Milliseconds of one step: a cell that comes meanwhile waits for it. */
const stepMs = 2;

/** Checks and emits cells on a stage of their own for a moment. Returns whether more of it is of use; a new program has all of it before it. */
export function rehearse({ project }: Cells): boolean {
  if (!isEager) for (const flag of eager) setFlagsFromString(flag);
  isEager = true;
  if (checker !== project.checker) {
    checker = project.checker;
    turn = 0;
  }
  for (const end = performance.now() + stepMs; turn < rounds * scenes.length; turn++) {
    if (performance.now() >= end) return true;
    if (turn % scenes.length === 0) stage = createScope();
    play(scenes[turn % scenes.length]!(Math.floor(turn / scenes.length)));
  }
  stage = createScope();
  return false;

  /** What `check` in cells.ts does, without what it changes. */
  function play(code: string) {
    const { file, shift } = parseCell("rehearsal", code, project);
    specifiersOf(file, project.options.compiler);
    augmentationsOf(file);
    decoratorsOf(file);
    bindCell(file, stage.around, project);
    project.checker.getDiagnostics(file);
    stage.publish(file, project.checker);
    emit(file, { compiler: project.options.compiler, groups: new Map(), first: [], shift, inserted: [] });
  }
}
