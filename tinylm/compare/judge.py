"""Runs judged side by side: one folder with every number, every picture and one page that needs
nothing else.

    compare_runs([Path("runs/base"), Path("runs/verse")], Path("runs/compare"))

`judge` measures and returns plain numbers; comparison.json is those numbers; pictures, samples.md,
page and the text for the terminal are drawn from them alone. So whatever a picture shows can be
read in the file, and a file can be drawn again without a model.

Trade-off: everything is measured once, at one seed per run. The intervals hold for these runs and
these samples; that another training seed would give the same order is not shown here.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm.auto import tqdm

from tinylm.compare import measures
from tinylm.compare.effect import effect_svg
from tinylm.compare.measures import as_json, scans
from tinylm.compare.origins import training_of
from tinylm.compare.page import NAMES, html, pictures, samples_markdown, terminal
from tinylm.compare.reader import reader_rows
from tinylm.compare.samples import (
    Contestant,
    Effort,
    Sample,
    effort_for,
    enter,
    labels_of,
    prompts_of,
    sample_run,
    whole_lines,
)
from tinylm.config import Sampling
from tinylm.evaluation import meter
from tinylm.evaluation.statistics import interval
from tinylm.evaluation.surprisal import document_bits, opening
from tinylm.files import write_whole
from tinylm.pages import figures
from tinylm.runs import Run, open_run, read_json, to_json
from tinylm.text.explain import token_label

KIND = "tinylm comparison"
SHOWN = 2  # samples of each prompt in the side by side
PASSAGE = 260  # bytes of text under the heat map
TOP = 10  # about so many tokens in the bars, shared among the runs
TEMPERATURES, TOP_P = (0.6, 0.8, 1.0), (0.9, 1.0)


def compare_runs(
    folders: Sequence[Path],
    out: Path,
    replace: bool = False,
    effort: Effort | None = None,
    reader: Path | None = None,
) -> str:
    """Compare runs, the base first, and write comparison.json, samples.md, *.png and index.html
    into `out`; `reader` is a run that judges the sense of the samples (reader.py).

    How much is measured follows from the size of the models where `effort` is not given.

    Returns the side by side and the scoreboard as text for a terminal. Raises ValueError where a
    run cannot be read, or where `out` holds something that is not an earlier comparison (unless
    `replace`, which leaves other files alone).
    """
    runs = [open_run(folder) for folder in folders]
    check_folder(out, runs, replace)
    result = judge(runs, effort or effort_for(runs), open_run(reader) if reader else None)
    write(result, out)
    return terminal(result)


def write(result: dict[str, Any], out: Path) -> None:
    """All files of a comparison, the page last."""
    drawn = {f"{picture.name}.png": picture for picture in pictures(result)}
    texts = {"samples.md": samples_markdown(result), "effect.svg": effect_svg(result)}
    files = {out / "comparison.json": to_json(result)}
    files |= {out / name: text.encode("utf-8") for name, text in texts.items()}
    files |= {
        out / name: figures.figure_file(picture.figure, out / name)
        for name, picture in drawn.items()
    }
    files[out / "index.html"] = html(result, list(drawn.values())).encode("utf-8")
    write_whole(files)
    for name in NAMES:  # pictures of an earlier comparison that this one has not
        if f"{name}.png" not in drawn:
            (out / f"{name}.png").unlink(missing_ok=True)


def check_folder(out: Path, runs: Sequence[Run], replace: bool) -> None:
    """Refuse to write into a run, over a file, or among files of something else."""
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out} is a file: give a folder with --out")
    if (out / "manifest.json").exists() or any(
        out.resolve() == run.folder.resolve() for run in runs
    ):
        raise ValueError(f"{out} is a run folder: give another folder with --out")
    # .new: a write cut short
    if replace or not out.is_dir() or all(path.suffix == ".new" for path in out.iterdir()):
        return
    earlier = read_json(out / "comparison.json") if (out / "comparison.json").is_file() else {}
    if not isinstance(earlier, dict) or earlier.get("kind") != KIND:
        raise ValueError(
            f"{out} is not empty and holds no earlier comparison: give another folder with --out"
        )


# -- measuring ------------------------------------------------------------------------------------


def judge(runs: Sequence[Run], effort: Effort, reader: Run | None = None) -> dict[str, Any]:
    """Everything that is told about the runs, as JSON values."""
    labels = labels_of(runs)
    # Nothing is shown where it all takes less than two seconds.
    parts = 2 * len(runs) + (7 if reader is None else 8)
    with tqdm(total=parts, desc="comparing", unit="part", delay=2, leave=False) as bar:

        def done(value: Any, part: str) -> Any:
            bar.set_postfix_str(part, refresh=False)
            bar.update()
            return value

        entered = [done(enter(run, label, effort), "loading") for run, label in zip(runs, labels)]
        prompts, sampling = prompts_of(entered), entered[-1].loaded.recipe.sample.sampling
        samples = [
            done(sample_run(c, prompts, sampling, effort, effort.samples), "sampling")
            for c in entered
        ]
        rows: list[dict[str, Any]] = []
        for part, measured in scoreboard(entered, samples, effort, reader):
            rows += done(measured, part)
        return {
            "kind": KIND,
            "format": 1,
            "runs": [describe(c) for c in entered],
            "sampling": sampling.model_dump(),
            "effort": vars(effort),
            "scoreboard": [*rows, measures.speed_row(samples)],
            "losses": figures.loss_records(runs, labels),
            "forgetting": forgetting_records(runs, labels),
            "metre_steps": metre_records(runs, labels),
            "side_by_side": side_by_side(samples),
            "next_tokens": [next_tokens(entered, prompt) for prompt in telling_prompts(entered)],
            "same_text": same_text(entered),
            "settings": [done(settings_grid(entered[-1], prompts[-1:], effort), "settings")],
        }


def scoreboard(
    entered: Sequence[Contestant],
    samples: Sequence[list[Sample]],
    effort: Effort,
    reader: Run | None,
) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The rows of the scoreboard, measured part by part: (name of the part, its rows)."""
    sampling = entered[-1].loaded.recipe.sample.sampling
    yield "likelihood", measures.likelihood_rows(entered, effort)
    yield "metre", measures.verse_rows(entered, samples)
    yield "prompting", measures.prompted_rows(entered, sampling, effort)
    yield "novelty", measures.novelty_rows(entered, samples, effort)
    yield "facts", measures.fact_rows(entered, effort)
    yield "stories", measures.story_rows(entered, sampling, effort)
    if reader is not None:
        yield "reading", reader_rows(reader, entered, samples, effort.reader_samples)


def describe(contestant: Contestant) -> dict[str, Any]:
    """What a reader should know of a run before believing its numbers."""
    run, manifest = contestant.run, contestant.run.manifest
    recipe = run.recipe
    kept = (
        "status",
        "step",
        "steps",
        "tokens",
        "seconds",
        "parameters",
        "seed",
        "device",
        "precision",
    )
    return {
        "run": contestant.label,
        "folder": str(run.folder),
        "fingerprint": run.fingerprint,
        "purpose": recipe.purpose,
        "text": Path(recipe.corpus.text).name,
        "parent": Path(recipe.start_from).name if recipe.start_from else None,
        "lora_rank": recipe.lora.rank if recipe.lora else None,
        "best_step": manifest["best"]["step"],
        "vocab_size": contestant.loaded.tokenizer.vocab_size,
        "context": contestant.loaded.model.config.context,
        "training": training_of(run),
        "training_bytes_searched": len(contestant.training.encode()),
        **{key: manifest.get(key) for key in kept},
    }


def forgetting_records(runs: Sequence[Run], labels: Sequence[str]) -> list[dict[str, Any]]:
    """Bits per byte on the base's validation text at each validation pass of the runs that have
    one."""
    curves = []
    for place, (run, label) in enumerate(zip(runs, labels)):
        points = [
            {"step": r["step"], "bits_per_byte": r["base_bits_per_byte"]}
            for r in run.records("valid")
            if "base_bits_per_byte" in r
        ]
        if len(points) > 1:
            curves.append({"run": label, "place": place, "points": points})
    return curves


def metre_records(runs: Sequence[Run], labels: Sequence[str]) -> list[dict[str, Any]]:
    """Share of lines that scan in samples.jsonl, step by step; runs without two such steps are left
    out."""
    curves = []
    for place, (run, label) in enumerate(zip(runs, labels)):
        steps: dict[int, list[bool]] = {}
        for sample in run.log("samples.jsonl"):
            lines = whole_lines(sample["text"], sample["prompt"], ended=False)
            steps.setdefault(sample["step"], []).extend(map(scans, lines))
        points = [
            {"step": step, **(as_json(interval(ok), len(ok)) or {})}
            for step, ok in sorted(steps.items())
            if ok
        ]
        if len(points) > 1:
            curves.append({"run": label, "place": place, "points": points})
    return curves


def side_by_side(samples: Sequence[list[Sample]]) -> list[dict[str, Any]]:
    """The first samples of every prompt, with the scansion of every whole line."""
    blocks = []
    for rows in zip(*samples):
        prompt, seed = rows[0].prompt, rows[0].seed
        if seed < SHOWN:
            texts = [
                {"text": prompt + s.text, "scanned": [scanned(line) for line in s.lines]}
                for s in rows
            ]
            blocks.append({"prompt": prompt, "seed": seed, "texts": texts})
    return blocks


def scanned(line: str) -> dict[str, Any]:
    """The scansion of a line as JSON values, as comparison.json keeps it."""
    scansion = meter.scan(line)
    return {
        "line": line,
        "ok": scansion.ok,
        "pattern": scansion.pattern,
        "score": round(scansion.score, 3),
        "licences": list(scansion.licences),
        "violations": list(scansion.violations),
    }


def telling_prompts(contestants: Sequence[Contestant]) -> list[str]:
    """A prompt of the last run, and a line of its validation text without its last word."""
    prompts = [p.rstrip() for p in contestants[-1].loaded.recipe.sample.prompts if p.strip()][:1]
    lines = (line.strip() for text in contestants[-1].valid for line in text.splitlines())
    line = next((line for line in lines if 20 <= len(line) <= 90 and line.count(" ") > 2), "")
    return [*prompts, *([line.rsplit(" ", 1)[0]] if line else [])] or ["The"]


@torch.inference_mode()
def next_tokens(contestants: Sequence[Contestant], prompt: str) -> dict[str, Any]:
    """Probabilities of the tokens that any run finds likeliest after the prompt; None where a run
    has no such token."""
    tables = []
    for c in contestants:
        model, tokenizer, _ = c.loaded
        ids = (opening(tokenizer, c.document_token) + tokenizer.encode(prompt))[
            -model.config.context :
        ]
        logits = model(torch.tensor([ids], device=model.tokens.weight.device))[0, -1]  # (V,)
        chances = logits.float().softmax(-1).tolist()
        tables.append({token_label(tokenizer, id): chance for id, chance in enumerate(chances)})
    each = max(3, TOP // len(tables))
    top = {
        label
        for table in tables
        for label in sorted(table, key=table.__getitem__, reverse=True)[:each]
    }
    tokens = sorted(top, key=lambda label: -max(table.get(label, 0.0) for table in tables))
    return {
        "prompt": prompt,
        "tokens": tokens,
        "probabilities": [[table.get(t) for table in tables] for t in tokens],
    }


def same_text(contestants: Sequence[Contestant]) -> dict[str, Any]:
    """What every run expected of the same passage; a piece ends where a token of every run does."""
    text = passage(contestants[-1].valid[0], whole=contestants[-1].document_token)
    costs = [document_bits(*c.loaded[:2], [text], c.document_token) for c in contestants]
    whole_characters = set(np.cumsum([len(character.encode()) for character in text]).tolist())
    cuts = sorted(whole_characters.intersection(*({int(end) for end in ends} for _, ends in costs)))
    starts = [0, *cuts[:-1]]
    data = text.encode()
    same = len({c.loaded.tokenizer.fingerprint() for c in contestants}) == 1
    return {
        "text": text,
        "unit": "token" if same else "piece",
        "pieces": [data[a:b].decode() for a, b in zip(starts, cuts)],
        "probabilities": [
            [float(2.0 ** -bits[a:b].sum()) for a, b in zip(starts, cuts)] for bits, _ in costs
        ],
    }


def passage(text: str, whole: bool) -> str:
    """The first PASSAGE bytes of a text, without a word cut off at the end; or at the start, where
    it is not `whole`.

    >>> passage("tide.\\nThe sea is cold.", whole=False)
    'The sea is cold.'
    """
    start = 0 if whole else text.find("\n", 0, PASSAGE) + 1  # 0 where there is no line break
    rest = text[start:].strip()
    short = rest.encode()[:PASSAGE].decode(errors="ignore")
    words, blank, _ = short.rpartition(" ")
    return words if short != rest and blank else short


def settings_grid(contestant: Contestant, prompts: Sequence[str], effort: Effort) -> dict[str, Any]:
    """Lines that scan and lines that differ, at every temperature and top-p."""
    cells = []
    for temperature in TEMPERATURES:
        row = []
        for top_p in TOP_P:
            sampling = Sampling(temperature=temperature, top_p=top_p)
            samples = sample_run(contestant, prompts, sampling, effort, effort.grid_samples)
            counts, fresh = measures.flagged(samples, scans), measures.first_times(samples).sum(0)
            row.append(
                {
                    "accepted": as_json(measures.share(counts), int(counts[:, 1].sum())),
                    "distinct": float(fresh[0] / fresh[1]) if fresh[1] else None,
                }
            )
        cells.append(row)
    return {
        "run": contestant.label,
        "temperatures": list(TEMPERATURES),
        "top_p": list(TOP_P),
        "cells": cells,
    }
