// What the front and the user's process say to each other, and on which file descriptors of the latter.

/** Written by the worker: its own text, as frames, and what children and native code write, as raw bytes. */
export const stdoutFd = 1;
export const stderrFd = 2;
/** Messages of the worker: packets, see packets.ts. */
export const messageFd = 3;
/** Requests to the worker: packets. */
export const requestFd = 4;
/** Interrupts: four bytes, little-endian, the run that is meant. Read by a thread, so that a busy worker hears them too. */
export const interruptFd = 5;
/** Answers to `prompt` and `confirm`: lines of JSON, read while the caller waits. */
export const inputFd = 6;

/** Cells that the compiler hands over, as packets; only where `channelVariable` is set. */
export const channelFd = 7;
export const channelVariable = "WHETSTONE_CHANNEL";

/** The environment variable that brings the mark of frames to the worker. */
export const markVariable = "WHETSTONE_FRAME_MARK";

/** A frame on stdout or stderr: mark (8 bytes), sequence number, run, length (uint32 each, little-endian), text. */
export const frameHead = 20;

/** One cell to run. `run` counts executions, `name` is what tracebacks call the cell: `In[3]`. */
export interface RunRequest {
  run: number;
  name: string;
  /** What V8 runs. */
  js: string;
  /** What the user wrote: tracebacks quote it. */
  code: string;
  /** Expressions to evaluate after the cell, by name. */
  expressions: Record<string, string>;
  /** Says that nothing of a silent run is shown: its value is not even formatted. */
  silent: boolean;
  /** Says that the cell tells how long it takes. */
  isTimed?: boolean;
}

/** A comm message of a client, for the cells' code. Its `run` is its own: what it causes belongs to it. */
export interface CommRequest {
  type: "comm";
  run: number;
  kind: CommKind;
  content: { comm_id: string; target_name?: string; data?: unknown };
  metadata: Record<string, unknown>;
}

export type CommKind = "comm_open" | "comm_msg" | "comm_close";

/** A question for the values of variables. */
export interface VariablesRequest {
  type: "variables";
  run: number;
  ask: /** All of these, with the types that TypeScript knows. */
    | { what: "all"; names: { name: string; type: string }[] }
    /** What is in the one with this number. */
    | { what: "parts"; reference: number }
    /** One line about the value of one. */
    | { what: "preview"; name: string }
    /** How one of them is displayed. */
    | { what: "view"; name: string };
}

/** A variable as the Debug Adapter Protocol has it. */
export interface Variable {
  name: string;
  value: string;
  /** JupyterLab shows a type it does not know in the place of the value, so none is given. */
  type: null;
  /** As TypeScript knows it. */
  declaredType: string;
  evaluateName?: string;
  /** To ask for what is in it; 0 when nothing is. */
  variablesReference: number;
}

export type VariablesAnswer = { variables: Variable[] } | View | { failed: string };

/** The user has stopped a run that may not have come yet. */
export interface CancelRequest {
  type: "cancel";
  run: number;
}

export type WorkerRequest = ({ type: "run" } & RunRequest) | CancelRequest | CommRequest | VariablesRequest;

/** An error as Jupyter shows it. */
export interface ErrorContent {
  ename: string;
  evalue: string;
  traceback: string[];
}

export interface View {
  data: Record<string, unknown>;
  metadata: Record<string, unknown>;
}

export type ExpressionResult = ({ status: "ok" } & View) | ({ status: "error" } & ErrorContent);

/** What the worker tells; `seq` puts it in order with the text on stdout and stderr. */
export type WorkerMessage =
  | { type: "ready" }
  | { type: "display"; run: number; view: View; id?: string; update: boolean }
  | { type: "clear"; run: number; wait: boolean }
  | { type: "input"; run: number; prompt: string; password: boolean }
  | { type: "late-error"; run: number; error: ErrorContent }
  | { type: "comm"; run: number; kind: CommKind; content: CommRequest["content"]; metadata: Record<string, unknown> }
  /** The code of the cells has done with a comm message. */
  | { type: "delivered"; run: number }
  /** A run that was cancelled before it came: it never begins. */
  | { type: "cancelled"; run: number }
  | { type: "inspected"; run: number; answer: VariablesAnswer }
  | { type: "done"; run: number; view?: View; error?: ErrorContent; expressions?: Record<string, ExpressionResult> };

/** The answer to an `input` message. */
export type InputAnswer = { value: string } | { refused: string } | { interrupted: true };
