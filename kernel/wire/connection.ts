// The connection file that a Jupyter server writes for a kernel it starts.
import { readFileSync } from "node:fs";

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

const ports = ["shell_port", "control_port", "stdin_port", "iopub_port", "hb_port"] as const;

/** Reads and checks a connection file. Throws an error that names the file and the field that is wrong. */
export function readConnection(path: string): Connection {
  let connection: Connection;
  try {
    connection = JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    throw new Error(`cannot read the connection file ${path}: ${(error as Error).message}`);
  }
  const wrong = (field: string, wanted: string) =>
    new Error(
      `the connection file ${path} has ${field} = ${JSON.stringify((connection as any)[field])}, not ${wanted}`,
    );
  if (connection.transport !== "tcp" && connection.transport !== "ipc") throw wrong("transport", `"tcp" or "ipc"`);
  if (typeof connection.ip !== "string" || connection.ip === "") throw wrong("ip", "an address");
  for (const port of ports) if (!Number.isInteger(connection[port])) throw wrong(port, "a port number");
  if (typeof connection.key !== "string") throw wrong("key", "a text");
  if (connection.key !== "" && connection.signature_scheme !== "hmac-sha256") {
    throw wrong("signature_scheme", `"hmac-sha256"`);
  }
  return connection;
}

/** The address of one channel, as ZeroMQ writes it. */
export function address(connection: Connection, port: number): string {
  return connection.transport === "ipc" ? `ipc://${connection.ip}-${port}` : `tcp://${connection.ip}:${port}`;
}
