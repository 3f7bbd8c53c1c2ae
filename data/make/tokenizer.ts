// The tokenizers of the zoo, which are made of the speeches when they are not there.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { writeAtomic } from "../../recipes/core/io.ts";
import { bpe, chars, type Tokenizer } from "../../recipes/core/tokenizer.ts";
import { type Corpus, loadText } from "../corpus.ts";
import { folder, loadTokenizer } from "../load-zoo.ts";
import type { Recipe } from "./recipes.ts";

/** A recipe's tokenizer. The ids of the model may be more: special ones come after the tokenizer's. */
export function tokenizerOf(
  { tokenizer: file, cfg }: Recipe,
  text: Corpus = loadText("sotu"),
  special: Record<string, number> = {},
): Tokenizer {
  const size = cfg.vocab - Object.keys(special).length;
  const path = join(folder, file);
  if (!existsSync(path)) {
    const made = file === "tokenizer-chars.json" ? chars : bpe(text.train, size);
    writeAtomic(path, `${JSON.stringify(made.spec)}\n`);
  }
  const tokenizer = loadTokenizer(file);
  if (tokenizer.size !== size)
    throw new Error(`${file} has ${tokenizer.size} ids, the model ${size} and special ones.`);
  return tokenizer;
}
