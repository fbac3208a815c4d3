// Runs the page's engine in Node: reads one JSON request from standard input, writes one JSON answer.
const fs = require("fs");
const request = JSON.parse(fs.readFileSync(0, "utf-8"));
const source = request.sources.map((path) => fs.readFileSync(path, "utf-8")).join("\n");
const names = "{ readTensors, makeTokenizer, Transformer, Session, narrow, draw, uniform, ACTIVATIONS" +
  (request.table ? ", Metre" : "") + " }";
const engine = new Function(`${source}; return ${names};`)();

const answers = {
  encode: () => request.texts.map((text) => engine.makeTokenizer(request.tokenizer).encode(text)),
  logits: () => {
    const body = Uint8Array.from(Buffer.from(request.body, "base64")).buffer;
    const model = new engine.Transformer(request.config, engine.readTensors(request.tensors, body));
    const session = new engine.Session(model);
    const rows = request.ids.map((_, i) => Array.from(session.read(request.ids.slice(0, i + 1))));
    const greedy = request.ids.slice(0, request.prompt);
    for (let i = 0; i < request.greedy; i++) {
      const chances = engine.narrow(session.read(greedy), { temperature: 0, topK: 0, topP: 1, minP: 0 });
      greedy.push(engine.draw(chances, 0.5));
    }
    return { rows, greedy, surprise: session.surprise };
  },
  narrow: () => request.settings.map((sampling) => Array.from(engine.narrow(Float32Array.from(request.logits), sampling))),
  uniform: () => Array.from({ length: request.count }, (_, place) => engine.uniform(request.seed, place)),
  decode: () => request.ids.map((ids) => engine.makeTokenizer(request.tokenizer).decode(ids)),
  label: () => request.ids.map((id) => engine.makeTokenizer(request.tokenizer).label(id)),
  scan: () => request.lines.map((line) => new engine.Metre(request.table).scan(line)),
};
process.stdout.write(JSON.stringify(answers[request.task]()));
