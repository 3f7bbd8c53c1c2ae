// MiniLM as everybody loads it, by `fromPretrained`, embeds 32 texts of 128 tokens beside PyTorch; onnxruntime is in the note.
import { folder } from "../../../data/load-minilm.ts";
import { type Bert, fromPretrained } from "../../../recipes/model/index.ts";
import { besidePeers } from "../engine/forward.ts";
import type { Row } from "../run.ts";

export async function* rows(): AsyncGenerator<Row> {
  yield await besidePeers("minilm-vs-torch", async () => (await fromPretrained(folder)) as Bert);
}
