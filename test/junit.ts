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
 * Counts the `<testcase>` elements themselves; the totals that the report claims must agree.
 * @throws Error when they do not, or when the report has no end
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
  const claimed = [...xml.matchAll(/<testsuite\b(?:[^>"']|"[^"]*"|'[^']*')*>/g)];
  const total = claimed.reduce((sum, [tag]) => sum + Number(attribute(tag, "tests") || 0), 0);
  const counted = verdicts.passed + verdicts.failed.length + verdicts.skipped.length;
  // pytest counts a test that passed and then failed in its teardown once, with two elements.
  if (counted < total) throw new Error(`the JUnit report claims ${total} tests, but holds ${counted}`);
  return verdicts;
}
