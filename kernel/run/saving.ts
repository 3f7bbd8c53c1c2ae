// What a run has so far is saved all the time: it survives whatever happens to this process.
import { type Notebook, writeNotebook } from "./notebook.ts";
import { type Journal, writeJournal } from "./past.ts";
import type { NotebookResult } from "./result.ts";

const savePauseMs = 2000;

/** Saves what running notebooks have shown, and how far the run has come, all the time. */
export function keepSaved(reports: string, journal: Journal, placeOf: (name: string) => string) {
  const unsaved = new Map<string, Notebook>();
  const save = (name: string, notebook: Notebook) => {
    unsaved.delete(name);
    writeNotebook(placeOf(name), notebook);
  };
  const saveAll = () => {
    for (const [name, notebook] of unsaved) save(name, notebook);
    writeJournal(reports, journal);
  };
  saveAll();
  const timer = setInterval(saveAll, savePauseMs);
  return {
    atCell(path: string, position: number) {
      journal.passed[path] = position - 1;
    },
    shown: (name: string, notebook: Notebook) => void unsaved.set(name, notebook),
    ended(result: NotebookResult, notebook: Notebook | undefined, isStopped: boolean) {
      if (notebook !== undefined) save(result.name, notebook);
      if (isStopped && !result.isPassed) return;
      delete journal.passed[result.path];
      if (!journal.done.some(({ path }) => path === result.path)) journal.done.push(result);
    },
    end(isStopped: boolean) {
      clearInterval(timer);
      journal.isFinished = !isStopped;
      saveAll();
    },
  };
}
