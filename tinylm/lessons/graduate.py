"""The real foundation model beside the toys: SmolLM2, where the reader has imported it.

    tinylm import smollm2 --out runs/smollm2

Design. No claim is tested here, and no verdict rests on what is measured: a lesson that finds no
such model says so and goes on. Where it is there, it shows what no toy can.

    constant        the toys' prompts, texts and minutes
    control         a toy base in the same place: it has read about one town and nothing else
    price           the model's 2 trillion tokens of training, which somebody else has paid for
    seeds           one: a second run of it would take as long as the rest of a lesson

Trade-off: SmolLM2 has a hundred times the toys' weights, its own tokenizer and its own training
text. It stands for what is to be had for nothing, not for one cause of the difference.
"""

from collections.abc import Generator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure

from tinylm.compare.measures import flagged, scans
from tinylm.evaluation.statistics import ratio
from tinylm.evaluation.surprisal import continuation_nats
from tinylm.lessons.experiment import Experiment, Progress
from tinylm.lessons.shared import (
    bits_per_byte,
    document_corpus,
    interval_json,
    sample_continuations,
    verse_poems,
)
from tinylm.pages.figures import canvas, colour, percent
from tinylm.recipes import load_recipe
from tinylm.runs import Run, open_run
from tinylm.text.batches import begin_of
from tinylm.training.load import load_model

# Where `tinylm import smollm2 --out runs/smollm2` and `tinylm demo --foundation` put it.
FOLDERS = ("smollm2", "foundation/smollm2")
MISSING = "No real foundation model was asked: tinylm import smollm2 --out runs/smollm2 brings one."
PROMPTS = ("The tide", "Mara the net-mender")  # to be gone on with in verse
SAMPLES = 40  # continuations: about 200 lines
STEPS = {"smoke": 2, "full": 45}  # of the real model
# Sentences that anybody could go on with: a habit, a fact, a rule of the language.
EVERYDAY = ("She made herself a cup of", "The capital of France is", "The opposite of hot is")


def graduate(experiment: Experiment) -> Run | None:
    """The imported foundation model beside the lessons' folder, or None; smoke runs do not ask for
    it: it is slow."""
    # runs/lessons/NAME: two folders up are all the runs.
    runs: Path = experiment.out.parent.parent
    if experiment.scale == "smoke":
        return None
    there = [runs / name for name in FOLDERS if (runs / name / "manifest.json").is_file()]
    # "imported": a run without steps of its own.
    return next((run for run in map(open_run, there) if run.manifest["status"] == "imported"), None)


@torch.inference_mode()
def everyday(run: Run, toy: Run, shown: int = 5) -> list[dict[str, Any]]:
    """For each everyday sentence the graduate's likeliest next tokens with its probability of them,
    that of a toy beside it."""
    model, tokenizer, _ = load_model(run)
    toy_model, toy_tokenizer, _ = load_model(toy)
    marked = begin_of(toy_tokenizer) is not None
    rows = []
    for prompt in EVERYDAY:
        # The model's own text is undivided: no token begins a document in it.
        ids = torch.tensor([tokenizer.encode(prompt)])
        shares = model(ids)[0, -1].float().softmax(-1).numpy()  # (V,)
        best = np.argsort(-shares)[:shown]
        words = [tokenizer.decode([int(i)]) for i in best]
        # The toy cuts a word into several tokens: their product is its probability of the word.
        nats = continuation_nats(toy_model, toy_tokenizer, [(prompt, w) for w in words], marked)
        pairs = [[float(np.exp(-own)), float(shares[i])] for own, i in zip(nats, best)]
        rows.append({"prompt": prompt, "tokens": words, "probabilities": pairs})
    return rows


# -- the same verse for the same minutes ----------------------------------------------------------


def with_verse(experiment: Experiment, real: Run) -> Generator[Progress, None, dict[str, Any]]:
    """What a toy from scratch, a toy from the base and the real model make of the same verse in
    about the minutes that the demo's second stage takes; the model as it is beside them."""
    base = yield from experiment.base(1)
    toy = yield from experiment.verse(base, 1)
    poems, unseen = verse_poems(experiment)
    # The demo's second stage to the letter, but for the start: the same steps, so the same minutes.
    stage = toy.recipe.model_copy(update={"start_from": None})
    text = document_corpus(load_model(base).tokenizer, poems, unseen)
    scratch = yield from experiment.train("verse from scratch", stage, text)
    fields = {
        "start_from": str(real.folder),
        # So many fit into the toy's minutes on 2 cores. A number, and no budget in minutes: beside
        # another program most of that would go into the start.
        "train.steps": str(STEPS[experiment.scale]),
        "train.evaluate_every": "1000",
        "sample.prompts": "[]",
    }
    recipe = load_recipe("foundation-verse", fields)
    # A few poems to validate on: a pass over all of them would take a quarter of the minutes.
    text = document_corpus(load_model(real).tokenizer, poems, unseen[:4])
    tuned = yield from experiment.train("verse from the real model", recipe, text)
    models = {
        "toy from scratch": scratch,
        "toy from the toy base": toy,
        "SmolLM2, not tuned": real,
        "SmolLM2, tuned": tuned,
    }
    account = {}
    for place, (name, run) in enumerate(models.items()):
        yield Progress(f"verse of {name}", place, len(models))
        scored = partial(verse_of, experiment, run, unseen)
        account[name] = experiment.measure(f"verse of {name}", [run.fingerprint, SAMPLES], scored)
    return {
        "minutes": toy.manifest["seconds"] / 60,
        "steps": {"toys": toy.manifest["step"], "SmolLM2": tuned.manifest["step"]},
        "seconds": {name: run.manifest["seconds"] for name, run in models.items()},
        "models": account,
    }


def verse_of(experiment: Experiment, run: Run, unseen: list[str]) -> dict[str, Any]:
    """Bits per byte of unseen verse, and the share of sampled lines that scan with its interval
    over the samples."""
    samples = sample_continuations(experiment, run, PROMPTS, SAMPLES)
    lines = flagged(samples, scans)  # (samples, 2): lines that scan, all lines
    # A model that writes prose writes no whole line: then nothing scans.
    share = interval_json(ratio(*lines.T)) if lines[:, 1].sum() else [0.0, 0.0, 0.0]
    return {
        "bits_per_byte": bits_per_byte(run, unseen),
        "scan": share,
        "lines": int(lines[:, 1].sum()),
        "sample": samples[0].prompt + samples[0].text,
    }


def told(account: dict[str, Any]) -> str:
    """The account in a sentence."""
    listing = "; ".join(
        f"{name} {own['bits_per_byte']:.2f} and {percent(own['scan'][0])}"
        for name, own in account["models"].items()
    )
    return (
        f"After {account['minutes']:.1f} minutes of the same verse, in bits per byte of unseen "
        f"verse and lines that scan: {listing}."
    )


def verse_picture(account: dict[str, Any]) -> Figure:
    """The same verse for the same minutes: both measures of each model."""
    models = account["models"]
    cheapest = min(models, key=lambda name: models[name]["bits_per_byte"])
    title = (
        f"After {account['minutes']:.1f} minutes of the same verse, “{cheapest}” predicts unseen "
        f"verse best: {models[cheapest]['bits_per_byte']:.2f} bits per byte"
    )
    with canvas(title, (8.8, 3.6)) as figure:
        left, right = figure.subplots(1, 2, sharey=True)
        for row, own in enumerate(models.values()):
            left.barh(row, own["bits_per_byte"], 0.55, color=colour(row))
            left.annotate(f" {own['bits_per_byte']:.2f}", (own["bits_per_byte"], row), va="center")
            share, low, high = own["scan"]
            right.barh(row, 100 * share, 0.55, color=colour(row))
            # The interval over the samples: there is one seed.
            right.plot([100 * low, 100 * high], [row, row], color="black", linewidth=1.5)
            right.annotate(f"  {percent(share)}", (100 * high, row), va="center")
        left.set_yticks(range(len(models)), list(models))
        left.set(
            xlabel="bits per byte of unseen verse (less is better)", ylim=(len(models) - 0.4, -0.6)
        )
        right.set(xlabel="lines that scan, %")
        for axes in (left, right):
            axes.margins(x=0.2)
            axes.grid(axis="y", visible=False)
    return figure
