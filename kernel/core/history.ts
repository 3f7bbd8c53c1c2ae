// What was run in this session. Kept in memory: the number of the session is always 1.

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
  stop?: number;
  n?: number;
  /** With `*` and `?` as in file names; it must match the whole input. */
  pattern?: string;
  unique?: boolean;
}

type HistoryItem = [session: number, line: number, input: string | [input: string, output: string | null]];

const session = 1;

export function createHistory() {
  const entries: Entry[] = [];
  return {
    add(entry: Entry) {
      entries.push(entry);
    },
    find(query: HistoryQuery): HistoryItem[] {
      return select(entries, query).map(({ line, input, output }) => [
        session,
        line,
        query.output ? [input, output ?? null] : input,
      ]);
    },
  };
}

function select(entries: Entry[], query: HistoryQuery): Entry[] {
  const last = (found: Entry[]) => (query.n === undefined ? found : query.n > 0 ? found.slice(-query.n) : []);
  switch (query.hist_access_type) {
    case "tail":
      return last(entries);
    case "range": {
      if (![0, session].includes(query.session ?? 0)) return [];
      const { start = 1, stop = Number.POSITIVE_INFINITY } = query;
      return entries.filter(({ line }) => line >= start && line < (stop ?? Number.POSITIVE_INFINITY));
    }
    case "search": {
      const pattern = glob(query.pattern ?? "*");
      const found = entries.filter(({ input }) => pattern.test(input));
      // Of equal inputs the newest counts.
      return last(
        query.unique ? found.filter((entry, i) => !found.slice(i + 1).some((e) => e.input === entry.input)) : found,
      );
    }
    default:
      return [];
  }
}

function glob(pattern: string): RegExp {
  const escaped = pattern
    .replace(/[\\^$.|+()[\]{}]/g, "\\$&")
    .replaceAll("*", ".*")
    .replaceAll("?", ".");
  return new RegExp(`^${escaped}$`, "s");
}
