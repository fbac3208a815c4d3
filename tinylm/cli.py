"""The command line: reads arguments, calls the command, and turns a user's mistake into one line
and exit code 2.

Results go to standard output, progress and timings to standard error. Heavy imports stand inside
the commands, so that `--help` answers at once. `--debug` shows where an error came from.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import tyro
from pydantic.fields import FieldInfo

from tinylm.commands.assistant import chat, search
from tinylm.commands.bench import bench
from tinylm.commands.formats import export, import_
from tinylm.commands.lessons import cost, host, lesson
from tinylm.commands.models import compare, evaluate, plot, sample
from tinylm.commands.terminal import explain
from tinylm.commands.texts import corpus, fetch, meter, tokenizer
from tinylm.commands.training import demo, resume, train
from tinylm.commands.workshop import doctor, pack, report
from tinylm.config import Recipe, Section, closest

app = tyro.extras.SubcommandApp()
STAGES = (demo, train, resume, lesson)
MODELS = (sample, evaluate, compare, plot, chat, search, export)
TEXTS = (corpus, tokenizer, meter, fetch)
MACHINE = (bench, cost, host, report, doctor, pack)
COMMANDS = (*STAGES, *MODELS, *TEXTS, *MACHINE)
for command in COMMANDS:
    app.command(command)
app.command(name="import")(import_)


def recipe_fields(section: type[Section] = Recipe, prefix: str = "") -> Iterator[str]:
    """One line per field of a recipe, for `train --help`: name, default and explanation."""
    for name, field in section.model_fields.items():
        inner = inner_section(field)
        if inner is not None:
            yield from recipe_fields(inner, f"{prefix}{name}.")
        else:
            default = "" if field.default_factory else f" (default: {field.default})"
            yield f"--{prefix}{name.replace('_', '-')}: {field.description}{default}"


def inner_section(field: FieldInfo) -> type[Section] | None:
    """The section class that a field holds, looking through `| None`; None for plain values."""
    kinds = (field.annotation, *getattr(field.annotation, "__args__", ()))
    return next(
        (kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Section)), None
    )


def with_settings(argv: list[str]) -> list[str]:
    """Rewrite `--train.steps 5` and `--name x` as `--set train.steps=5` ..., as `train` reads them.

    >>> with_settings(["train", "r.toml", "--train.stop-after", "5", "--out", "x"])
    ['train', 'r.toml', '--set', 'train.stop_after=5', '--out', 'x']
    """
    fields = [name for name, _ in plain_fields(Recipe) if name != "start_from"]
    rewritten, rest = [], iter(argv)
    for word in rest:
        name, equals, value = word.partition("=")
        field = name.removeprefix("--").replace("-", "_")
        is_field = "." in field or field in fields
        if argv[0] == "train" and name.startswith("--") and is_field:
            value = value if equals else next(rest, "")
            rewritten += ["--set", f"{field}={value}"]
        else:
            rewritten.append(word)
    return rewritten


def plain_fields(section: type[Section]) -> Iterator[tuple[str, FieldInfo]]:
    """The fields of a section that are no sections themselves."""
    for name, field in section.model_fields.items():
        if inner_section(field) is None:
            yield name, field


def open_streams() -> None:
    """Make the three standard streams UTF-8, whatever the console's code page is.

    A stream that the caller has closed becomes the null device: there is nobody to read or write.
    """
    for name, mode, errors in (
        ("stdin", "r", "strict"),
        ("stdout", "w", "replace"),
        ("stderr", "w", "replace"),
    ):
        stream = getattr(sys, name)
        if stream is None:
            null = Path(os.devnull).open(mode, encoding="utf-8")  # noqa: SIM115 (until the end)
            setattr(sys, name, null)
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors=errors)


def main(argv: list[str] | None = None) -> None:
    """Entry point of `tinylm` and `python -m tinylm`."""
    words = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in words
    words = with_settings([word for word in words if word != "--debug"] or ["--help"])
    open_streams()
    names = [command.__name__.strip("_") for command in (*COMMANDS, import_)]
    if words[0] not in names and words[0][:1] != "-":
        hint = closest(words[0], names)
        print(
            f"tinylm: there is no command {words[0]}{hint}; the commands are: {', '.join(names)}",
            file=sys.stderr,
        )
        sys.exit(2)
    if words[:1] == ["train"]:
        head, args = (train.__doc__ or "").split("    Args:")
        train.__doc__ = (
            head + "".join(f"    {line}\n" for line in recipe_fields()) + "\n    Args:" + args
        )
    try:
        app.cli(prog="tinylm", args=words, config=(tyro.conf.FlagCreatePairsOff,))
    # `tinylm corpus stories | head` is no mistake; nobody is left to print for
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (ValueError, OSError) as error:
        if debug:
            raise
        print(f"tinylm: {explain(error)}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
