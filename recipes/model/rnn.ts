// Recurrent language models: LSTM (Hochreiter 1997) and GRU (Cho 2014). What was read is kept in a state of fixed size.
//   LSTM  i, f, o = σ(·), g = tanh(·) of  W x + U h:   c = f c + i g,   h = o tanh(c)
//   GRU   r, z = σ(·) of W x + U h:   n = tanh(W x + r (U h)),   h = (1 - z) n + z h
// Cost: 8 (LSTM) or 6 (GRU) times dim · hidden FLOPs a layer and token, twice; nothing grows with the text, but position t
// waits for t - 1. Gates, biases and their order are PyTorch's; fromTorch, toTorch change the names.
import * as tf from "@tensorflow/tfjs-core";
import { type Linear, linear as plain } from "../core/linear.ts";
import { embed } from "../core/ops.ts";
import { get, type Params } from "../core/params.ts";
import type { Rng } from "../core/rng.ts";

export interface RNNConfig {
  kind: "lstm" | "gru";
  layers: number;
  /** width of the embeddings; the head is the embedding where it is that of the state too */
  dim: number;
  /** width of the state */
  hidden: number;
  vocab: number;
}

const gates = { lstm: 4, gru: 3 };

/** What was read: of each layer h, and c of an LSTM, [B, hidden]. */
export interface State {
  h: tf.Tensor[];
  c: tf.Tensor[];
}

/** The state before the first id: zeros. */
export function emptyState({ kind, layers, hidden }: RNNConfig, { batch = 1 } = {}): State {
  const zeros = () => Array.from({ length: layers }, () => tf.zeros([batch, hidden]));
  return { h: zeros(), c: kind === "lstm" ? zeros() : [] };
}

export interface ForwardOptions {
  /** around every matrix of weights: `rnn.0.ih` (on x), `rnn.0.hh` (on h, at every position), ..., `lm_head` */
  linear?: Linear;
}

/** Logits [B, T, V] for ids [B, T]. */
export function forward(params: Params, cfg: RNNConfig, ids: tf.Tensor, options: ForwardOptions = {}): tf.Tensor {
  return step(params, cfg, ids, emptyState(cfg, { batch: ids.shape[0] }), options).logits;
}

/** Logits of the next ids [B, T] after a state, [B, T, V] or with `last` [B, 1, V], and the state after them. */
export function step(
  params: Params,
  cfg: RNNConfig,
  ids: tf.Tensor,
  state: State,
  { linear = plain, last = false }: ForwardOptions & { last?: boolean } = {},
): { logits: tf.Tensor; cache: State } {
  if (ids.rank !== 2) throw new Error(`rnn: ids are [${ids.shape}]; wanted [B, T].`);
  const [B, T] = ids.shape;
  const { out, state: next } = recur(params, cfg, embed(get(params, "embed.weight"), ids), state, { linear });
  const seen = last ? tf.slice(out, [0, T - 1, 0], [B, 1, cfg.hidden]) : out;
  const head = get(params, cfg.dim === cfg.hidden ? "embed.weight" : "lm_head.weight");
  return { logits: linear("lm_head", seen, head), cache: next };
}

/** All layers over x [B, T, dim]: the states of the last layer [B, T, hidden], and the state after the last position. */
export function recur(
  params: Params,
  cfg: RNNConfig,
  x: tf.Tensor,
  state: State = emptyState(cfg, { batch: x.shape[0] }),
  { linear = plain }: ForwardOptions = {},
): { out: tf.Tensor; state: State } {
  const next: State = { h: [], c: [] };
  for (let l = 0; l < cfg.layers; l++) {
    const lin = (part: string, x: tf.Tensor) =>
      linear(`rnn.${l}.${part}`, x, get(params, `rnn.${l}.${part}.weight`), get(params, `rnn.${l}.${part}.bias`));
    const inputs = tf.unstack(tf.transpose(lin("ih", x), [1, 0, 2])); // T of [B, gates hidden]: one product for all
    let [h, c] = [state.h[l], state.c[l]];
    const states = inputs.map((input) => {
      [h, c] = cfg.kind === "lstm" ? lstmCell(tf.add(input, lin("hh", h)), c) : [gruCell(input, lin("hh", h), h), c];
      return h;
    });
    x = tf.stack(states, 1); // [B, T, hidden]
    next.h.push(h);
    if (cfg.kind === "lstm") next.c.push(c);
  }
  return { out: x, state: next };
}

function lstmCell(sum: tf.Tensor, c: tf.Tensor): [h: tf.Tensor, c: tf.Tensor] {
  const [i, f, g, o] = tf.split(sum, 4, 1); // each [B, hidden]
  const next = tf.add(tf.mul(tf.sigmoid(f), c), tf.mul(tf.sigmoid(i), tf.tanh(g)));
  return [tf.mul(tf.sigmoid(o), tf.tanh(next)), next];
}

function gruCell(input: tf.Tensor, recurrent: tf.Tensor, h: tf.Tensor): tf.Tensor {
  const [[ri, zi, ni], [rh, zh, nh]] = [tf.split(input, 3, 1), tf.split(recurrent, 3, 1)];
  const n = tf.tanh(tf.add(ni, tf.mul(tf.sigmoid(tf.add(ri, rh)), nh)));
  const z = tf.sigmoid(tf.add(zi, zh));
  return tf.add(n, tf.mul(z, tf.sub(h, n)));
}

/** Names and shapes of the parameters, in the order of the model. */
export function shapes({ kind, layers, dim, hidden, vocab }: RNNConfig): Record<string, number[]> {
  const all: Record<string, number[]> = { "embed.weight": [vocab, dim] };
  for (let l = 0; l < layers; l++)
    for (const [part, into] of Object.entries({ ih: l ? hidden : dim, hh: hidden })) {
      all[`rnn.${l}.${part}.weight`] = [gates[kind] * hidden, into];
      all[`rnn.${l}.${part}.bias`] = [gates[kind] * hidden];
    }
  if (dim !== hidden) all["lm_head.weight"] = [vocab, hidden];
  return all;
}

/** New parameters: uniform within 1/√hidden, as PyTorch has it, the embedding from N(0, 0.02²); an LSTM forgets little at first. */
export function initRNN(cfg: RNNConfig, rng: Rng): Params {
  const bound = 1 / Math.sqrt(cfg.hidden);
  return Object.fromEntries(
    Object.entries(shapes(cfg)).map(([name, shape]) => {
      const own = rng.fork(name);
      if (!name.startsWith("rnn.")) return [name, own.normal(shape, 0.02)];
      if (cfg.kind !== "lstm" || !name.endsWith("ih.bias")) return [name, own.uniform(shape, -bound, bound)];
      const at = tf.range(0, shape[0]); // the second quarter are the forget gates: + 1 (Jozefowicz 2015)
      const forget = tf.logicalAnd(tf.greaterEqual(at, cfg.hidden), tf.less(at, 2 * cfg.hidden));
      return [name, tf.add(own.uniform(shape, -bound, bound), tf.cast(forget, "float32"))];
    }),
  );
}

/** Names of a `torch.nn.LSTM` or GRU, `weight_ih_l0`, as they are here; other names stay. */
export function fromTorch(file: Params): Params {
  return rename(file, /^(?:rnn\.)?(weight|bias)_(ih|hh)_l(\d+)$/, "rnn.$3.$2.$1");
}

/** The other way round: what `load_state_dict` of a module with `rnn = torch.nn.LSTM(..., batch_first=True)` takes. */
export function toTorch(params: Params): Params {
  return rename(params, /^rnn\.(\d+)\.(ih|hh)\.(weight|bias)$/, "rnn.$3_$2_l$1");
}

const rename = (params: Params, from: RegExp, to: string): Params =>
  Object.fromEntries(Object.entries(params).map(([name, tensor]) => [name.replace(from, to), tensor]));
