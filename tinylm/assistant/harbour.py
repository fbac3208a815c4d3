"""The harbour company's orders and berths as a SQLite file, to try `tinylm chat --database`."""

import sqlite3
from pathlib import Path

from tinylm.assistant.tools import BERTHS, DAYS, Orders
from tinylm.corpora.chance import Chance


def write_harbour(path: Path, seed: int = 0) -> Path:
    """Write the harbour company's database as a new SQLite file, and return its path.

    The orders are those of `Orders(seed)`; the berths and a week's bookings are drawn beside them.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f"{path.name}.new")
    scratch.unlink(missing_ok=True)
    connection = sqlite3.connect(scratch)
    try:
        Orders(seed).database.backup(connection)
        chance = Chance(seed + 1)
        with connection:
            connection.execute(
                "CREATE TABLE berths (number INTEGER PRIMARY KEY, metres INTEGER, crowns REAL, "
                "quay TEXT)"
            )
            for number in range(1, BERTHS + 1):
                metres = chance.pick(range(6, 41))
                quay = chance.pick(("North", "East", "Old"))
                values = (number, metres, metres * 0.5 + 2, f"{quay} Quay")
                connection.execute("INSERT INTO berths VALUES (?, ?, ?, ?)", values)
                for day in DAYS:
                    if chance.happens(0.3):
                        connection.execute(
                            "INSERT INTO bookings (berth, day) VALUES (?, ?)", (number, day)
                        )
    finally:
        connection.close()
    return scratch.replace(path)
