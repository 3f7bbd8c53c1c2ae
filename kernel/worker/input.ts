// `prompt` and `confirm` of cells: they ask the front end and wait, as a browser's do.
import { readSync } from "node:fs";
import { currentRun } from "./context.ts";
import { send } from "./output.ts";
import { type InputAnswer, inputFd } from "./protocol.ts";

/** Asks for a line of text. Throws where the front end takes no input, such as a headless run. */
export function prompt(text = "", { password = false }: { password?: boolean } = {}): string {
  send({ type: "input", run: currentRun(), prompt: String(text), password });
  const answer = JSON.parse(readLine()) as InputAnswer;
  if ("value" in answer) return answer.value;
  if ("refused" in answer) throw new Error(answer.refused);
  // The user stopped the cell: the interrupt thread ends this loop, and no `catch` of the cell can.
  for (;;);
}

/** Asks a question that is answered by yes or no. */
export function confirm(text = ""): boolean {
  return /^\s*y(es)?\s*$/i.test(prompt(`${text} [y/N] `));
}

function readLine(): string {
  const byte = Buffer.alloc(1);
  const bytes: number[] = [];
  while (readSync(inputFd, byte) === 1) {
    if (byte[0] === 10) return Buffer.from(bytes).toString();
    bytes.push(byte[0]);
  }
  throw new Error("the kernel has ended");
}
