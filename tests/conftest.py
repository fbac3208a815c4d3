"""What tests share: one CPU thread, and a run so small that it trains in a second."""

import os
import shutil

# Child processes too. Two processes with two threads each on two cores wait for each other by
# spinning.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch

from tinylm.config import Recipe
from tinylm.recipes import parse_recipe
from tinylm.runs import Run, open_run
from tinylm.training.start import start_run

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next((path for name in BROWSERS if (path := shutil.which(name))), "")
WORDS = (
    "the net and the sea and the old grey cat by the door of the bell house sang low until the "
    "tide came in "
)


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def browser():
    """Headless Chromium; what asks for it is skipped where playwright or a browser is missing."""
    if not CHROMIUM:
        pytest.skip("no Chromium on this machine: the page is not tested here")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as started:
        # Two minutes: a busy machine is no failure.
        chromium = started.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox"], timeout=120_000
        )
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def text_file(tmp_path_factory):
    """A text of 60 paragraphs, parted by blank lines, all different."""
    words = WORDS.split()
    paragraphs = (
        " ".join(words[(i * 7 + j * (i + 1)) % len(words)] for j in range(30)) for i in range(60)
    )
    path = tmp_path_factory.mktemp("text") / "words.txt"
    path.write_text("\n\n".join(paragraphs) + "\n", encoding="utf-8")
    return path


def tiny_recipe(text, **fields) -> Recipe:
    """A recipe for a model of two small blocks; `fields` are whole sections, merged over the small
    ones."""
    tree = {
        "name": "tiny",
        "corpus": {"text": str(text)},
        "tokenizer": {"kind": "char"},
        "model": {"context": 16, "depth": 2, "width": 16, "heads": 2},
        "train": {
            "steps": 6,
            "batch_size": 4,
            "evaluate_every": 3,
            "precision": "fp32",
            "device": "cpu",
        },
        "sample": {"every": 3, "prompts": ["the "], "tokens": 8},
    }
    for name, section in fields.items():
        tree[name] = {**tree[name], **section} if isinstance(tree.get(name), dict) else section
    return parse_recipe(tree, where="test")


def train_run(folder, text, **fields) -> Run:
    """Train a tiny recipe to its end and open its folder."""
    for _ in start_run(tiny_recipe(text, **fields), folder).run():
        pass
    return open_run(folder)


@pytest.fixture(scope="session")
def base_run(tmp_path_factory, text_file):
    return train_run(tmp_path_factory.mktemp("runs") / "base", text_file)
