"""Sense, judged by a reader: what the samples cost a larger model that had no part in the training.

    reader_rows(open_run("runs/smollm2"), contestants, samples, count=24)

A scanner hears the metre of a line and nothing else. A model that has read far more text than the
runs compared expects words that make sense together: its bits per byte are low for a text that
reads well, and high for words in any order. The same measure is given for held-out text of the
runs, cut to the same lengths, as the yardstick.

Trade-off: repetition is cheap to predict. Bits far below those of held-out text mean that a model
repeats itself, not that it writes better; the row of different words tells the two apart.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinylm.compare.measures import as_json, row
from tinylm.compare.samples import Contestant, Sample
from tinylm.evaluation.novelty import cut_like
from tinylm.evaluation.statistics import difference, interval
from tinylm.evaluation.surprisal import document_bits
from tinylm.runs import Run
from tinylm.text.batches import begin_of
from tinylm.training.load import load_model


def reader_rows(
    reader: Run, contestants: Sequence[Contestant], samples: Sequence[list[Sample]], count: int
) -> list[dict[str, Any]]:
    """Two rows of the scoreboard: bits per byte under `reader` of `count` samples of each run, and
    of its held-out text in pieces of the same lengths."""
    model, tokenizer, _ = load_model(reader)
    marked = begin_of(tokenizer) is not None

    def costs_of(texts: Sequence[str]) -> np.ndarray:
        """Bits per byte of each text that holds a word, (texts,)."""
        read = [text for text in texts if text.strip()]
        costs = [document_bits(model, tokenizer, [text], marked)[0].mean() for text in read]
        return np.array(costs)

    written, held_out = [], []
    for contestant, own in zip(contestants, samples):
        # Equally many of each prompt, the same seeds for every run.
        chosen = own[:: max(1, len(own) // count)][:count]
        texts = [sample.prompt + sample.text for sample in chosen]
        written.append(costs_of(texts))
        held_out.append(costs_of(cut_like("\n\n".join(contestant.valid), texts)))
    sense = f"Sense, read by {reader.name}"
    return [
        costs_row(
            sense,
            "What the samples cost a model that had no part in the training. Higher than held-out "
            "text: words that do not belong together; far lower: repetition.",
            written,
        ),
        costs_row(
            f"{sense}: held-out text",
            "The validation text of each run, cut to the lengths of its samples.",
            held_out,
        ),
    ]


def costs_row(name: str, meaning: str, costs: Sequence[np.ndarray]) -> dict[str, Any]:
    """A row of means over texts; the texts of two runs are separate samples, not pairs."""
    means = [interval(own) if len(own) else None for own in costs]
    first = means[0]
    gaps = [difference(mean, first) if mean and first else None for mean in means[1:]]
    values = [as_json(mean, len(own)) for mean, own in zip(means, costs)]
    return row(name, "bits/byte", meaning, values, gaps)
