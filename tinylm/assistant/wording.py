"""`--free`: the foundation model words an answer, and the program checks it against the passage.

The practised model quotes: it cannot misspell a name or invent a price, but it answers in
fragments. Here the model that it was trained from, without adapters, is given the passage, the
question and the quote, and writes one sentence. The sentence is shown only if it holds the quote's
own words, and if every number and every name in it stands in the passage or the question.
Otherwise the quote is shown.

Trade-off: what is checked is words. A sentence that turns a "not" around passes, which is why a
quote stays the default.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tinylm.assistant.conversation import DONT_KNOW
from tinylm.assistant.practice_values import NUMBERS
from tinylm.assistant.protocol import ChatTokens
from tinylm.assistant.retrieval import WORD
from tinylm.assistant.runtime import Event
from tinylm.config import Sampling
from tinylm.generation import Request, generate
from tinylm.model.gpt import GPT

LONGEST = 48  # tokens of a worded answer
# With which an English sentence begins without naming anybody.
_OPENERS = """
a an the it its this that there they you your we our i he she his her in on at for from by to up
if when while no not yes each every all both as with after before during staff
"""
OPENERS = frozenset(_OPENERS.split())
PROMPT = """{passage}

Question: {question}
Short answer: {quote}
Write the answer as one short sentence, in the words of the text above."""


@dataclass(frozen=True)
class Wording:
    """The foundation model, which puts quotes into sentences."""

    model: GPT
    tokens: ChatTokens

    def sentence(self, passage: str, question: str, quote: str) -> str:
        """A sentence that says what the quote says; "" where none passes the check."""
        prompt = PROMPT.format(passage=passage, question=question, quote=quote)
        room = self.model.config.context - LONGEST - 16
        ids = [*self.tokens.begin, *self.tokens.message(prompt, room)][1:]
        request = Request(prompt, LONGEST, Sampling(temperature=0), begin="<|im_end|>",
                          ids=tuple(ids))  # fmt: skip
        said = generate(self.model, self.tokens.tokenizer, request)[0].text.strip()
        said = said.splitlines()[0].strip() if said else ""
        return said if is_supported(said, passage, question, quote) else ""


def is_supported(said: str, passage: str, question: str, quote: str) -> bool:
    """Whether a sentence holds the quote's words, and no number or name that neither passage nor
    question has.

    >>> passage, question = "Guests pay 7.50 crowns for a meal.", "What do guests pay?"
    >>> is_supported("Guests pay 7.50 crowns.", passage, question, "7.50 crowns")
    True
    >>> is_supported("Guests pay 7.50 crowns to Berta.", passage, question, "7.50 crowns")
    False
    """
    known = {word.lower() for word in WORD.findall(f"{passage} {question}")}
    words = WORD.findall(said)
    spoken = {word.lower() for word in words}
    if not words or not {word.lower() for word in WORD.findall(quote)} <= spoken:
        return False
    checked = [word for place, word in enumerate(words) if is_checked(word, place == 0)]
    return all(word.lower() in known for word in checked)


def is_checked(word: str, begins: bool) -> bool:
    """Whether a word states a number or a name: at the beginning of a sentence any word may."""
    if word[0].isdigit() or word.lower() in NUMBERS:
        return True
    return word[0].isupper() and not (begins and word.lower() in OPENERS) and word != "I"


def worded(events: Iterator[Event], question: str, wording: Wording) -> Iterator[Event]:
    """The events of a reply; the quote of a passage as "quote", and behind it a worded answer.

    Answers without a passage are left alone.
    """
    passages: list[str] = []
    quote, held = "", list[Event]()
    for event in events:
        if event.kind == "passage":
            passages.append(event.text)
        if event.kind == "answer" and passages:
            quote += event.text
        elif quote:  # the name of the passage that it stands in
            held.append(event)
        else:
            yield event
    if not quote:
        return
    plain = quote.strip().removesuffix(".")
    source = next((text for text in passages if plain in " ".join(text.split())), passages[0])
    known = quote.strip() != DONT_KNOW
    said = wording.sentence(source, question, plain) if known else ""
    if said:
        yield Event("quote", quote)
    yield Event("answer", said or quote)
    yield from held
