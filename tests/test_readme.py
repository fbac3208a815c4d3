"""Every command that the README shows is run, scaled down; every file it names is there."""

import re
import shlex
from pathlib import Path

import pytest

from tinylm import cli
from tinylm.recipes import load_recipe, shipped

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
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


def commands() -> list[list[str]]:
    """The commands of all bash blocks, in the order in which a reader meets them."""
    blocks = re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
    lines = [line.split("  #")[0].strip() for block in blocks for line in block.splitlines()]
    return [shlex.split(line) for line in lines if line and not line.startswith("#")]


def scaled_down(words: list[str]) -> list[str]:
    small = shlex.split(SMALL.get(words[0], ""))
    if words[0] == "train":
        words = ["2" if word == "100" else word for word in words]  # --train.stop-after
        fresh = "--start-from" not in words
        small += shlex.split(SMALL_SHAPE) if fresh else []
    return words + small


def test_every_command_of_the_readme_works_in_its_order(tmp_path, monkeypatch, text_file, capsys):
    monkeypatch.chdir(tmp_path)
    text = text_file.read_text(encoding="utf-8")
    for name, body in (
        ("mybook.txt", text),
        ("another.txt", text[:900]),
        ("poem.txt", "The tide comes in again.\n"),
    ):
        (tmp_path / name).write_text(body, encoding="utf-8")
    cli.main(["demo", "--scale", "smoke"])
    shown = commands()
    assert len(shown) > 12 and all(words[0] == "tinylm" for words in shown)
    for _, *words in shown:
        cli.main(scaled_down(words))  # SystemExit for a mistake of ours
    capsys.readouterr()


def test_the_two_make_commands_are_targets():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.findall(r"^make (\w+)", README, re.MULTILINE) == ["demo", "test"]
    assert all(f"\n{target}:" in makefile for target in ("demo", "test", "lint"))


@pytest.mark.parametrize(
    "name", sorted(set(re.findall(r"`((?:tinylm|data|configs|tests)/[\w/]+\.\w+)`", README)))
)
def test_every_file_that_the_readme_names_is_there(name):
    assert (ROOT / name).is_file()


def test_the_readme_lists_every_recipe_with_its_purpose():
    for path in shipped("configs").glob("*.toml"):
        assert f"`{path.stem}`" in README and load_recipe(str(path)).purpose in README
