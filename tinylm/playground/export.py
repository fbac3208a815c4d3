"""One HTML file that holds one to three trained models, side by side, and a small engine that runs
them in a browser.

    write_page([open_run("runs/base"), open_run("runs/verse")], Path("play.html"))

The file opens from disk, offline. Its policy allows its own scripts and style, known by their
SHA-256, and a worker made from its own text; nothing can be fetched or sent. Facts are JSON and
weights base64 inside script elements of a type that no browser runs; everything that came from a
run is set as text by the page. One script stands before the weights and starts the worker while
they are read; the page's own stands last, so a file that was cut short shows only its first line,
which says so.

Trade-offs: base64 takes a third more room than the bytes, but needs no second file. A LoRA run
travels merged, as large as its base. All runs on one page must share their tokenizer: only then do
ids, bars and seeds compare.
"""

import base64
import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import regex

from tinylm.files import write_text
from tinylm.model.gpt import GPT
from tinylm.model.size import flops_per_token, size_of
from tinylm.pages.html import render, visible
from tinylm.playground.meter_table import is_verse, table_of
from tinylm.playground.weights import Choice, choose
from tinylm.runs import Run
from tinylm.text.tokenizers import DOCUMENT, BpeTokenizer, CharTokenizer, Tokenizer
from tinylm.training.load import load_model, token_file

MOST_RUNS = 3  # the three stages of training
LARGEST = 60_000_000  # parameters on one page: beyond, browsers give up on the file
PART = 1 << 17  # characters of weights in one element
NEXT = "loadNext()"  # behind them all: first.js
READ = 200_000  # tokens of a training text whose words enter the metre table


@dataclass(frozen=True)
class Player:
    """A run as the page needs it."""

    run: Run
    model: GPT
    tokenizer: Tokenizer
    choice: Choice
    valid: str  # its validation text
    train: str  # the beginning of its training text


def write_page(runs: Sequence[Run], out: Path) -> Path:
    """Write the playground of up to three runs, in the order of their training, to `out`; returns
    `out`.

    Raises ValueError for another number of runs, tokenizers that differ or were imported, a model
    too large for a browser, or an `out` that is a folder.
    """
    if not 1 <= len(runs) <= MOST_RUNS:
        raise ValueError(f"a page holds one to {MOST_RUNS} runs, not {len(runs)}")
    if out.is_dir():
        raise ValueError(f"{out} is a folder: give a file, such as {out / 'play.html'}")
    players = [prepare(run) for run in runs]
    check(players)
    write_text(out, page_of(players))
    return out


def prepare(run: Run) -> Player:
    """Load a run, choose its rounding on its own validation text, and read some of the words it
    learned from."""
    model, tokenizer, _ = load_model(run)
    valid, train = text_ids(run, "valid"), text_ids(run, "train")
    texts = ("" if ids is None else tokenizer.decode(ids.tolist()) for ids in (valid, train))
    return Player(run, model, tokenizer, choose(model, tokenizer, valid), *texts)


def text_ids(run: Run, side: str) -> np.ndarray | None:
    """The first ids (tokens,) of a run's training or validation text; None where it carries none
    (an imported run)."""
    carried = any(name.startswith(f"data/{side}.") for name in run.manifest["files"])
    return np.array(token_file(run, side)[:READ]) if carried else None


def check(players: Sequence[Player]) -> None:
    """ValueError where the runs do not go onto one page."""
    first, *others = players
    if not isinstance(first.tokenizer, BpeTokenizer | CharTokenizer):
        raise ValueError(
            f"{first.run.folder} has an imported tokenizer: a page knows only those that TinyLM "
            "trains"
        )
    for other in others:
        if other.tokenizer.fingerprint() != first.tokenizer.fingerprint():
            raise ValueError(
                f"{first.run.folder} and {other.run.folder} have different tokenizers, so their "
                "predictions cannot be set side by side: export each on a page of its own"
            )
    total = sum(size_of(player.model.config).total for player in players)
    if total > LARGEST:
        raise ValueError(
            f"{total:,} parameters are too many for a page that a browser opens: at most "
            f"{LARGEST:,}"
        )


# -- what the page is told ------------------------------------------------------------------------


def facts_of(players: Sequence[Player]) -> dict[str, Any]:
    """What the page shows and asks with, as JSON values."""
    recipe = players[-1].run.recipe
    sampling = recipe.sample.sampling
    begins = all(player.run.recipe.corpus.document_token for player in players)
    return {
        "lead": lead_of(players),
        "runs": [facts_of_run(player) for player in players],
        "begin": DOCUMENT if begins else None,
        "prompt": next((prompt for prompt in recipe.sample.prompts if prompt), "The "),
        "sampling": {
            "temperature": sampling.temperature,
            "topK": sampling.top_k or 0,
            "topP": sampling.top_p,
            "minP": sampling.min_p,
        },
    }


def language_of(players: Sequence[Player]) -> dict[str, Any]:
    """What the worker needs before any weights: the tokenizer, and the words of the metre where a
    run writes verse."""
    verse = any(is_verse(player.valid) for player in players)
    table = table_of(player.train for player in players) if verse else None
    return {"tokenizer": tokenizer_facts(players[0].tokenizer), "table": table}


def facts_of_run(player: Player) -> dict[str, Any]:
    """What the page's script must know of a run, as JSON values: shape, places of the tensors,
    measured rounding."""
    return {
        "name": player.run.name,
        "config": player.model.config.model_dump(),
        "tensors": player.choice.packed.entries,
        "numbers": eight_numbers(player),
        "rounding": rounding(player),
        "metre": is_verse(player.valid),
    }


def title_of(players: Sequence[Player]) -> str:
    """The title of the page: the names of its runs, the last one after "and"."""
    *others, last = (player.run.name for player in players)
    return "Playground: " + (f"{', '.join(others)} and {last}" if others else last)


def lead_of(players: Sequence[Player]) -> str:
    """What the page is, in one line."""
    subject = (
        "a trained language model",
        "two trained language models",
        "three trained language models",
    )[len(players) - 1]
    return (
        f"This file holds {subject}. Your browser does the arithmetic: nothing is fetched, nothing "
        "leaves the machine."
    )


def eight_numbers(player: Player) -> list[tuple[str, str]]:
    """What a learner should know of a model, as (name, value) in words."""
    config, manifest = player.model.config, player.run.manifest
    best, seconds = manifest.get("best") or {}, manifest.get("seconds")
    loss = (
        f"{best['nats_per_token']:.3f} nats per token, {best['bits_per_byte']:.3f} bits per byte"
        if best
        else "–"
    )
    tokens = manifest.get("tokens")
    return [
        ("parameters", f"{size_of(config).total:,}"),
        ("context", f"{config.context:,} tokens"),
        ("vocabulary", f"{config.vocab_size:,} tokens"),
        (
            "bytes of weights in this file",
            f"{len(player.choice.packed.body):,} ({player.choice.packed.kind})",
        ),
        ("operations for each token written", f"{flops_per_token(config, training=False):,} FLOPs"),
        ("tokens seen in this run's training", f"{tokens:,}" if tokens else "–"),
        ("loss on its validation text", loss),
        ("time to train", f"{seconds / 60:.1f} minutes" if seconds else "–"),
    ]


def rounding(player: Player) -> str:
    """Which rounding was chosen, and the measurement behind it, in one sentence."""
    kind, nats = player.choice.packed.kind, player.choice.nats
    if not nats:
        return (
            f"{player.run.name}: weights as {kind}; the run has no validation text to measure the "
            "loss of int8 on."
        )
    # + 0.0: no -0.0000
    apart = {name: round(nats[name] - nats["fp32"], 4) + 0.0 for name in ("int8", "fp16")}
    changes = " and ".join(f"{value:+.4f} as {name}" for name, value in apart.items())
    return (
        f"{player.run.name}: weights as {kind}. Rounding changes its loss of {nats['fp32']:.4f} "
        f"nats per token by {changes}, measured on {player.choice.tokens:,} tokens."
    )


def tokenizer_facts(tokenizer: Tokenizer) -> dict[str, Any]:
    """The tokenizer, with the classes of characters that cut words: browsers know Unicode of
    different years."""
    content = tokenizer.to_dict()
    return content | character_classes() if isinstance(tokenizer, BpeTokenizer) else content


def character_classes() -> dict[str, str]:
    """Letters and digits as `regex` knows them, each a list of ranges to put between brackets:
    `0-9²-³¹-¹...`."""
    signs = "".join(chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000)
    return {
        name: "".join(
            f"{run[0][0]}-{run[0][-1]}" for run in regex.finditer(rf"\p{{{mark}}}+", signs)
        )
        for name, mark in (("letters", "L"), ("digits", "N"))
    }


# -- the file -------------------------------------------------------------------------------------


def page_of(players: Sequence[Player]) -> str:
    """The whole file as text."""
    style = render("style.css").strip() + "\n" + source("page.css")
    first, script = source("first.js"), source("views.js") + source("page.js")
    weights = (
        part
        for i, player in enumerate(players)
        for part in weight_parts(i, player.choice.packed.body)
    )
    return fill(
        source("page.html"),
        {
            "POLICY": escape(policy((first, NEXT, script), style)),
            "TITLE": escape(visible(title_of(players))),
            "STYLE": style,
            "FACTS": as_data(facts_of(players)),
            "LANGUAGE": as_data(language_of(players)),
            "ENGINE": "\n".join(map(source, ("engine.js", "metre.js", "worker.js"))),
            "WEIGHTS": "\n".join(weights),
            "FIRST": first,
            "SCRIPT": script,
        },
    )


def weight_parts(number: int, body: bytes) -> Iterator[str]:
    """Weights as several script elements: between two of them the browser finds time to start the
    worker."""
    text = base64.b64encode(body).decode()
    for start in range(0, len(text), PART):
        yield (
            '<script type="text/plain" '
            f'class="weights-{number}">{text[start : start + PART]}</script>'
        )
    yield f"<script>{NEXT}</script>"


def source(name: str) -> str:
    """The text of a script, style or template that lies beside this module."""
    return files("tinylm.playground").joinpath(name).read_text(encoding="utf-8")


def policy(scripts: Sequence[str], style: str) -> str:
    """The content security policy: these scripts, this style, a worker from the page's own text,
    and nothing else."""
    *known, styled = (hash_of(text) for text in (*scripts, style))
    return f"default-src 'none'; script-src {' '.join(known)}; style-src {styled}; worker-src blob:"


def hash_of(text: str) -> str:
    """The source expression by which a content security policy (CSP level 2) allows this text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode()}'"


def as_data(value: Any) -> str:
    """JSON that can stand inside a script element: no text in it can close the element.

    >>> as_data("</script>")
    '"\\\\u003c/script>"'
    """
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def fill(page: str, parts: dict[str, str]) -> str:
    """Put each part in the place of its `@@NAME@@`, once, so that nothing inside a part
    is taken for a place.

    >>> fill("<b>@@NAME@@</b>", {"NAME": "@@NAME@@"})
    '<b>@@NAME@@</b>'
    """
    return re.sub("@@([A-Z]+)@@", lambda place: parts[place[1]], page)
