"""What several lessons share: a corpus of documents, a base that knows facts, measures.

The demo's base tells stories but hardly knows a fact, so it has none to lose. `base_with_facts`
trains it further on the town's register: one document a person, one sentence a fact, with stories
between them, so that it forgets none of its prose. The register has a second edition, in which
everybody has moved, bought another boat and changed their taste. Questions use wordings that the
register never uses for the person in question (corpora/facts.py).
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import islice
from random import Random

import numpy as np

from tinylm.compare.samples import SMOKE, Contestant, Effort, Sample, sample_run
from tinylm.config import CorpusConfig, Recipe
from tinylm.corpora.build import Split, encode, split_corpus, text_hash
from tinylm.corpora.facts import RELATIONS, Fact, facts, story_lines
from tinylm.corpora.stories import stories
from tinylm.corpora.world import PEOPLE
from tinylm.evaluation.knowledge import Question, probe
from tinylm.evaluation.statistics import Interval
from tinylm.evaluation.surprisal import continuation_nats, document_bits
from tinylm.lessons.experiment import (
    Experiment,
    Progress,
    WithProgress,
    hash_of,
    settings_of,
    train_to_end,
)
from tinylm.lessons.lesson import Arm
from tinylm.runs import Run
from tinylm.text.batches import Corpus, begin_of
from tinylm.text.tokenizers import Tokenizer
from tinylm.training.load import load_model

CHANGED_RELATIONS = ("home", "boat", "food")  # relations with other answers in the second edition


@dataclass(frozen=True)
class Reading:
    """How long the base reads the register."""

    documents: int
    steps: int


READING = {"smoke": Reading(40, 4), "full": Reading(4_000, 300)}


def document_corpus(tokenizer: Tokenizer, train: Sequence[str], valid: Sequence[str]) -> Corpus:
    """Documents as a ready-made corpus; each begins with the document token where the tokenizer has
    one."""
    split = Split(lambda: iter(train), lambda: iter(valid), documents=True)
    marked = begin_of(tokenizer) is not None
    ids, unseen = (
        np.concatenate(list(encode(split, side, tokenizer, marked)))
        for side in (split.train, split.valid)
    )
    return Corpus(tokenizer, ids, unseen, text_hash(split))


def verse_poems(experiment: Experiment) -> tuple[list[str], list[str]]:
    """The shipped poems for training and those kept aside; a few of each at smoke scale."""
    split = split_corpus(CorpusConfig(text="verse"))
    most = 20 if experiment.scale == "smoke" else None
    return list(islice(split.train(), most)), list(islice(split.valid(), most and 4))


def unseen_stories(count: int) -> list[str]:
    """The first stories of the validation split: no run has read them."""
    return [story.text for story in islice(stories(0, "valid"), count)]


# -- the register ---------------------------------------------------------------------------------


def answer_in(edition: int, fact: Fact) -> str:
    """The right answer in an edition of the register.

    In the second edition, each of CHANGED_RELATIONS has the answer of somebody further down.

    >>> boat = facts()[2]
    >>> boat.subject, boat.relation, answer_in(1, boat), answer_in(2, boat) == boat.answer
    ('Mara', 'boat', 'Silver Wren', False)
    """
    if edition == 1 or fact.relation not in CHANGED_RELATIONS:
        return fact.answer
    same = [other.answer for other in facts() if other.relation == fact.relation]
    place = [other.subject for other in facts() if other.relation == fact.relation].index(
        fact.subject
    )
    following = same[place + 1 :] + same[:place]
    return next(answer for answer in following if answer != fact.answer)


def register(edition: int, count: int, seed: int) -> list[str]:
    """`count` entries, person after person: each relation once, in chance order and in one of its
    wordings in the stories."""
    random = Random(seed)
    entries = []
    for number in range(count):
        person = PEOPLE[number % len(PEOPLE)]
        lines = [
            random.choice(story_lines(person, relation))
            for relation in random.sample(RELATIONS, len(RELATIONS))
        ]
        entry = " ".join(lines)
        for old, new in changes(edition, person.name):
            entry = entry.replace(old, new)
        entries.append(entry)
    return entries


@cache
def changes(edition: int, name: str) -> tuple[tuple[str, str], ...]:
    """What an edition says otherwise about a person: (before, now) for each changed relation."""
    pairs = ((fact.answer, answer_in(edition, fact)) for fact in facts() if fact.subject == name)
    return tuple((old, new) for old, new in pairs if old != new)


def register_and_stories(edition: int, count: int, seed: int) -> list[str]:
    """`count` entries of the register in chance order, with half as many stories between them."""
    both = register(edition, count, seed) + [
        story.text for story in islice(stories(seed), count // 2)
    ]
    return Random(seed).sample(both, len(both))


def base_with_facts(
    experiment: Experiment, seed: int, edition: int = 1, parent: Run | None = None
) -> WithProgress:
    """The shared base of this seed after it has read an edition of the register (on top of
    `parent`); returns its run.

    Shared by the lessons, so its minutes count as those of a base.
    """
    base = parent or (yield from experiment.base(seed))
    reading = READING[experiment.scale]
    recipe = continued_recipe(experiment, base, seed, reading.steps)
    folder = (
        experiment.out.parent
        / f"register-{edition}-seed-{seed}-{hash_of([settings_of(recipe), base.fingerprint])}"
    )
    texts = register_and_stories(edition, reading.documents, seed)
    corpus = document_corpus(
        load_model(base).tokenizer, texts, register(edition, len(PEOPLE), seed + 1)
    )
    run = yield from train_to_end(
        recipe, folder, corpus, f"edition {edition} of the register, seed {seed}"
    )
    experiment.base_seconds += run.manifest["seconds"]
    return run


def continued_recipe(
    experiment: Experiment, parent: Run, seed: int, steps: int, **fields: str
) -> Recipe:
    """The base recipe, going on from a run for some steps at half its learning rates, on text that
    is handed over."""
    values = {
        "start_from": str(parent.folder),
        "train.steps": str(steps),
        "train.evaluate_every": str(max(1, steps // 4)),
        "train.learning_rate": "0.0015",
        "train.muon_learning_rate": "0.01",
        "sample.prompts": "[]",
        **fields,
    }
    return experiment.base_recipe(seed, **values)


def best_rates(
    experiment: Experiment, arm: str, recipe: Recipe, corpus: Corpus
) -> Generator[Progress, None, dict[str, str]]:
    """The learning rates that suit an arm best, as fields of a recipe: looked for once, used with
    every seed."""
    factors = (1.0, 3.0) if experiment.scale == "smoke" else (1 / 3, 1.0, 3.0)
    best = yield from experiment.search_rates(arm, recipe, corpus, factors=factors)
    return {
        f"train.{name}": str(getattr(best.train, name))
        for name in ("learning_rate", "muon_learning_rate")
    }


# -- what a run is worth --------------------------------------------------------------------------


def fact_questions(edition: int, relations: Sequence[str] = RELATIONS) -> list[Question]:
    """Two questions about every fact, with four options each: the first edition's answer is always
    one of them."""
    questions = []
    for number, fact in enumerate(f for f in facts() if f.relation in relations):
        answer = answer_in(edition, fact)
        rest = [option for option in fact.options if option not in (answer, fact.answer)]
        options = list(dict.fromkeys([answer, fact.answer, *rest]))[:4]
        # the right one stands in every place equally often
        options = options[number % 4 :] + options[: number % 4]
        for prompt in fact.prompts:
            neutral = prompt.replace(fact.subject, "Somebody")
            options_given = tuple(f" {option}" for option in options)
            questions.append(
                Question(prompt, options_given, options.index(answer), neutral, fact.relation)
            )
    return questions


def score_answers(run: Run, questions: Sequence[Question]) -> list[int]:
    """1 for each question whose right answer the run finds likeliest, else 0."""
    model, tokenizer, _ = load_model(run)
    score = partial(
        continuation_nats, model, tokenizer, document_token=begin_of(tokenizer) is not None
    )
    return [int(right) for right in probe(questions, lambda pairs: score(pairs)).correct]


def bits_per_byte(run: Run, documents: Sequence[str]) -> float:
    """Bits per byte of some documents under a run's best weights."""
    model, tokenizer, _ = load_model(run)
    return float(
        document_bits(model, tokenizer, documents, begin_of(tokenizer) is not None)[0].mean()
    )


def hit_share(counts: np.ndarray) -> float:
    """Hits over totals of (samples, 2) counts; 0 where nothing was written that could count.

    >>> hit_share(np.array([[1, 4], [0, 0]]))
    0.25
    """
    hits, total = counts.sum(axis=0)
    return float(hits / max(total, 1))


def sample_continuations(
    experiment: Experiment, run: Run, prompts: Sequence[str], count: int
) -> list[Sample]:
    """`count` continuations in all of the prompts, at the recipe's own sampling settings."""
    contestant = Contestant(run.name, run, load_model(run), "", ())
    effort = SMOKE if experiment.scale == "smoke" else Effort()
    return sample_run(contestant, prompts, run.recipe.sample.sampling, effort, count)


# -- telling --------------------------------------------------------------------------------------


def arms_of_measure(measure: str, arms: Sequence[Arm]) -> list[Arm]:
    """The arms called `measure: ...`, without that beginning: one picture's worth."""
    begin = f"{measure}: "
    chosen = [arm for arm in arms if arm.name.startswith(begin)]
    return [Arm(arm.name.removeprefix(begin), arm.unit, arm.values, arm.spread) for arm in chosen]


def interval_json(value: Interval) -> list[float]:
    """An interval as JSON values: its mean and both ends."""
    return [value.mean, value.low, value.high]
