// The log of `npm run verify:gpu` as Markdown that can be published.
import { homedir, hostname, userInfo } from "node:os";

export interface Section {
  title: string;
  passed: number;
  failed: { name: string; text: string }[];
  skipped: string[];
  seconds: number;
  /** figures of the bench */
  rows?: { id: string; value: number; unit: string; note: string }[];
}

const cell = (text: string) => text.replaceAll("|", "\\|").replaceAll(/\s*\n\s*/g, " ");

/** The whole log. */
export function logOf(title: string, date: string, machine: [string, string][], sections: Section[]): string {
  const failed = sections.reduce((sum, section) => sum + section.failed.length, 0);
  const passed = sections.reduce((sum, section) => sum + section.passed, 0);
  const lines = [`# ${title}`, "", `${date}: **${passed} passed, ${failed} failed**`, "", "| | |", "|---|---|"];
  for (const [name, value] of machine) lines.push(`| ${name} | ${cell(value)} |`);
  for (const { title, passed, failed, skipped, seconds, rows } of sections) {
    const counts = `${passed} passed, ${failed.length} failed${skipped.length ? `, ${skipped.length} skipped` : ""}`;
    lines.push("", `## ${title}`, "", `${counts}, ${seconds.toFixed(0)} s`);
    if (rows?.length) {
      lines.push("", "| id | value | unit | how |", "|---|---:|---|---|");
      for (const { id, value, unit, note } of rows)
        lines.push(`| ${id} | ${value.toPrecision(4)} | ${cell(unit)} | ${cell(note)} |`);
    }
    for (const { name, text } of failed) lines.push("", `### failed: ${name}`, "", "```", text.trimEnd(), "```");
    if (skipped.length) lines.push("", `Skipped: ${skipped.join("; ")}`);
  }
  return `${lines.join("\n")}\n`;
}

/** A text without what names this machine: folders of the clone and of the user, the names of host and user in paths. */
export function withoutMachine(text: string, root: string): string {
  const plain = text.replaceAll(`file://${root}/`, "").replaceAll(`${root}/`, "").replaceAll(root, ".");
  const { username } = userInfo();
  return plain
    .replaceAll(homedir() === "/" ? "\0" : homedir(), "~")
    .replaceAll(hostname() || "\0", "host")
    .replaceAll(new RegExp(`(/(?:home|Users)/)${username.replace(/\W/g, "\\$&")}\\b`, "g"), "$1user")
    .replaceAll(/\/tmp\/[\w./-]+/g, "/tmp/...");
}
