// What was run, in this session and those before it: an SQLite file that many kernels write at once, with IPython's tables.
import { mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import type { DatabaseSync } from "node:sqlite";

interface Entry {
  line: number;
  input: string;
  /** The text of the result, for clients that ask for outputs. */
  output?: string;
}

/** The fields of a history_request, of which each access type uses some. */
export interface HistoryQuery {
  hist_access_type: "range" | "tail" | "search";
  output?: boolean;
  /** 0 is this session, negative numbers are those before it. */
  session?: number;
  start?: number;
  stop?: number | null;
  n?: number;
  /** With `*` and `?` as in file names; it must match the whole input. */
  pattern?: string;
  unique?: boolean;
}

type HistoryItem = [session: number, line: number, input: string | [input: string, output: string | null]];

export interface History {
  add(entry: Entry): void;
  find(query: HistoryQuery): HistoryItem[];
  /** Writes what waits. */
  close(): void;
}

const schema = `
  create table if not exists sessions (session integer primary key autoincrement, start timestamp, end timestamp, num_cmds integer, remark text);
  create table if not exists history (session integer, line integer, source text, source_raw text, primary key (session, line));
  create table if not exists output_history (session integer, line integer, output text, primary key (session, line));`;

/** How long a write waits for another kernel's. It is then tried again: the front has others to answer. */
const busyMs = 50;
const retryMs = 500;
/** How long a cell waits for others: to write takes a tenth of a cell's round trip. */
const writeMs = 50;
/** Larger results are cut: a history is of what was done. */
const maxOutput = 10_000;

/** Where the history is: WHETSTONE_HISTORY, which may be ":memory:", else a file in Jupyter's data folder. */
export function historyPath(env: NodeJS.ProcessEnv = process.env): string {
  return env.WHETSTONE_HISTORY || join(dataFolder(env), "whetstone", "history.sqlite");
}

function dataFolder(env: NodeJS.ProcessEnv): string {
  if (env.JUPYTER_DATA_DIR) return env.JUPYTER_DATA_DIR;
  if (process.platform === "win32") return join(env.APPDATA ?? join(homedir(), "AppData/Roaming"), "jupyter");
  if (process.platform === "darwin") return join(homedir(), "Library/Jupyter");
  return join(env.XDG_DATA_HOME || join(homedir(), ".local/share"), "jupyter");
}

/**
 * The history of a kernel. The file is opened after the first cell has been answered, and nothing that is wrong with it fails a cell: what cannot be
 * written is kept in memory, with one line on stderr.
 */
export function createHistory(path: string = historyPath()): History {
  let database: DatabaseSync | undefined;
  let session = 0;
  let waiting: Entry[] = [];
  let timer: NodeJS.Timeout | undefined;

  function open(): DatabaseSync {
    if (database !== undefined) return database;
    try {
      database = openFile(path);
    } catch (error) {
      if (isBusy(error)) throw error;
      console.error(`the history is kept in memory only, ${path} cannot be used: ${(error as Error).message}`);
      database = openFile(":memory:");
    }
    return database;
  }

  /** Writes what waits in one transaction. Returns whether it could. */
  function write(): boolean {
    clearTimeout(timer);
    timer = undefined;
    if (waiting.length === 0) return true;
    try {
      insert(open());
      return true;
    } catch (error) {
      if (isBusy(error)) timer ??= setTimeout(write, retryMs * (0.5 + Math.random()));
      else if (database !== undefined) {
        // The disk is full, the file was damaged: this session goes on in memory.
        console.error(`the history goes on in memory only, ${path} cannot be written: ${(error as Error).message}`);
        database = openFile(":memory:");
        session = 0;
        insert(database);
      }
      timer?.unref();
      return false;
    }
  }

  function insert(into: DatabaseSync) {
    into.exec("begin immediate");
    try {
      if (session === 0) {
        const { lastInsertRowid } = into
          .prepare("insert into sessions (start) values (?)")
          .run(new Date().toISOString());
        session = Number(lastInsertRowid);
      }
      const input = into.prepare("insert or replace into history values (?, ?, ?, ?)");
      const result = into.prepare("insert or replace into output_history values (?, ?, ?)");
      for (const entry of waiting) {
        input.run(session, entry.line, entry.input, entry.input);
        if (entry.output !== undefined) result.run(session, entry.line, entry.output.slice(0, maxOutput));
      }
      into.exec("commit");
    } catch (error) {
      if (into.isTransaction) into.exec("rollback");
      throw error;
    }
    waiting = [];
  }

  return {
    add(entry) {
      waiting.push(entry);
      // Not now: the reply goes first.
      timer ??= setTimeout(write, writeMs);
    },
    find(query) {
      write();
      try {
        return select(open(), session, query);
      } catch (error) {
        if (!isBusy(error)) throw error;
        return [];
      }
    },
    close() {
      write();
      try {
        if (session > 0) {
          const count = database!.prepare("select count(*) as n from history where session = ?").get(session)!.n!;
          database!
            .prepare("update sessions set end = ?, num_cmds = ? where session = ?")
            .run(new Date().toISOString(), count, session);
        }
        database?.close();
      } catch (error) {
        console.error(`the end of the session is not in the history: ${(error as Error).message}`);
      }
      database = undefined;
    },
  };
}

/** Loaded when it is first needed: most of what it takes is its first use. */
function openFile(path: string): DatabaseSync {
  const warn = process.emitWarning;
  // Node says of every use that SQLite is experimental.
  process.emitWarning = () => {};
  try {
    const { DatabaseSync } = createRequire(import.meta.url)("node:sqlite") as typeof import("node:sqlite");
    if (path !== ":memory:") mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    const database = new DatabaseSync(path, { timeout: busyMs });
    // Readers do not wait for writers then; where the file system cannot, such as over a network, SQLite goes on without.
    database.exec("pragma journal_mode = wal");
    database.exec("pragma synchronous = normal");
    database.exec(schema);
    return database;
  } finally {
    process.emitWarning = warn;
  }
}

function isBusy(error: unknown): boolean {
  // SQLITE_BUSY, SQLITE_LOCKED, with their extensions.
  return [5, 6].includes(((error as { errcode?: number }).errcode ?? 0) & 0xff);
}

function select(from: DatabaseSync, current: number, query: HistoryQuery): HistoryItem[] {
  const columns = "history.session, history.line, source_raw as input, output";
  const tables = "history left join output_history using (session, line)";
  const { n, hist_access_type: type } = query;
  // A limit below zero is none.
  const limit = n === undefined || n === null ? -1 : Math.max(0, Math.floor(Number(n)) || 0);
  let rows: Record<string, any>[] = [];
  if (type === "tail") {
    const newest = `select ${columns} from ${tables} order by history.session desc, history.line desc limit ?`;
    rows = from.prepare(newest).all(limit).reverse();
  } else if (type === "range") {
    const { session: asked = 0, start = 1, stop } = query;
    const session = asked > 0 ? asked : current + asked;
    const range = `select ${columns} from ${tables} where history.session = ? and history.line >= ? and history.line < ? order by history.line`;
    rows = from.prepare(range).all(session, start, stop ?? Number.MAX_SAFE_INTEGER);
  } else if (type === "search") {
    // GLOB knows sets in brackets, which Jupyter's patterns do not have.
    const pattern = (query.pattern ?? "*").replaceAll("[", "[[]");
    // Of equal inputs the newest counts.
    const unique = query.unique ? "group by source_raw having max(history.session * 1e9 + history.line)" : "";
    const newest = `select ${columns} from ${tables} where source_raw glob ? ${unique} order by history.session desc, history.line desc limit ?`;
    rows = from.prepare(newest).all(pattern, limit).reverse();
  }
  return rows.map(({ session, line, input, output }) => [
    session,
    line,
    query.output ? [input, output ?? null] : input,
  ]);
}
