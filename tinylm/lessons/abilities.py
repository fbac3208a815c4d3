"""What a growing model is asked along the way: can it spell, keep to grammar, copy, recall?

Each ability is one number, computed from the model's own samples (spelling) or from its
probabilities (the rest). Probabilities say more than samples: they move long before the likeliest
answer changes, and they need no judge.
"""

import random
import re
from collections.abc import Sequence
from functools import cache

import numpy as np

from tinylm.corpora.facts import Fact, facts
from tinylm.corpora.stories import stories, vocabulary
from tinylm.corpora.world import PEOPLE
from tinylm.evaluation.knowledge import Question, probe
from tinylm.evaluation.surprisal import continuation_nats, sequence_nats
from tinylm.model.gpt import GPT
from tinylm.text.tokenizers import DOCUMENT, Tokenizer

# "net-mender" is one word: the hyphen joins.
WORD = re.compile(r"[a-z]+(?:-[a-z]+)*")


def spelling(texts: Sequence[str]) -> float:
    """Share of real words; the first and last of a text may be cut off and do not count.

    >>> spelling(["x the lantern xqz y"])
    0.6666666666666666
    """
    words: list[str] = []
    for text in texts:
        # A genitive is the word before it: "Mara's" counts as "mara".
        plain = re.sub(r"'s\b", "", text.lower())
        words += WORD.findall(plain)[1:-1]
    # The stories come from a program, so the list of all words that it can write is known.
    return sum(word in vocabulary() for word in words) / max(1, len(words))


def grammar(model: GPT, tokenizer: Tokenizer, sentences: Sequence[str]) -> float:
    """Share of sentences that are likelier than themselves with two neighbouring words
    exchanged.

    Minimal pairs (Warstadt et al. 2020): both have the same words, so that only their order can
    tell them apart.
    """
    begin = [tokenizer.special_id(DOCUMENT)]
    # One list for both, so that the model reads them in the same batches.
    pairs = [text for sentence in sentences for text in (sentence, exchanged(sentence))]
    rows = [begin + tokenizer.encode(text) for text in pairs]
    nats = np.array([own.sum() for own in sequence_nats(model, rows)])  # (2 sentences,)
    right, wrong = nats[::2], nats[1::2]  # every second row is the exchanged sentence
    return float(np.mean(right < wrong))


def exchanged(sentence: str) -> str:
    """The sentence with two neighbouring words exchanged, never the first or the last one; always
    the same two.

    >>> exchanged("Mara went to the sea.")
    'Mara went the to sea.'
    """
    words = sentence.split()
    # The first word has a capital and the last a full stop: moved, they would give it away.
    places = [i for i in range(1, len(words) - 2) if words[i] != words[i + 1]] or [1]
    # The sentence is the seed: every model is asked about the same pair.
    i = random.Random(sentence).choice(places)
    return " ".join([*words[:i], words[i + 1], words[i], *words[i + 2 :]])


def copying(model: GPT, tokenizer: Tokenizer, count: int) -> float:
    """Nats that the later mentions of a hero's name cost less than the first one, on average over
    `count` stories.

    A mild form of the test for induction heads (Olsson et al. 2022): the name was exchanged, so
    nothing but looking back can tell it.
    """
    texts = renamed(count)
    # Each story begins with the token that stories begin with in training.
    begin, sizes = [tokenizer.special_id(DOCUMENT)], tokenizer.bytes_per_token()
    rows = [tokenizer.encode(text) for text, _ in texts]
    first: list[float] = []
    later: list[float] = []
    all_nats = sequence_nats(model, [begin + ids for ids in rows])
    for (text, name), ids, nats in zip(texts, rows, all_nats):
        # Where each token ends, in bytes, which are characters here: the stories are ASCII.
        token_ends = np.cumsum(sizes[ids])
        token_starts = token_ends - sizes[ids]
        for number, place in enumerate(re.finditer(rf"\b{name}\b", text)):
            # A name may be cut into several tokens: what it costs is their sum.
            inside = (token_ends > place.start()) & (token_starts < place.end())
            mentions = first if number == 0 else later
            mentions.append(nats[inside].sum())
    return float(np.mean(first) - np.mean(later))


@cache
def renamed(count: int) -> list[tuple[str, str]]:
    """Unseen stories that name their hero three times or more, with another person's name for it:
    (text, name)."""
    # The same stories and names for every model that is asked.
    chance, names = random.Random(0), [person.name for person in PEOPLE]
    texts: list[tuple[str, str]] = []
    for text in (story.text for story in stories(0, "valid")):
        mentions = {name: len(re.findall(rf"\b{name}\b", text)) for name in names}
        # The hero is the person named most often.
        hero = max(names, key=mentions.__getitem__)
        if mentions[hero] >= 3 and text.isascii():
            # A name that does not occur in the story: nothing but the first mention gives it away.
            other = chance.choice([name for name in names if name not in text])
            texts.append((re.sub(rf"\b{hero}\b", other, text), other))
        if len(texts) == count:
            return texts
    return texts


def facts_known(model: GPT, tokenizer: Tokenizer, count: int) -> float:
    """Share of four-way questions answered rightly, what an answer costs without the question taken
    off.

    Without that correction a model that merely likes a word would seem to know things (Zhao et al.
    2021).
    """
    every = facts()
    # Evenly spread over the list, so that all relations take part.
    chosen = every[:: max(1, len(every) // count)]
    # Only the calibrated share is kept: what the options cost after "Somebody ..." is taken off.
    result = probe(
        [question_of(fact) for fact in chosen],
        lambda pairs: continuation_nats(model, tokenizer, pairs, True),
    )
    return result.calibrated_accuracy.mean


def question_of(fact: Fact) -> Question:
    """A fact as a question, and the same question about nobody, which calibrates it."""
    prompt = fact.prompts[0]
    return Question(
        prompt,
        # Each option follows a blank, as the word would in a sentence.
        tuple(f" {option}" for option in fact.options),
        fact.options.index(fact.answer),
        prompt.replace(fact.subject, "Somebody"),
        fact.relation,
    )
