// The metre scorer in plain JavaScript: evaluation/meter.py, on a table of words that travels with the page.
//
// The costs and the forms of each word come from Python; here the words of a line are laid into ten places, weak and
// strong in turn, at the least cost (dynamic programming). A line with a word that the table lacks gets no verdict:
// how to say it would be a guess.
"use strict";

const CONSONANT = 0, VOWEL = 1, PAUSE = 2; // what follows a word
// Where the next syllable goes. A weak place that holds two takes no third; an inverted foot swaps places.
const WEAK = 0, STRONG = 1, STRONG_AFTER_TWO = 2, STRONG_INVERTED = 3, WEAK_INVERTED = 4;
const NEXT_SLOT = [STRONG, WEAK, WEAK, WEAK_INVERTED, WEAK];
const NOTHING = -1; // instead of a kind: no syllable yet
const LEADING_APOSTROPHE = "'tis 'twas 'twere 'twill 'twould 'em 't 's 'd 'st".split(" "); // elsewhere a quotation mark

class Metre {
  /** `table`: the costs, and `words`, a list of [forms before each of the three, starts with a vowel, "word word"]. */
  constructor(table) {
    Object.assign(this, table);
    this.forms = new Map(); // word -> { forms, vowel }
    for (const [forms, vowel, words] of table.words)
      for (const word of words.split(" ")) this.forms.set(word, { forms, vowel });
    this.known = new Map(); // word, what follows, slot -> moves
  }

  /** What a line is worth: {ok, pattern, reason}; ok is null where nobody can tell. */
  scan(line) {
    const tokens = this.wordsOf(line).map(([word, pause], place, all) =>
      // an adverb where no noun follows: "the boats came in"
      [word === "in" && (pause || place === all.length - 1) ? this.adverb_in : word, pause]);
    const strange = tokens.find(([word]) => !this.forms.has(word));
    if (tokens.length === 0) return { ok: null, pattern: "", reason: "no words" };
    if (tokens.length > this.most_words)
      return { ok: false, pattern: "", reason: `${tokens.length} words, too many for one line` };
    if (strange) return { ok: null, pattern: "", reason: `not scored: “${strange[0]}” is not in the word table` };
    const { cost, places, signs } = this.cheapestChain(tokens), repeats = this.repeats(tokens.map(([word]) => word));
    const ok = cost + (repeats ? this.repeated : 0) <= this.limit;
    if (ok) return { ok, pattern: signs, reason: "" };
    if (repeats) return { ok, pattern: signs, reason: "the same words over and over" };
    const full = places === 10 || places === 11;
    return { ok, pattern: signs, reason: full ? "stresses go against the beat" : `${places} places filled, not ten` };
  }

  /** The words of a line, lower case, each with: does a pause stand after it? */
  wordsOf(line) {
    const words = [], pauses = /[,;:.!?()[\]—–]|--/;
    for (const chunk of line.split(/\s+/).filter(Boolean)) {
      const text = this.plain(chunk), found = [...text.matchAll(/'?[\p{L}\p{N}_]+(?:'[\p{L}\p{N}_]+)*'?/gu)];
      const before = text.slice(0, found[0]?.index ?? text.length);
      if (words.length && (pauses.test(before) || text === "-")) words[words.length - 1][1] = true;
      found.forEach((match, i) => {
        const after = text.slice(match.index + match[0].length, found[i + 1]?.index ?? text.length);
        let word = match[0];
        if (word.startsWith("'") && !LEADING_APOSTROPHE.includes(word)) word = word.slice(1);
        if (word.endsWith("'") && !["th'", "t'", "o'", "i'"].includes(word)) word = word.slice(0, -1);
        words.push([word, pauses.test(after)]);
      });
    }
    return words;
  }

  /** Lower case, no accents, one kind of apostrophe, and the clitics set apart: i'th' -> i' th'. */
  plain(text) {
    text = text.toLowerCase().replace(/_/g, " ").replace(/&/g, "and").replace(/[’‘]/g, "'");
    text = text.replace(/æ/g, "ae").replace(/œ/g, "oe").normalize("NFKD").replace(/\p{Mn}/gu, "");
    return text.replace(/\b([io]')(th?')|\b(th?')(?=[aeiouh]\w\w)/g, (_, a, b, c) => (a ? `${a} ${b} ` : `${c} `));
  }

  /** All ways to lay a word down from `slot` on; of those that end alike, the cheapest. */
  moves(word, before, slot) {
    const key = `${word} ${before} ${slot}`;
    if (!this.known.has(key)) {
      const ways = this.forms.get(word).forms[before].flatMap(([kinds, price]) => {
        let moves = [{ places: 0, slot, first: NOTHING, shares: false, last: NOTHING, cost: price, signs: "" }];
        for (const kind of kinds) moves = cheapest(moves.flatMap((move) => this.withSyllable(move, kind)));
        return moves;
      });
      this.known.set(key, cheapest(ways));
    }
    return this.known.get(key);
  }

  /** The move with one more syllable: in a place of its own, or as the second in a weak place. */
  withSyllable(move, kind) {
    const { slot } = move, atStart = move.first === NOTHING, first = atStart ? kind : move.first;
    const strong = slot === STRONG || slot === STRONG_AFTER_TWO || slot === STRONG_INVERTED;
    let cost = move.cost + this.kinds[kind][strong ? "strong" : "weak"];
    if ((slot === STRONG || slot === STRONG_AFTER_TWO) && !atStart) cost += this.fallOf(move.last, kind);
    if (slot === STRONG_INVERTED) cost += this.prices["inverted foot"];
    const signs = move.signs + (strong ? "/" : "x");
    const own = { places: move.places + 1, slot: NEXT_SLOT[slot], first, shares: move.shares, last: kind, cost, signs };
    const light = (k) => this.light.includes(k);
    if (slot !== STRONG || !light(kind) || !(atStart || light(move.last))) return [own];
    const doubled = move.cost + this.prices["doubled weak place"];
    return [own, { ...own, places: move.places, slot: STRONG_AFTER_TWO, shares: atStart || move.shares, cost: doubled,
                   signs: move.signs + "x" }];
  }

  /** Cost of a foot whose weak place outweighs its strong place. */
  fallOf(weak, strong) {
    return this.fall * Math.max(0, this.kinds[weak].weight - this.kinds[strong].weight);
  }

  /** Dynamic programming, word by word: {cost, places, signs} of the best way to lay the whole line. */
  cheapestChain(tokens) {
    let frontier = [{ places: 0, slot: WEAK, last: NOTHING, cost: 0, signs: "" }];
    tokens.forEach(([word, pause], i) => {
      const next = tokens[i + 1]?.[0], afterPause = i === 0 || tokens[i - 1][1];
      const opens = next && this.forms.get(next).vowel; // the next word begins with a vowel
      const before = pause || this.conjunctions.includes(next) ? PAUSE : opens ? VOWEL : CONSONANT;
      const reached = new Map();
      for (const chain of frontier)
        for (const start of chain.slot === WEAK && afterPause ? [WEAK, STRONG_INVERTED] : [chain.slot])
          for (const move of this.moves(word, before, start)) {
            const longer = this.joined(chain, move, start);
            const key = longer && `${longer.places} ${longer.slot} ${longer.last}`;
            if (longer && !(reached.get(key)?.cost <= longer.cost)) reached.set(key, longer);
          }
      frontier = [...reached.values()];
    });
    const ends = frontier.map((chain) => ({ ...chain, cost: chain.cost + this.endCost(chain.places) }));
    return ends.reduce((best, end) => (end.cost < best.cost ? end : best));
  }

  /** A chain with one more move, or null where the two do not go together. */
  joined(chain, move, start) {
    let { slot, last } = move, cost = chain.cost + move.cost;
    const silent = move.first === NOTHING, places = chain.places + move.places; // th' takes no place
    if (silent) (slot = chain.slot), (last = chain.last);
    else if (move.shares && !this.light.includes(chain.last)) return null;
    else if (!move.shares && (start === STRONG || start === STRONG_AFTER_TWO))
      cost += this.fallOf(chain.last, move.first);
    if (places === 10 && !silent) cost += this.kinds[last].tenth;
    if (slot !== STRONG && slot !== STRONG_AFTER_TWO) last = NOTHING;
    return { places, slot, last, cost, signs: chain.signs + move.signs };
  }

  endCost(places) {
    if (places === 11) return this.prices["feminine ending"];
    return this.length * (places <= 10 ? 10 - places : places - 11);
  }

  /** The same words over and over: fewer than half differ, or two neighbours come together three times. */
  repeats(words) {
    const pairs = new Map();
    words.slice(1).forEach((word, i) => pairs.set(`${words[i]} ${word}`, (pairs.get(`${words[i]} ${word}`) ?? 0) + 1));
    return words.length >= 4 && (2 * new Set(words).size < words.length || Math.max(...pairs.values()) >= 3);
  }
}

/** Of moves that a line cannot tell apart (all but cost and signs are equal), the cheapest. */
function cheapest(moves) {
  const found = new Map();
  for (const move of moves) {
    const key = [move.places, move.slot, move.first, move.shares, move.last].join();
    if (!found.has(key) || move.cost < found.get(key).cost) found.set(key, move);
  }
  return [...found.values()];
}
