// TensorFlow's collective runtime behind its C API: the server of this process, the health of its peers, abort. Apart from
// libtensorflow.ts because the watchdog's thread calls it too, on the context of the main thread.
import koffi from "koffi";
import { messageOf, writeBytes, writeNumber } from "../protobuf.ts";
import type { Membership } from "./tf-config.ts";

/** The functions of tensorflow/c/eager/c_api_experimental.h of TensorFlow 2.21 that a cluster needs. */
export interface CollectiveRuntime {
  /** Starts the server of this process and makes it one of the cluster. */
  enable(membership: Membership): void;
  /** Whether a process answers within so many milliseconds and is the one that it was at the last call. */
  answers(task: string, milliseconds: number): boolean;
  /** The same without blocking the event loop. */
  answersAsync(task: string, milliseconds: number): Promise<boolean>;
  /** Ends what this process waits for, and all that it will ask for, with this reason. */
  abort(reason: string): void;
}

const UNAVAILABLE = 14; // TF_Code

/** Opens the functions of a loaded libtensorflow_cc (its path) for an eager context. */
export function collectiveRuntime(path: string, context: bigint): CollectiveRuntime {
  const lib = koffi.load(path);
  const newStatus = lib.func("void *TF_NewStatus()");
  const deleteStatus = lib.func("void TF_DeleteStatus(void *status)");
  const setStatus = lib.func("void TF_SetStatus(void *status, int code, const char *message)");
  const getCode = lib.func("int TF_GetCode(void *status)");
  const message = lib.func("const char *TF_Message(void *status)");
  const enable = lib.func("void TFE_EnableCollectiveOps(void *context, const void *proto, size_t size, void *status)");
  const check = lib.func(
    "void TFE_CollectiveOpsCheckPeerHealth(void *context, const char *task, int64_t milliseconds, void *status)",
  );
  const abort = lib.func("void TFE_AbortCollectiveOps(void *context, void *status)");
  const withStatus = <T>(run: (status: bigint) => T): T => {
    const status: bigint = newStatus();
    try {
      return run(status);
    } finally {
      deleteStatus(status);
    }
  };
  return {
    enable: (membership) =>
      withStatus((status) => {
        const proto = serverDef(membership);
        enable(context, proto, proto.length, status);
        if (getCode(status) !== 0) throw new Error(message(status));
      }),
    answers: (task, milliseconds) =>
      withStatus((status) => {
        check(context, task, milliseconds, status);
        return getCode(status) === 0;
      }),
    answersAsync: (task, milliseconds) => {
      const status: bigint = newStatus();
      return new Promise((resolve, reject) => {
        check.async(context, task, milliseconds, status, (error: unknown) => {
          const healthy = getCode(status) === 0;
          deleteStatus(status);
          if (error) reject(error);
          else resolve(healthy);
        });
      });
    },
    abort: (reason) =>
      withStatus((status) => {
        setStatus(status, UNAVAILABLE, reason);
        abort(context, status);
      }),
  };
}

/** TensorFlow's name of a process. */
export const taskName = ({ job, index }: { job: string; index: number }) => `/job:${job}/replica:0/task:${index}`;

// tensorflow_server.proto: ServerDef { cluster = 1, job_name = 2, task_index = 3, default_session_config = 4, protocol = 5 }
function serverDef({ members, rank }: Membership): Uint8Array {
  const jobs = [...new Set(members.map(({ job }) => job))].map((job) => {
    const tasks = members
      .filter((member) => member.job === job)
      .map(({ index, address }) => writeBytes(2, messageOf(writeNumber(1, index), writeBytes(2, address))));
    return writeBytes(1, messageOf(writeBytes(1, job), ...tasks)); // JobDef { name = 1, tasks = 2 }
  });
  // ConfigProto.experimental = 16 { collective_group_leader = 1, recv_buf_max_chunk = 4 }: by default a buffer travels in
  // pieces of 4 096 bytes; whole, a 4 MB all-reduce takes 9 ms instead of 13.
  const experimental = messageOf(writeBytes(1, taskName(members[0])), writeNumber(4, -1));
  return messageOf(
    writeBytes(1, messageOf(...jobs)),
    writeBytes(2, members[rank].job),
    writeNumber(3, members[rank].index),
    writeBytes(4, writeBytes(16, experimental)),
    writeBytes(5, "grpc"),
  );
}
