"""A SQLite database as a tool: the model looks rows up, and can do nothing else.

A call has one of two forms. The first is for small models: the program writes its SQL.

    lookup TABLE                                    every row
    lookup TABLE COLUMN = VALUE
    lookup TABLE COLUMN = VALUE and COLUMN > VALUE  at most four conditions
    SELECT ...                                      one SELECT of SQLite, on one line

The signs are = != < > <= >= and `like`, which finds a part of a text. Names and values are written
as they are: no quotes, also where they hold blanks; capitals make no difference. A value ends at
the end of the line, or at an " and " that the name of a column and a sign follow.

    lookup orders number = 1064        -> number: 1064, amount: 14, goods: lamps, ...
    lookup berths metres = 40          -> 2 rows: number: 39, metres: 40, ...; number: 43, ...
    lookup orders customer = Mara and state = late
                                       -> 13 rows, the first 7: number: 1411, ...; number: 1560, ...
    lookup berths quay like north      -> 23 rows, the first 10: number: 3, metres: 37, ...; ...
    lookup orders number = 1           -> no rows
    SELECT count(*) FROM orders WHERE state = 'late'
                                       -> 128
    lookup order number = 1            -> error: there is no table 'order' (did you mean "orders"?)

So a result is "no rows"; one bare value; one row as "column: value" parted by commas, empty columns
left out; or the number of rows and the first of them, parted by semicolons. It has at most 600
characters. `Database.schema` is the text that tells a model what there is:

    orders (number, amount, goods, customer, state, day)
    berths (number, metres, crowns, quay)

Why nothing else can happen, one wall behind the other: the file is opened read-only, and each call
has a connection of its own; only a text that begins with SELECT is run; SQLite asks an authorizer
about every table that a statement reads and every function that it calls, and whatever is not on a
short list is refused while the statement is compiled (no writing, no PRAGMA, no ATTACH, no
recursion, none of SQLite's own tables); and time, memory and lengths are bounded.

Trade-offs: `lookup` joins no tables and adds nothing up; `SELECT` does, for models that can write
it. A text is looked for without an index, since capitals make no difference: 0.1 s for a million
rows. SQLite's memory limit holds for the whole process.
"""

import re
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinylm.assistant.tools import Parameter, Tool, line
from tinylm.config import closest

SECONDS = 1.5  # longest time of a statement; the tools wait a little longer
MOST_ROWS = 1_000  # rows are counted up to here
MOST_BYTES = 256 << 20  # memory of all of SQLite
LONGEST = 600  # characters of a result
LONGEST_VALUE = 200  # characters of one value in it
LONGEST_CALL = 300
LONGEST_SCHEMA = 1_200
MOST_CONDITIONS = 4
# What a SELECT may call: nothing that makes long texts from short ones, opens files or reads code.
FUNCTIONS = frozenset(
    re.findall(
        r"\w+",
        "count sum total avg min max abs round length lower upper substr substring trim ltrim "
        "rtrim instr coalesce ifnull nullif iif like date time datetime julianday strftime typeof "
        "group_concat row_number rank dense_rank lag lead",
    )
)
SIGNS = ("<=", ">=", "!=", "<>", "=", "<", ">", "like")
NUMBER = re.compile(r"[+-]?\d{1,15}(?:\.\d{1,15})?")


@dataclass(frozen=True)
class Table:
    """A table or view of the file, with its columns in their order and their declared types."""

    name: str
    columns: dict[str, str]  # name -> type as declared, "" where it has none


class Database:
    """A SQLite file that is only read.

    >>> from tinylm.assistant.harbour import write_harbour
    >>> database = Database(write_harbour(Path(getfixture("tmp_path")) / "harbour.sqlite"))
    >>> database.lookup("orders number = 1064")
    'number: 1064, amount: 14, goods: lamps, customer: Abel, state: packed, day: Wednesday'
    >>> database.select("SELECT count(*) FROM orders WHERE state = 'late'")
    '128'
    """

    def __init__(self, path: Path) -> None:
        """Read the names of tables and columns; ValueError where the file is no SQLite database."""
        if not path.is_file():
            raise ValueError(f"{path}: there is no such file")
        self.path = path.resolve()
        self.tables: dict[str, Table] = {}  # by name
        with self.connection() as connection:
            self.tables = {table.name: table for table in tables_of(connection)}
        if not self.tables:
            raise ValueError(f"{path}: this database holds no table")

    def schema(self) -> str:
        """What there is, for a model to read: a line for each table, at most 1,200 characters."""
        lines: list[str] = []
        for table in self.tables.values():
            lines.append(f"{table.name} ({', '.join(table.columns)})")
            if len("\n".join(lines)) > LONGEST_SCHEMA:
                more = len(self.tables) - len(lines) + 1
                return "\n".join([*lines[:-1], f"and {more} more tables"])
        return "\n".join(lines)

    def lookup(self, text: str) -> str:
        """The rows that "TABLE COLUMN = VALUE and ..." asks for, as a short text (see above).

        Raises ValueError naming the closest table or column, or the signs that are allowed.
        """
        name, rest = leading_name(text, list(self.tables), "table")
        table = self.tables[name]
        tests, values = conditions(rest, table)
        where = f" WHERE {' AND '.join(tests)}" if tests else ""
        return self.run(f"SELECT * FROM {quoted(name)}{where}", values)

    def select(self, sql: str) -> str:
        """The rows of one SELECT, as a short text (see above); ValueError for everything else."""
        if not re.match(r"\s*select\b", sql, re.IGNORECASE):
            raise ValueError("only a statement that begins with SELECT is run")
        if len(sql) > LONGEST_CALL + len("SELECT "):
            raise ValueError(f"the statement is longer than {LONGEST_CALL} characters")
        return self.run(sql, [])

    def run(self, sql: str, values: Sequence[Any]) -> str:
        """Run a statement within all limits; ValueError in one line where it fails."""
        end = time.monotonic() + SECONDS
        try:
            with self.connection() as connection:
                limit(connection, frozenset(name.casefold() for name in self.tables), end)
                cursor = connection.execute(sql, values)
                rows = cursor.fetchmany(MOST_ROWS + 1)
                names = [column[0] for column in cursor.description or ()]
            return text_of(names, rows)
        except MemoryError:
            raise ValueError("the statement takes too much memory") from None
        # Warning: more than one statement, in Python 3.11
        except (sqlite3.Error, sqlite3.Warning, OverflowError, UnicodeError) as error:
            raise ValueError(self.explain(error, time.monotonic() > end)) from None

    def explain(self, error: Exception, late: bool) -> str:
        """What is wrong with a statement, in one line."""
        words = " ".join(str(error).split())
        if late:
            return f"no answer within {SECONDS:g} seconds"
        if "one statement" in words:
            return "only one statement at a time is run"
        if "not authorized" in words or "prohibited" in words:
            return f"only SELECT on the tables {', '.join(self.tables)[:200]} is allowed: {words}"
        wrong = words.rpartition("no such column: ")[2]
        columns = [column for table in self.tables.values() for column in table.columns]
        return words + (closest(wrong, columns) if wrong != words else "")

    @contextmanager
    def connection(self) -> Iterator[sqlite3.Connection]:
        """A connection that cannot write, closed at the end.

        Raises ValueError where the file is no database.
        """
        connection = None
        try:
            connection = sqlite3.connect(address(self.path), uri=True, timeout=0.5)
            connection.text_factory = lambda body: body.decode("utf-8", "replace")
            for setting in ("query_only=on", "trusted_schema=off", "cell_size_check=on",
                            "temp_store=memory", f"hard_heap_limit={MOST_BYTES}"):  # fmt: skip
                connection.execute(f"PRAGMA {setting}")
            if not self.tables:  # the first time: is this a database at all?
                connection.execute("SELECT count(*) FROM sqlite_master")
        except sqlite3.Error as error:
            if connection is not None:
                connection.close()
            raise ValueError(f"{self.path.name}: not a readable database ({error})") from None
        try:
            yield connection
        finally:
            connection.close()

    def tools(self) -> tuple[Tool, Tool]:
        """The two forms of a call as tools: `lookup` and `SELECT`."""
        lookup = Parameter("TABLE COLUMN = VALUE", line(LONGEST_CALL))
        select = Parameter("columns FROM table", line(LONGEST_CALL))
        return (
            Tool("lookup", "finds rows of a table", (lookup,), self.lookup, characters=LONGEST),
            Tool(
                "SELECT",
                "asks the database in SQL",
                (select,),
                lambda rest: self.select(f"SELECT {rest}"),
                characters=LONGEST,
            ),
        )


# -- walls ----------------------------------------------------------------------------------------


def address(path: Path) -> str:
    """The file as SQLite opens it, read-only.

    A database with a write-ahead log makes two files beside itself even for a reader. Where no log
    lies there nobody is writing, and `immutable` says that nothing needs to be made.
    """
    with path.open("rb") as file:
        has_log = file.read(20)[18:20] == b"\2\2"  # file format 2: write-ahead log
    log = path.with_name(f"{path.name}-wal")
    at_rest = has_log and not (log.exists() and log.stat().st_size)
    return f"{path.as_uri()}?mode=ro{'&immutable=1' if at_rest else ''}"


def limit(connection: sqlite3.Connection, tables: frozenset[str], end: float) -> None:
    """Refuse all but a SELECT on `tables` (names in small letters), and stop at the time `end`."""
    for kind, most in (
        (sqlite3.SQLITE_LIMIT_LENGTH, 100_000),  # bytes of a value
        (sqlite3.SQLITE_LIMIT_EXPR_DEPTH, 50),
        (sqlite3.SQLITE_LIMIT_COMPOUND_SELECT, 10),
        (sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 1_000),  # a pattern of many % takes long
        (sqlite3.SQLITE_LIMIT_ATTACHED, 0),
    ):
        connection.setlimit(kind, most)
    connection.set_authorizer(authorizer(tables))
    # asked every 1,000 instructions of SQLite's machine, some 0.1 ms
    connection.set_progress_handler(lambda: time.monotonic() > end, 1_000)


def authorizer(tables: frozenset[str]) -> Callable[..., int]:
    """Allows SELECT, reading columns of `tables`, and the functions of the list above."""

    def decide(action: int, first: str | None, second: str | None, *_: str | None) -> int:
        allowed = (
            action == sqlite3.SQLITE_SELECT
            or (action == sqlite3.SQLITE_READ and (first or "").casefold() in tables)
            or (action == sqlite3.SQLITE_FUNCTION and (second or "").lower() in FUNCTIONS)
        )
        return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY

    return decide


def tables_of(connection: sqlite3.Connection) -> Iterator[Table]:
    """The tables and views of a file whose names are plain text, SQLite's own left out."""
    names = connection.execute(
        "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') "
        "AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY rowid"
    ).fetchall()
    for (name,) in names:
        try:
            columns = connection.execute(f"PRAGMA table_info({quoted(name)})").fetchall()
        except sqlite3.Error:  # a view of a table that is gone: it could not be read either
            continue
        plain = {column[1]: column[2] for column in columns if is_plain(column[1])}
        if plain and is_plain(name):
            yield Table(name, plain)


def is_plain(name: str) -> bool:
    """Whether a name may be shown to a model: one short line."""
    return bool(name.strip()) and name.isprintable() and len(name) <= 60


def quoted(name: str) -> str:
    """A name as SQL wants it.

    >>> quoted('the "best" goods')
    '"the ""best"" goods"'
    """
    return '"' + name.replace('"', '""') + '"'


# -- from a call to SQL, and from rows to text ----------------------------------------------------


def leading_name(text: str, names: Sequence[str], kind: str) -> tuple[str, str]:
    """The longest of `names` that a text begins with, in any case, and the rest of the text.

    >>> leading_name("Order lines number = 7", ["order", "order lines"], "table")
    ('order lines', 'number = 7')
    """
    text = text.strip()
    for name in sorted(names, key=len, reverse=True):
        for written in (name, quoted(name)):
            end = len(written)
            ends_there = not re.match(r"\w", text[end:]) or not re.search(r"\w$", written)
            if text[:end].casefold() == written.casefold() and ends_there:
                return name, text[end:].strip()
    word = text.split(maxsplit=1)[0] if text else ""
    raise ValueError(f"there is no {kind} {word[:40]!r}{closest(word, list(names))}")


def conditions(text: str, table: Table) -> tuple[list[str], list[Any]]:
    """The tests of a WHERE clause with their values, from "COLUMN = VALUE and COLUMN > VALUE".

    Names come from the file itself; values are parameters, so that nothing in them is SQL.
    """
    text = re.sub(r"^where\b", "", text.strip(), flags=re.IGNORECASE).strip()
    if not text:
        return [], []
    names = "|".join(re.escape(name) for name in table.columns)
    sign = "|".join(SIGNS)
    # "Smith and Sons" is one value: an "and" parts only where a condition follows
    parts = re.split(rf"\s+and\s+(?=(?:{names})\s*(?:{sign}))", text, flags=re.IGNORECASE)
    if len(parts) > MOST_CONDITIONS:
        raise ValueError(f"more than {MOST_CONDITIONS} conditions")
    tests: list[str] = []
    values: list[Any] = []
    for part in parts:
        column, rest = leading_name(part, list(table.columns), "column")
        match = re.match(rf"({sign})\s*(.+)", rest, re.IGNORECASE)
        if match is None:
            raise ValueError(f"after {column} comes one of {' '.join(SIGNS)} and a value")
        test, bound = condition(column, table.columns[column], match[1].lower(), match[2].strip())
        tests.append(test)
        values += bound
    return tests, values


def condition(column: str, kind: str, sign: str, value: str) -> tuple[str, list[Any]]:
    """One test and its parameters: texts without regard to capitals, numbers as numbers.

    >>> condition("state", "TEXT", "=", "late")
    ('"state" = ? COLLATE NOCASE', ['late'])
    """
    name = quoted(column)
    for mark in ("'", '"'):  # as SQL writes a text
        if len(value) > 1 and value[0] == value[-1] == mark:
            value = value[1:-1]
    if sign == "like":
        inner = value[1:-1] if re.fullmatch("%.+%", value) else value  # as SQL writes a part
        plain = re.sub(r"([\\%_])", r"\\\1", inner)
        return f"{name} LIKE ? ESCAPE '\\'", [f"%{plain}%"]
    if not NUMBER.fullmatch(value):
        return f"{name} {sign} ? COLLATE NOCASE", [value]
    number = float(value) if "." in value else int(value)
    if sign in ("<", ">", "<=", ">="):
        # numbers may be kept as text, where "9" comes behind "10"
        return f"CAST({name} AS NUMERIC) {sign} ?", [number]
    if re.search("CHAR|CLOB|TEXT", kind, re.IGNORECASE):  # "007" is not "7" there
        return f"{name} {sign} ? COLLATE NOCASE", [value]
    # a column without a type may hold the number or its digits
    joined = "OR" if sign == "=" else "AND"
    return f"({name} {sign} ? {joined} {name} {sign} ?)", [value, number]


def text_of(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Rows as a short text.

    >>> text_of(["goods", "price"], [("nets", 3.5), ("oars", None)])
    '2 rows: goods: nets, price: 3.5; goods: oars'
    """
    if not rows:
        return "no rows"
    if len(names) == 1:  # the question names the column already
        lines = [value_text(value) for (value,) in rows]
    else:
        lines = [row_text(names, row) for row in rows]
    if len(lines) == 1:
        return shortened(lines[0], LONGEST)
    count = f"more than {MOST_ROWS:,}" if len(rows) > MOST_ROWS else f"{len(rows):,}"
    shown = 1
    room = LONGEST - len(f"{count} rows, the first {len(rows)}: ")
    while shown < len(lines) and len("; ".join(lines[: shown + 1])) <= room:
        shown += 1
    first = "" if shown == len(lines) else f", the first {shown}"
    return f"{count} rows{first}: {shortened('; '.join(lines[:shown]), room)}"


def row_text(names: Sequence[str], row: Sequence[Any]) -> str:
    """One row: "goods: nets, price: 3.5"; what is empty is left out."""
    return ", ".join(
        f"{name}: {value_text(value)}"
        for name, value in zip(names, row)
        if value is not None and value != ""
    )


def value_text(value: Any) -> str:
    """One value on one line.

    >>> [value_text(value) for value in (12, 0.1 + 0.2, None, b"abc", " two  words ")]
    ['12', '0.3', 'empty', '(3 bytes)', 'two words']
    """
    if value is None:
        return "empty"
    if isinstance(value, bytes):
        return f"({len(value)} bytes)"
    if isinstance(value, float):
        return f"{value:.12g}"
    return shortened(" ".join(str(value).split()), LONGEST_VALUE)


def shortened(text: str, longest: int) -> str:
    """A text of at most `longest` characters; dots show that something is missing."""
    return text if len(text) <= longest else f"{text[: longest - 3]}..."
