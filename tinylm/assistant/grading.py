"""What an assistant did with a message, and whether that was right.

`ask` runs one message through the whole conversation: the model decides, the program searches,
calls and inserts, the model answers. An answer is right when it says the same words in the same
order as the right one; capital letters, the full stop, blanks and words that the question says
already make no difference ("Which form?" "K7", "form K7"), nor does one word more or less behind a
number (its unit).
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tinylm.assistant.dialogues import Decision
from tinylm.assistant.runtime import Assistant, Kind
from tinylm.assistant.tools import ERROR


@dataclass(frozen=True)
class Outcome:
    """All that one message led to."""

    message: str
    decision: Decision | str  # the first thing the model did; for a call, the name that it wrote
    answer: str
    call: str = ""
    result: str = ""  # of the last call, or the passage
    source: str = ""
    step: str = ""

    @property
    def failed(self) -> bool:
        """Whether a tool answered with an error."""
        return self.result.startswith(ERROR)

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values, for results.json and the pages."""
        return asdict(self)


def ask(assistant: Assistant, message: str) -> Outcome:
    """Send one message and wait for the whole reply."""
    texts: Mapping[Kind, list[str]] = defaultdict(list)
    first: Kind | None = None
    for event in assistant.reply(message):
        first = first or event.kind
        if event.kind in ("result", "passage"):  # of several results the last one counts
            texts[event.kind].clear()
        texts[event.kind].append(event.text)
    spoken = {kind: "".join(pieces).strip() for kind, pieces in texts.items()}
    call = spoken.get("call", "")
    return Outcome(
        message,
        decision=(call.split() or ["nothing"])[0] if first == "call" else first or "nothing",
        answer=spoken.get("answer", ""),
        call=call,
        result=spoken.get("passage") or spoken.get("result", ""),
        source=spoken.get("source", ""),
        step=spoken.get("step", ""),
    )


def same_answer(given: str, right: str, question: str = "") -> bool:
    """Whether two answers to a question say the same; a number may come with its unit or without
    it.

    >>> (same_answer("Anselm pike.", "Anselm  Pike"), same_answer("3.40", "3.40 crowns"),
    ...  same_answer("3", "3.40 crowns"))
    (True, True, False)
    >>> (same_answer("form K7.", "K7", "On which form?"),
    ...  same_answer("the form", "a form", "On which form?"))
    (True, False)
    """
    answer, expected = plain(given), plain(right)
    known = plain(question.replace("?", ""))
    news = [[word for word in words if word not in known] for words in (answer, expected)]
    if all(news):
        answer, expected = news
    if answer and expected and expected[0][0].isdigit():
        short = min(len(answer), len(expected))
        return answer[:short] == expected[:short] and abs(len(answer) - len(expected)) <= 1
    return answer == expected


def plain(answer: str) -> list[str]:
    """The words of an answer in lower case, without a full stop at the end."""
    return answer.lower().strip().rstrip(".").split()
