// The connection file that a Jupyter server writes for a kernel it starts.
import { readFileSync, statSync } from "node:fs";

/** Where the five channels listen, and the key that signs their messages. */
export interface Connection {
  transport: "tcp" | "ipc";
  ip: string;
  shell_port: number;
  control_port: number;
  stdin_port: number;
  iopub_port: number;
  hb_port: number;
  /** Empty: messages are not signed. */
  key: string;
  signature_scheme: string;
}

export const ports = ["shell_port", "control_port", "stdin_port", "iopub_port", "hb_port"] as const;

/** What is wrong with a connection file. */
export class ConnectionError extends Error {
  override name = "ConnectionError";
}

/** The name of a socket in the file system has to fit into so many bytes (`sun_path` of Linux, with its end). */
const maxSocketPath = 107;

/** Reads and checks a connection file. Throws a ConnectionError that names the file and the field that is wrong. */
export function readConnection(path: string): Connection {
  let given: unknown;
  try {
    given = JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    throw new ConnectionError(`cannot read the connection file ${path}: ${(error as Error).message}`);
  }
  if (given === null || typeof given !== "object" || Array.isArray(given)) {
    throw new ConnectionError(`the connection file ${path} holds no JSON object`);
  }
  const fields = given as Record<string, unknown>;
  const wrong = (field: string, wanted: string) => {
    const has = field in fields ? `has ${field} = ${JSON.stringify(fields[field])}` : `has no ${field}`;
    return new ConnectionError(`the connection file ${path} ${has}: ${wanted} is wanted`);
  };
  const { transport, ip, key } = fields;
  if (transport !== "tcp" && transport !== "ipc") throw wrong("transport", `"tcp" or "ipc"`);
  if (typeof ip !== "string" || ip === "") {
    throw wrong("ip", transport === "ipc" ? "the beginning of a path" : "an address of this machine");
  }
  const highest = transport === "ipc" ? Number.MAX_SAFE_INTEGER : 65_535;
  for (const port of ports) {
    const number = fields[port];
    if (!Number.isInteger(number) || (number as number) < 1 || (number as number) > highest) {
      throw wrong(port, `a whole number from 1 to ${highest}`);
    }
    const other = ports.find((each) => each !== port && fields[each] === number);
    if (other !== undefined) throw wrong(port, `another number than that of ${other}`);
    if (transport === "ipc" && Buffer.byteLength(`${ip}-${number}`) > maxSocketPath) {
      throw wrong("ip", `a path that makes names of sockets of at most ${maxSocketPath} bytes`);
    }
  }
  if (typeof key !== "string") throw wrong("key", "a text");
  if (key !== "" && fields.signature_scheme !== "hmac-sha256") throw wrong("signature_scheme", `"hmac-sha256"`);
  return fields as unknown as Connection;
}

/** Why others might sign messages with the key of this file; undefined when only its owner can read it. */
export function exposure(path: string, { key }: Connection): string | undefined {
  if (key === "") return `the connection file ${path} has an empty key: whoever reaches the ports can run code`;
  if (process.platform === "win32" || (statSync(path).mode & 0o077) === 0) return undefined;
  return `other users of this machine can read the key in ${path} and run code with it: chmod 600 ends that`;
}

/** The address of one channel, as ZeroMQ writes it. */
export function address(connection: Connection, port: number): string {
  return connection.transport === "ipc" ? `ipc://${connection.ip}-${port}` : `tcp://${connection.ip}:${port}`;
}
