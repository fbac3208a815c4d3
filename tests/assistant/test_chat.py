"""`tinylm chat`: what is shown, what is kept, and what never reaches the terminal."""

import io
import json

import pytest

from tinylm.assistant.runtime import Event
from tinylm.assistant.training import prepared
from tinylm.commands.assistant import chat, joined, show


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
