// Reads the verdicts of a JUnit report: pytest writes one, and the notebook runner.

/** What became of the tests of one part. */
export interface Verdicts {
  passed: number;
  failed: { name: string; text: string }[];
  skipped: { name: string; why: string }[];
}

const entities: Record<string, string> = { lt: "<", gt: ">", quot: '"', apos: "'", amp: "&" };

function plain(text: string): string {
  const outside = text.split(/<!\[CDATA\[([\s\S]*?)\]\]>/);
  // Odd pieces stood in CDATA and are literal.
  return outside.map((piece, i) => (i % 2 ? piece : piece.replace(/&(#x?)?(\w+);/g, entity))).join("");
}

function entity(whole: string, numeric: string | undefined, name: string): string {
  if (numeric) return String.fromCodePoint(Number.parseInt(name, numeric === "#x" ? 16 : 10));
  return entities[name] ?? whole;
}

function attribute(tag: string, name: string): string {
  const value = tag.match(new RegExp(`\\s${name}=(?:"([^"]*)"|'([^']*)')`));
  return plain(value?.[1] ?? value?.[2] ?? "");
}

/**
 * Counts the `<testcase>` elements themselves; no failure that the report claims may be missing.
 * @throws Error when one is, or when the report has no end
 */
export function readJUnit(xml: string): Verdicts {
  if (!/<\/testsuites?>\s*$/.test(xml)) throw new Error("the JUnit report is cut off");
  const verdicts: Verdicts = { passed: 0, failed: [], skipped: [] };
  const cases = xml.matchAll(/<testcase\b((?:[^>"']|"[^"]*"|'[^']*')*?)(?:\/>|>([\s\S]*?)<\/testcase>)/g);
  for (const [, attributes, body = ""] of cases) {
    const name = [attribute(attributes!, "classname"), attribute(attributes!, "name")].filter(Boolean).join(" ");
    const inner = body.match(/<(failure|error|skipped)\b((?:[^>"']|"[^"]*"|'[^']*')*?)(?:\/>|>([\s\S]*?)<\/\1>)/);
    if (!inner) verdicts.passed += 1;
    else if (inner[1] === "skipped") verdicts.skipped.push({ name, why: attribute(inner[2]!, "message") });
    else verdicts.failed.push({ name, text: plain(inner[3] ?? "") || attribute(inner[2]!, "message") });
  }
  // The number of tests that a suite claims says nothing: pytest counts subtests, of which only those that fail are there.
  const claims = [...xml.matchAll(/<testsuite\b(?:[^>"']|"[^"]*"|'[^']*')*>/g)].map(([tag]) => tag);
  const claimed = claims.flatMap((tag) => [attribute(tag, "failures"), attribute(tag, "errors")]).map(Number);
  const total = claimed.reduce((sum, count) => sum + count, 0);
  if (verdicts.failed.length < total) {
    throw new Error(`the JUnit report claims ${total} failures, but holds ${verdicts.failed.length}`);
  }
  return verdicts;
}
