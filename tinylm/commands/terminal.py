"""What the commands share: where text goes, and how a wrong option is told."""

import errno
import json
import os
import sys
from pathlib import Path
from typing import Any

from tinylm.config import Section

FULL = "the disk is full, or this file may not grow. Free some space; earlier saves are intact"
CLOSED = (
    "this account may not read or write it. Change its permissions, or choose another place with "
    "--out"
)
REMEDIES = {
    errno.ENOSPC: FULL,
    errno.EDQUOT: FULL,
    errno.EFBIG: FULL,
    errno.EACCES: CLOSED,
    errno.EPERM: CLOSED,
    errno.EROFS: "this file system is read-only. Choose another place with --out",
}


def say(text: str) -> None:
    """Progress, timings and notices: beside the results, so that those can be piped."""
    print(clean(text), file=sys.stderr, flush=True)


def explain(error: ValueError | OSError) -> str:
    """What went wrong and what to do, in words that are safe to print; the system's own where there
    are no better."""
    words = str(error)
    if isinstance(error, OSError) and error.errno in REMEDIES:
        place = f"{error.filename}: " if error.filename else ""
        words = f"{place}{REMEDIES[error.errno]}"
    return clean(words)


JOINERS = "\u200c\u200d"  # letters of Persian and Hindi, and emoji families, need them


def clean(text: str) -> str:
    """Text that a model or a file produced, made safe to print.

    Text of every script arrives unharmed. What can steer a terminal or reorder a line is shown as a
    sign: controls other than tab and newline, bidirectional overrides, tags.

    >>> clean("a" + chr(27) + "[31mb")
    'a␛[31mb'
    """
    return "".join(c if is_harmless(c) or c in "\n\t" else sign(c) for c in text)


def is_harmless(character: str) -> bool:
    """Whether a character may be printed as it is."""
    # U+FE0F and its like choose how the sign before them is drawn; Python calls them printable.
    return character.isprintable() or character in JOINERS


def sign(character: str) -> str:
    """The picture of a control character, or the replacement character."""
    return chr(0x2400 + ord(character)) if ord(character) < 32 else "\N{REPLACEMENT CHARACTER}"


def linked(path: Path) -> str:
    """The path of a file, safe to print; in a terminal a link that opens it (OSC 8).

    Terminals without such links show the path alone. NO_COLOR and TERM=dumb switch links off, and
    Windows' old console, which would print their signs, has none.
    """
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    old_console = os.name == "nt" and not os.environ.get("WT_SESSION")
    if plain or old_console or not sys.stdout.isatty():
        return clean(str(path))
    # as_uri writes every character that a terminal could obey as %1B and the like
    return f"\x1b]8;;{path.resolve().as_uri()}\x1b\\{clean(str(path))}\x1b]8;;\x1b\\"


def print_json(value: Any) -> None:
    """One JSON object on one line, safe to print (the commands' own `json` options hide the module
    there)."""
    text = json.dumps(value, ensure_ascii=False)
    # Most control characters are escaped already; the rest (C1, direction marks, tag letters) is
    # here.
    print("".join(c if is_harmless(c) else escaped(c) for c in text), flush=True)


def escaped(character: str) -> str:
    """A character as JSON writes it where it may not stand for itself; above U+FFFF in two halves.

    >>> escaped(chr(0x9b)), escaped(chr(0xe0041))
    ('\\\\u009b', '\\\\udb40\\\\udc41')
    """
    return f"\\u{ord(character):04x}" if ord(character) < 0x10000 else json.dumps(character)[1:-1]


def at_least(least: int, **values: int) -> None:
    """ValueError naming the first option below `least`."""
    for name, value in values.items():
        if value < least:
            raise ValueError(f"--{name.replace('_', '-')} {value} must be at least {least}")


def checked(section: type[Section], values: dict[str, Any]) -> Any:
    """A section built from options; ValueError in one line per mistake."""
    from pydantic import ValidationError

    try:
        return section.model_validate(values)
    except ValidationError as error:
        wrong = [
            f"--{str(e['loc'][0]).replace('_', '-')} {e['input']}: {e['msg']}"
            for e in error.errors()
        ]
        raise ValueError("\n".join(wrong)) from None
