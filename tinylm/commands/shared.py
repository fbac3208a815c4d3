"""What the commands share: where text goes, and how a wrong option is told."""

import json
import sys
from typing import Any

from tinylm.config import Section


def say(text: str) -> None:
    """Progress, timings and notices: beside the results, so that those can be piped."""
    print(text, file=sys.stderr, flush=True)


def clean(text: str) -> str:
    """Text that a model or a file produced, made safe to print: control characters but tab and newline are shown.

    >>> clean("a" + chr(27) + "[31mb")
    'a␛[31mb'
    """
    return "".join(c if c in "\n\t" or c.isprintable() else chr(0x2400 + ord(c)) if ord(c) < 32 else "�" for c in text)


def print_json(value: Any) -> None:
    """One JSON object on one line (the commands' own `json` options hide the module there)."""
    print(json.dumps(value, ensure_ascii=False), flush=True)


def at_least(least: int, **values: int) -> None:
    """ValueError naming the first option below `least`."""
    for name, value in values.items():
        if value < least:
            raise ValueError(f"--{name.replace('_', '-')} {value}: at least {least}")


def checked(section: type[Section], values: dict[str, Any]) -> Any:
    """A section built from options; ValueError in one line per mistake."""
    from pydantic import ValidationError

    try:
        return section.model_validate(values)
    except ValidationError as error:
        wrong = [f"--{str(e['loc'][0]).replace('_', '-')} {e['input']}: {e['msg']}" for e in error.errors()]
        raise ValueError("\n".join(wrong)) from None
