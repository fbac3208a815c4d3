"""The worked examples of CONTRIBUTING.md, applied to the files that they name, and run."""

import doctest
import importlib.util
import re
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch

from tests.conftest import train_run
from tinylm.compare.samples import Sample
from tinylm.config import ModelConfig
from tinylm.lessons.lesson import run_lesson
from tinylm.model.gpt import GPT
from tinylm.text.tokenizers import BpeTokenizer
from tinylm.workshop.tables import time_and_result

ROOT = Path(__file__).resolve().parent.parent
GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
Load = Callable[[str], ModuleType]


def changed(text: str, change: str) -> str:
    """A file's text after the hunks of a diff, each of which must fit one place in it."""
    for hunk in change.split("@@\n"):
        lines = hunk.splitlines(keepends=True)
        old = "".join(line[1:] for line in lines if line[0] in " -")
        new = "".join(line[1:] for line in lines if line[0] in " +")
        assert text.count(old) == 1, f"CONTRIBUTING.md changes what is not there:\n{old}"
        text = text.replace(old, new)
    return text


@pytest.fixture(scope="module")
def files() -> dict[str, str]:
    """Name of a file -> its text with all examples applied."""
    texts: dict[str, str] = {}
    for kind, block in re.findall(r"```(python|toml|diff)\n(.*?)```", GUIDE, re.DOTALL):
        head, _, body = block.partition("\n")
        name = head.split()[1]
        if kind == "diff":
            text = texts.get(name) or (ROOT / name).read_text(encoding="utf-8")
            texts[name] = changed(text, body)
        else:
            assert not (ROOT / name).exists(), f"{name} is there already"
            texts[name] = block if kind == "toml" else body
    return texts


@pytest.fixture
def load(files, monkeypatch, tmp_path) -> Iterator[Load]:
    """A function that imports a module of the examples; later ones import it by its name."""
    before = set(sys.modules)

    def module_called(name: str) -> ModuleType:
        path = tmp_path / f"{name}.py"
        path.write_text(files[name.replace(".", "/") + ".py"], encoding="utf-8")
        spec = importlib.util.spec_from_file_location(name, path)
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
        return module

    yield module_called
    # What was first imported beside a changed module holds parts of it: other tests import it anew.
    for name in set(sys.modules) - before:
        parent, _, child = name.rpartition(".")
        if parent.startswith("tinylm"):
            del sys.modules[name]
            vars(sys.modules.get(parent, ModuleType(parent))).pop(child, None)


def test_the_recipe_of_the_example_trains_and_has_the_header_of_a_shipped_one(
    files, tmp_path, text_file
):
    (name, text), *_ = [(name, text) for name, text in files.items() if name.endswith(".toml")]
    recipe = tmp_path / Path(name).name
    recipe.write_text(text, encoding="utf-8")
    assert all(time_and_result(recipe))
    tree = tomllib.loads(text)
    tree["train"] |= {"steps": 2, "batch_size": 2, "evaluate_every": 2, "device": "cpu"}
    tree["model"] |= {"context": 16}
    tree["corpus"] |= {"size": 20_000}
    run = train_run(tmp_path / "run", text_file, **tree)
    assert run.manifest["step"] == 2 and run.recipe.purpose == tree["purpose"]


def test_the_reward_of_the_example_scores_and_has_a_name(load):
    rewards = load("tinylm.evaluation.rewards")
    lines = ["The tide took Tobin", "Mara mends nets alone here"]
    scores = rewards.score_lines(rewards.REWARDS["alliteration"], "", lines, known=set())
    assert [score.success for score in scores] == [True, False]
    assert doctest.testmod(rewards).failed == 0


def test_the_corpus_of_the_example_is_shipped_and_its_splits_share_no_document(load):
    sums = load("tinylm.corpora.sums")
    build = load("tinylm.corpora.build")
    split = build.split_corpus(build.CorpusConfig(text="sums", size=4000))
    train, valid = set(split.train()), set(split.valid())
    assert len(train) > 300 and valid and not train & valid
    assert doctest.testmod(sums).failed == 0


def test_the_format_of_the_example_is_an_option_of_export(load, base_run, tmp_path, capsys):
    load("tinylm.formats.metrics_csv")
    load("tinylm.commands.formats").export((base_run.folder,), tmp_path / "loss.csv", to="csv")
    first, *rows = (tmp_path / "loss.csv").read_text(encoding="utf-8").splitlines()
    assert first == "step,tokens,loss" and len(rows) == len(base_run.records("train"))


def test_the_measure_of_the_example_is_counted(load):
    measures = load("tinylm.compare.measures")
    sample = Sample("", 0, "", ("Who sang?", "The tide.", "Who rose?"), 0.0)
    assert measures.asking([sample]).tolist() == [[2, 3]]


def test_the_plot_of_the_example_is_drawn(load):
    figures = load("tinylm.pages.figures")
    page = load("tinylm.compare.page")
    page.figures = figures
    values = [{"mean": rate, "low": rate - 1, "high": rate + 1} for rate in (8.0, 12.0)]
    row = {"name": "Samples per second", "unit": "per second", "values": values}
    picture = page.speeds_picture(row, ["base", "verse"])
    assert "verse writes fastest" in picture.figure.get_suptitle() and picture.name in page.NAMES


def test_the_optimiser_of_the_example_moves_weights_and_continues_to_the_same_bits(load):
    config = load("tinylm.config").TrainConfig(optimizer="sgd", device="cpu", precision="fp32")
    optim = load("tinylm.training.optim")
    shape = ModelConfig(vocab_size=16, context=8, depth=1, width=16, heads=2)

    def made(shape: ModelConfig) -> GPT:
        model = GPT(shape)
        model.initialise(torch.Generator().manual_seed(0))
        return model

    def steps(model: GPT, optimizers, numbers: range) -> None:
        for number in numbers:
            model(torch.arange(8)[None]).square().mean().backward()
            optimizers.step(number)

    whole, parted = (made(shape) for _ in range(2))
    before = whole.state_dict()["tokens.weight"].clone()
    steps(whole, optim.Optimizers(whole, config), range(4))
    first = optim.Optimizers(parted, config)
    steps(parted, first, range(2))
    second = optim.Optimizers(parted, config)
    second.load_state(first.state())
    steps(parted, second, range(2, 4))
    after = whole.state_dict()
    assert not torch.equal(after["tokens.weight"], before)
    assert all(torch.equal(after[name], value) for name, value in parted.state_dict().items())


def test_the_pre_tokenizers_of_the_example_cut_digits_apart(load):
    assert load("tinylm.text.bpe").split_words("in 1984") == ["in", " 1", "9", "8", "4"]
    assert BpeTokenizer([]).decode(b"in 1984") == "in 1984"
    vocabulary = load("tinylm.formats.gguf_vocabulary")
    rules = vocabulary.PRE_TOKENIZERS
    assert vocabulary.essence(rules["starcoder"]) == vocabulary.essence(rules["smollm"])


def test_the_lesson_of_the_example_reaches_a_verdict(load, files, tmp_path):
    lesson = load("tinylm.lessons.word_order").LESSON
    *_, last = run_lesson(lesson, "full", tmp_path)
    assert last.results["verdict"] == "supported" and (tmp_path / "word-order.png").is_file()
    *_, last = run_lesson(lesson, "full", tmp_path / "control", control=True)
    assert last.results["verdict"] != "supported"
    assert '"word_order",\n' in files["tinylm/lessons/lesson.py"]
