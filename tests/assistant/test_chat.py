"""`tinylm chat`: what is shown, what is kept, and what never reaches the terminal."""

import io
import json
import os
from pathlib import Path

import pytest

from tests.assistant.test_runtime import TICKET, talk_to
from tinylm.assistant.passages import Passage
from tinylm.assistant.runtime import Event
from tinylm.assistant.tools import Orders
from tinylm.assistant.training import prepared
from tinylm.commands.assistant import chat, converse, joined, show
from tinylm.commands.terminal import linked


@pytest.fixture(scope="module")
def novice(base_run, tmp_path_factory):
    """An assistant that has learned nothing: it says something, and that is all."""
    return prepared(base_run, tmp_path_factory.mktemp("novice") / "run").folder


def test_every_part_is_shown_on_a_line_of_its_own(capsys):
    events = [
        Event("call", "order "),
        Event("call", "7"),
        Event("result", "12 lamps"),
        Event("answer", "12 lamps."),
    ]
    assert list(show(iter(events))) == events
    assert capsys.readouterr().out.split("\n") == [
        "  call     order 7",
        "  result   12 lamps",
        "12 lamps.",
        "",
    ]
    assert list(joined(events)) == [
        ("call", "order 7"),
        ("result", "12 lamps"),
        ("answer", "12 lamps."),
    ]


def test_escape_sequences_of_documents_and_models_are_shown_and_not_obeyed(capsys):
    list(
        show(
            iter([Event("passage", "\x1b[2Jgone\x07\x9b31m"), Event("answer", "\x1b]0;title\x07")])
        )
    )
    out = capsys.readouterr().out
    assert "gone" in out and not {"\x1b", "\x07", "\x9b"} & set(out)


def test_a_conversation_is_kept_where_it_is_asked_for(novice, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO("hello\nthe net\n\nnever read\n"))
    chat(run=novice, session=tmp_path / "talk.jsonl")
    lines = [
        json.loads(line)
        for line in (tmp_path / "talk.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    assert [line["text"] for line in lines if line["role"] == "user"] == ["hello", "the net"]
    assert "documents: 21" in capsys.readouterr().err


def test_the_readers_own_documents_are_searched_and_indexed_beside_the_assistant(
    novice, tmp_path, monkeypatch, capsys
):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "a.md").write_text(
        "# Tea\n\nTea is hot. Coffee \x1b[31mis black.\n", encoding="utf-8"
    )
    (folder / "b.xyz").write_text("?", encoding="utf-8")
    for _ in range(2):
        monkeypatch.setattr("sys.stdin", io.StringIO("tea\n"))
        chat(documents=folder, run=novice, out=tmp_path / "out")
    told = capsys.readouterr().err
    assert "documents: 1, passages: 2" in told and "left out: b.xyz" in told
    assert len(list((tmp_path / "out").glob("index-*.json"))) == 1
    # nothing is written among them
    assert sorted(path.name for path in folder.iterdir()) == ["a.md", "b.xyz"]


def test_a_base_model_cannot_chat(base_run):
    with pytest.raises(ValueError, match="not trained as an assistant"):
        chat(run=base_run.folder)


def test_the_harbours_database_or_ones_own_is_offered_in_place_of_the_toys_orders(
    novice, tmp_path, monkeypatch, capsys
):
    for database in (Path("harbour"), tmp_path / "out" / "harbour.sqlite"):
        monkeypatch.setattr("sys.stdin", io.StringIO("hello\n"))
        chat(run=novice, out=tmp_path / "out", database=database)
        told = capsys.readouterr().err
        assert "orders (number, amount, goods, customer, state, day)" in told
        assert "Where is order" not in told
        assert (f"wrote {tmp_path / 'out' / 'harbour.sqlite'}" in told) == (
            str(database) == "harbour"
        )
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["harbour.sqlite"]
    with pytest.raises(ValueError, match="there is no such file"):
        chat(run=novice, out=tmp_path / "out", database=tmp_path / "gone.sqlite")


def test_an_answer_from_a_file_shows_its_path_and_place(by_heart, tmp_path, monkeypatch, capsys):
    assistant = talk_to(by_heart, Orders(), {"fares.md": f"# Ferry\n\n## Prices\n\n{TICKET}"})
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    converse(assistant, "ticket", None, tmp_path)
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2:] == [f"  from     {tmp_path / 'fares.md'}, Prices, sentence 2", "3 crowns."]
    (source,) = [event for event in assistant.reply("ticket") if event.kind == "source"]
    assert source.passage == Passage(TICKET, "fares.md", 2, "Ferry Prices", "Prices, sentence 2")
    assert source.text == "fares.md, Prices, sentence 2"


class Terminal(io.StringIO):
    """A stream that a person looks at."""

    def isatty(self) -> bool:
        return True


def test_in_a_terminal_the_path_is_a_link_and_nowhere_else(tmp_path, monkeypatch):
    path = tmp_path / "odd \x1b]0; name%.md"
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("WT_SESSION", "1")
    plain = f"{tmp_path}{os.sep}odd ␛]0; name%.md"
    assert linked(path) == plain  # the tests' own output is no terminal
    monkeypatch.setattr("sys.stdout", Terminal())
    begin, address, end = "\x1b]8;;", path.resolve().as_uri(), "\x1b\\"
    assert linked(path) == f"{begin}{address}{end}{plain}{begin}{end}"
    assert "%1B" in address and "\x1b" not in address
    monkeypatch.setenv("TERM", "dumb")
    assert linked(path) == plain
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    assert linked(path) == plain
