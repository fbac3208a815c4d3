"""Every command that the README shows is run, scaled down; every file it names is there."""

import os
import re
import shlex
import subprocess
import sys
from functools import wraps
from inspect import signature
from pathlib import Path

import pytest
import tyro

from tinylm import cli
from tinylm.config import closest
from tinylm.recipes import load_recipe
from tinylm.workshop.tables import filled, tables

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
# In the order in which their commands are run: each may use what the ones before it left.
GUIDES = ("README.md", "configs/README.md", "tinylm/formats/README.md", "notebooks/RESULTS.md")
FOLDERS = (".", ".github/ISSUE_TEMPLATE", "configs", "data", "notebooks", "tinylm", "tinylm/bench",
           "tinylm/formats")  # fmt: skip
EVERY_GUIDE = sorted(path for folder in FOLDERS for path in (ROOT / folder).glob("*.md"))
COMMANDS = {command.__name__.strip("_"): command for command in (*cli.COMMANDS, cli.import_)}
BLOCK = re.compile(r"^ *```(?:bash)?\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
SMALL = {
    "train": "--train.steps 3 --train.evaluate-every 3 --sample.every 3 --sample.tokens 4 "
    "--train.batch-size 2",
    "sample": "--tokens 6",
    "compare": "--scale smoke",
    "demo": "--scale smoke",
}
SMALL_SHAPE = (
    "--model.depth 1 --model.width 16 --model.heads 2 --model.mlp-width 16 --tokenizer.vocab-size "
    "300"
)


def commands(guide: str) -> list[list[str]]:
    """The commands of a guide's bash blocks, in the order in which a reader meets them."""
    blocks = re.findall(r"```bash\n(.*?)```", (ROOT / guide).read_text(encoding="utf-8"), re.DOTALL)
    lines = [line.split("  #")[0].strip() for block in blocks for line in block.splitlines()]
    return [shlex.split(line) for line in lines if line and not line.startswith("#")]


def typed(guide: Path) -> list[list[str]]:
    """The lines of a guide's blocks that call `tinylm`, as the words behind it."""
    blocks = BLOCK.findall(guide.read_text(encoding="utf-8"))
    lines = [line.split("  #")[0].strip() for block in blocks for line in block.splitlines()]
    return [shlex.split(line)[1:] for line in lines if line.startswith("tinylm ")]


def mentioned(guide: Path) -> list[list[str]]:
    """The same of its sentences, where names such as RUN may stand for a value."""
    sentences = re.sub(r"^ *```.*?^ *```", "", guide.read_text("utf-8"), flags=re.DOTALL | re.M)
    return [words.split() for words in re.findall(r"`[^` ]*\btinylm ([^`]+)`", sentences)]


def parse(words: list[str]) -> dict:
    """Read a command line as `tinylm` does, and return its arguments instead of running it."""
    name, *rest = cli.with_settings(words)

    @wraps(COMMANDS[name])
    def arguments(**values):
        return values

    return tyro.cli(arguments, args=rest, config=(tyro.conf.FlagCreatePairsOff,))


def options(name: str) -> set[str]:
    """The options of a command, fields of recipes included."""
    fields = {line.split(":")[0] for line in cli.recipe_fields()} if name == "train" else set()
    return fields | {
        f"--{field.replace('_', '-')}" for field in signature(COMMANDS[name]).parameters
    }


def scaled_down(words: list[str]) -> list[str]:
    small = shlex.split(SMALL.get(words[0], ""))
    if words[0] == "train":
        words = ["2" if word == "100" else word for word in words]  # --train.stop-after
        fresh = "--start-from" not in words
        small += shlex.split(SMALL_SHAPE) if fresh else []
    return words + small


def test_every_command_of_the_guides_works_in_its_order(tmp_path, monkeypatch, text_file, capsys):
    monkeypatch.chdir(tmp_path)
    text = text_file.read_text(encoding="utf-8")
    for name, body in (
        ("mybook.txt", text),
        ("another.txt", text[:900]),
        ("poem.txt", "The tide comes in again.\n"),
    ):
        (tmp_path / name).write_text(body, encoding="utf-8")
    cli.main(["demo", "--scale", "smoke"])
    shown = [words for guide in GUIDES for words in commands(guide)]
    assert len(shown) > 20 and all(words[0] == "tinylm" for words in shown)
    for _, *words in shown:
        cli.main(scaled_down(words))  # SystemExit for a mistake of ours
    capsys.readouterr()


def test_every_command_in_a_block_of_a_guide_can_be_parsed():
    shown = [(guide, words) for guide in EVERY_GUIDE for words in typed(guide)]
    assert len({guide for guide, _ in shown}) >= 5 and len(shown) > 25
    for guide, words in shown:
        try:
            arguments = parse(words)
            if words[0] == "train":
                load_recipe(arguments["recipe"], dict(s.split("=", 1) for s in arguments["set"]))
        except (SystemExit, KeyError, ValueError) as error:
            pytest.fail(f"{guide.relative_to(ROOT)}: tinylm {shlex.join(words)}: {error}")


def test_every_command_in_a_sentence_of_a_guide_has_the_options_that_it_names():
    shown = [(guide, words) for guide in EVERY_GUIDE for words in mentioned(guide)]
    general = {"--help", "--debug", "--tyro-print-completion"}
    assert len(shown) > 40
    for guide, (name, *words) in shown:
        assert name in COMMANDS or name == "COMMAND" or name in general, f"{guide}: tinylm {name}"
        named = {word.strip("[]") for word in words if word.startswith(("--", "[--"))}
        missing = named - general - (options(name) if name in COMMANDS else set())
        hints = [word + closest(word, sorted(options(name))) for word in missing]
        assert not missing, f"{guide}: tinylm {name}: {', '.join(hints)}"


def test_the_python_of_the_readme_runs(tmp_path):
    (block,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(block.splitlines()) <= 10
    (tmp_path / "first.py").write_text(block, encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "first.py"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "x/x/x/x/x/"


def test_the_readme_is_a_landing_page():
    assert len(README.splitlines()) <= 150


@pytest.mark.parametrize(
    "guide, name, table",
    tables(),
    ids=["front", "demo", "lessons", "controls", "frontier", "recipes"],
)
def test_every_table_of_the_guides_is_that_of_the_committed_results(guide, name, table):
    text = (ROOT / guide).read_text(encoding="utf-8")
    assert filled(text, name, table()) == text, "run: make tables"


@pytest.mark.parametrize("guide", [*GUIDES, "notebooks/README.md", "tinylm/README.md",
                                   "tinylm/bench/README.md", "CONTRIBUTING.md"])  # fmt: skip
def test_every_link_of_the_guides_leads_to_a_file(guide):
    text = (ROOT / guide).read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", text)
    local = [link for link in links if not link.startswith(("https:", "http:"))]
    assert [link for link in local if not ((ROOT / guide).parent / link).exists()] == []


def test_the_two_make_commands_are_targets():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.findall(r"^make (\w+)", README, re.MULTILINE) == ["demo", "test"]
    assert all(f"\n{target}:" in makefile for target in ("demo", "test", "lint"))


def test_every_file_that_the_guides_name_is_there():
    for guide in (*GUIDES, "CONTRIBUTING.md"):
        text = (ROOT / guide).read_text(encoding="utf-8")
        for name in re.findall(r"`((?:tinylm|data|configs|tests)/[\w/]+\.\w+)`", text):
            assert (ROOT / name).is_file(), f"{guide}: {name}"
