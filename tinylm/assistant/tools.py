"""Tools: what the model may ask the program to do, and the calculator, the search and the orders
desk themselves.

The model writes a call as text: `calculator 34 * 12`. That text is never executed. It is parsed
here, its arguments are turned into typed values or refused, and one known function runs on them,
within its limits of time and size. A tool that fails answers "error: ..." with the reason, and the
model is trained to apologise.

Trade-offs: a call is one line of words, which a small model can write, not JSON, which it would
misspell. A tool that passes its time limit is left behind in a thread of its own, since Python
cannot stop one; each tool therefore bounds its own work too, and the limit only keeps the
conversation from waiting.
"""

import ast
import operator
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from tinylm.assistant.retrieval import Found, Index
from tinylm.config import closest
from tinylm.corpora.chance import Chance

ERROR = "error: "  # how the result of a call that failed begins
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
CUSTOMERS = (
    "Mara",
    "Tobin",
    "Ada",
    "Jonas",
    "Nell",
    "Hugo",
    "Rosa",
    "Otto",
    "Greta",
    "Abel",
    "Hanna",
    "Caleb",
)
GOODS = (
    "anchors",
    "ropes",
    "lamps",
    "nets",
    "oars",
    "sails",
    "barrels",
    "buckets",
    "hooks",
    "buoys",
    "ladders",
)
STATES = ("ready", "packed", "late", "sent")
BERTHS = 60


@dataclass(frozen=True)
class Parameter:
    """One typed argument: `parse` turns its text into a value, or raises ValueError saying what is
    allowed."""

    name: str
    parse: Callable[[str], Any]


@dataclass(frozen=True)
class Tool:
    """A function that the model may call by name. `run` takes the parsed arguments and returns a
    short text."""

    name: str
    purpose: str
    parameters: tuple[Parameter, ...]
    run: Callable[..., str]
    # its results are passages of documents, after which nothing may be called
    documents: bool = False
    writes: bool = False  # changes something: runs only after the user has confirmed
    seconds: float = 2.0  # longest time that the conversation waits for it
    characters: int = 400  # longest result


@dataclass(frozen=True)
class Call:
    """A call whose tool exists and whose arguments are values of the declared types."""

    tool: Tool
    arguments: tuple[Any, ...]


def whole_number(low: int, high: int) -> Callable[[str], int]:
    """A parser of whole numbers from `low` to `high`.

    >>> whole_number(1, 60)("42")
    42
    """

    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) <= 9 and low <= int(text) <= high):
            raise ValueError(f"must be a whole number from {low} to {high}, not {text[:20]!r}")
        return int(text)

    return parse


def one_of(words: Sequence[str]) -> Callable[[str], str]:
    """A parser of one of a few words, in any case."""

    def parse(text: str) -> str:
        for word in words:
            if word.lower() == text.lower():
                return word
        raise ValueError(f"must be one of {', '.join(words)}, not {text[:20]!r}")

    return parse


def line(longest: int) -> Callable[[str], str]:
    """A parser of one line of text of at most `longest` characters."""

    def parse(text: str) -> str:
        if not text or len(text) > longest or not text.isprintable():
            raise ValueError(f"must be 1 to {longest} printable characters")
        return text

    return parse


def parse_call(text: str, tools: Mapping[str, Tool]) -> Call:
    """The call that a text describes: a name, then one word per argument; the last argument takes
    what is left.

    Raises ValueError naming the closest tool, the number of arguments, or the argument that is
    wrong.
    """
    name, _, rest = text.strip().partition(" ")
    if name not in tools:
        raise ValueError(f"there is no tool {name[:20]!r}{closest(name, list(tools))}")
    tool = tools[name]
    words = rest.split(maxsplit=max(0, len(tool.parameters) - 1))
    if len(words) != len(tool.parameters):
        expected = " ".join(parameter.name for parameter in tool.parameters) or "nothing"
        raise ValueError(f"{name} takes {expected}")
    values = []
    for parameter, word in zip(tool.parameters, words):
        try:
            values.append(parameter.parse(word.strip()))
        except ValueError as error:
            raise ValueError(f"{parameter.name} {error}") from None
    return Call(tool, tuple(values))


def run_call(call: Call) -> str:
    """What the tool answers, within its limits; "error: ..." in one line where it fails, whatever
    the failure."""
    answers: list[str] = []

    def work() -> None:
        try:
            answers.append(call.tool.run(*call.arguments))
        except Exception as error:  # a tool's failure is an answer too: the model apologises for it
            answers.append(ERROR + (" ".join(str(error).split()) or type(error).__name__))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(call.tool.seconds)
    if not answers:
        return f"{ERROR}no answer within {call.tool.seconds:g} seconds"
    return answers[0][: call.tool.characters]


# Calculator


OPERATORS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}  # fmt: skip
LARGEST, LARGEST_POWER = 10**15, 20


def calculate(expression: str) -> str:
    """The value of an expression of numbers, + - * / ** and brackets, exact, with at most 4
    decimals.

    The text becomes a syntax tree and only the kinds of node above are followed, so that nothing
    else can run. No number may pass 10**15 on the way: 9**9**9**9 is refused at once.

    >>> calculate("3 * (3.40 + 1.10)"), calculate("1 / 3")
    ('13.5', '0.3333')
    """
    if len(expression) > 80:
        raise ValueError("the expression is longer than 80 characters")
    try:
        tree = ast.parse(expression.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise ValueError("this is not an expression of numbers") from None
    return show_number(value_of(tree))


def value_of(node: ast.expr) -> Fraction:
    """The value of a syntax tree; ValueError for anything but numbers, signs and the five
    operators."""
    if (
        isinstance(node, ast.Constant)
        and isinstance(node.value, int | float)
        and not isinstance(node.value, bool)
    ):
        return bounded(Fraction(str(min(node.value, LARGEST + 1))))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -value_of(node.operand)
    if not (isinstance(node, ast.BinOp) and type(node.op) in OPERATORS):
        raise ValueError("only numbers, + - * / ** and brackets are allowed")
    left, right = value_of(node.left), value_of(node.right)
    if isinstance(node.op, ast.Div) and right == 0:
        raise ValueError("division by zero")
    if isinstance(node.op, ast.Pow) and not (
        right.denominator == 1 and 0 <= right <= LARGEST_POWER
    ):
        raise ValueError(f"powers go from 0 to {LARGEST_POWER}")
    return bounded(OPERATORS[type(node.op)](left, right))


def bounded(value: Fraction) -> Fraction:
    """The value itself; ValueError where it, or its denominator, is too large to go on with."""
    if abs(value) > LARGEST or value.denominator > 10**60:
        raise ValueError("the numbers grow too large")
    return value


def show_number(value: Fraction) -> str:
    """A whole number, or at most 4 decimals without zeros at the end."""
    text = f"{float(round(value, 4)):.4f}".rstrip("0").rstrip(".")
    return str(value.numerator) if value.denominator == 1 else text


def calculator() -> Tool:
    """The tool that works out an expression of at most 80 characters; its result is text."""
    return Tool(
        "calculator", "works an expression out", (Parameter("expression", line(80)),), calculate
    )


# Handbook search


# The share of a question (see `Found`) that a passage must hold to be shown. Of the handbook's 297
# questions, 98 in a hundred find such a passage; with the document that answers taken away, 13 in a
# hundred still do. (0.40: 99 and 22; 0.50: 95 and 7.)
ENOUGH = 0.5


class Search:
    """The search tool over an index that may be exchanged. It searches for the user's `message`,
    word for word.

    The call takes no argument: a small model misspells long words, and a misspelt word finds
    nothing.
    """

    def __init__(self, index: Index) -> None:
        self.index, self.message = index, ""
        self.found: list[Found] = []  # of the last search

    def run(self) -> str:
        """The text of the best passage; ValueError where none holds enough of the message."""
        self.found = [hit for hit in self.index.search(self.message) if hit.share >= ENOUGH]
        if not self.found:
            raise ValueError("nothing was found")
        return self.found[0].passage.text

    def tool(self) -> Tool:
        """The search as a tool: its argument is the user's own message, its result at most 1,000
        characters of a passage."""
        return Tool(
            "search",
            "finds a passage in the documents",
            (),
            self.run,
            documents=True,
            characters=1000,
        )


# Orders and berths


@dataclass
class Orders:
    """The harbour shop's database: orders to look up, berths to book. Lives in memory, built from a
    seed."""

    seed: int = 0
    count: int = 500
    database: sqlite3.Connection = field(init=False, repr=False)

    def __post_init__(self) -> None:
        # Another thread runs each tool, one at a time (see run_call), so the connection may move
        # between them.
        self.database = sqlite3.connect(":memory:", check_same_thread=False)
        self.database.executescript(
            """
            CREATE TABLE orders (number INTEGER PRIMARY KEY, amount INTEGER, goods TEXT,
            customer TEXT, state TEXT,
                                 day TEXT);
            CREATE TABLE bookings (number INTEGER PRIMARY KEY AUTOINCREMENT, berth INTEGER,
            day TEXT,
                                   UNIQUE (berth, day));
            """
        )
        chance = Chance(self.seed)
        numbers: set[int] = set()
        while len(numbers) < self.count:
            numbers.add(chance.pick(range(1000, 10_000)))
        rows = [
            (number, chance.pick(range(2, 40)), chance.pick(GOODS), chance.pick(CUSTOMERS),
            chance.pick(STATES),
             chance.pick(DAYS))
            for number in sorted(numbers)
        ]  # fmt: skip
        with self.database:
            self.database.executemany("INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?)", rows)

    def numbers(self) -> list[int]:
        """The numbers of all orders."""
        return [
            number
            for (number,) in self.database.execute("SELECT number FROM orders ORDER BY number")
        ]

    def look_up(self, number: int) -> str:
        """What an order holds, for whom, and where it is: "12 lamps for Mara, ready on Friday"."""
        row = self.database.execute(
            "SELECT amount, goods, customer, state, day FROM orders WHERE number = ?", (number,)
        ).fetchone()
        if row is None:
            raise ValueError(f"there is no order {number}")
        amount, goods, customer, state, day = row
        return f"{amount} {goods} for {customer}, {state} on {day}"

    def book(self, berth: int, day: str) -> str:
        """Book a berth for a day; ValueError where it is taken."""
        try:
            with self.database:  # all or nothing
                self.database.execute(
                    "INSERT INTO bookings (berth, day) VALUES (?, ?)", (berth, day)
                )
        except sqlite3.IntegrityError:
            raise ValueError(f"berth {berth} is taken on {day}") from None
        return f"berth {berth} is booked for {day}"

    def bookings(self) -> list[tuple[int, str]]:
        """All berths booked so far, with their days."""
        return self.database.execute("SELECT berth, day FROM bookings ORDER BY number").fetchall()

    def tools(self) -> tuple[Tool, Tool]:
        """Two tools on the same company database: one reads an order, one writes a booking."""
        return (
            Tool("order", "looks an order "
                          "up", (Parameter("number", whole_number(1, 99_999)),), self.look_up),
            Tool(
                "book", "books a berth",
                (Parameter("berth", whole_number(1, BERTHS)), Parameter("day", one_of(DAYS))),
                self.book, writes=True,
            ),
        )  # fmt: skip


def toolbox(*tools: Tool) -> dict[str, Tool]:
    """Tools by name."""
    return {tool.name: tool for tool in tools}
