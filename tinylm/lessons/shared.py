"""What several lessons share: a corpus of documents, a base that knows facts, measures.

The demo's base tells stories but hardly knows a fact, so it has none to lose. `base_with_facts`
trains it further on the town's register: one document a person, one sentence a fact, with stories
between them, so that it forgets none of its prose. The register has a second edition, in which
everybody has moved, bought another boat and changed their taste. The stories between it tell the
same. Questions use wordings that the register never uses for the person in question
(corpora/facts.py).

Design. No claim is tested here. What several lessons share is shared so that their numbers can be
put beside each other.

    constant        the base with facts, the questions and the search over learning rates: the same
                    for every lesson that uses them
    control         a person's second answer is somebody else's first one, so no answer of the
                    second edition is likelier than before for being a new word. For the lessons'
                    own controls: a text whose tokens are shuffled, a base that has read noise
    price           300 steps a seed and edition, counted once as the minutes of a shared base
    seeds           those of the lessons

Trade-off: four options make a fact easy to probe and easy to guess: 25 % is nothing.
"""

import re
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
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
from tinylm.training.load import load_model, token_file

WORD = re.compile(r"\w+")
CHANGED_RELATIONS = ("home", "boat", "food")  # relations with other answers in the second edition


@dataclass(frozen=True)
class Reading:
    """How long the base reads the register."""

    documents: int  # entries of the register; half as many stories stand between them
    steps: int


READING = {"smoke": Reading(40, 4), "full": Reading(4_000, 300)}


def document_corpus(tokenizer: Tokenizer, train: Sequence[str], valid: Sequence[str]) -> Corpus:
    """Documents as a ready-made corpus; each begins with the document token where the tokenizer has
    one."""
    # The same way from text to ids as for every other corpus, so that no lesson has one of its own.
    split = Split(lambda: iter(train), lambda: iter(valid), documents=True)
    marked = begin_of(tokenizer) is not None
    ids, unseen = (
        np.concatenate(list(encode(split, side, tokenizer, marked)))
        for side in (split.train, split.valid)
    )
    # The hash of the text goes into the run's manifest: it tells which documents were read.
    return Corpus(tokenizer, ids, unseen, text_hash(split))


def verse_poems(experiment: Experiment) -> tuple[list[str], list[str]]:
    """The shipped poems for training and those kept aside; a few of each at smoke scale."""
    split = split_corpus(CorpusConfig(text="verse"))
    if experiment.scale == "smoke":
        return list(islice(split.train(), 20)), list(islice(split.valid(), 4))
    # The same poems as the demo's second stage reads.
    return list(split.train()), list(split.valid())


def unseen_stories(count: int) -> list[str]:
    """The first stories of the validation split: no run has read them."""
    return [story.text for story in islice(stories(0, "valid"), count)]


# -- for controls ---------------------------------------------------------------------------------


def shuffled_tokens(corpus: Corpus) -> Corpus:
    """The same tokens in random order, each side by itself. The first stays: it begins a document.

    The marks of documents move too. Left in place they could be foreseen: never two in a row.
    """
    chance = np.random.default_rng(0)
    train, valid = (
        np.concatenate([ids[:1], chance.permutation(ids[1:])])
        for ids in (corpus.train, corpus.valid)
    )
    return replace(corpus, train=train, valid=valid, sha256=f"{corpus.sha256}, shuffled")


def noise_like(corpus: Corpus) -> Corpus:
    """As many documents of the same lengths, each token in them drawn anew from the whole
    vocabulary."""
    begin = begin_of(corpus.tokenizer)
    assert begin is not None, "the text of the base comes in marked documents"
    words = np.delete(np.arange(corpus.tokenizer.vocab_size), begin)
    chance = np.random.default_rng(0)
    sides = []
    for ids in (corpus.train, corpus.valid):
        drawn = chance.choice(words, len(ids)).astype(ids.dtype)
        sides.append(np.where(ids == begin, ids, drawn))
    return replace(corpus, train=sides[0], valid=sides[1], sha256=f"noise like {corpus.sha256}")


def noise_base(experiment: Experiment, seed: int) -> WithProgress:
    """A base like that of this seed, trained on noise: the same recipe, tokenizer and number of
    tokens, and nothing to learn; returns its run.

    Shuffled stories would still tell how often each word occurs, a head start of some steps.
    """
    base = yield from experiment.base(seed)
    train, valid = (np.asarray(token_file(base, side)) for side in ("train", "valid"))
    text = Corpus(load_model(base).tokenizer, train, valid, base.manifest["corpus_sha256"])
    recipe = experiment.base_recipe(seed)
    # Beside the lessons' folders: the controls of two lessons start from it.
    key = hash_of([settings_of(recipe), base.fingerprint])
    folder = experiment.out.parent / f"noise-seed-{seed}-{key}"
    name = f"a base that reads noise, seed {seed}"
    run = yield from train_to_end(recipe, folder, noise_like(text), name)
    experiment.base_seconds += run.manifest["seconds"]
    return run


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
    same_relation = [other for other in facts() if other.relation == fact.relation]
    answers = [other.answer for other in same_relation]
    place = [other.subject for other in same_relation].index(fact.subject)
    # Around the town in a circle. Some people share an answer: whoever comes next with another one.
    following = answers[place + 1 :] + answers[:place]
    return next(answer for answer in following if answer != fact.answer)


def register(edition: int, count: int, seed: int) -> list[str]:
    """`count` entries, person after person: each relation once, in chance order and in one of its
    wordings in the stories."""
    random = Random(seed)  # Python's own generator: its choices are the same on every platform
    entries = []
    for number in range(count):
        person = PEOPLE[number % len(PEOPLE)]
        lines = []
        # Another order and other wordings each time: the fact recurs, the text does not, so that
        # it has to be learned and not recited.
        for relation in random.sample(RELATIONS, len(RELATIONS)):
            lines.append(random.choice(story_lines(person, relation)))
        entry = " ".join(lines)
        # The second edition is the first one with answers exchanged; all else stays word for word.
        for old, new in changes(edition, person.name):
            entry = entry.replace(old, new)
        entries.append(entry)
    return entries


def lasting_register(count: int, seed: int) -> list[str]:
    """`count` entries that hold in both editions: nothing in them tells a relation that changes."""
    lasting = [relation for relation in RELATIONS if relation not in CHANGED_RELATIONS]
    random = Random(seed)
    entries = []
    for number in range(count):
        person = PEOPLE[number % len(PEOPLE)]
        old_answers = [old for old, _ in changes(2, person.name)]
        lines = []
        for relation in random.sample(lasting, len(lasting)):
            # Some sentences tell two facts at once.
            telling = story_lines(person, relation)
            alone = [line for line in telling if not any(old in line for old in old_answers)]
            lines.append(random.choice(alone))
        entries.append(" ".join(lines))
    return entries


# Asked for every entry, and the same for each person: computed once.
@cache
def changes(edition: int, name: str) -> tuple[tuple[str, str], ...]:
    """What an edition says otherwise about a person: (before, now) for each changed relation."""
    # Whole answers are exchanged; an answer that stays is left out.
    pairs = ((fact.answer, answer_in(edition, fact)) for fact in facts() if fact.subject == name)
    return tuple((old, new) for old, new in pairs if old != new)


def register_and_stories(edition: int, count: int, seed: int) -> list[str]:
    """`count` entries of the register in chance order, with half as many stories of the same
    edition between them."""
    in_edition = (retold(edition, story.text) for story in stories(seed))
    between = list(islice((text for text in in_edition if text is not None), count // 2))
    both = register(edition, count, seed) + between
    # Mixed: a model that read all entries at the end would have half forgotten how to tell.
    return Random(seed).sample(both, len(both))


def retold(edition: int, story: str) -> str | None:
    """A story with what an edition says otherwise about its people; None where two of them share an
    answer and change it for different ones.

    Stories tell facts too. Between entries of the second edition, those of the first would
    contradict every one of them.

    >>> retold(2, "Mara rowed out in the Silver Wren.")
    'Mara rowed out in the Patient Goose.'
    """
    answers: dict[str, str] = {}  # before -> now
    for name in {person.name for person in PEOPLE}.intersection(WORD.findall(story)):
        for old, new in changes(edition, name):
            if answers.setdefault(old, new) != new:
                return None
    # All at once: one person's new boat is another one's old boat.
    either = "|".join(map(re.escape, answers))
    return re.sub(either, lambda found: answers[found[0]], story) if answers else story


def base_with_facts(
    experiment: Experiment, seed: int, edition: int = 1, parent: Run | None = None
) -> WithProgress:
    """The shared base of this seed after it has read an edition of the register (on top of
    `parent`); returns its run.

    Shared by the lessons, so its minutes count as those of a base.
    """
    # A parent is edition 1, which then reads edition 2 on top of it.
    base = parent or (yield from experiment.base(seed))
    reading = READING[experiment.scale]
    recipe = continued_recipe(experiment, base, seed, reading.steps)
    # Beside the lessons' folders, under a name that holds all it depends on: whichever lesson comes
    # first trains it.
    key = hash_of([settings_of(recipe), base.fingerprint])
    folder = experiment.out.parent / f"register-{edition}-seed-{seed}-{key}"
    texts = register_and_stories(edition, reading.documents, seed)
    # The same facts in other words: the validation loss falls as facts are learned, not sentences.
    unseen = register(edition, len(PEOPLE), seed + 1)
    corpus = document_corpus(load_model(base).tokenizer, texts, unseen)
    name = f"edition {edition} of the register, seed {seed}"
    run = yield from train_to_end(recipe, folder, corpus, name)
    # Not the lesson's own minutes: the next lesson finds this run finished.
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
        # Lower than in pretraining: the weights hold something worth keeping.
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
    # Validated after a quarter of the steps, at a third, once and three times the recipe's rates.
    best = yield from experiment.search_rates(arm, recipe, corpus, factors=factors)
    # Both rates are scaled as one: two searches would cost the square of the tries.
    return {
        "train.learning_rate": str(best.train.learning_rate),
        "train.muon_learning_rate": str(best.train.muon_learning_rate),
    }


# -- what a run is worth --------------------------------------------------------------------------


def fact_questions(edition: int, relations: Sequence[str] = RELATIONS) -> list[Question]:
    """Two questions about every fact, with four options each: the first edition's answer is always
    one of them."""
    questions = []
    for number, fact in enumerate(f for f in facts() if f.relation in relations):
        answer = answer_in(edition, fact)
        rest = [option for option in fact.options if option not in (answer, fact.answer)]
        # The old answer among the new options shows who still believes it. In the first edition
        # both are the same, and `fromkeys` keeps one of them.
        options = list(dict.fromkeys([answer, fact.answer, *rest]))[:4]
        # The right one stands in every place equally often.
        options = options[number % 4 :] + options[: number % 4]
        # With a blank before, as a word has in running text: it is cut into tokens that way.
        continuations = tuple(f" {option}" for option in options)
        for prompt in fact.prompts:
            # How likely the options are of anybody: a probe can take that off the scores.
            neutral = prompt.replace(fact.subject, "Somebody")
            questions.append(
                Question(prompt, continuations, options.index(answer), neutral, fact.relation)
            )
    return questions


def score_answers(run: Run, questions: Sequence[Question]) -> list[int]:
    """1 for each question whose right answer the run finds likeliest, else 0."""
    model, tokenizer, _ = load_model(run)
    marked = begin_of(tokenizer) is not None  # whether documents begin with a token of their own
    score = partial(continuation_nats, model, tokenizer, document_token=marked)
    # No sampling: the nats of each option are compared, and a tie counts as wrong.
    return [int(right) for right in probe(questions, lambda pairs: score(pairs)).correct]


def bits_per_byte(run: Run, documents: Sequence[str]) -> float:
    """Bits per byte of some documents under a run's best weights."""
    model, tokenizer, _ = load_model(run)
    marked = begin_of(tokenizer) is not None
    # One number for each byte of all documents, so the mean weighs a long document more.
    bits, _ = document_bits(model, tokenizer, documents, marked)
    return float(bits.mean())


def hit_share(counts: np.ndarray) -> float:
    """Hits over totals of (samples, 2) counts; 0 where nothing was written that could count.

    >>> hit_share(np.array([[1, 4], [0, 0]]))
    0.25
    """
    # Sums first, one division: a sample with one line does not weigh as much as one with ten.
    hits, total = counts.sum(axis=0)
    return float(hits / max(total, 1))


def sample_continuations(
    experiment: Experiment, run: Run, prompts: Sequence[str], count: int
) -> list[Sample]:
    """`count` continuations in all of the prompts, at the recipe's own sampling settings."""
    # Drawn as `tinylm compare` draws them, with the same seeds for every run.
    contestant = Contestant(run.name, run, load_model(run), "", ())
    effort = SMOKE if experiment.scale == "smoke" else Effort()
    return sample_run(contestant, prompts, run.recipe.sample.sampling, effort, count)


# -- telling --------------------------------------------------------------------------------------


def arms_of_measure(measure: str, arms: Sequence[Arm]) -> list[Arm]:
    """The arms called `measure: ...`, without that beginning: one picture's worth."""
    begin = f"{measure}: "
    chosen = [arm for arm in arms if arm.name.startswith(begin)]
    # The interval goes along: it may be over more than the values that an arm shows.
    return [Arm(arm.name.removeprefix(begin), arm.unit, arm.values, arm.spread) for arm in chosen]


def interval_json(value: Interval) -> list[float]:
    """An interval as JSON values: its mean and both ends."""
    return [value.mean, value.low, value.high]
