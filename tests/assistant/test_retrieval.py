"""Passages, the search over them, and an index that follows its documents."""

import pytest

from tinylm.assistant.retrieval import Index, Passage, split_passages
from tinylm.assistant.tools import ENOUGH
from tinylm.corpora.handbook import handbook, questions

DOCUMENTS = {
    "ferry": "# The ferry\n\nA ticket costs 3 crowns. Children pay nothing.\n\nThe last boat "
    "leaves at ten.",
    "soup": "# The canteen\n\nThe soup is hot. The bread is old.",
}


def found(index: Index, question: str) -> list[str]:
    return [hit.passage.source for hit in index.search(question)]


def test_a_passage_knows_its_document_and_the_number_of_its_first_sentence():
    passages = split_passages(DOCUMENTS["ferry"], "ferry")
    told = ["A ticket costs 3 crowns.", "Children pay nothing.", "The last boat leaves at ten."]
    assert [p.text for p in passages] == told
    assert passages[1].name == "ferry, sentence 2"


def test_a_passage_is_found_by_its_heading_and_by_the_sentence_before_it_too():
    passages = split_passages(DOCUMENTS["soup"], "soup")
    assert passages[1] == Passage("The bread is old.", "soup", 2, "The canteen The soup is hot.")
    assert found(Index(DOCUMENTS), "canteen") == ["soup", "soup"]
    assert [hit.passage.text for hit in Index(DOCUMENTS).search("soup")] == [
        "The soup is hot.",
        "The bread is old.",
    ]


def test_headings_wrapped_lines_and_web_pages_are_cut_at_sentences():
    wrapped = split_passages("# One\nThe sea\nis wide. It is\ndeep.\n## Two\nEnd.", "a")
    assert [(p.text, p.context) for p in wrapped] == [
        ("The sea is wide.", "One"), ("It is deep.", "One The sea is wide."), ("End.", "One Two"),
    ]  # fmt: skip
    assert [p.text for p in split_passages("Ferry\nLeaves at nine", "page")] == [
        "Ferry",
        "Leaves at nine",
    ]


def test_no_sentence_grows_without_bound_and_none_is_lost():
    words = [f"word{number}" for number in range(500)]
    passages = split_passages(" ".join(words), "long")
    assert max(len(p.text.split()) for p in passages) <= 40
    assert set(" ".join(p.text for p in passages).split()) == set(words)


def test_plural_and_singular_find_each_other():
    assert found(Index(DOCUMENTS), "How much are tickets?")[0] == "ferry"


@pytest.mark.parametrize(
    "question", ["", "?!", "the of and", "zyx", "\x1b[31m", "<|call|>", "a" * 10_000]
)
def test_a_search_without_a_shared_word_finds_nothing(question):
    assert Index(DOCUMENTS).search(question) == []
    assert Index({}).search(question) == []
    assert Index({"empty": "# \n\n"}).search("empty") == []


def test_the_share_of_a_question_that_a_passage_holds_counts_rare_words_more():
    index = Index(
        {
            "a": "The lamp costs 3 crowns.",
            "b": "The rope costs 4 crowns.",
            "c": "The oar costs 5 crowns.",
        }
    )
    whole, rare, common = (
        index.search(text, 1)[0].share for text in ("lamp costs", "lamp prices", "price costs")
    )
    assert whole == 1 and 0 < common < rare < 1


def test_most_questions_hold_enough_of_their_passage_and_few_do_without_its_document():
    """What `tools.ENOUGH` promises."""
    documents = handbook(1)
    full = Index(documents)
    without = {
        name: full.updated({n: t for n, t in documents.items() if n != name}) for name in documents
    }

    def shown(index, question):
        return any(found.share >= ENOUGH for found in index.search(question))

    asked = questions()
    assert sum(shown(full, q.question) for q in asked) / len(asked) > 0.95
    assert sum(shown(without[q.document], q.question) for q in asked) / len(asked) < 0.15


def test_the_handbook_answers_most_questions_with_its_first_passage():
    index = Index(handbook(1))
    hits = [
        [q.evidence in hit.passage.text for hit in index.search(q.question)] for q in questions()
    ]
    assert sum(any(row[:1]) for row in hits) / len(hits) > 0.93
    assert sum(map(any, hits)) / len(hits) > 0.97


def test_a_saved_index_is_the_same_index(tmp_path):
    index = Index.open(tmp_path / "index.json", DOCUMENTS)
    again = Index.open(tmp_path / "index.json", DOCUMENTS)
    assert again.passages == index.passages
    assert again.search("ticket") == index.search("ticket")


def test_only_a_changed_document_is_cut_anew_and_the_change_is_found_at_once(tmp_path):
    before = Index.open(tmp_path / "index.json", DOCUMENTS)
    changed = {
        "ferry": DOCUMENTS["ferry"].replace("3 crowns", "4 crowns"),
        "bell": "The bell is loud.",
    }
    after = Index.open(tmp_path / "index.json", changed)
    assert "4 crowns" in after.search("ticket")[0].passage.text
    assert found(after, "bell") == ["bell"] and found(after, "soup") == []
    assert before.updated(DOCUMENTS).passages[0] is before.passages[0]  # unchanged: not cut again
    assert Index.read(tmp_path / "index.json").hashes == after.hashes


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"format": "tinylm-index"}', '{"passages": [{"text": 1}]}']
)
def test_a_damaged_index_is_made_anew_from_the_documents(tmp_path, content):
    path = tmp_path / "index.json"
    path.write_text(content, encoding="utf-8")
    assert found(Index.open(path, DOCUMENTS), "ticket") == found(Index(DOCUMENTS), "ticket") != []
    assert Index.read(path) is not None
