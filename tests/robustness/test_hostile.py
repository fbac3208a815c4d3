"""Files, prompts and pages made to do harm: nothing in them runs, nothing hangs, and each is
refused in one line.

Calls that a model makes are tried in tests/assistant/test_tools.py and test_runtime.py.
"""

import ast
import gzip
import io
import json
import os
import pickle
import struct
import tarfile
import time
import zipfile
from pathlib import Path

import pytest

from tests.conftest import tiny_recipe, train_run
from tests.corpora.test_documents import page, pdf
from tinylm import cli
from tinylm.assistant.tools import Orders, calculator, parse_call, run_call, toolbox
from tinylm.corpora.documents import html_to_text, read_documents
from tinylm.recipes import load_recipe
from tinylm.runs import file_entry, open_run, write_manifest
from tinylm.training.load import load_model, read_tensors
from tinylm.training.start import start_run

PACKAGE = Path(__file__).parents[2] / "tinylm"
FORBIDDEN = {"eval", "exec", "compile", "__import__"}  # as names that are called
UNPICKLERS = {"pickle", "marshal", "shelve", "dill", "joblib"}  # as modules that are imported


class Bomb:
    """Unpickled, it makes the folder that it names."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


def refused(call) -> str:
    """The one line of the ValueError that a call ends in, within ten seconds."""
    begin = time.perf_counter()
    with pytest.raises(ValueError) as error:
        call()
    assert time.perf_counter() - begin < 10
    assert "\n" not in str(error.value) and len(str(error.value)) < 1000
    return str(error.value)


# ---- files ----


def test_no_module_unpickles_or_runs_text():
    found = []
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = {alias.name.split(".")[0] for alias in node.names} | {
                    (getattr(node, "module", "") or "")
                }
                found += [(path.name, name) for name in names & UNPICKLERS]
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in FORBIDDEN
            ):
                found.append((path.name, node.func.id))
            if isinstance(node, ast.Call) and ast.unparse(node.func) in (
                "torch.load",
                "os.system",
                "np.load",
            ):
                found.append((path.name, ast.unparse(node.func)))
    assert found == []


def test_a_pickle_is_never_opened_whatever_it_is_called(tmp_path, text_file):
    body = pickle.dumps(Bomb(tmp_path / "boom"))
    run = train_run(tmp_path / "run", text_file, train={"stop_after": 3})
    manifest = run.manifest
    for name in (
        "model/model.safetensors",
        "model/tokenizer.json",
        "model/config.json",
        "recipe.json",
    ):
        good = (run.folder / name).read_bytes()
        (run.folder / name).write_bytes(body)
        # With the hash made right, as somebody who wants us to open it would.
        files = {**manifest["files"], name: file_entry(run.folder / name)}
        write_manifest(run.folder, {**manifest, "files": files})
        refused(lambda: load_model(open_run(run.folder)))
        (run.folder / name).write_bytes(good)
    (tmp_path / "corpus.txt").write_bytes(body + b"\xff")
    refused(lambda: start_run(tiny_recipe(tmp_path / "corpus.txt"), tmp_path / "new"))
    (tmp_path / "recipe.toml").write_bytes(body)
    refused(lambda: load_recipe(str(tmp_path / "recipe.toml")))
    assert not (tmp_path / "boom").exists()


def archives(folder: Path) -> None:
    """A hundred megabytes of zeros, packed twice; and an archive that wants to write outside."""
    zeros = b"\0" * (1 << 20)
    with gzip.open(folder / "bomb.txt.gz", "wb") as file:
        for _ in range(100):
            file.write(zeros)
    with (
        zipfile.ZipFile(folder / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as packed,
        packed.open("a.txt", "w") as file,
    ):
        for _ in range(100):
            file.write(zeros)
    with tarfile.open(folder / "bomb.tar.gz", "w:gz") as packed:
        info = tarfile.TarInfo("../../outside.txt")
        info.size = len(zeros)
        packed.addfile(info, io.BytesIO(zeros))


def test_archives_in_a_corpus_are_named_and_never_unpacked(tmp_path):
    (tmp_path / "docs").mkdir()
    archives(tmp_path / "docs")
    (tmp_path / "docs/good.txt").write_text("good", encoding="utf-8")
    found = read_documents(tmp_path / "docs")
    assert found.texts == ["good"]
    assert {skip.source for skip in found.skipped} == {"bomb.txt.gz", "bomb.zip", "bomb.tar.gz"}
    for name in ("bomb.zip", "bomb.tar.gz", "bomb.txt.gz"):
        assert "not UTF-8 text" in refused(
            lambda name=name: read_documents(tmp_path / "docs" / name)
        )
    (tmp_path / "docs/bomb.txt").write_bytes((tmp_path / "docs/bomb.zip").read_bytes())
    assert [
        skip.source
        for skip in read_documents(tmp_path / "docs").skipped
        if skip.source == "bomb.txt"
    ]


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": [2**33, 2**33], "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": [2], "data_offsets": [0, 2**50]},
        {"dtype": "F32", "shape": [2], "data_offsets": [8, 0]},
        {"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]},
        {"dtype": "F1", "shape": [2], "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": "two", "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]},
    ],
)
def test_a_safetensors_header_that_lies_is_refused(tmp_path, entry):
    header = json.dumps({"a": entry}).encode()
    (tmp_path / "lie.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * 8)
    assert "not a safetensors file" in refused(lambda: read_tensors(tmp_path / "lie.safetensors"))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff" * 8,
        struct.pack("<Q", 2**62),
        struct.pack("<Q", 4) + b"{}",
        struct.pack("<Q", 200) + b"[" * 200,
    ],
)
def test_a_safetensors_file_with_no_header_is_refused(tmp_path, body):
    (tmp_path / "lie.safetensors").write_bytes(body)
    assert "not a safetensors file" in refused(lambda: read_tensors(tmp_path / "lie.safetensors"))


@pytest.mark.parametrize(
    "text",
    [
        "a = " + "[" * 5000,
        ".".join("a" * 5000) + " = 1",
        "[" + ".".join("a" * 5000) + "]",
        "train.steps = [{" + ".".join("a" * 3000) + " = 1}]",
        f'train.steps = "{"x" * 10**6}"',
        "x" * 10**6 + " = 1",
        "train = 5",
        "train.steps = 1e400",
        "train.steps = 1" + "0" * 5000,
        "train.steps = nan",
        'name = "\\u001b[2J"\ntrain.steps = -1',
    ],
    ids=range(11),
)
def test_a_recipe_made_to_exhaust_the_reader_is_refused(tmp_path, text):
    (tmp_path / "deep.toml").write_text(text, encoding="utf-8")
    refused(lambda: load_recipe(str(tmp_path / "deep.toml")))


# ---- documents ----


def test_scripts_of_pages_and_pdfs_are_neither_run_nor_read(tmp_path):
    html = (
        '<p onclick="steal()">Tide</p><script>steal()<!-- </p></script ><SCRIPT '
        'src="http://x/">no</SCRIPT>'
        '<style>@import "http://x/"</style><img src=x onerror="steal()"><iframe '
        'src="file:///etc/passwd"></iframe>'
        "<!-- <p>steal()</p> --><p>at &lt;nine&gt;</p>"
    )
    assert html_to_text(html) == "Tide\nat <nine>"
    script = b"<</Type/Catalog/Pages 2 0 R/OpenAction<</S/JavaScript/JS(steal\\(\\))>>>>"
    plain = pdf(page("Tide at nine"))
    (tmp_path / "a.pdf").write_bytes(plain.replace(b"<</Type/Catalog/Pages 2 0 R>>", script))
    try:
        assert read_documents(tmp_path / "a.pdf").texts == ["Tide at nine"]
    # the table of offsets is wrong now, which a strict reader may refuse
    except ValueError as error:
        assert "steal" not in str(error)


@pytest.mark.parametrize(
    "unit",
    ["<", "<a ", "<!--", "</", "&#9", "&#", "<a b='", "<script>", "<a \t=", "<![CDATA[", "a>"],
)
def test_a_page_of_unfinished_tags_is_read_in_one_pass(unit):
    begin = time.perf_counter()
    html_to_text(unit * (500_000 // len(unit)))
    assert time.perf_counter() - begin < 5  # about 0.1 s; what is quadratic takes minutes


def test_a_number_of_ten_thousand_digits_for_a_character_is_no_error():
    assert html_to_text("a &#" + "9" * 10_000 + "; b") == "a \ufffd b"


# ---- what reaches the terminal ----

EVIL = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202eabc"


def harmless(text: str) -> bool:
    return all(character in "\n\t\r" or character.isprintable() for character in text)


def test_nothing_that_a_terminal_obeys_comes_out_of_a_prompt_a_model_or_an_error(
    base_run, tmp_path, capsys
):
    (tmp_path / "deep.toml").write_text('train.steps = "\\u001b[2J\\u009b"', encoding="utf-8")
    wild = ["sample", base_run.folder, "--prompt", EVIL, "--tokens", "60", "--temperature", "9"]
    calls = [
        wild,
        [*wild, "--json"],
        [*wild, "--count", "3"],
        ["sample", tmp_path / EVIL],
        ["train", EVIL],
        ["train", tmp_path / "deep.toml"],
        ["corpus", EVIL],
    ]
    for words in calls:
        try:
            cli.main([str(word) for word in words])
        except SystemExit as stop:
            assert stop.code == 2
        out, err = capsys.readouterr()
        assert harmless(out) and harmless(err), (words, out, err)
        if "--json" in words:
            assert json.loads(out)["prompt"] == EVIL  # escaped, not lost


def test_a_purpose_and_a_document_name_are_cleaned_too(tmp_path, text_file, capsys):
    recipe = tmp_path / "evil.toml"
    (tmp_path / "docs").mkdir()
    for name in ("a.txt", "b.txt", "c.txt"):
        (tmp_path / "docs" / name).write_text(
            name + text_file.read_text(encoding="utf-8"), encoding="utf-8"
        )
    if os.name != "nt":  # Windows refuses such a name itself
        (tmp_path / "docs" / "\x1b[2J.bin").write_bytes(b"")
    recipe.write_text(
        'purpose = "\\u001b[2J"\n[corpus]\ntext = '
        f'"{(tmp_path / "docs").as_posix()}"\n[tokenizer]\nkind = "char"\n'
        "[model]\ncontext = 16\ndepth = 1\nwidth = 16\nheads = 2\n[train]\nsteps = 2\nbatch_size = "
        "2\n",
        encoding="utf-8",
    )
    cli.main(["train", str(recipe), "--out", str(tmp_path / "run")])
    err = capsys.readouterr().err
    assert "␛[2J" in err and "\x1b[2J" not in err


# ---- calls that a model makes ----


@pytest.mark.parametrize(
    "text",
    [
        "calculator __import__('os').system('touch boom')",
        "calculator 9**9**9**9",
        "calculator (9**9)**(9**9)",
        "calculator " + "(" * 79,
        "calculator 1" + "0" * 4500,
        "calculator 1e999999999",
        "calculator [1 for _ in ()]",
        "order 1; DROP TABLE orders",
        "order 1' OR '1'='1",
        "book 1 Monday'); DROP TABLE bookings;--",
        "order -1",
        "search ../../etc/passwd",
        "../../bin/sh -c ls",
        "__class__",
        "calculator().__globals__",
        "calculator True",
    ],
)
def test_a_call_made_to_do_harm_is_an_error_in_a_line_within_its_limit(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    orders = Orders()
    before = orders.numbers()
    begin = time.perf_counter()
    try:
        answer = run_call(parse_call(text, toolbox(calculator(), *orders.tools())))
    except ValueError as error:
        answer = f"error: {error}"
    assert answer.startswith("error: ") and "\n" not in answer and time.perf_counter() - begin < 1
    assert orders.numbers() == before and orders.bookings() == [] and list(tmp_path.iterdir()) == []
