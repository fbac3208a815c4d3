"""Who is compared, and what each of them wrote: runs opened with their texts, and samples drawn on
equal terms.

All runs continue the same prompts with the same seeds, at one sampling setting that is never chosen
by a score; every line that comes out counts, but for the fragments at either end of a sample. The
texts are read back from the token files in the run folders, so nothing else is needed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tinylm.config import Sampling
from tinylm.generation import Request, generate
from tinylm.model.device import choose_device
from tinylm.runs import Run
from tinylm.text.tokenizers import DOCUMENT
from tinylm.training.load import Loaded, load_model, token_file


@dataclass(frozen=True)
class Effort:
    """How much is measured; the defaults take about half a minute for two models of 1 to 2 million
    parameters."""

    samples: int = 192
    """Continuations per run: with verse about five whole lines each."""
    batch: int = 64
    """Continuations drawn side by side."""
    sample_bytes: int = 280
    """About how long each is."""
    score_bytes: int = 40_000
    """Of each validation text."""
    training_tokens: int = 8_000_000
    """Of each training text, where copied lines are looked for."""
    novelty_characters: int = 3_000_000
    """Of each training text, where copied spans are looked for: sorting it costs a second a
    million."""
    facts: int = 400
    """Questions of the probe."""
    stories: int = 128
    """Whole stories, to see whether their people stay."""
    grid_samples: int = 20
    """Continuations per cell of the settings grid."""
    reader_samples: int = 24
    """Continuations per run that a reader judges: it is large, and slow."""


SMOKE = Effort(
    samples=8,
    batch=4,
    sample_bytes=60,
    score_bytes=3000,
    novelty_characters=50_000,
    facts=20,
    stories=2,
    grid_samples=2,
    reader_samples=3,
)
"""Everything runs in seconds, and nothing can be concluded from it."""


LARGE = Effort(samples=64, batch=32, score_bytes=10_000, grid_samples=4)
"""For models of a hundred million parameters: a hundred times the work for each token, and still
more than 300 whole lines."""
LARGE_FROM = 30_000_000  # parameters


def effort_for(runs: Sequence[Run]) -> Effort:
    """How much to measure of these runs: less where one of them is large, and then of all."""
    largest = max(run.manifest.get("parameters", 0) for run in runs)
    return LARGE if largest >= LARGE_FROM else Effort()


@dataclass(frozen=True)
class Contestant:
    """One run, opened: its model, and its texts as its own token files hold them."""

    label: str
    run: Run
    loaded: Loaded
    training: str
    valid: tuple[str, ...]
    """Documents of the validation text; one where the corpus is one text."""

    @property
    def document_token(self) -> bool:
        """Whether the run's documents begin with a token, which samples then begin with too."""
        return self.loaded.recipe.corpus.document_token


@dataclass(frozen=True)
class Sample:
    """One continuation, and its whole lines."""

    prompt: str
    seed: int
    text: str
    lines: tuple[str, ...]
    seconds: float
    """Its share of the time that its batch took."""


def labels_of(runs: Sequence[Run]) -> list[str]:
    """A name for each run: its folder's, with the folder above it or a number where two are
    alike."""
    names = [run.folder.resolve().name for run in runs]
    if len(set(names)) < len(names):
        names = ["/".join(run.folder.resolve().parts[-2:]) for run in runs]
    return [
        f"{n} ({names[:i].count(n) + 1})" if names.count(n) > 1 else n for i, n in enumerate(names)
    ]


def enter(run: Run, label: str, effort: Effort) -> Contestant:
    """Load a run for the comparison. ValueError where a file is damaged or a parent is missing."""
    loaded = load_model(run, choose_device())
    training = read_documents(run, loaded, "train", effort.training_tokens)
    return Contestant(
        label, run, loaded, "\n\n".join(training), tuple(read_documents(run, loaded, "valid"))
    )


def read_documents(run: Run, loaded: Loaded, side: str, tokens: int | None = None) -> list[str]:
    """The text behind a run's token file, document by document where they are marked; at most the
    first `tokens`."""
    ids = np.asarray(token_file(run, side)[:tokens])
    parts = [ids]
    if loaded.recipe.corpus.document_token:
        parts = np.split(ids, np.flatnonzero(ids == loaded.tokenizer.special_id(DOCUMENT)))
    texts = [loaded.tokenizer.decode(part.tolist()) for part in parts]
    return [text for text in texts if text]


# -- samples --------------------------------------------------------------------------------------


def prompts_of(contestants: Sequence[Contestant]) -> list[str]:
    """The prompts of the last run, and an empty one where every run has a token that begins a
    document."""
    prompts = [*dict.fromkeys(filter(None, contestants[-1].loaded.recipe.sample.prompts))]
    return prompts + [""] * all(c.document_token for c in contestants) or ["The"]


def sample_run(
    contestant: Contestant, prompts: Sequence[str], sampling: Sampling, effort: Effort, count: int
) -> list[Sample]:
    """`count` continuations in all, equally many of each prompt; sample k of a prompt has seed k
    for every run.

    Each run begins as its training documents do: with its document token, where it has one.
    """
    each = max(1, count // len(prompts))
    begin = DOCUMENT if contestant.document_token else None
    tokenizer = contestant.loaded.tokenizer
    per_token = np.mean(
        tokenizer.bytes_per_token()[np.asarray(token_file(contestant.run, "valid")[:10_000])]
    )
    tokens = max(4, round(effort.sample_bytes / max(float(per_token), 0.5)))
    samples = []
    for prompt in prompts:
        for first in range(0, each, effort.batch):
            request = Request(
                prompt, tokens, sampling, first, min(effort.batch, each - first), begin=begin
            )
            rows = generate(contestant.loaded.model, tokenizer, request)
            seconds = max(row.seconds for row in rows) / len(rows)
            for row in rows:
                lines = whole_lines(row.text, prompt, ended=row.finish_reason == "document")
                samples.append(Sample(prompt, row.seed, row.text, lines, seconds))
    return samples


def whole_lines(text: str, prompt: str, ended: bool) -> tuple[str, ...]:
    """The lines that the model wrote from their beginning to their end; blank ones left out.

    >>> whole_lines(" and the sea\\nThe tide comes in\\n\\nThe ti", prompt="The wind", ended=False)
    ('The tide comes in',)
    """
    lines = text.split("\n")
    first = 0 if not prompt or prompt.endswith("\n") else 1
    return tuple(
        line.strip() for line in (lines[first:] if ended else lines[first:-1]) if line.strip()
    )
