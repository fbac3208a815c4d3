"""The commands as a user types them."""

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import train_run
from tinylm import api, cli
from tinylm.commands.terminal import clean
from tinylm.config import CorpusConfig
from tinylm.corpora.build import split_corpus
from tinylm.recipes import load_recipe
from tinylm.runs import open_run


def tinylm(*words, code=0, text=None) -> subprocess.CompletedProcess:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "tinylm", *map(str, words)],
        capture_output=True,
        encoding="utf-8",
        input=text,
        env=environment,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done


def called(capsys, *words, code=0):
    """The same in this process: quicker, for commands that need torch."""
    if code:
        with pytest.raises(SystemExit) as stop:
            cli.main([str(word) for word in words])
        assert stop.value.code == code
    else:
        cli.main([str(word) for word in words])
    return capsys.readouterr()


@pytest.mark.parametrize(
    "command",
    [
        [],
        ["demo"],
        ["train"],
        ["resume"],
        ["sample"],
        ["evaluate"],
        ["compare"],
        ["plot"],
        ["corpus"],
        ["tokenizer"],
        ["meter"],
        ["fetch"],
        ["bench"],
        ["lesson"],
        ["chat"],
        ["cost"],
        ["export"],
        ["import"],
        ["report"],
        ["doctor"],
        ["pack"],
    ],
)
def test_help_needs_no_torch(command):
    code = (
        "import sys; from tinylm.cli import main\n"
        f"try: main({[*command, '--help']!r})\n"
        "except SystemExit: pass\n"
        "assert not {'torch', 'matplotlib', 'numpy', 'starlette', 'uvicorn'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True
    )
    assert "usage: tinylm" in done.stdout


def test_the_help_of_train_lists_every_field_of_a_recipe():
    out = tinylm("train", "--help").stdout
    for field in (
        "--train.muon-learning-rate",
        "--model.kv-heads",
        "--lora.rank",
        "--sample.sampling.top-k",
    ):
        assert field in out


def test_a_misspelt_field_is_refused_with_the_closest_match(capsys):
    err = called(
        capsys, "train", "demo-base", "--train.stepz", "5", "--modle.depth", "2", code=2
    ).err
    assert (
        'did you mean "steps"' in err and 'did you mean "model"' in err and "Traceback" not in err
    )


def test_a_misspelt_command_or_option_is_told_where_it_was_written(capsys):
    for words, told in (
        (["smaple", "runs/x"], 'tinylm: there is no command smaple (did you mean "sample"?)'),
        (
            ["train", "your-text", "--corpus.txt", "a.txt"],
            'tinylm: --corpus.txt: no such field (did you mean "text"?)',
        ),
        (
            ["train", "your-text"],
            "tinylm: no your-text.txt; --corpus.text takes a text file, a folder",
        ),
    ):
        assert called(capsys, *words, code=2).err.startswith(told)


def test_a_users_mistakes_are_one_line_and_exit_code_two(capsys, base_run, tmp_path):
    for words in (
        ["sample", tmp_path / "nowhere"],
        ["sample", base_run.folder, "--temperature", "-1"],
        ["sample", base_run.folder, "--tokens", "0"],
        ["evaluate", base_run.folder, "--text", tmp_path / "nothing"],
        ["compare", base_run.folder, "--out", tmp_path / "c"],
        ["corpus", "storys"],
        ["train", "nothing"],
        ["tokenizer", "decode", base_run.folder, "x"],
        ["meter", tmp_path / "nothing"],
        ["resume", base_run.folder],
        ["train", "demo-base", "--out", base_run.folder],
    ):
        err = called(capsys, *words, code=2).err
        assert err.startswith("tinylm: ") and err.count("\n") == 1, err


def test_debug_shows_where_an_error_came_from(tmp_path):
    with pytest.raises(ValueError, match="is not a run folder"):
        cli.main(["sample", str(tmp_path), "--debug"])


def test_train_stop_resume_sample_and_evaluate_by_command(capsys, tmp_path, text_file):
    recipe = tmp_path / "mine.toml"
    recipe.write_text(
        f'[corpus]\ntext = "{text_file.as_posix()}"\n[tokenizer]\nkind = "char"\n'
        "[model]\ncontext = 16\ndepth = 2\nwidth = 16\nheads = 2\n"
        "[train]\nsteps = 6\nbatch_size = 4\nevaluate_every = 3\n",
        encoding="utf-8",
    )
    run = tmp_path / "a run"
    err = called(capsys, "train", recipe, "--out", run, "--train.stop-after", "4").err
    assert (
        "parameters" in err and "minutes" in err and "GB" in err and f"tinylm resume {run}" in err
    )
    err = called(capsys, "resume", run).err
    assert "from step 4 of 6" in err and "done in" in err

    out = called(
        capsys, "sample", run, "--prompt", "the ", "--tokens", "5", "--count", "2", "--json"
    ).out
    rows = [json.loads(line) for line in out.splitlines()]
    assert [list(row) for row in rows] == [
        ["prompt", "text", "tokens", "seed", "seconds", "finish_reason"]
    ] * 2
    assert (
        [row["seed"] for row in rows] == [0, 1]
        and rows[0]["tokens"] == 5
        and rows[0]["finish_reason"] == "length"
    )
    words = ("sample", run, "--prompt", "the ", "--tokens", "9", "--json")
    texts = {
        seed: json.loads(called(capsys, *words, "--seed", str(seed)).out) for seed in (0, 1, 7)
    }
    assert [row["seed"] for row in texts.values()] == [0, 1, 7]
    assert texts[1]["text"].startswith(rows[1]["text"])  # sample 1 of seed 0
    assert len({row["text"] for row in texts.values()}) > 1
    plain = called(capsys, "sample", run, "--prompt", "the ", "--tokens", "5").out
    assert plain == clean("the " + rows[0]["text"]) + "\n"

    score = json.loads(called(capsys, "evaluate", run, "--text", text_file, "--json").out)
    characters = len(text_file.read_text(encoding="utf-8"))
    assert (score["tokens"], score["bytes"], score["context"]) == (
        characters - 1,
        characters - 1,
        16,
    )
    assert score["bits_per_byte"] == pytest.approx(score["nats_per_token"] / 0.6931471805599453)
    assert score["perplexity"] == pytest.approx(math.exp(score["nats_per_token"]))

    assert called(capsys, "plot", run, "--out", tmp_path / "curve.png").out.strip() == str(
        tmp_path / "curve.png"
    )
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_evaluate_begins_a_document_as_training_did(capsys, tmp_path, text_file):
    corpus = {"separator": "\n\n", "document_token": True}
    run = train_run(tmp_path / "run", text_file, corpus=corpus)
    (tmp_path / "one.txt").write_text("the net and the sea", encoding="utf-8")
    words = ("evaluate", run.folder, "--text", tmp_path / "one.txt", "--json")
    score = json.loads(called(capsys, *words).out)
    assert score["tokens"] == len("the net and the sea")  # the first letter is predicted too
    expected = api.evaluate(run, "the net and the sea")
    assert score["nats_per_token"] == pytest.approx(expected.nats_per_token, abs=1e-5)


def test_control_characters_of_a_model_never_reach_the_terminal():
    assert clean("a\x1b[31m\x07\tb\n\x9b\u202e") == "a␛[31m␇\tb\n��"


def test_the_corpus_command_prints_and_counts(capsys):
    out = called(capsys, "corpus", "verse", "--split", "valid").out
    assert all(not line.startswith("#") for line in out.splitlines())
    assert len(called(capsys, "corpus", "stories", "--bytes", "5000").out.encode()) <= 5001
    figures = called(capsys, "corpus", "stories", "--stats", "--bytes", "50000").out
    assert "distinct words" in figures and "source bits per byte" in figures
    assert "share of lines that scan" in called(capsys, "corpus", "verse", "--stats").out


def test_a_reader_that_goes_away_is_no_error():
    words = [sys.executable, "-m", "tinylm", "corpus", "stories", "--bytes", "3000000"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline()
        process.stdout.close()  # what `| head -1` does, in any shell
        errors = process.stderr.read().decode()
    assert "Error" not in errors and "tinylm:" not in errors


def test_the_tokenizer_command_learns_shows_and_goes_both_ways(capsys, tmp_path, text_file):
    made = tmp_path / "t.json"
    called(capsys, "tokenizer", "train", text_file, "--vocab-size", "270", "--out", made)
    ids = called(capsys, "tokenizer", "encode", made, "the sea ☃").out.split()
    assert called(capsys, "tokenizer", "decode", made, *ids).out == "the sea ☃\n"
    assert "merge" in called(capsys, "tokenizer", "show", made, "the").out


def test_the_meter_command_prints_one_object_per_line(capsys, tmp_path):
    text = "The tide comes in and lays its silver down,\n\nNot verse at all.\n"
    (tmp_path / "v.txt").write_text(text, encoding="utf-8")
    rows = [
        json.loads(line)
        for line in called(capsys, "meter", tmp_path / "v.txt", "--json").out.splitlines()
    ]
    assert [list(row) for row in rows] == [["line", "ok", "score", "syllables", "pattern"]] * 2
    assert [row["ok"] for row in rows] == [True, False]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no SIGINT to a child process")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_saves_and_says_how_to_go_on(tmp_path, text_file, number):
    fields = [
        "--tokenizer.kind",
        "char",
        "--model.context",
        "16",
        "--model.depth",
        "1",
        "--model.width",
        "16",
    ]
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tinylm",
            "train",
            "demo-base",
            "--out",
            str(tmp_path / "run"),
            "--corpus.text",
            str(text_file),
            "--corpus.document-token",
            "false",
            "--train.steps",
            "100000",
            "--train.batch-size",
            "2",
            "--train.evaluate-every",
            "100000",
            "--sample.every",
            "100000",
            "--set",
            "corpus.valid_share=0.1",
            *fields,
            "--model.heads",
            "1",
            "--model.mlp-width",
            "16",
        ],
        stderr=subprocess.PIPE,
        encoding="utf-8",
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    log = tmp_path / "run" / "metrics.jsonl"
    deadline = time.monotonic() + 60
    while (
        not (log.exists() and log.read_text(encoding="utf-8").count("\n") > 5)
        and time.monotonic() < deadline
    ):
        time.sleep(0.05)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0 and "tinylm resume" in err, err
    run = open_run(tmp_path / "run")
    assert (
        run.manifest["status"] == "stopped"
        and run.manifest["step"] == run.records("train")[-1]["step"] > 0
    )


def test_a_fine_tune_keeps_its_parents_shape_and_tokenizer(tmp_path, text_file, base_run):
    run = train_run(tmp_path / "tuned", text_file, start_from=str(base_run.folder))
    assert run.model_config == base_run.model_config
    assert run.manifest["parent"]["fingerprint"] == base_run.fingerprint
    assert all("base_bits_per_byte" in record for record in run.records("valid"))
    again = train_run(tmp_path / "again", text_file, start_from=str(base_run.folder / "model"))
    assert again.manifest["parent"] == {**run.manifest["parent"], "path": str(base_run.folder)}
    with pytest.raises(ValueError, match=r"model.width = 32, but .* has 16"):
        train_run(
            tmp_path / "other", text_file, start_from=str(base_run.folder), model={"width": 32}
        )


# Every command, as cheap as it can be; {run} is a trained run, {stopped} one to go on with.
CHEAP = """corpus verse --bytes 300
corpus handbook --stats --bytes 2000
meter {poem}
meter -
tokenizer train {text} --kind char --out {out}/tokenizer.json
tokenizer encode {run} the
tokenizer show {run} the
search {poem} tide
sample {run} --prompt the --tokens 3
evaluate {run} --text {poem}
compare {run} {run} --scale smoke --out {out}/compare
plot {run} --out {out}/curves.svg
chat --documents {poem} --out {out}/assistant --base {out}/none
chat --documents {poem} --run {run}
export {run} --to html --out {out}/play.html
import {out}/none --out {out}/imported
train demo-base --corpus.text {text} --train.steps 1 --model.width 16 --model.depth 1 {rest}
resume {stopped}
demo --resume-from {out}/none.zip --out {out}/demo
lesson --list
cost --parameters 1e9 --tokens 1e9
host
bench --list
report {run} --out {out}/report.html
pack {run} --out {out}/demo.zip
fetch nothing-of-this-name
doctor {out}"""
REST = "--model.heads 2 --tokenizer.kind char --model.context 16 --sample.tokens 2 --out {out}/run"
# In one process, since each start of Python and torch takes seconds; a closed stream is None there.
EACH_IN_TURN = """
import os, sys, traceback
from pathlib import Path
from tinylm import cli
for number, name in enumerate(("stdin", "stdout", "stderr")):
    kept, stream = os.dup(number), getattr(sys, name)
    os.close(number)
    for line in Path(f"commands-{number}.txt").read_text(encoding="utf-8").splitlines():
        setattr(sys, name, None)
        try:
            cli.main(line.split())
        except SystemExit:
            pass
        except BaseException:
            with Path("errors.txt").open("a", encoding="utf-8") as file:
                file.write(f"{name}: {line}\\n{traceback.format_exc()}")
    os.dup2(kept, number)
    setattr(sys, name, stream)
Path("end.txt").write_text("reached", encoding="utf-8")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="a shell of Unix closes the streams")
def test_no_command_minds_a_closed_stream(tmp_path, text_file, base_run):
    poem = tmp_path / "poem.txt"
    poem.write_text("The tide comes in and lays its silver down,\n", encoding="utf-8")
    first = train_run(tmp_path / "stopped", text_file, train={"stop_after": 3}).folder
    for number in range(3):
        out = tmp_path / f"out-{number}"
        stopped = shutil.copytree(first, out / "stopped")
        places = {"run": base_run.folder, "text": text_file, "poem": poem, "stopped": stopped}
        lines = CHEAP.replace("{rest}", REST).format(out=out, **places)
        commands = {line.split()[0] for line in lines.splitlines()}
        assert commands == {each.__name__.strip("_") for each in (*cli.COMMANDS, cli.import_)}
        (tmp_path / f"commands-{number}.txt").write_text(lines, encoding="utf-8")
    (tmp_path / "each.py").write_text(EACH_IN_TURN, encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parent.parent)}
    done = subprocess.run([sys.executable, "each.py"], cwd=tmp_path, env=environment,
                          capture_output=True, text=True, input="", timeout=300)  # fmt: skip
    errors = tmp_path / "errors.txt"
    assert not errors.exists(), errors.read_text(encoding="utf-8")
    assert "Traceback" not in done.stdout + done.stderr and (tmp_path / "end.txt").exists()
    for number in range(3):
        out = tmp_path / f"out-{number}"
        # Nobody asked the assistant anything, so none was trained.
        assert not (out / "assistant").exists() and not (out / "none").exists()
        assert (out / "play.html").exists()
        assert open_run(out / "stopped").manifest["status"] == "finished"


def test_standard_input_is_utf_8_whatever_the_console_says():
    line = "\u2019Tis late, and all the lamps are on the quay\n"
    environment = os.environ | {"PYTHONIOENCODING": "cp1252", "PYTHONUTF8": "0"}
    command = [sys.executable, "-m", "tinylm", "meter", "-", "--json"]
    done = subprocess.run(command, input=line.encode(), capture_output=True, env=environment)
    assert json.loads(done.stdout)["line"] == line.strip()
    broken = subprocess.run(command, input=b"caf\xe9\n", capture_output=True, env=environment)
    assert broken.returncode == 2 and len(broken.stderr.decode().strip().splitlines()) == 1


def test_a_recipe_may_begin_with_a_byte_order_mark(tmp_path, text_file):
    recipe = tmp_path / "mine.toml"
    recipe.write_bytes(b"\xef\xbb\xbf" + b"[train]\nsteps = 3\n")
    assert load_recipe(str(recipe)).train.steps == 3


def test_fields_without_a_section_are_options_too(tmp_path, text_file):
    words = cli.with_settings(["train", "r.toml", "--name", "x", "--purpose=why", "--out", "o"])
    assert words == ["train", "r.toml", "--set", "name=x", "--set", "purpose=why", "--out", "o"]


def test_what_is_not_ours_is_not_overwritten(tmp_path, base_run, capsys):
    for command, name in (("plot", "mine.png"), ("pack", "mine.zip")):
        (tmp_path / name).write_bytes(b"precious")
        with pytest.raises(SystemExit):
            cli.main([command, str(base_run.folder), "--out", str(tmp_path / name)])
        assert (tmp_path / name).read_bytes() == b"precious"
        assert "choose another --out" in capsys.readouterr().err
        for _ in range(2):  # what the command wrote itself, it may replace
            cli.main([command, str(base_run.folder), "--out", str(tmp_path / f"new-{name}")])
    with pytest.raises(SystemExit):
        cli.main(["plot"])
    assert "plot needs runs" in capsys.readouterr().err


def test_a_seed_beyond_the_range_is_one_line(base_run, capsys):
    with pytest.raises(SystemExit):
        cli.main(["sample", str(base_run.folder), "--seed", str(10**22)])
    assert "--seed 1" in capsys.readouterr().err


def test_characters_that_a_model_never_saw_are_named(base_run, capsys):
    cli.main(["sample", str(base_run.folder), "--prompt", "the Ж", "--tokens", "2"])
    assert "never saw: Ж" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["می\u200cخواهم", "क\u094d\u200dष", "👩\u200d👩\u200d👧"])
def test_text_of_every_script_arrives_unharmed(text):
    assert clean(text) == text
    assert clean("a\u202eb\u2066c") == "a\ufffdb\ufffdc"


def test_the_sides_of_a_corpus_are_printed_apart(capsys):
    sides = split_corpus(CorpusConfig(text="verse"))
    for name, texts in (("train", sides.train), ("valid", sides.valid)):
        printed = called(capsys, "corpus", "verse", "--split", name).out
        assert printed.startswith(next(iter(texts())))


def test_searching_shows_as_many_passages_as_were_asked_for(capsys, tmp_path):
    (tmp_path / "a.txt").write_text("The cat sat.\n\nThe cat ran.\n\nThe cat sang.\n")
    words = ("search", tmp_path, "Where is the cat?", "--json", "--count")
    assert [len(called(capsys, *words, n).out.splitlines()) for n in (1, 2)] == [1, 2]


def test_only_the_likeliest_token_is_as_likely_as_the_likeliest(capsys, base_run):
    words = ("sample", base_run.folder, "--prompt", "the ", "--tokens", "12")
    greedy = called(capsys, *words, "--temperature", "0").out
    assert called(capsys, *words, "--min-p", "1").out == greedy != called(capsys, *words).out


def test_an_interrupted_demo_leaves_no_stage_of_an_earlier_one(
    capsys, tmp_path, base_run, monkeypatch
):
    for name in ("base", "verse", "rewarded"):
        shutil.copytree(base_run.folder, tmp_path / name)

    def interrupted(*words, **options):
        raise ValueError("stopped")

    monkeypatch.setattr("tinylm.training.start.start_run", interrupted)
    called(capsys, "demo", "--out", tmp_path, code=2)
    assert not any((tmp_path / name).exists() for name in ("base", "verse", "rewarded"))
