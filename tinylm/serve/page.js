// The page of the assistant: sends messages, shows what comes back. All text is set as text, never as markup.
//
// A reply comes as lines of JSON. Pieces of an answer go to the left, everything else (steps, calls, results, passages,
// sources, kinds that are not known here) to the list beside it. A screen reader hears whole answers, by way of `said`.
"use strict";

const at = (id) => document.getElementById(id);
const token = document.querySelector("meta[name=token]").content;
const switches = [...document.querySelectorAll("#abilities input")];
const KINDS = {
  step: "The model works out", call: "The model calls", result: "The program answers",
  passage: "Found in the documents", source: "Where it stands",
};
const LOST = "The program does not answer: it has ended, or was started anew. Start it in the terminal, then reload.";

let conversation = null; // a promise of this tab's key; kept nowhere else, so that a second tab has its own
let running = null; // what stops the answer that is being written

/** An element with attributes and children; strings become text nodes. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

// ---- the server ------------------------------------------------------------------------------------------------

/** The server's response to a request; an Error with its reason where it refuses. */
async function post(path, fields, options = {}) {
  const headers = { "Content-Type": "application/json", "X-TinyLM-Token": token };
  const request = { method: "POST", headers, body: JSON.stringify(fields), ...options };
  const response = await fetch(path, request).catch((error) => {
    throw error.name === "AbortError" ? error : new Error(LOST);
  });
  if (response.ok) return response;
  const { error } = await response.json().catch(() => ({ error: `the program refuses: ${response.status}` }));
  throw new Error(error);
}

/** The key of this tab's conversation, which is begun at the first message. */
function key() {
  conversation ??= post("/begin", {}).then((response) => response.json()).then((answer) => answer.conversation);
  conversation.catch(() => (conversation = null));
  return conversation;
}

/** Tell the server that this conversation is over; also while the tab is being closed. */
function leave() {
  running?.abort();
  conversation?.then((old) => post("/end", { conversation: old }, { keepalive: true })).catch(() => {});
  conversation = null;
}

/** The lines of a reply as they come. */
async function* linesOf(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read().catch((error) => {
      throw error.name === "AbortError" ? error : new Error(LOST);
    });
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) yield JSON.parse(line);
  }
}

// ---- one turn --------------------------------------------------------------------------------------------------

const firstWord = (box) => box.textContent.trim().split(/\s/)[0];

/** The parts of a turn on the page, and what fills them. */
class Turn {
  constructor(message, off) {
    this.message = message;
    this.shown = []; // kind and box of each part beside the answer
    this.last = null; // the kind of the last event
    const again = make("button", { type: "button", class: "quiet" }, "Ask again");
    again.addEventListener("click", () => ask(message));
    this.asked = make("p", { class: "asked" }, make("span", { class: "unseen" }, "You: "),
      make("span", { class: "words" }, message), again);
    if (off.length) this.asked.append(make("small", {}, `without ${off.join(", ")}`));
    this.answer = make("p", { class: "words" });
    this.from = make("p", { class: "from", hidden: "" });
    this.summary = make("summary", {}, "At work");
    this.parts = make("ol", { class: "parts" });
    this.work = make("details", { class: "work", open: "" }, this.summary, this.parts);
    this.said = make("div", { class: "answer" }, make("span", { class: "unseen" }, "Answer: "), this.answer, this.from);
    this.whole = make("li", { class: "turn busy" }, this.asked, make("div", { class: "halves" }, this.said, this.work));
  }

  /** Show one event. */
  add({ kind, text }) {
    const isNew = kind !== this.last;
    this.last = kind;
    if (kind === "answer") {
      const begun = this.answer.textContent;
      return this.answer.append(begun ? (isNew ? `\n${text}` : text) : text.trimStart());
    }
    if (isNew || ["result", "passage", "source"].includes(kind)) {
      this.box = make("span", { class: "words" });
      this.shown.push([kind, this.box]);
      const name = make("span", { class: "name" }, KINDS[kind] ?? kind);
      this.parts.append(make("li", { class: "part", "data-kind": kind }, name, this.box));
    }
    this.box.append(text);
    if (kind === "source") this.cite(text);
  }

  /** The source below the answer: a click unfolds the passage. */
  cite(source) {
    const place = this.parts.lastElementChild;
    place.tabIndex = -1;
    const link = make("button", { type: "button", class: "quiet" }, source);
    link.addEventListener("click", () => {
      this.work.open = true;
      place.focus();
    });
    this.from.replaceChildren("From ", link);
    this.from.hidden = false;
  }

  /** The reply is complete, or `trouble` says why it is not. */
  finish(trouble = "") {
    this.whole.classList.remove("busy");
    const names = this.shown.map(([kind, box]) => (kind === "call" ? `call ${firstWord(box)}` : kind));
    this.summary.textContent = `What it did: ${names.join(" → ")}`;
    const nothing = "No search and no call: this came from the model's weights.";
    if (!names.length) this.work.replaceWith(make("p", { class: "work note" }, nothing));
    if (trouble) this.said.append(make("p", { class: "problem" }, trouble));
    else if (!this.answer.textContent.trim()) this.answer.append(make("i", {}, "no words"));
  }

  /** What a screen reader is told of the whole turn. */
  get spoken() {
    const parts = this.said.querySelectorAll(":scope > :not(div, [hidden]), .confirm .note");
    return Array.from(parts, (part) => part.textContent.trim()).join(" ");
  }

  /** Yes and No for a call that waits. */
  confirm() {
    const buttons = [["Yes, do it", "yes"], ["No", "no"]].map(([label, word]) => {
      const button = make("button", { type: "button" }, label);
      button.addEventListener("click", () => {
        at("message").focus(); // the buttons are about to go
        ask(word);
      });
      return button;
    });
    const [, call] = this.shown.findLast(([kind]) => kind === "call") ?? [];
    const what = call?.textContent.trim() || "a call";
    const note = make("p", { class: "note" }, "Nothing has been done yet. ", make("code", {}, what), " waits for your yes.");
    this.said.append(make("div", { class: "confirm", role: "group", "aria-label": `Confirm ${what}` }, note, ...buttons));
  }
}

// ---- asking ----------------------------------------------------------------------------------------------------

/** Names of the abilities that are on. */
const abilities = () => switches.filter((one) => one.checked).map((one) => one.value);

/** Labels of those that are off, in small letters. */
const missing = () =>
  switches.filter((one) => !one.checked).map((one) => one.closest("label").textContent.trim().toLowerCase());

/** Send a message and show its reply. */
async function ask(message) {
  if (running || !message.trim()) return;
  settle();
  const turn = new Turn(message, missing());
  running = new AbortController();
  at("begin").hidden = true;
  at("turns").append(turn.whole);
  busy(true, "The model reads …");
  say(""); // so that the same answer is said again
  turn.whole.scrollIntoView({ block: "nearest" });
  let trouble = "";
  try {
    trouble = await receive(turn, message);
  } catch (error) {
    trouble = error.name === "AbortError" ? "Stopped." : error.message;
  }
  running = null;
  turn.finish(trouble);
  busy(false);
  say(turn.spoken);
  keepInView();
}

/** Show the events of a reply; returns what went wrong, or "". */
async function receive(turn, message) {
  const { signal } = running;
  const request = { conversation: await key(), message, abilities: abilities() };
  const response = await post("/message", request, { signal });
  let ended = LOST;
  for await (const line of linesOf(response)) {
    const follow = atBottom();
    if (line.kind === "wait") {
      busy(true, "Another tab's answer comes first …");
      say("Another tab's answer comes first.");
    } else if (line.kind === "error") ended = line.text;
    else if (line.kind === "end") {
      ended = "";
      if (line.confirm) turn.confirm();
    } else {
      busy(true, "The model writes …");
      turn.add(line);
    }
    if (follow) keepInView();
  }
  return ended;
}

/** Fold what belongs to earlier turns, and take away their buttons for a yes. */
function settle() {
  for (const group of document.querySelectorAll(".confirm")) group.remove();
  for (const work of document.querySelectorAll(".work")) work.open = false;
}

/** Tell, beside the message, what goes on. */
function busy(is, what = "") {
  at("status").textContent = what;
  if (document.activeElement === at("stop")) at("message").focus(); // it is about to go
  at("stop").hidden = !is;
  at("send").hidden = is;
  const asking = document.querySelectorAll("#examples button, .asked button");
  for (const button of asking) button.setAttribute("aria-disabled", is); // not `disabled`: that would lose the focus
}

/** Have a screen reader say a text, once it has said what it is saying. */
const say = (text) => (at("said").textContent = text);

const atBottom = () => window.innerHeight + window.scrollY > document.documentElement.scrollHeight - 80;
const keepInView = () => window.scrollTo(0, document.documentElement.scrollHeight);

// ---- controls --------------------------------------------------------------------------------------------------

/** Show what is lost by a switch, and which others make no difference now. */
function showSwitches() {
  const on = abilities();
  for (const one of switches) {
    const ability = one.closest(".ability"), idle = Boolean(one.dataset.needs) && !on.includes(one.dataset.needs);
    one.disabled = idle;
    ability.classList.toggle("off", !one.checked);
    ability.classList.toggle("without", idle);
    ability.querySelector(".brings").hidden = idle || !one.checked;
    ability.querySelector(".lost").hidden = idle || one.checked;
    if (one.dataset.needs) ability.querySelector(".idle").hidden = !idle;
  }
}

function switched(event) {
  showSwitches();
  for (const group of document.querySelectorAll(".confirm")) group.remove();
  const ability = event.target.closest(".ability");
  const text = ability.querySelector(event.target.checked ? ".brings" : ".lost").textContent;
  say(`${ability.querySelector("label").textContent.trim()} ${event.target.checked ? "on" : "off"}. ${text}`);
}

function beginAnew() {
  leave();
  at("turns").replaceChildren();
  at("begin").hidden = false;
  say("A new conversation.");
  at("message").focus();
}

/** The message grows with what is written, up to six lines. */
function grow() {
  const box = at("message");
  box.style.height = "auto";
  box.style.height = `${Math.min(box.scrollHeight + 2, 170)}px`;
}

function send() {
  const message = at("message").value;
  if (running || !message.trim()) return;
  at("message").value = "";
  grow();
  at("message").focus();
  ask(message.trim());
}

at("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  send();
});
at("message").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  send();
});
at("message").addEventListener("input", grow);
at("stop").addEventListener("click", () => running?.abort());
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") running?.abort();
});
at("anew").addEventListener("click", beginAnew);
for (const button of document.querySelectorAll("#examples button"))
  button.addEventListener("click", () => {
    at("message").focus();
    ask(button.textContent);
  });
for (const one of switches) one.addEventListener("change", switched);
window.addEventListener("pagehide", leave);
window.addEventListener("pageshow", (event) => event.persisted && window.location.reload());
showSwitches();
