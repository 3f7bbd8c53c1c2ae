// Errors that say what to do next: somebody reads them at night, far from the machine.

/** What went wrong outside the cells; `next` is the step that helps. */
export class Trouble extends Error {
  override name = "Trouble";
  readonly next: string;
  constructor(message: string, next: string) {
    super(message);
    this.next = next;
  }
}
