// The worker: holds the models and answers the page's requests, so that the page itself never waits.
//
// A request is {id, task, ...}; the answer is {id, result} or {id, error}. `write` also sends {id, part} as it goes.
"use strict";

const readers = [], writers = []; // a Session of each model for the page's text, and one for what it writes
let tokenizer, table, metre, current; // `current`: the ids that the page shows
let writing = 0; // number of the present `write`; an older one sees that it is no longer wanted

/** Bytes from base64, as an ArrayBuffer; browsers from before 2025 go through a string. */
function fromBase64(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text).buffer;
  const binary = atob(text), bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes.buffer;
}

const TASKS = {
  /** Make the tokenizer ready; `language` is JSON: its content, and the metre's table or null. */
  prepare({ language }) {
    const read = JSON.parse(language);
    tokenizer = makeTokenizer(read.tokenizer);
    table = read.table;
  },

  /** Make one more model ready; its `weights` are base64. */
  load({ config, tensors, weights }) {
    const model = new Transformer(config, readTensors(tensors, fromBase64(weights)));
    readers.push(new Session(model));
    writers.push(new Session(model));
  },

  /** Ids of a text, behind the token `begin` where documents begin with one. */
  encode({ text, begin }) {
    const special = begin ? [tokenizer.specialId(begin)] : [];
    return [...special, ...tokenizer.encode(text)];
  },

  decode({ ids }) {
    return tokenizer.decode(ids);
  },

  /** Let every model read `ids`; what is in view, and for each model the bits of surprise and entropy along it. */
  read({ ids }) {
    current = ids;
    for (const reader of readers) if (ids.length) reader.read(ids);
    const start = ids.length ? Math.max(...readers.map((reader) => reader.start)) : 0;
    const views = readers.map((reader) => ({
      surprise: reader.surprise.slice(start - reader.start), entropy: reader.entropy.slice(start - reader.start),
    }));
    return { start, labels: ids.slice(start).map((id) => tokenizer.label(id)), views };
  },

  /** The `count` likeliest next tokens: raw and narrowed probability by each model, and how many tokens are kept. */
  chances({ sampling, count }) {
    if (!current.length) return { rows: [], kept: [] };
    const raw = readers.map((reader) => softmax(Float64Array.from(reader.logits)));
    const narrowed = readers.map((reader) => narrow(reader.logits, sampling));
    const together = raw[0].map((_, id) => raw.reduce((sum, chances) => sum + chances[id], 0));
    const rows = Array.from(likeliest(together).slice(0, count), (id) => ({
      id, label: tokenizer.label(id), raw: raw.map((c) => c[id]), narrowed: narrowed.map((c) => c[id]),
    }));
    return { rows, kept: narrowed.map((chances) => chances.filter((chance) => chance > 0).length) };
  },

  /** The token that model `which` draws next. The same seed at the same place gives every model the same number. */
  draw({ which, sampling, seed }) {
    return draw(narrow(readers[which].logits, sampling), uniform(seed, current.length));
  },

  /** Attention of every head at the `count` places up to `last`, and the logit lens there: likeliest by each layer. */
  inside({ which, last, count }) {
    const reader = readers[which], shift = Math.max(...readers.map((r) => r.start)) - reader.start;
    const first = Math.max(0, last - count + 1), records = reader.inside(first + shift, last + shift);
    const heads = records[0].attention.map((_, head) => records.map((record) => record.attention[head].slice(shift)));
    const lens = records[records.length - 1].sums.map((sum) => {
      const chances = softmax(reader.model.logits(sum));
      return Array.from(likeliest(chances).slice(0, 4), (id) => ({ label: tokenizer.label(id), chance: chances[id] }));
    });
    return { first, last, heads, lens };
  },

  /** Continue `ids` by at most `tokens` tokens; `part` messages carry the text. Ends where a new document begins. */
  async write({ id, which, ids, tokens, sampling, seed, begin }) {
    const mine = writing, writer = writers[which], push = tokenizer.decoder(), end = tokenizer.specialId(begin);
    const started = performance.now();
    let breath = started, made = 0, ended = false, part = "";
    for (ids = ids.slice(); made < tokens; made++) {
      const next = draw(narrow(writer.read(ids), sampling), uniform(seed, ids.length));
      ended = next === end;
      if (ended) break;
      ids.push(next);
      part += push(next);
      if (performance.now() - breath > 30) { // show what there is, and let other requests in
        postMessage({ id, part });
        part = "";
        await new Promise((resolve) => setTimeout(resolve));
        if (mine !== writing) break;
        breath = performance.now();
      }
    }
    postMessage({ id, part: part + push(null) });
    return { made, ended, seconds: (performance.now() - started) / 1000 };
  },

  /** End whatever is being written. */
  stop() {
    writing++;
  },

  scan({ lines }) {
    metre ??= new Metre(table);
    return lines.map((line) => metre.scan(line));
  },
};

onmessage = async ({ data }) => {
  try {
    postMessage({ id: data.id, result: await TASKS[data.task](data) });
  } catch (error) {
    postMessage({ id: data.id, error: String(error.message ?? error) });
  }
};
