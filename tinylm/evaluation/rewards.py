"""Rewards: what the third training stage asks for, as pure functions of a text that is finished.

    REWARDS["metre"].score("", ["The tide comes in and lays its silver down,"])
    -> [LineScore(reward=1.29, success=True)]

A reward function sees the prompt and the lines that the model wrote behind it, and returns one
`LineScore` per line: a number to maximise, and whether the line reached the aim. It needs no
gradient and no model: any program that can judge a text can teach one.

To add a reward, write such a function and put it into `REWARDS` under a name; recipes and
`--reward.scorer NAME` know it from then on.

Guards. A model finds the cheapest way to a reward, meant or not (reward hacking: Amodei et al.
2016). A line learned by heart scans, one good line written a hundred times scans, and so does "the
king the king the king". `guarded` rewards therefore lose a point for a line that stands in the
training text or that the same batch holds already, and half a point for one that repeats its words.
"""

import re
import zlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from tinylm.evaluation.meter import is_degenerate, rhymes, scan

COPIED = 1.0  # subtracted for a line of the training text, or a second one of a batch
DEGENERATE = 0.5  # subtracted for a line that repeats its words


class LineScore(NamedTuple):
    """What one line is worth."""

    reward: float
    success: bool  # the line has what the reward asks for; logged as a share, not learned from


RewardFunction = Callable[[str, Sequence[str]], list[LineScore]]  # (prompt, lines) -> one a line


@dataclass(frozen=True)
class Reward:
    """A reward function with what the training stage must know about it."""

    score: RewardFunction
    guarded: bool
    """Copied, repeated and degenerate lines lose points. Off where the right text is always the
    same, as the answer to a sum is."""
    meaning: str
    """What a success is, for progress lines and pages: "lines that ..."."""


@lru_cache(maxsize=1 << 17)
def _metre(line: str) -> LineScore:
    # At most 1.3: scanning is worth more than any improvement of a line that does not scan.
    scansion = scan(line)
    return LineScore(scansion.ok + 0.3 * scansion.score, scansion.ok)


def metre(prompt: str, lines: Sequence[str]) -> list[LineScore]:
    """1 for a line of iambic pentameter, plus 0.3 of the scanner's score for every line.

    The score is the slope that leads to the step: a line that misses by one syllable earns more
    than one that misses by three, so that even a batch without any success has something to teach.
    """
    return [_metre(line) for line in lines]


def rhyme(prompt: str, lines: Sequence[str], scheme: str = "aabb") -> list[LineScore]:
    """1 for each line that rhymes with its partner in the scheme, plus its metre's reward.

    `scheme` names the rhymes of a stanza, which repeats: "aabb" makes couplets, "abab" alternate
    rhymes. A line whose partner is not written yet earns its metre alone.

    >>> pair = ["The tide comes in and lays its silver down,",
    ...     "And no one sells a lantern in the town."]
    >>> [score.success for score in rhyme("", pair)]
    [True, True]
    """
    scores = metre(prompt, lines)
    rhymed = [False] * len(lines)
    # Stanza after stanza; the last one may be unfinished.
    for first in range(0, len(lines), len(scheme)):
        stanza = range(first, min(first + len(scheme), len(lines)))
        for i in stanza:
            for j in stanza:
                same_rhyme = scheme[i - first] == scheme[j - first]
                # Both earn: the first line made the second one possible.
                if i < j and same_rhyme and rhymes(lines[i], lines[j]):
                    rhymed[i] = rhymed[j] = True
    return [
        LineScore(score.reward + ends_alike, score.success and ends_alike)
        for score, ends_alike in zip(scores, rhymed)
    ]


# The sum that ends a prompt, and the whole numbers of a line.
SUM = re.compile(r"[-+*()0-9]+=$")
NUMBER = re.compile(r"-?\d+")


def answer(prompt: str, lines: Sequence[str]) -> list[LineScore]:
    """1 where the last number of a line is the value of the sum that the prompt ends with.

    The prompt ends with a sum of whole numbers such as `((3+5)*4)=`. Only the result counts: how it
    was reached, in one leap or step by step, is left to the model. That is what makes the reward
    verifiable (DeepSeek-AI 2025, section 2.2.2).

    >>> answer("((3+5)*4)=", ["3+5=8 8*4=32 32.", "12."])
    [LineScore(reward=1.0, success=True), LineScore(reward=0.0, success=False)]
    """
    question = SUM.search(prompt)
    if question is None:
        raise ValueError(f"the reward `answer` needs prompts that end with a sum, not {prompt!r}")
    # Worked out here and not looked up: any sum can be asked, and no list has to be kept.
    value = value_of(question[0].removesuffix("="))
    scores = []
    for line in lines:
        # The last number is the answer; those before it are the way there.
        numbers = NUMBER.findall(line)
        right = bool(numbers) and int(numbers[-1]) == value
        scores.append(LineScore(float(right), right))
    return scores


def value_of(expression: str) -> int:
    """The value of a sum of whole numbers with + - * and brackets; ValueError where it is none.

    Recursive descent, one function per level of precedence; no `eval`, which would run any code.

    >>> value_of("((3+5)*4)-7"), value_of("2+3*4")
    (25, 14)
    """
    tokens = re.findall(r"\d+|[-+*()]", expression)

    # total = product + product - ...; product = factor * factor ...; factor = number or (total).
    # Each function takes what it has read off the front of the tokens.
    def factor() -> int:
        token = tokens.pop(0) if tokens else ""
        if token == "(":
            value = total()
            # `total` stops at what it cannot read: here it has to be the bracket.
            if not tokens or tokens.pop(0) != ")":
                raise ValueError(f"{expression!r}: a bracket is not closed")
            return value
        if not token.isdigit():
            raise ValueError(f"{expression!r} is not a sum of whole numbers")
        return int(token)

    def product() -> int:
        value = factor()
        while tokens and tokens[0] == "*":
            tokens.pop(0)
            value *= factor()
        return value

    def total() -> int:
        value = product()
        while tokens and tokens[0] in "+-":
            sign = tokens.pop(0)
            value += product() if sign == "+" else -product()
        return value

    value = total()
    # Something is left behind a complete sum, as in "2 3".
    if tokens:
        raise ValueError(f"{expression!r} is not a sum of whole numbers")
    return value


def length(prompt: str, lines: Sequence[str], words: int = 8) -> list[LineScore]:
    """1 for a line of exactly `words` words, a tenth less for each word too many or too few."""
    scores = []
    for line in lines:
        # A slope, as in `metre`: also a line that is far off learns which way is better.
        distance = abs(len(line.split()) - words)
        scores.append(LineScore(max(0.0, 1 - 0.1 * distance), distance == 0))
    return scores


def lottery(prompt: str, lines: Sequence[str]) -> list[LineScore]:
    """The control: a reward between 0 and 1 drawn by lot for each line (a hash of its letters).

    It has the spread of a reward and nothing to learn. A model that scanned more often after it
    would owe that to the procedure, not to the reward.
    """
    # A hash and no generator: the same line always earns the same, as with a true reward.
    return [
        LineScore(lot, lot > 0.5)
        for lot in (zlib.crc32(line.encode("utf-8")) / 2**32 for line in lines)
    ]


REWARDS = {
    "metre": Reward(metre, guarded=True, meaning="lines that scan"),
    "rhyme": Reward(rhyme, guarded=True, meaning="lines that scan and rhyme"),
    "answer": Reward(answer, guarded=False, meaning="right answers"),
    "length": Reward(length, guarded=True, meaning="lines of the length asked for"),
    "lottery": Reward(lottery, guarded=True, meaning="lines that drew a winning lot"),
}


def score_lines(
    reward: Reward, prompt: str, lines: Sequence[str], known: Collection[str]
) -> list[LineScore]:
    """The scores of the lines behind one prompt, with the guards' penalties.

    `known` holds the lines that are no achievement: those of the training text and those that other
    samples of the batch have written before.
    """
    scores = reward.score(prompt, lines)
    if not reward.guarded:
        return scores
    guarded = []
    for number, (line, score) in enumerate(zip(lines, scores)):
        # Copied from the text, from another sample of the step, or from further up in this one.
        copied = line in known or line in lines[:number]
        penalty = COPIED * copied + DEGENERATE * is_degenerate(line)
        # A success without its penalty only: else the share of successes would rise by copying.
        guarded.append(LineScore(score.reward - penalty, score.success and not penalty))
    return guarded
