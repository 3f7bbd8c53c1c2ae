// BERT: a share of the ids of speeches and mails is hidden and guessed from both sides.
import { jit, tf } from "@whetstone/engine";
import type { Batch } from "../../recipes/core/data.ts";
import type { Params } from "../../recipes/core/params.ts";
import { type Rng, rng } from "../../recipes/core/rng.ts";
import { ascii } from "../../recipes/core/tokenizer.ts";
import * as bert from "../../recipes/model/bert.ts";
import { askedLoss, mlm } from "../../recipes/train/objectives.ts";
import { licence, loadText } from "../corpus.ts";
import { bertIds } from "../load-zoo.ts";
import { loadMails } from "../mails.ts";
import splits from "../splits.json" with { type: "json" };
import type { Family } from "./family.ts";
import type { Recipe } from "./recipes.ts";
import { tokenizerOf } from "./tokenizer.ts";

const SHARE = 0.15; // hidden

export async function maskedModel(recipe: Recipe<"bert">): Promise<Family> {
  const { cfg, batch, ctx } = recipe;
  const [text, mails] = [loadText("sotu"), await loadMails()];
  const tokens = tokenizerOf(recipe, text, bertIds);
  const of = (split: "train" | "validation") =>
    tokens.encode(`${text[split]}${mails[split].map((mail) => ascii(mail.text)).join("\n")}`);
  const ids = { train: of("train"), validation: of("validation") };
  const logits = jit((params: Params, x: tf.Tensor) => bert.mlmLogits(params, cfg, bert.forward(params, cfg, x)));

  function batchOf(from: Int32Array, starts: number[], rng: Rng): Batch {
    const rows = starts.map((at, i) => {
      const row = Int32Array.from([bertIds.cls, ...from.subarray(at, at + ctx - 2), bertIds.sep]);
      return mlm(row, rng.fork(i), { mask: bertIds.mask, vocab: tokens.size, share: SHARE });
    });
    const stack = (part: "ids" | "targets") => {
      const all = new Int32Array(rows.length * ctx);
      rows.forEach((row, i) => {
        all.set(row[part], i * ctx);
      });
      return tf.tensor2d(all, [rows.length, ctx], "int32");
    };
    return { ids: stack("ids"), targets: stack("targets") };
  }

  return {
    init: (rng) => bert.initBert(cfg, rng, "mlm"),
    *batches(rng, start) {
      for (let i = start; ; i++) {
        const draw = rng.fork(i);
        const starts = Array.from({ length: batch }, () => draw.int(ids.train.length - ctx));
        yield batchOf(ids.train, starts, draw);
      }
    },
    tokensPerStep: batch * ctx,
    loss: (params, ids, targets) => askedLoss(bert.mlmLogits(params, cfg, bert.forward(params, cfg, ids)), targets),
    objective: `cross-entropy of hidden tokens, ${SHARE * 100} % of them`,
    measure(params, { sequences, scores }) {
      const each: number[] = [];
      let [hits, hidden] = [0, 0];
      for (let from = 0; from < sequences; from += 16) {
        const starts = Array.from({ length: Math.min(16, sequences - from) }, (_, i) =>
          Math.floor(((from + i) * (ids.validation.length - ctx)) / sequences),
        );
        const data = batchOf(ids.validation, starts, rng(0).fork(`validation ${from}`));
        const said = logits(params, data.ids);
        each.push(askedLoss(said, data.targets).dataSync()[0]);
        const [found, wanted] = [tf.argMax(said, -1).dataSync(), data.targets.dataSync()];
        wanted.forEach((id, i) => {
          if (id < 0) return;
          hidden++;
          if (found[i] === id) hits++;
        });
        tf.dispose([data as any, said]);
      }
      const mean = each.reduce((a, b) => a + b) / each.length;
      return { mean, each, ...(scores && { scores: { "hidden tokens guessed": hits / hidden } }) };
    },
    toFile: bert.toHF,
    special: bertIds,
    data: [
      { corpus: "sotu", trainSha256: splits.sotu.train.sha256, licence },
      { corpus: "mails", trainSha256: splits.mails.train.sha256, licence: "see data/cards/mails.md" },
    ],
  };
}
