"""Recipes from files: found by path or shipped name, read as TOML, changed on the command line
(`--train.steps 300`).

Unknown or wrong fields are all reported at once, each with what is allowed and the closest match.
"""

import re
import reprlib
import tomllib
from collections.abc import Collection
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import ValidationError

from tinylm.config import Recipe, Section, closest

ROOT = Path(__file__).resolve().parent
LONGEST = 100  # characters of a field's name in a message


def shipped(kind: Literal["data", "configs"]) -> Path:
    """The folder of files that ship with TinyLM: inside an installed wheel, or at the top of a
    clone."""
    inside = ROOT / "shipped" / kind
    return inside if inside.is_dir() else ROOT.parent / kind


def recipe_path(name: str) -> Path:
    """The recipe file called `name`: a path, or the name of a shipped recipe with or without
    `.toml`.

    Raises ValueError naming the closest shipped recipe where there is no such file.
    """
    own, shipped_file = (
        Path(name),
        shipped("configs") / f"{Path(name).name.removesuffix('.toml')}.toml",
    )
    for path in (own, shipped_file):
        if path.is_file():
            return path
    names = sorted(path.stem for path in shipped("configs").glob("*.toml"))
    raise ValueError(f"no recipe {name}{closest(own.stem, names)}; shipped: {', '.join(names)}")


def load_recipe(name: str, overrides: dict[str, str] | None = None) -> Recipe:
    """Read a recipe and apply `overrides` such as `{"train.steps": "300"}`; ValueError lists every
    mistake in it."""
    path = recipe_path(name)
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path}: not a TOML file: {error}") from None
    tree.setdefault("name", path.stem)
    for key, value in (overrides or {}).items():
        put(tree, key.split("."), value)
    return parse_recipe(tree, where=str(path), options=overrides or {})


def put(tree: dict[str, Any], keys: list[str], value: str) -> None:
    """Set `tree[a][b] = value` for keys [a, b]. `none` unsets an optional field; `[...]` is read as
    a TOML list.

    >>> tree = {"train": {"steps": 9}}
    >>> put(tree, ["train", "steps"], "5"); put(tree, ["lora", "rank"], "4"); tree
    {'train': {'steps': '5'}, 'lora': {'rank': '4'}}
    """
    *path, last = keys
    for key in path:
        if not isinstance(tree.get(key), dict):
            tree[key] = {}
        tree = tree[key]
    tree[last] = (
        None
        if value == "none"
        else tomllib.loads(f"x = {value}")["x"]
        if value.startswith("[")
        else value
    )


def parse_recipe(tree: dict[str, Any], where: str, options: Collection[str] = ()) -> Recipe:
    """Validate a nested dictionary; ValueError has one line per mistake, with what is allowed and
    the closest match.

    `where` is the file that the fields stand in, except for those in `options`, which the command
    line gave.
    """
    try:
        return Recipe.model_validate(tree)
    except ValidationError as error:
        # A default that follows from a wrong field is no mistake of its own.
        lines = [
            describe(dict(e)) for e in error.errors() if e["type"] != "default_factory_not_called"
        ]
        messages = [
            f"--{line}" if line.partition(":")[0] in options else f"{where}: {line}"
            for line in lines
        ]
        raise ValueError("\n".join(messages)) from None


def describe(mistake: dict[str, Any]) -> str:
    """One pydantic error as `field: what is wrong, what is allowed, closest match`."""
    path = [str(part) for part in mistake["loc"]]
    # shortened, however deep
    label, given = ".".join(path)[:LONGEST] or "recipe", reprlib.repr(mistake["input"])
    if mistake["type"] == "extra_forbidden":
        names = list(section_at(path[:-1]).model_fields)
        return (
            f"{label}: no such field{closest(path[-1][:LONGEST], names)}; allowed: "
            f"{', '.join(names)}"
        )
    if mistake["type"] == "literal_error":
        words = re.findall(r"'([^']*)'", mistake["ctx"]["expected"])
        return f"{label}: {mistake['msg']}, not {given}{closest(given.strip(chr(39)), words)}"
    got = "" if isinstance(mistake["input"], dict) else f", not {given}"
    return f"{label}: {mistake['msg'].removeprefix('Value error, ')}{got}"


def section_at(path: list[str]) -> type[Section]:
    """The class of the section that `path` leads to, looking through `| None`."""
    kind: Any = Recipe
    for part in path:
        kind = kind.model_fields[part].annotation
        kind = next((arm for arm in get_args(kind) if arm is not type(None)), kind)
    return kind
