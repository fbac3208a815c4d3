// The engine: tokenizer, transformer and sampling in plain JavaScript, the same arithmetic as TinyLM's Python.
//
//   bytes to weights   readTensors                          int8 and fp16 back to numbers
//   text to ids        BpeTokenizer, CharTokenizer          text/bpe.py, text/tokenizers.py
//   ids to logits      Transformer                          model/gpt.py: GPT-2, Llama and Qwen3 shapes
//   logits to a token  narrow, draw                         generation.py
//   one text           Session                              the key-value cache, surprise and entropy
//
// Trade-offs: one position at a time, so every product is a matrix times a vector: no batches, no graphics card, and
// still hundreds of tokens a second for a million weights. Weights and activations are kept as 32-bit floats; sums run
// in JavaScript's 64-bit numbers, so logits agree with PyTorch's to about 1e-5. Shapes are written as in gpt.py:
// W width, H heads, K key-value heads, D numbers per head, V vocabulary.
"use strict";

// ---- bytes to weights ------------------------------------------------------------------------------------------

/** A half-precision float from its 16 bits: 1 sign, 5 exponent, 10 fraction (IEEE 754). */
function fromHalf(bits) {
  const sign = bits & 0x8000 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = bits & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24; // too small for a leading 1
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

let halves; // the number of each of the 65,536 half-precision floats: looked up, not computed, a million times

/** Bytes to weights (a Float32Array) for each kind; `size` numbers in rows of `columns`. */
const READ = {
  fp32: (bytes) => new Float32Array(bytes),
  fp16(bytes) {
    halves ??= Float32Array.from({ length: 65536 }, (_, bits) => fromHalf(bits));
    const bits = new Uint16Array(bytes), data = new Float32Array(bits.length);
    for (let i = 0; i < bits.length; i++) data[i] = halves[bits[i]];
    return data;
  },
  /** Signed bytes, then one fp32 scale a row: weight = byte * scale of its row. */
  int8(bytes, size, columns) {
    const numbers = new Int8Array(bytes, 0, size), scales = new Float32Array(bytes.slice(size));
    const data = new Float32Array(size);
    for (let row = 0, i = 0; i < size; row++)
      for (const end = i + columns, scale = scales[row]; i < end; i++) data[i] = numbers[i] * scale;
    return data;
  },
};

/** Named weights from one buffer. `entries` say where each stands: {name, shape, kind, offset, bytes}. */
function readTensors(entries, buffer) {
  return Object.fromEntries(entries.map(({ name, shape, kind, offset, bytes }) => {
    const size = shape.reduce((a, b) => a * b);
    return [name, READ[kind](buffer.slice(offset, offset + bytes), size, shape.at(-1))];
  }));
}

// ---- text to ids -----------------------------------------------------------------------------------------------

const toBytes = (text) => new TextEncoder().encode(text); // half a character (a lone surrogate) becomes U+FFFD

function joined(left, right) {
  const both = new Uint8Array(left.length + right.length);
  both.set(left);
  both.set(right, left.length);
  return both;
}

/** What both tokenizers share: `pieces` holds the bytes of every id, none for a special token. */
class Tokenizer {
  constructor(pieces, specials) {
    this.pieces = [...pieces, ...specials.map(() => new Uint8Array(0))];
    this.specials = specials;
  }

  /** The id of a special token, -1 where there is none of that name. */
  specialId(name) {
    const place = this.specials.indexOf(name);
    return place < 0 ? -1 : this.pieces.length - this.specials.length + place;
  }

  /** A function from ids, one by one, to text; a character is held back until its last byte has come. */
  decoder() {
    const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
    return (id) => (id === null ? decoder.decode() : decoder.decode(this.pieces[id], { stream: true }));
  }

  decode(ids) {
    const push = this.decoder();
    return Array.from(ids, push).join("") + push(null);
  }

  /** One token for the eye: white space as signs, bytes of no character as numbers, special tokens by name. */
  label(id) {
    const bytes = this.pieces[id];
    if (bytes.length === 0) return this.specials[id - this.pieces.length + this.specials.length];
    const text = this.isByte(id) ? "\uFFFD" : new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
    if (text.includes("\uFFFD")) return Array.from(bytes, (b) => `<0x${b.toString(16).toUpperCase()}>`).join("");
    const signs = { " ": "␣", "\n": "⏎", "\t": "⇥", "\r": "␍" };
    return text.replace(/[\s\p{C}]/gu, (c) => signs[c] ?? `<U+${c.codePointAt(0).toString(16).toUpperCase()}>`);
  }

  isByte() {
    return false;
  }
}

/** Byte-pair encoding: ids 0 to 255 are the bytes, then one id per merge, then the specials. */
class BpeTokenizer extends Tokenizer {
  /** `letters` and `digits`: the characters of each class as ranges, so that every browser cuts as Python does. */
  constructor({ merges, specials, letters, digits }) {
    const pieces = Array.from({ length: 256 }, (_, byte) => Uint8Array.of(byte));
    for (const [left, right] of merges) pieces.push(joined(pieces[left], pieces[right]));
    super(pieces, specials);
    this.ranks = new Map(merges.map(([left, right], rank) => [left * 2 ** 26 + right, rank]));
    const space = "\\p{White_Space}"; // GPT-2's split into words, inside which merges take place
    this.words = new RegExp(
      ` ?[${letters}]+|'(?:[sdmt]|ll|ve|re)| ?[${digits}]+| ?[^${space}${letters}${digits}]+` +
        `|${space}+(?!\\P{White_Space})|${space}+`, "gu");
    this.known = new Map(); // word -> ids: a text repeats its words
  }

  encode(text) {
    const ids = [];
    for (const [word] of text.matchAll(this.words)) {
      if (!this.known.has(word)) {
        if (this.known.size > 20000) this.known.clear();
        this.known.set(word, this.merge(Array.from(toBytes(word))));
      }
      for (const id of this.known.get(word)) ids.push(id);
    }
    return ids;
  }

  /** The ids of one word: the earliest learnt pair first, everywhere in the word at once, from the left. */
  merge(ids) {
    const rankAt = (i) => this.ranks.get(ids[i] * 2 ** 26 + ids[i + 1]) ?? Infinity;
    while (ids.length > 1) {
      let best = Infinity;
      for (let i = 0; i < ids.length - 1; i++) best = Math.min(best, rankAt(i));
      if (best === Infinity) break;
      const joined = [];
      for (let i = 0; i < ids.length; i++) {
        if (rankAt(i) === best) i++, joined.push(256 + best);
        else joined.push(ids[i]);
      }
      ids = joined;
    }
    return ids;
  }
}

/** One id per character seen in training, then 256 bytes for all others, then the specials. */
class CharTokenizer extends Tokenizer {
  constructor({ characters, specials }) {
    const letters = Array.from(characters); // by character, not by UTF-16 half
    super([...letters.map(toBytes), ...Array.from({ length: 256 }, (_, byte) => Uint8Array.of(byte))], specials);
    this.idOf = new Map(letters.map((letter, id) => [letter, id]));
  }

  encode(text) {
    const first = this.idOf.size; // id of byte 0
    return Array.from(text).flatMap((c) => this.idOf.get(c) ?? Array.from(toBytes(c), (byte) => first + byte));
  }

  isByte(id) {
    return id >= this.idOf.size && id < this.idOf.size + 256;
  }
}

const makeTokenizer = (content) => (content.kind === "char" ? new CharTokenizer(content) : new BpeTokenizer(content));

// ---- ids to logits ---------------------------------------------------------------------------------------------

/** Matrix (rows, columns) times vector (columns,), plus a bias (rows,) where there is one -> (rows,). */
function multiply(matrix, x, bias) {
  const columns = x.length, rows = matrix.length / columns, even = columns - (columns % 4);
  const out = new Float32Array(rows);
  for (let row = 0, at = 0; row < rows; row++) {
    let a = 0, b = 0, c = 0, d = 0, i = 0; // four sums that do not wait for each other: three times as fast as one
    for (; i < even; i += 4, at += 4) {
      a += matrix[at] * x[i];
      b += matrix[at + 1] * x[i + 1];
      c += matrix[at + 2] * x[i + 2];
      d += matrix[at + 3] * x[i + 3];
    }
    for (; i < columns; i++, at++) a += matrix[at] * x[i];
    out[row] = a + b + (c + d) + (bias ? bias[row] : 0);
  }
  return out;
}

function addTo(x, y) {
  for (let i = 0; i < x.length; i++) x[i] += y[i];
}

/** Probabilities from scores, in place: exp(score - largest) over their sum; -Infinity becomes 0. */
function softmax(scores) {
  let largest = -Infinity, sum = 0;
  for (const score of scores) largest = Math.max(largest, score);
  for (let i = 0; i < scores.length; i++) sum += scores[i] = Math.exp(scores[i] - largest);
  for (let i = 0; i < scores.length; i++) scores[i] /= sum;
  return scores;
}

const ACTIVATIONS = {
  swiglu: (up, gate) => (up * gate) / (1 + Math.exp(-gate)), // silu(gate) * up
  gelu: (up) => 0.5 * up * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (up + 0.044715 * up ** 3))),
  relu2: (up) => Math.max(0, up) ** 2,
};

/** A trained model. `weights` are named as in the run folder; `config` is its model/config.json. */
class Transformer {
  constructor(config, weights) {
    this.config = config;
    this.weights = weights;
    this.head = weights["head.weight"] ?? weights["tokens.weight"]; // (V, W); tied: one matrix for both
  }

  /** Room for the keys and values of a whole context: per layer (T, K * D) each. */
  newCache() {
    const { depth, context, kv_heads, head_dim } = this.config;
    const room = () => Array.from({ length: depth }, () => new Float32Array(context * kv_heads * head_dim));
    return { keys: room(), values: room() };
  }

  linear(name, x) {
    return multiply(this.weights[`${name}.weight`], x, this.weights[`${name}.bias`]);
  }

  /** RMSNorm or LayerNorm of the `size` numbers from `start` on, into a new array (size,). */
  normalise(name, x, start = 0, size = x.length) {
    const { norm, norm_eps } = this.config, weight = this.weights[`${name}.weight`];
    const bias = this.weights[`${name}.bias`], out = x.slice(start, start + size);
    let mean = 0, square = 0;
    if (norm === "layernorm") for (const value of out) mean += value / size;
    for (const value of out) square += (value - mean) ** 2 / size;
    const scale = 1 / Math.sqrt(square + norm_eps);
    for (let i = 0; i < size; i++) out[i] = (out[i] - mean) * scale * weight[i] + (bias ? bias[i] : 0);
    return out;
  }

  /** Each head's part of a query or key (heads * D,): normalised, then turned by its position. */
  prepare(name, x, position) {
    const { head_dim, qk_norm, rope_theta } = this.config, half = head_dim / 2, { fround } = Math;
    for (let start = 0; start < x.length; start += head_dim) {
      if (qk_norm) x.set(this.normalise(name, x, start, head_dim), start);
      if (this.config.position !== "rope") continue;
      for (let i = 0; i < half; i++) { // the pair (i, i + D/2); angles rounded to 32 bits, as PyTorch has them
        const angle = fround(position / fround(rope_theta ** fround((2 * i) / head_dim)));
        const cos = Math.cos(angle), sin = Math.sin(angle), a = x[start + i], b = x[start + half + i];
        x[start + i] = a * cos - b * sin;
        x[start + half + i] = b * cos + a * sin;
      }
    }
    return x;
  }

  /** Gather values from this position and those before it, weighted by query-key agreement. x (W,) -> (W,). */
  attend(layer, x, position, cache, weightsSeen) {
    const { heads, kv_heads, head_dim } = this.config, name = `blocks.${layer}.attention`;
    const q = this.prepare(`${name}.q_norm`, this.linear(`${name}.q`, x), position); // (H * D,)
    const k = this.prepare(`${name}.k_norm`, this.linear(`${name}.k`, x), position); // (K * D,)
    const keys = cache.keys[layer], values = cache.values[layer], stride = kv_heads * head_dim;
    keys.set(k, position * stride);
    values.set(this.linear(`${name}.v`, x), position * stride);
    const mixed = new Float32Array(heads * head_dim), scale = 1 / Math.sqrt(head_dim);
    for (let head = 0; head < heads; head++) {
      const own = head * head_dim, shared = Math.floor(head / (heads / kv_heads)) * head_dim; // grouped heads
      const scores = new Float32Array(position + 1);
      for (let t = 0; t <= position; t++) {
        let sum = 0;
        for (let i = 0; i < head_dim; i++) sum += q[own + i] * keys[t * stride + shared + i];
        scores[t] = sum * scale;
      }
      softmax(scores);
      for (let t = 0; t <= position; t++)
        for (let i = 0; i < head_dim; i++) mixed[own + i] += scores[t] * values[t * stride + shared + i];
      weightsSeen?.push(scores);
    }
    return this.linear(`${name}.o`, mixed);
  }

  /** Each position thinks on its own: widen, apply a non-linearity, narrow. x (W,) -> (W,). */
  think(layer, x) {
    const name = `blocks.${layer}.mlp`, activate = ACTIVATIONS[this.config.mlp];
    const gate = this.config.mlp === "swiglu" ? this.linear(`${name}.gate`, x) : null;
    const hidden = this.linear(`${name}.up`, x).map((up, i) => activate(up, gate?.[i]));
    return this.linear(`${name}.down`, hidden);
  }

  /**
   * The running sum (W,) at one position, after all blocks; earlier positions stand in the cache.
   * `record`, where given, collects attention (layers * H arrays of position + 1) and the sum after each layer.
   */
  forward(id, position, cache, record) {
    const { width, depth, embedding_scale } = this.config;
    const x = this.weights["tokens.weight"].subarray(id * width, (id + 1) * width).map((v) => v * embedding_scale);
    if (this.config.position === "learned")
      addTo(x, this.weights["positions.weight"].subarray(position * width, (position + 1) * width));
    record?.sums.push(x.slice());
    for (let layer = 0; layer < depth; layer++) {
      const seen = this.normalise(`blocks.${layer}.attention_norm`, x);
      addTo(x, this.attend(layer, seen, position, cache, record?.attention));
      addTo(x, this.think(layer, this.normalise(`blocks.${layer}.mlp_norm`, x)));
      record?.sums.push(x.slice());
    }
    return x;
  }

  /** Logits (V,) of a running sum: at the end the prediction, in between what the model would say by then. */
  logits(x) {
    return multiply(this.head, this.normalise("norm", x));
  }
}

// ---- logits to a token -----------------------------------------------------------------------------------------

/**
 * Probabilities (V,) after temperature, top-k, top-p and min-p, in that order; excluded tokens get 0.
 * The likeliest token always stays; temperature 0 keeps it alone. topK 0 keeps all.
 */
function narrow(logits, { temperature, topK, topP, minP }) {
  if (!temperature) return share(new Float64Array(logits.length).fill(1), likeliest(logits).slice(0, 1));
  let chances = softmax(Float64Array.from(logits, (logit) => logit / temperature));
  if (topK) chances = share(chances, likeliest(chances).slice(0, topK));
  if (topP < 1) {
    let before = 0; // what the likelier tokens have reached
    chances = share(chances, likeliest(chances).filter((id) => (before += chances[id]) - chances[id] < topP));
  }
  const limit = minP * chances.reduce((a, b) => Math.max(a, b));
  return share(chances, [...chances.keys()].filter((id) => chances[id] >= limit));
}

/** All ids, the likeliest first; of equal ones the smaller id first. */
const likeliest = (chances) => Uint32Array.from(chances.keys()).sort((a, b) => chances[b] - chances[a] || a - b);

/** The chances of `kept` ids alone, divided by their sum; 0 for all others. */
function share(chances, kept) {
  const out = new Float64Array(chances.length), sum = kept.reduce((total, id) => total + chances[id], 0);
  for (const id of kept) out[id] = chances[id] / sum;
  return out;
}

/** A number in [0, 1) that depends on seed and place alone, so a step taken back and repeated gives the same token. */
function uniform(seed, place) {
  let z = (Math.imul(seed, 0x9e3779b1) + Math.imul(place + 1, 0x85ebca77)) | 0; // then mixed (murmur3, Appleby 2011)
  z = Math.imul(z ^ (z >>> 16), 0x85ebca6b);
  z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
  return ((z ^ (z >>> 16)) >>> 0) / 2 ** 32;
}

/** One id drawn by inverting the cumulative distribution at `u`. */
function draw(chances, u) {
  let last = 0;
  for (let id = 0; id < chances.length; id++) {
    if (chances[id] === 0) continue;
    last = id;
    u -= chances[id];
    if (u < 0) break;
  }
  return last;
}

// ---- one text --------------------------------------------------------------------------------------------------

/** A text as one model reads it; only what changed since the last reading is computed again. */
class Session {
  constructor(model) {
    this.model = model;
    this.cache = model.newCache();
    this.begin([], 0);
  }

  /** Forget everything. `start` is the first token in view; surprise and entropy, in bits, are counted from there. */
  begin(ids, start) {
    Object.assign(this, { ids, start, done: start, surprise: [], entropy: [], logits: null });
  }

  /** Take over `ids`; returns the logits (V,) behind the last. Past the context its last half is read anew. */
  read(ids) {
    const { context } = this.model.config;
    let same = 0;
    while (same < Math.min(this.done, ids.length) && this.ids[same] === ids[same]) same++;
    if (same <= this.start || ids.length - this.start > context)
      this.begin(ids, ids.length <= context ? 0 : ids.length - Math.max(1, context >> 1));
    else if (same < this.done) this.goBack(same - 1);
    this.ids = ids.slice();
    while (this.done < ids.length) this.step();
    return this.logits;
  }

  /** Read again from `place` on, whose token has not changed: its surprise stays, its logits come anew. */
  goBack(place) {
    this.surprise.length = place - this.start + 1;
    this.entropy.length = place - this.start;
    Object.assign(this, { done: place, logits: null });
  }

  step() {
    const place = this.done - this.start, id = this.ids[this.done];
    if (this.logits) this.surprise[place] = -Math.log2(softmax(Float64Array.from(this.logits))[id]);
    else this.surprise[place] ??= null; // nothing stands before the first token
    this.logits = this.model.logits(this.model.forward(id, place, this.cache));
    this.entropy[place] = 0;
    for (const p of softmax(Float64Array.from(this.logits))) if (p > 0) this.entropy[place] -= p * Math.log2(p);
    this.done++;
  }

  /** What the model does at the places from `first` to `last` in view: one record each, as `forward` makes them. */
  inside(first, last) {
    const records = [];
    for (let place = first; place <= last; place++) {
      const record = { attention: [], sums: [] };
      this.model.forward(this.ids[this.start + place], place, this.cache, record);
      records.push(record);
    }
    return records;
  }
}
