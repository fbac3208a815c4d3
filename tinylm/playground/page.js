// The page: reads its controls, asks the worker (first.js), shows the answers. All text is set as text, not as markup.
//
// One list of ids, `state.ids`, is what the upper half shows: prompt, then tokens drawn or chosen. Every change goes
// through `show`, which has the models read it and then draws tokens, bars, chart and the inside view from the answers.
"use strict";

const state = { ids: [], prompt: 0, view: null, selected: null, head: 0, inside: null, playing: false };
const PLACES = 32; // tokens in the heat-maps
const BARS = 10; // tokens offered
const DRAWN = 40; // tokens in the chart

const percent = (p) => (p > 0 && p < 0.001 ? "< 0.1 %" : `${(100 * p).toFixed(p < 0.0995 ? 1 : 0)} %`);
const count = (n) => String(n).replace(/\B(?=(\d{3})+$)/g, ","); // toLocaleString costs 10 ms at its first call
const bits = (x) => (x === null || x === undefined ? "–" : x.toFixed(1));

/** An element with attributes and children; strings become text nodes. */
function make(tag, attributes = {}, ...children) {
  const svg = ["svg", "rect", "circle", "line", "text", "path"].includes(tag);
  const element = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Text with a sign in the place of each control character but line break and tab. */
const visible = (text) => text.replace(/[\0-\x08\x0b-\x1f]/g, (c) => String.fromCharCode(0x2400 + c.charCodeAt(0)));

// ---- helpers ---------------------------------------------------------------------------------------------------

/** `work`, run once more after it ends if it was called meanwhile: what a slider asks for while it moves. */
function latest(work) {
  let running = false, again = false;
  return async () => {
    again = true;
    if (running) return;
    running = true;
    while (again) {
      again = false;
      await work().catch((error) => fail(error.message));
    }
    running = false;
  };
}

// ---- reading the controls --------------------------------------------------------------------------------------

const which = () => Number(at("which").value);
const colour = () => `var(--c${which()})`;
const seed = () => Math.floor(at("seed").valueAsNumber) || 0;

function sampling() {
  const settings = {};
  for (const name of ["temperature", "topK", "topP", "minP"]) settings[name] = at(name).valueAsNumber;
  return settings;
}

function showSettings() {
  const { temperature, topK, topP, minP } = sampling();
  const said = {
    temperature: temperature ? temperature.toFixed(2) : "0: always the likeliest", topK: topK || "off",
    topP: topP < 1 ? topP.toFixed(2) : "off", minP: minP ? minP.toFixed(2) : "off",
  };
  for (const [name, text] of Object.entries(said)) {
    at(`${name}-value`).textContent = text;
    at(name).setAttribute("aria-valuetext", text);
  }
}

// ---- tokens, bars, chart ---------------------------------------------------------------------------------------

/** Have the models read `ids` and show everything that follows from them. */
async function show(ids) {
  state.ids = ids;
  const view = await ask("read", { ids });
  if (state.ids !== ids) return; // the reader went on
  Object.assign(state, { view, selected: null });
  const bars = showBars(), inside = showInside();
  await bars; // first what everything is about
  showChips();
  showChart();
  await inside;
}

const readPrompt = latest(async () => {
  stopPlaying();
  const ids = await ask("encode", { text: at("prompt").value, begin: facts.begin });
  state.prompt = ids.length;
  await show(ids);
});

function showChips() {
  const { labels, views, start } = state.view, { surprise, entropy } = views[which()];
  const chips = labels.map((label, i) => {
    const told = `surprise ${bits(surprise[i])} bits, then entropy ${bits(entropy[i])} bits`;
    const chip = make("span", { role: "option", class: "chip", tabindex: -1, title: told },
      make("span", {}, label), make("small", {}, bits(surprise[i])));
    chip.classList.toggle("new", i + start >= state.prompt);
    return chip;
  });
  at("chips").replaceChildren(...chips);
  const earlier = start ? `${count(start)} earlier tokens are out of view: the context is full. ` : "";
  at("chip-note").textContent = labels.length
    ? `${earlier}Below each token: its surprise in bits. Point at a token, or use the arrow keys, to look inside there.`
    : "Type at least one character.";
  for (const id of ["step", "play", "write"]) at(id).disabled = !labels.length;
  mark();
}

/** Shade the tokens: by attention from the selected one, else by surprise. */
function mark() {
  const { surprise } = state.view.views[which()], { selected, inside, head } = state;
  const seen = selected !== null && inside?.last === selected ? inside.heads[head].at(-1) : null;
  at("chips").style.setProperty("--heat", colour());
  [...at("chips").children].forEach((chip, i) => {
    const share = seen ? seen[i] ?? 0 : Math.min(1, (surprise[i] ?? 0) / 12);
    chip.style.setProperty("--share", `${(45 * share).toFixed(1)}%`);
    chip.setAttribute("aria-selected", i === selected);
    chip.tabIndex = i === (selected ?? state.view.labels.length - 1) ? 0 : -1;
  });
}

const showBars = latest(async () => {
  const { rows, kept } = await ask("chances", { sampling: sampling(), count: BARS });
  const focused = document.activeElement?.dataset?.place; // the keyboard stays on the same row
  const most = Math.max(...rows.flatMap((row) => [...row.narrowed, ...row.raw]));
  at("bars").replaceChildren(...rows.map((row, place) => bar(row, place, most)));
  if (focused) at("bars").children[focused]?.focus();
  const told = kept.map((number, i) => uncertainty(facts.runs[i], state.view.views[i].entropy.at(-1), number));
  if (rows.length) told.push("Pale: before the settings. Press a bar to choose its token.");
  at("bars-note").textContent = told.join(" ");
  performance.mark("probabilities");
});

/** Entropy in words: 3 bits are as uncertain as a choice among 8 equally likely tokens. */
function uncertainty(run, entropy, kept) {
  const name = facts.runs.length > 1 ? `${run.name}: ` : "", choices = count(Math.round(2 ** entropy));
  return `${name}entropy ${bits(entropy)} bits, as uncertain as among ${choices} equally likely tokens; ` +
    `the settings keep ${count(kept)} of ${count(run.config.vocab_size)}.`;
}

/** One token's bars, as a button that chooses it. */
function bar(row, place, most) {
  const told = facts.runs.map((run, i) => `${run.name} ${percent(row.raw[i])}`).join(", ");
  const title = `Choose this token. Before the settings: ${told}`;
  const button = make("button", { type: "button", class: "bar", "data-place": place, title });
  const tracks = make("span", { class: "tracks" }), numbers = make("span", { class: "percents" });
  row.narrowed.forEach((chance, i) => {
    const track = make("span", { class: "track" });
    for (const [kind, width] of [["raw", row.raw[i]], ["kept", chance]]) {
      const fill = make("span", { class: `fill ${kind}` });
      fill.style.width = `${(100 * width) / most}%`;
      fill.style.setProperty("--own", `var(--c${i})`);
      track.append(fill);
    }
    tracks.append(track);
    numbers.append(make("span", {}, make("span", { class: "unseen" }, ` ${facts.runs[i].name} `), percent(chance)));
  });
  button.append(make("span", { class: "token" }, row.label), tracks, numbers);
  button.addEventListener("click", () => {
    stopPlaying();
    show([...state.ids, row.id]).catch((error) => fail(error.message));
  });
  return button;
}

/** Surprise as bars and entropy as dots, for the last tokens. */
function showChart() {
  const { surprise, entropy } = state.view.views[which()], first = Math.max(0, surprise.length - DRAWN);
  const chart = at("chart"), width = 640, height = 150, base = 130, left = 28;
  const most = Math.max(4, ...surprise.slice(first).map((x) => x ?? 0), ...entropy.slice(first));
  const y = (x) => base - (x / most) * 120, step = (width - left) / Math.max(12, surprise.length - first);
  const parts = [0, Math.round(most / 2), Math.floor(most)].flatMap((tick) => [
    make("line", { x1: left, x2: width, y1: y(tick), y2: y(tick), class: "grid" }),
    make("text", { x: left - 6, y: y(tick) + 4, "text-anchor": "end" }, String(tick)),
  ]);
  for (let i = first; i < surprise.length; i++) {
    const x = left + (i - first) * step, value = surprise[i] ?? 0;
    const wide = Math.max(1, step - 3), high = base - y(value);
    parts.push(make("rect", { x: x + 1, y: y(value), width: wide, height: high, fill: colour() }));
    if (i) parts.push(make("circle", { cx: x + step / 2, cy: y(entropy[i - 1]), r: 3.5 }));
  }
  chart.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const known = surprise.filter((x) => x !== null), mean = known.reduce((a, b) => a + b, 0) / (known.length || 1);
  chart.setAttribute("aria-label", `Surprise of ${known.length} tokens, on average ${bits(mean)} bits`);
  chart.replaceChildren(...parts);
}

// ---- step, play, back ------------------------------------------------------------------------------------------

/** Draw one token; false where the text has ended. */
async function stepOnce() {
  const ids = state.ids;
  const id = await ask("draw", { which: which(), sampling: sampling(), seed: seed() });
  if (state.ids !== ids) return false;
  await show([...ids, id]);
  const ended = state.view.labels.at(-1) === facts.begin;
  if (ended) at("chip-note").textContent = "The model began a new document: its text ends here.";
  return !ended;
}

async function play() {
  if (state.playing) return stopPlaying();
  state.playing = true;
  at("play").textContent = "Pause";
  while (state.playing && (await stepOnce())) await new Promise((resolve) => setTimeout(resolve, 250));
  stopPlaying();
}

function stopPlaying() {
  state.playing = false;
  at("play").textContent = "Play";
}

// ---- writing, side by side -------------------------------------------------------------------------------------

async function write() {
  await ask("stop");
  at("stop").disabled = false;
  const tokens = Math.min(2000, Math.max(1, at("tokens").valueAsNumber || 1));
  const common = { ids: state.ids, tokens, sampling: sampling(), seed: seed(), begin: facts.begin };
  const opening = (await ask("decode", { ids: state.ids.slice(-100) })).trimStart();
  at("columns").replaceChildren(...facts.runs.map((run) => make("section", { class: "card" },
    make("h3", {}, run.name), make("div", { class: "text" }), make("p", { class: "note", role: "status" }))));
  const cards = at("columns").children;
  await Promise.all(facts.runs.map((run, i) => writeColumn(run, cards[i], { ...common, which: i }, opening)));
  at("stop").disabled = true;
}

async function writeColumn(run, card, request, opening) {
  const [, box, note] = card.children, body = make("span");
  box.append(make("b", {}, visible(opening)), body);
  let text = "";
  const { made, ended, seconds } = await ask("write", request, (part) => {
    text += part;
    body.textContent = visible(text);
  });
  const speed = `${made} tokens in ${seconds.toFixed(1)} s (${Math.round(made / seconds)} a second)`;
  note.textContent = speed + (ended ? "; the model ended its text itself" : "");
  if (run.metre) await markLines(box, opening + text, ended);
}

/** The text line by line, each with its metre below: x weak, / strong. A last line that was cut off is not judged. */
async function markLines(box, text, ended) {
  const lines = text.split("\n").filter((line) => line.trim());
  const verdicts = await ask("scan", { lines });
  if (!ended && !text.endsWith("\n")) verdicts.splice(-1, 1, { ok: null, pattern: "", reason: "not finished" });
  box.replaceChildren(...lines.map((line, i) => {
    const { ok, pattern, reason } = verdicts[i];
    const verdict = ok ? "✓ scans " : "✗ does not scan ";
    const sign = ok === null ? "" : make("span", { class: ok ? "yes" : "no" }, verdict);
    const marks = make("small", {}, sign, make("code", {}, pattern), ` ${reason}`);
    return make("p", { class: "line" }, visible(line), marks);
  }));
}

// ---- start -----------------------------------------------------------------------------------------------------

function prepareControls() {
  at("lead").textContent = facts.lead;
  const two = facts.runs.length > 1;
  at("write-title").textContent = two ? "Side by side: same beginning, same seed" : "Let it write";
  for (const element of document.querySelectorAll(".two")) element.hidden = !two;
  at("which").replaceChildren(...facts.runs.map((run, i) => make("option", { value: i }, run.name)));
  at("which").value = facts.runs.length - 1;
  facts.runs.forEach((run, i) => {
    const swatch = make("span", { class: "swatch" });
    swatch.style.background = `var(--c${i})`;
    at("legend").append(swatch, run.name);
  });
  const marked = facts.runs.filter((run) => run.metre).map((run) => run.name);
  at("marks-note").textContent = marked.length
    ? `Marks of ${marked.join(" and ")}: x weak, / strong; ✓ scans as iambic pentameter.` : "";
  for (const [name, value] of Object.entries(facts.sampling)) at(name).value = value;
  at("prompt").value = facts.prompt;
}

/** Call `work` on an event; what goes wrong in it is told in the page. */
function on(id, event, work) {
  at(id).addEventListener(event, (happening) => Promise.resolve(work(happening)).catch((error) => fail(error.message)));
}

/** The same for a button that changes the tokens: whatever plays stops first. */
function press(id, work) {
  on(id, "click", () => {
    stopPlaying();
    return work();
  });
}

function listen() {
  on("prompt", "input", readPrompt);
  press("reset", readPrompt);
  press("step", stepOnce);
  press("back", () => state.ids.length > state.prompt && show(state.ids.slice(0, -1)));
  on("play", "click", play);
  on("settings", "input", () => {
    showSettings();
    return showBars();
  });
  on("which", "change", changeRun);
  press("write", write);
  on("stop", "click", () => ask("stop"));
  listenToChips();
  window.addEventListener("resize", redrawHeat);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redrawHeat);
}

/** Look through the eyes of the other run. */
function changeRun() {
  state.head = 0;
  at("heads").replaceChildren();
  showChips();
  showChart();
  return showInside();
}

/** A token is selected by pointing at it, or by the arrow keys: one stop of the Tab key for all tokens. */
function listenToChips() {
  const placeOf = (event) => [...at("chips").children].indexOf(event.target.closest(".chip"));
  for (const event of ["pointermove", "click"])
    on("chips", event, (happening) => {
      const place = placeOf(happening);
      if (place >= 0 && place !== state.selected) select(place);
    });
  on("chips", "keydown", (event) => {
    const last = state.view.labels.length - 1, now = state.selected ?? last;
    const to = { ArrowLeft: now - 1, ArrowRight: now + 1, Home: 0, End: last }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    select(to);
    at("chips").children[state.selected].focus();
  });
}

async function start() {
  prepareControls();
  showSettings();
  at("all").hidden = false;
  await Promise.all(ready);
  listen();
  await readPrompt();
  showDiagram();
  showNumbers();
  if (at("status").textContent.startsWith("Starting")) at("status").hidden = true;
}

start().catch((error) => fail(error.message));
