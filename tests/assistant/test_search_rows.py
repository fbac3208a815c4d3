"""What users searched for and did not find: each with what is right."""

import json

import pytest

from tests.conftest import train_run
from tinylm import cli
from tinylm.assistant.retrieval import Index, split_passages, stems


@pytest.mark.parametrize(
    "text, question",
    [
        ("All prices are in pounds.", "What is the price?"),
        ("The ferries leave at nine.", "When does the ferry leave?"),
        ("Dogs are stopped at the gate.", "Where do they stop a dog?"),
        ("The box is red.", "What colour are the boxes?"),
        ("The harbour-master closes the gate.", "When does the harbour master close the gate?"),
        ("The harbourmaster closes the gate.", "When does the harbour-master come?"),
        ("A loan of 10,000 crowns is the most.", "Who may borrow 10000?"),
        ("图书馆每天早上九点开门。", "图书馆几点开门？"),
    ],
)
def test_the_same_word_in_another_form_meets(text, question):
    others = {"other": "The lamp is lit. The oar is long. Soup is hot."}
    (first, *_) = Index({"one": text, **others}).search(question)
    assert first.passage.source == "one"


def test_few_words_of_the_handbook_lose_their_plural():
    """Of 536 pairs of a word and its -s form, 226 had different stems before Snowball's."""
    from tinylm.corpora.handbook import handbook

    words = {word for text in handbook(1).values() for word in text.lower().split()}
    plain = sorted(word for word in words if word.isalpha() and len(word) > 2 and word[-1] != "s")
    pairs = [(stems(word), stems(word + "s")) for word in plain]
    known = [(one, other) for one, other in pairs if one and other]
    assert len(known) > 400
    assert sum(one != other for one, other in known) <= 0.02 * len(known)


@pytest.mark.parametrize(
    "text, sentences",
    [
        ("The doctor is Dr. Stone and her room is number 5.", 1),
        ("A ticket costs 3.40 crowns. Children pay nothing.", 2),
        ("Ask J. R. Hale. He is in at nine.", 2),
        ("Bring tools, e.g. a saw. Leave at ten.", 2),
    ],
)
def test_abbreviations_initials_and_numbers_end_no_sentence(text, sentences):
    assert len(split_passages(text, "a")) == sentences


def test_a_paragraph_wrapped_by_hand_is_joined_and_short_lines_stay_apart():
    wrapped = (
        "The rain came down over the harbour and the boats\n"
        "stayed at their moorings until the evening when it\n"
        "stopped."
    )
    assert len(split_passages(wrapped, "a")) == 1
    assert len(split_passages("Ferry\nLeaves at nine\nCosts 3 crowns", "a")) == 3


def test_only_a_heading_is_a_heading_and_nothing_is_lost():
    assert split_passages("#7 is the winner of the race.", "a")[0].text.startswith("#7 is")
    passages = split_passages("# Fees\n\n# Rules\n\nNo dogs.\n\n    a = 1\n", "a")
    assert [p.text for p in passages] == ["Fees", "No dogs.", "a = 1"]


def test_all_headings_and_the_documents_name_count():
    ferry, bus = "# Ferry\n\n## Prices\n\nAdults pay 3.", "# Bus\n\n## Prices\n\nAdults pay 4."
    (first, *_) = Index({"one": ferry, "two": bus}).search("What do adults pay on the bus?")
    assert first.passage.text == "Adults pay 4." and first.passage.context == "Bus Prices"
    named = {"ferry.md": "Adults pay 3.", "bus.md": "Adults pay 4."}
    (first, *_) = Index(named).search("What do adults pay on the bus?")
    assert first.passage.source == "bus.md"


def test_a_table_has_one_passage_a_row_with_the_header_as_context():
    rows = "".join(f"| place {n} | {n} crowns |\n" for n in range(24))
    passages = split_passages(f"# Prices\n\n| place | fee |\n|---|---|\n{rows}", "a")
    assert len(passages) == 24
    assert passages[5].text == "place 5, 5 crowns" and passages[5].context == "Prices place fee"


def test_markup_is_no_part_of_a_passage():
    text = "We book trips through [Wayfare](https://way.example/a?b). It is *every four* `years`."
    assert [p.text for p in split_passages(text, "a")] == [
        "We book trips through Wayfare.",
        "It is every four years.",
    ]


def test_the_command_shows_passages_with_their_places(tmp_path, capsys):
    (tmp_path / "gym.md").write_text("# Gym\n\nIt costs 4 pounds.\n\nIt opens at nine.\n")
    (tmp_path / "pool.md").write_text("# Pool\n\nIt costs 3 pounds.\n")
    cli.main(["search", str(tmp_path), "What does the gym cost?", "--json", "--count", "2"])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[0]["text"] == "It costs 4 pounds." and lines[0]["document"] == "gym.md"
    assert lines[0]["place"] == 1 and lines[0]["score"] >= lines[1]["score"] > 0
    cli.main(["search", str(tmp_path), "zebra"])
    captured = capsys.readouterr()
    assert captured.out == "" and "no passage" in captured.err
    with pytest.raises(SystemExit):
        cli.main(["search", str(tmp_path / "nowhere"), "zebra"])


def test_with_a_model_the_command_shows_what_each_search_thinks(tmp_path, capsys, text_file):
    run = train_run(tmp_path / "run", text_file, tokenizer={"kind": "bpe", "vocab_size": 300})
    (tmp_path / "gym.md").write_text("# Gym\n\nIt costs 4 pounds.\n\nIt opens at nine.\n")
    command = ["search", str(tmp_path / "gym.md"), "zebra", "--out", str(tmp_path / "kept")]
    cli.main([*command, "--model", str(run.folder), "--json"])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {line["text"] for line in lines} == {"It costs 4 pounds.", "It opens at nine."}
    assert all(line["scores"].keys() == {"words", "meaning", "likelihood"} for line in lines)
    cli.main([*command, "--model", str(run.folder)])
    assert "; words 0.00; meaning " in capsys.readouterr().out
    assert {path.suffix for path in (tmp_path / "kept").iterdir()} == {".json", ".vectors"}
