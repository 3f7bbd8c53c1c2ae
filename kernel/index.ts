// The door of the package: run notebooks headlessly, talk to any Jupyter kernel, read and write notebook files.
export {
  type ExecuteOptions,
  type Execution,
  type Kernel,
  KernelDied,
  type KernelOptions,
  startKernel,
} from "./run/client.ts";
export { findKernelspec, type Kernelspec } from "./run/kernelspec.ts";
export { type Cell, type CodeCell, type Notebook, readNotebook, writeNotebook } from "./run/notebook.ts";
export type { MimeBundle, Output } from "./run/outputs.ts";
export { ParameterError, setParameters } from "./run/parameters.ts";
export { countCells, junit, markdown, type Report } from "./run/report.ts";
export {
  type Budgets,
  type CellResult,
  defaultBudgets,
  type NotebookResult,
  type RunOptions,
  runNotebook,
  runNotebooks,
  type Verdict,
} from "./run/runner.ts";
