"""An LLM predicts the next token, and that is all it does: how well, on one ladder from ignorance
to the source itself.

All rungs predict the same validation stories, in tokens of two kinds (characters, byte-pair
tokens), and are compared in bits per byte, which do not depend on the kind:

    uniform      every token equally likely        unigram     how often each token occurs
    n-gram       the best order of counting        GPT         the demo's base, three seeds of each
      kind
    generator    the code length of the program that wrote the stories: no predictor can be much
      better on average

The n-gram's order is chosen on the very text that is scored: a small advantage, and it is the
baseline that has it. Trade-off: the generator is charged for the words, not for where a story ends;
neither are the others.
"""

from collections.abc import Generator, Sequence
from functools import partial
from itertools import islice, pairwise
from typing import Any

import numpy as np
import torch

from tinylm.compare.samples import read_documents
from tinylm.corpora.stories import stories
from tinylm.evaluation.ngram import NgramModel
from tinylm.evaluation.statistics import Interval, interval, paired_difference
from tinylm.evaluation.surprisal import document_bits
from tinylm.lessons.experiment import Experiment, Progress
from tinylm.lessons.lesson import Arm, Lesson, Result, above, dots, together
from tinylm.pages.figures import next_tokens
from tinylm.runs import Run
from tinylm.text.tokenizers import DOCUMENT, Tokenizer
from tinylm.training.load import load_model, token_file

KINDS = {"bpe": "byte-pair tokens", "char": "characters"}
ORDERS = {"bpe": (2, 3, 4, 5, 6), "char": (4, 6, 8, 10, 12)}  # of the n-grams that are tried
PROMPTS = ("Mara the net-mender lived in", "The sea was", "Everybody called Tobin the")

Bits = dict[str, list[np.ndarray]]  # rung -> one array (documents,) for each seed, or a single one


def run(experiment: Experiment) -> Generator[Progress, None, Result]:
    """Climb the ladder for both kinds of token."""
    rungs: dict[str, Bits] = {}
    models: dict[str, list[Run]] = {"bpe": [], "char": []}
    for seed in experiment.seeds:
        models["bpe"].append((yield from experiment.base(seed)))
        recipe = experiment.base_recipe(seed, **{"tokenizer.kind": "char"})
        models["char"].append((yield from experiment.train(f"characters, seed {seed}", recipe)))
    orders = {}
    for place, (kind, runs) in enumerate(models.items()):
        yield Progress("scoring", place, len(models))
        counted = experiment.measure(
            f"n-grams {kind}", runs[0].fingerprint, partial(count, runs[0], kind)
        )
        orders[kind] = counted["order"]
        gpts = [
            experiment.measure(f"gpt {kind}", run.fingerprint, partial(gpt_bits, run))
            for run in runs
        ]
        rungs[kind] = {name: [np.array(bits)] for name, bits in counted["bits"].items()}
        rungs[kind] |= {
            "GPT": [np.array(bits) for bits in gpts],
            "generator": [generator_bits(runs[0])],
        }
    first = models["bpe"][0]
    live = experiment.measure(
        "live", [first.fingerprint, *PROMPTS], partial(probabilities, first, orders["bpe"])
    )
    return conclude(rungs, orders, live)


# -- the rungs: bits of each validation story, divided by the mean bytes of a story, so their mean
# is bits/byte --------


def count(run: Run, kind: str) -> dict[str, Any]:
    """Bits of every rung of counting, and the best order of n-gram, on a run's own token files."""
    tokenizer = load_model(run).tokenizer
    train, valid = (np.asarray(token_file(run, side)) for side in ("train", "valid"))
    bits = {
        "uniform": per_story(
            np.full(len(valid) - 1, np.log2(tokenizer.vocab_size)), valid, tokenizer
        ),
        "unigram": per_story(ngram(train, 1, tokenizer).score(valid) / np.log(2), valid, tokenizer),
    }
    tried = {
        n: per_story(ngram(train, n, tokenizer).score(valid) / np.log(2), valid, tokenizer)
        for n in ORDERS[kind]
    }
    best = min(tried, key=lambda order: tried[order].mean())
    bits["n-gram"] = tried[best]
    return {"order": best, "bits": {name: own.tolist() for name, own in bits.items()}}


def ngram(train: np.ndarray, order: int, tokenizer: Tokenizer) -> NgramModel:
    return NgramModel.fit(train, order, tokenizer.vocab_size)


def per_story(bits: np.ndarray, ids: np.ndarray, tokenizer: Tokenizer) -> np.ndarray:
    """Bits of each of (n,) ids after the first -> bits of each story; what its beginning costs is
    left out."""
    begin = tokenizer.special_id(DOCUMENT)
    story = np.cumsum(ids == begin) - 1  # (n,) which story a token belongs to
    inside = ids[1:] != begin
    totals = np.bincount(story[1:][inside], weights=bits[inside])
    return totals / (tokenizer.bytes_per_token()[ids].sum() / len(totals))


def gpt_bits(run: Run) -> list[float]:
    """Bits of each validation story under a run's best weights."""
    model, tokenizer, _ = load_model(run)
    documents = read_documents(run, load_model(run), "valid")
    sizes = [len(text.encode()) for text in documents]
    bits, _ = document_bits(model, tokenizer, documents, document_token=True)  # (bytes,)
    totals = np.add.reduceat(bits, np.cumsum([0, *sizes[:-1]]))
    return [float(total / np.mean(sizes)) for total in totals]


def generator_bits(run: Run) -> np.ndarray:
    """Bits of the same stories in the code of the program that wrote them."""
    documents = read_documents(run, load_model(run), "valid")
    generated = list(islice(stories(run.recipe.corpus.seed, "valid"), len(documents)))
    assert [story.text for story in generated] == documents, (
        "the validation stories are the generator's first"
    )
    return np.array([story.bits for story in generated]) / np.mean(
        [len(text.encode()) for text in documents]
    )


@torch.inference_mode()
def probabilities(run: Run, order: int, shown: int = 6) -> list[dict[str, Any]]:
    """For each prompt the GPT's likeliest next tokens, with the n-gram's probability of them beside
    its own."""
    model, tokenizer, _ = load_model(run)
    counts = ngram(np.asarray(token_file(run, "train")), order, tokenizer)
    rows = []
    for prompt in PROMPTS:
        ids = [tokenizer.special_id(DOCUMENT), *tokenizer.encode(prompt)][-model.config.context :]
        gpt = model(torch.tensor([ids]))[0, -1].softmax(-1).numpy()  # (V,)
        ngram_shares = counts.distribution(ids)  # (V,)
        best = np.argsort(-gpt)[:shown]
        pairs = [[float(ngram_shares[i]), float(gpt[i])] for i in best]
        rows.append(
            {
                "prompt": prompt,
                "tokens": [tokenizer.decode([int(i)]) for i in best],
                "probabilities": pairs,
            }
        )
    return rows


# -- what follows ---------------------------------------------------------------------------------


def rung_interval(bits: Sequence[np.ndarray]) -> Interval:
    """Bits per byte over the stories and, where a rung has several seeds, over those."""
    return interval(np.concatenate(bits), groups=labels(len(bits), len(bits[0])))


def step_down(higher: Sequence[np.ndarray], lower: Sequence[np.ndarray]) -> Interval:
    """How much better the lower rung is, story by story and seed by seed."""
    seeds = max(len(higher), len(lower))
    a, b = (np.concatenate([own[i % len(own)] for i in range(seeds)]) for own in (higher, lower))
    return paired_difference(a, b, groups=labels(seeds, len(higher[0])))


def labels(seeds: int, stories: int) -> list[int]:
    """Which seed each value belongs to, seed after seed."""
    return [seed for seed in range(seeds) for _ in range(stories)]


def conclude(rungs: dict[str, Bits], orders: dict[str, int], live: list[dict[str, Any]]) -> Result:
    """Whether the GPT predicts better than one who never looks back, for both kinds of token."""
    arms: list[Arm] = []
    steps: dict[str, Interval] = {}
    for kind, bits in rungs.items():
        steps |= {f"{kind}: {a} to {b}": step_down(bits[a], bits[b]) for a, b in pairwise(bits)}
        for name, own in bits.items():
            shown = f"{orders[kind]}-gram" if name == "n-gram" else name
            arms.append(
                Arm(
                    f"{shown}, {KINDS[kind]}",
                    "bits/byte",
                    [float(b.mean()) for b in own],
                    rung_interval(own),
                )
            )
    listing = "; ".join(
        f"{KINDS[kind]}: "
        + ", ".join(f"{name} {rung_interval(own).mean:.2f}" for name, own in bits.items())
        for kind, bits in rungs.items()
    )
    context = {kind: step_down(bits["unigram"], bits["GPT"]) for kind, bits in rungs.items()}
    verdict = together(*map(above, context.values()))
    missing = [name for name, step in steps.items() if above(step) != "supported"]
    ladder = (
        f"The rungs do not all descend (not {', '.join(missing)})"
        if missing
        else "Each rung predicts better than the last"
    )
    return Result(
        verdict,
        f"{ladder}, in bits per byte of unseen stories. {listing}.",
        arms,
        {
            "ladder.png": dots(
                f"{ladder}: from guessing to the program that wrote the text", arms, "bits per byte"
            ),
            "live.png": next_tokens(live, [f"{orders['bpe']}-gram", "GPT"]),
        },
        targets={
            "the ladder strictly descends, by its intervals": not missing,
            **{
                f"the GPT beats the best n-gram: {KINDS[kind]}": (
                    f"{kind}: n-gram to GPT" not in missing
                )
                for kind in rungs
            },
        },
        details={
            "steps": {name: [s.mean, s.low, s.high] for name, s in steps.items()},
            "gain over the unigram": {kind: [s.mean, s.low, s.high] for kind, s in context.items()},
            "live": live,
        },
    )


LESSON = Lesson(
    name="next-token",
    claim="A large language model is a predictor of the next token.",
    question="How well do guessing, counting, a GPT and the text's own source predict the next "
    "token?",
    minutes=7,
    base_minutes=8,
    run=run,
)
