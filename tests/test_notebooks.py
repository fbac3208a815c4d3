"""Every notebook runs, with the solutions of its exercises, and no number in its prose can grow
stale."""

import ast
import json
import re
from pathlib import Path

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager
from nbclient import NotebookClient

FOLDER = Path(__file__).resolve().parent.parent / "notebooks"
PATHS = sorted(FOLDER.glob("*.ipynb"))
NOTEBOOKS = {path.stem: nbformat.read(path, as_version=4) for path in PATHS}
TIMINGS = FOLDER / "timings.json"

SOLUTION = re.compile(r"```python\n(.*?)```", re.DOTALL)
FIXED = "<!-- fixed"  # a paragraph that carries it states a definition, not a measurement
NO_PROSE = re.compile(
    r"```.*?```|`[^`]*`|\]\([^)]*\)|<!--.*?-->|<[^>]+>|^# \d\d · ", re.DOTALL | re.MULTILINE
)
# a number that stands by itself: not that of GPT-2, nor of a name
CLAIM = re.compile(r"(?<![\w.-])\d[\d.,]*")
LONGEST_FUNCTION = 20  # lines: those of a plot
MOST_MINUTES, MOST_BYTES = 5, 1_500_000

each = pytest.mark.parametrize("name", NOTEBOOKS)


def cells(name, kind):
    return [cell.source for cell in NOTEBOOKS[name].cells if cell.cell_type == kind]


def code_of(name):
    """The code cells of a notebook, then the solutions that fold out, as IPython reads them."""
    solutions = [code for text in cells(name, "markdown") for code in SOLUTION.findall(text)]
    return [*cells(name, "code"), *solutions]


def trees(name):
    return [ast.parse(TransformerManager().transform_cell(code)) for code in code_of(name)]


def stale_prose(text):
    """Numbers in the prose of a Markdown cell, but for definitions marked as such.

    They would stay when the measurement changes.
    """
    paragraphs = re.split(r"\n\s*\n", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    return [
        number
        for part in paragraphs
        if FIXED not in part
        for number in CLAIM.findall(NO_PROSE.sub("", part))
    ]


def stale_sentences(tree):
    """Numbers written out in sentences that a cell tells, beside the variables in them."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in (
            "tell",
            "canvas",
            "dots",
        ):
            parts = [piece for argument in node.args for piece in pieces(argument)]
            found += [
                number for part in parts for number in CLAIM.findall(re.sub(r"`[^`]*`", "", part))
            ]
    return found


def pieces(node):
    """The literal pieces of a string, an f-string or their sum."""
    if isinstance(node, ast.JoinedStr):
        return [part.value for part in node.values if isinstance(part, ast.Constant)]
    if isinstance(node, ast.BinOp):
        return pieces(node.left) + pieces(node.right)
    return [node.value] if isinstance(node, ast.Constant) and isinstance(node.value, str) else []


def test_there_is_one_notebook_for_every_sitting():
    assert [name[:2] for name in NOTEBOOKS] == [f"{number:02}" for number in range(1, 13)]


@each
def test_a_notebook_takes_at_most_five_imports_from_the_package(name):
    lines = [line.strip() for code in cells(name, "code") for line in code.split("\n")]
    assert sum(line.startswith(("from tinylm", "import tinylm")) for line in lines) <= 5


def test_all_notebooks_run_with_their_solutions(tmp_path, monkeypatch):
    monkeypatch.setenv("TINYLM_SCALE", "smoke")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    everything = nbformat.v4.new_notebook()
    # one kernel for all of them: starting it and torch takes longer than most notebooks
    for name in NOTEBOOKS:
        everything.cells.append(
            nbformat.v4.new_code_cell("%reset -f\nimport torch\ntorch.set_grad_enabled(True);")
        )
        for number, code in enumerate(code_of(name)):
            everything.cells.append(nbformat.v4.new_code_cell(f"# {name}, code {number}\n{code}"))
    NotebookClient(
        everything, timeout=240, resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    assert (tmp_path / "runs" / "notebooks-smoke" / "report.html").is_file()


@each
def test_no_number_in_the_prose_can_grow_stale(name):
    assert [
        (number, text[:80]) for text in cells(name, "markdown") for number in stale_prose(text)
    ] == []
    assert [found for tree in trees(name) for found in stale_sentences(tree)] == []


def test_a_stale_number_is_found():
    assert stale_prose("It reaches 0.19 bits per byte, 33 % scan.") == ["0.19", "33"]
    assert (
        stale_prose("# 03 · Title\n\nUse `x = 3`, GPT-2, a [link](a/1.md).\n\n```python\n4\n```")
        == []
    )
    assert stale_prose("Half of it is 1 bit. <!-- fixed: definition -->\n\nOf these 7 fail.") == [
        "7"
    ]
    assert stale_sentences(ast.parse('tell(f"It took {m:.1f} minutes, not 5." + "Or 6")')) == [
        "5.",
        "6",
    ]
    assert stale_sentences(ast.parse('tell(f"{x} of GPT-2, see `a 3`"); other("5")')) == []


@each
def test_a_notebook_begins_with_what_it_is_for_and_the_same_first_cell(name):
    first = cells(name, "markdown")[0]
    assert first.startswith(f"# {name[:2]} · ") and "**Afterwards you can explain**" in first
    assert cells(name, "code")[0] == cells("01_tokens", "code")[0]
    assert f'begin("{name}")' in cells(name, "code")[1]


@each
def test_a_notebook_asks_before_it_reveals_and_ends_with_exercises_that_fold_out(name):
    text = "\n".join(cells(name, "markdown"))
    assert text.count("**Predict**") >= 2 or name == "12_decide"
    exercises = text.split("## Exercises")[1]
    assert (
        exercises.count("<details><summary>Solution</summary>")
        == exercises.count("</details>")
        >= 3
    )


@each
def test_a_notebook_defines_nothing_longer_than_a_plot(name):
    long = [node.name for tree in trees(name) for node in ast.walk(tree) if isinstance(node,
    ast.FunctionDef)
            if node.end_lineno - node.lineno >= LONGEST_FUNCTION]  # fmt: skip
    assert long == []


@each
def test_kept_outputs_are_of_a_full_run_without_errors_and_small(name):
    outputs = [output for cell in NOTEBOOKS[name].cells for output in cell.get("outputs", [])]
    assert all(output.output_type != "error" for output in outputs)
    assert "Smoke scale" not in str(outputs)
    assert (FOLDER / f"{name}.ipynb").stat().st_size < MOST_BYTES


def test_the_guide_names_every_notebook_and_has_room_for_the_minutes():
    guide = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert all(f"({name}.ipynb)" in guide for name in NOTEBOOKS)
    assert guide.index("<!-- minutes -->") < guide.index("<!-- end of minutes -->")


@pytest.mark.skipif(not TIMINGS.is_file(), reason="no full run was made: make notebooks")
def test_no_notebook_took_longer_than_its_sitting_allows():
    minutes = json.loads(TIMINGS.read_text(encoding="utf-8"))["minutes"]
    assert minutes.keys() == NOTEBOOKS.keys() and max(minutes.values()) <= MOST_MINUTES
