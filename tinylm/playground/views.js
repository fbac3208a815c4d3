// Looking inside, and how it works: attention as heat-maps, the logit lens, the diagram and the numbers.
//
// A part of the page's one script, before page.js, whose `state`, `facts`, `make`, `count` and `ask` it uses.
"use strict";

// ---- looking inside --------------------------------------------------------------------------------------------

const showInside = latest(async () => {
  const { labels } = state.view, last = state.selected ?? labels.length - 1;
  if (last < 0) return;
  state.inside = await ask("inside", { which: which(), last, count: PLACES });
  state.inside.labels = labels;
  showHeads();
  showAttention();
  showLens();
  mark();
});

function select(place) {
  state.selected = Math.max(0, Math.min(place, state.view.labels.length - 1));
  mark();
  showInside();
}

function headName(head) {
  const { heads } = facts.runs[which()].config;
  return `layer ${Math.floor(head / heads) + 1}, head ${(head % heads) + 1}`;
}

/** One small heat-map for every head, a row for each layer. */
function showHeads() {
  const { heads: perLayer } = facts.runs[which()].config, { heads } = state.inside;
  if (at("heads").childElementCount !== heads.length) {
    at("heads").style.setProperty("--heads", perLayer);
    at("heads").replaceChildren(...heads.map((_, head) => {
      const name = headName(head), told = { "aria-label": name, title: name };
      const button = make("button", { type: "button", class: "head", ...told }, make("canvas"));
      for (const event of ["click", "pointermove", "focus"])
        button.addEventListener(event, () => head !== state.head && chooseHead(head));
      return button;
    }));
  }
  [...at("heads").children].forEach((button, head) => {
    button.setAttribute("aria-pressed", head === state.head);
    drawHeat(button.firstChild, heads[head], 52, 0);
  });
}

function chooseHead(head) {
  state.head = head;
  [...at("heads").children].forEach((button, i) => button.setAttribute("aria-pressed", i === head));
  showAttention();
  mark();
}

/** Rows of attention as squares; `margin` pixels for the labels of rows and columns. Rows look at columns. */
function drawHeat(canvas, rows, size, margin) {
  const style = getComputedStyle(document.documentElement), ratio = window.devicePixelRatio || 1;
  const { first, last, labels } = state.inside, places = last - first + 1, cell = (size - margin) / places;
  canvas.width = canvas.height = size * ratio;
  canvas.style.width = canvas.style.height = `${size}px`;
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  pen.fillStyle = style.getPropertyValue("--paper");
  pen.fillRect(margin, 0, size, size - margin);
  pen.fillStyle = style.getPropertyValue(`--c${which()}`);
  rows.forEach((row, y) => {
    for (let x = 0; x <= y; x++) {
      pen.globalAlpha = Math.sqrt(row[first + x] ?? 0); // the root makes small shares visible
      pen.fillRect(margin + x * cell, y * cell, cell - 0.5, cell - 0.5);
    }
  });
  pen.globalAlpha = 1;
  if (!margin) return;
  pen.fillStyle = style.getPropertyValue("--ink");
  pen.font = `${Math.min(12, Math.max(8, cell * 0.85))}px ui-monospace, monospace`;
  pen.textBaseline = "middle";
  for (let i = 0; i < places; i++) {
    const signs = [...labels[first + i]], text = signs.length > 9 ? `${signs.slice(0, 8).join("")}…` : signs.join("");
    pen.textAlign = "right";
    pen.fillText(text, margin - 4, (i + 0.5) * cell);
    pen.save();
    pen.translate(margin + (i + 0.5) * cell, size - margin + 4);
    pen.rotate(-Math.PI / 2);
    pen.fillText(text, 0, 0);
    pen.restore();
  }
}

/** Draw again in the present size and colours. */
function redrawHeat() {
  if (!state.inside) return;
  showHeads();
  showAttention();
}

/** The chosen head, large, and in words. */
function showAttention() {
  if (!state.inside) return;
  const { heads, last, labels } = state.inside, rows = heads[state.head], name = headName(state.head);
  const size = Math.min(460, at("head-title").clientWidth);
  drawHeat(at("attention"), rows, size, 72);
  const seen = rows.at(-1), strongest = Array.from(seen.keys()).sort((a, b) => seen[b] - seen[a]).slice(0, 3);
  const told = strongest.map((i) => `${labels[i]} ${percent(seen[i])}`).join(", ");
  at("head-title").textContent = `Attention: ${name}`;
  at("attention").setAttribute("aria-label", `Heat-map of ${name}, the last ${rows.length} tokens`);
  at("attention-note").textContent = `From ${labels[last]} this head looks most at ${told}. Each row is a token, ` +
    "each column one that it looks back at; the darker, the more. Point at a small map to see it large.";
  at("inside-note").textContent = `At the token ${labels[last]}, number ${last + 1 + state.view.start}` +
    (facts.runs.length > 1 ? `, in ${facts.runs[which()].name}.` : ".");
}

function showLens() {
  const rows = state.inside.lens.map((guesses, layer) =>
    make("tr", {}, make("th", { scope: "row" }, layer ? `after block ${layer}` : "token alone"),
      ...guesses.map(({ label, chance }) => make("td", {}, make("code", {}, label), ` ${percent(chance)}`))));
  const names = ["layer", "first guess", "second", "third", "fourth"];
  const head = make("tr", {}, ...names.map((name) => make("th", { scope: "col" }, name)));
  at("lens").replaceChildren(make("thead", {}, head), make("tbody", {}, ...rows));
}

// ---- how it works ----------------------------------------------------------------------------------------------

/** A matrix as a rectangle in the proportions of its shape (sides by the square root), with what it is for. */
function matrix(name, rows, columns, purpose) {
  const side = (n) => `${Math.max(6, Math.min(84, 2.2 * Math.sqrt(n)))}px`;
  const box = make("span", { class: "shape", "aria-hidden": "true" });
  Object.assign(box.style, { width: side(columns), height: side(rows) });
  const size = columns === 1 ? `${count(rows)} numbers` : `${count(rows)} × ${count(columns)}`;
  return make("li", {}, box, make("b", {}, name), make("span", {}, size), make("small", {}, purpose));
}

/** One stage of the way: its name, what happens, and the matrices that do it. */
function stage(title, text, ...matrices) {
  return make("li", { class: "stage" }, make("h3", {}, title), make("p", {}, text), make("ul", {}, ...matrices));
}

/** From tokens to the prediction, each matrix with its shape (rows × columns) where it is used. */
function showDiagram() {
  const c = facts.runs[0].config, table = "a row for each token";
  const entry = [matrix("tokens", c.vocab_size, c.width, table)];
  if (c.position === "learned") entry.push(matrix("positions", c.context, c.width, "a row for each place, added"));
  const blocks = make("h3", {}, `${c.depth} blocks, one after the other, each:`);
  at("diagram").replaceChildren(make("ol", { class: "flow" },
    stage("tokens in", `Each token picks its row: ${c.width} numbers, the start of its running sum.`, ...entry),
    make("li", { class: "block" }, blocks, make("ol", {}, attentionStage(c), mlpStage(c))),
    stage("prediction out", "The last running sum is scored against every token. Softmax makes probabilities, the " +
      "settings narrow them, and one random number draws.", matrix("norm", c.width, 1, "to one scale"),
      matrix("head", c.vocab_size, c.width, c.tied ? "the token table again" : table))));
}

function attentionStage(c) {
  const queries = c.heads * c.head_dim, keys = c.kv_heads * c.head_dim;
  const turned = c.position === "rope" ? " Queries and keys are turned by their position (RoPE)." : "";
  return stage("attention", `${c.heads} heads gather from earlier tokens and add to the running sum.${turned}`,
    matrix("norm", c.width, 1, "to one scale"), matrix("q", queries, c.width, "what I look for"),
    matrix("k", keys, c.width, "how I am found"), matrix("v", keys, c.width, "what I hand over"),
    matrix("o", c.width, queries, "back to the sum"));
}

function mlpStage(c) {
  const gate = c.mlp === "swiglu" ? [matrix("gate", c.mlp_width, c.width, "how much of each")] : [];
  return stage("MLP", `Each position thinks on its own (${c.mlp}) and adds to the running sum.`,
    matrix("norm", c.width, 1, "to one scale"), ...gate, matrix("up", c.mlp_width, c.width, "widen"),
    matrix("down", c.width, c.mlp_width, "narrow"));
}

/** The eight numbers, a column for each run. */
function showNumbers() {
  const columns = ["number", ...facts.runs.map((run) => run.name)];
  const head = make("tr", {}, ...columns.map((name) => make("th", { scope: "col" }, name)));
  const rows = facts.runs[0].numbers.map(([name], i) =>
    make("tr", {}, make("th", { scope: "row" }, name), ...facts.runs.map((run) => make("td", {}, run.numbers[i][1]))));
  at("numbers").replaceChildren(make("thead", {}, head), make("tbody", {}, ...rows));
  at("rounding").textContent = facts.runs.map((run) => run.rounding).join(" ");
}
