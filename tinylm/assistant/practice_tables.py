"""Practice in looking rows of a database up: tables made new each time, and questions about rows.

The schema stands before the conversation, a line for each table, as the database's tool writes it:

    vehicles (plate, model, seats, driver)
    invoices (number, customer, amount, state)

and the model answers "Who is the driver of vehicle K-302?" with the call `lookup vehicles plate =
K-302`, reads the row and says the value. Names of tables and columns come from the schema: with
other columns it is another call. Half of the questions before a schema are for the documents.

Trade-off: one condition in a call. What needs a join or a sum is beyond these.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from tinylm.assistant.practice_values import value
from tinylm.corpora.chance import Chance

T = TypeVar("T")
_TABLES = """
employees employee name:person department:dept phone:phone room:room city:city
products product code:code name:model price:money colour:colour weight:weight
invoices invoice number:number customer:person amount:money state:state month:month
rooms room number:number floor:ordinal2 seats:number keeper:person colour:colour
deliveries delivery number:number supplier:company goods:items day:day driver:person
courses course title:course teacher:person day:day fee:money length:hours
vehicles vehicle plate:code model:model seats:number driver:person year:year
members member number:number name:person town:city fee:money joined:year
suppliers supplier name:company town:city phone:phone goods:items contact:person
machines machine name:machine room:room owner:dept bought:year price:money
orders order number:number goods:items customer:person state:state day:day
projects project code:code leader:person budget:money start:date client:company
books book code:code author:person year:year shelf:number colour:colour
"""
STATES = ("open", "paid", "late", "sent", "packed", "cancelled", "ready", "checked")
ONE = (
    "What is the {wanted} of {one} {key}?", "Which {wanted} does {one} {key} have?",
    "Look up the {wanted} of {one} {key}.", "{one} {key}: {wanted}?", "Tell me the {wanted} "
    "of the {one} {key}.", "I need the {wanted} for {one} {key}, please.",
    "What {wanted} is noted for {one} {key}?",
)  # fmt: skip
MANY = (
    "Which {table} have {column} {key}?", "Show me all {table} with {column} {key}.",
    "How many {table} have the {column} {key}?", "List the {table} whose {column} is {key}.",
)  # fmt: skip


@dataclass(frozen=True)
class Table:
    """A table: its name, the word for one of its rows, and its columns with the kind of each."""

    name: str
    one: str
    columns: tuple[tuple[str, str], ...]

    def line(self) -> str:
        """Its line in a schema.

        >>> Table("rooms", "room", (("number", "number"), ("floor", "ordinal2"))).line()
        'rooms (number, floor)'
        """
        return f"{self.name} ({', '.join(name for name, _ in self.columns)})"


@dataclass(frozen=True)
class LookUp:
    """A question about rows, the schema before it, the call, its result and the answer."""

    schema: str
    question: str
    call: str
    result: str
    answer: str


def tables() -> list[Table]:
    """All tables with all their columns."""
    made = []
    for row in _TABLES.strip().splitlines():
        name, one, *columns = row.split()
        pairs = [column.partition(":") for column in columns]
        made.append(Table(name, one, tuple((column, kind) for column, _, kind in pairs)))
    return made


def some_tables(chance: Chance) -> list[Table]:
    """One to three tables, each with its key and some of its other columns."""
    drawn = shuffled(tables(), chance)[: chance.pick((1, 2, 2, 3))]
    return [
        Table(table.name, table.one, (table.columns[0], *shuffled(table.columns[1:], chance)[
            : chance.pick((2, 3, 4))])) for table in drawn
    ]  # fmt: skip


def schema(drawn: list[Table]) -> str:
    """The lines of some tables."""
    return "\n".join(table.line() for table in drawn)


def look_up(chance: Chance) -> LookUp:
    """A question about one row, or about all rows that have a value."""
    drawn = some_tables(chance)
    table = chance.pick(drawn)
    if chance.happens(0.75):
        row = {name: cell(kind, chance) for name, kind in table.columns}
        key, wanted = table.columns[0][0], chance.pick(table.columns[1:])[0]
        question = chance.pick(ONE).format(wanted=wanted, one=table.one, key=row[key])
        result = ", ".join(f"{name}: {held}" for name, held in row.items())
        call = f"lookup {table.name} {key} = {row[key]}"
        question = question[0].upper() + question[1:]
        return LookUp(schema(drawn), question, call, result, row[wanted])
    column, kind = chance.pick(table.columns[1:])
    key = cell(kind, chance)
    question = chance.pick(MANY).format(table=table.name, column=column, key=key)
    count = chance.pick(range(2, 40))
    names = [cell(table.columns[0][1], chance) for _ in range(2)]
    rows = "; ".join(f"{table.columns[0][0]}: {name}, {column}: {key}" for name in names)
    result = f"{count} rows, the first 2: {rows}"
    answer = str(count) if question.startswith("How many") else ", ".join(names)
    call = f"lookup {table.name} {column} = {key}"
    return LookUp(schema(drawn), question, call, result, answer)


def cell(kind: str, chance: Chance) -> str:
    """A value of a column."""
    if kind == "number":  # digits alone
        return str(chance.pick(range(2, 9_000)))
    return chance.pick(STATES) if kind == "state" else value(kind, chance)


def shuffled(items: Sequence[T], chance: Chance) -> list[T]:
    """The items in random order."""
    left, mixed = list(items), list[T]()
    while left:
        mixed.append(left.pop(chance.pick(range(len(left)))))
    return mixed
