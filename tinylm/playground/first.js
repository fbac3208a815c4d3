// What runs first, while the browser still reads the weights below: the worker starts and gets the tokenizer ready.
//
// Starting a worker takes a browser about 100 ms, reading the rest of this file as long again: so both at once. Behind
// the weights of each model a script of one line, `loadNext()`, hands them over.
"use strict";

const at = (id) => document.getElementById(id);
const facts = JSON.parse(at("facts").textContent);
const waiting = new Map(); // number of a request -> what to do with its answer
let asked = 0, worker = null;

function startWorker() {
  const source = new Blob([at("engine").textContent], { type: "text/javascript" });
  worker = new Worker(URL.createObjectURL(source));
  worker.onmessage = ({ data }) => {
    const request = waiting.get(data.id);
    if ("part" in data) return request.onPart(data.part);
    waiting.delete(data.id);
    if ("error" in data) request.reject(new Error(data.error));
    else request.resolve(data.result);
  };
  worker.onerror = (event) => fail(event.message || "it does not allow a worker in this page");
}

/** The worker's answer to one request; `onPart` is called with each part of one that comes in parts. */
async function ask(task, fields = {}, onPart = () => {}) {
  if (!worker) startWorker();
  const id = ++asked;
  worker.postMessage({ id, task, ...fields });
  return new Promise((resolve, reject) => waiting.set(id, { resolve, reject, onPart }));
}

/** One clear line where this browser lacks something, or something is damaged. */
function fail(reason) {
  at("status").hidden = false;
  at("status").textContent =
    `The engine stopped in this browser: ${reason}. Try a newer browser, or export the page again.`;
}

/** Hand the next model to the worker; its weights stand in several elements, in base64. */
function loadNext() {
  const number = ready.length - 1, { config, tensors } = facts.runs[number];
  const weights = Array.from(document.querySelectorAll(`.weights-${number}`), (part) => part.textContent).join("");
  ready.push(ask("load", { config, tensors, weights }));
}

const ready = [ask("prepare", { language: at("language").textContent })]; // what the page waits for
