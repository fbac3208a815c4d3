"""The lesson on retrieval: who is asked what, and how an answer is judged."""

from tinylm.assistant.training import questions_held_out
from tinylm.corpora.handbook import questions
from tinylm.lessons.retrieval import conclude, evidence_in, hit_rates


def rows(right: int, of: int, stale: int = 0) -> list[dict]:
    return [
        {"right": n < right, "stale": right <= n < right + stale, "hit": True} for n in range(of)
    ]


def marks(retrieved: int, closed: int) -> dict:
    counts = {"closed book": closed, "fine-tuned": 30, "retrieved": retrieved, "oracle": retrieved}
    made = {name: [rows(count, 30) for _ in range(3)] for name, count in counts.items()}
    made["fine-tuned, second edition"] = [rows(0, 10, stale=9) for _ in range(3)]
    return made | {"retrieved, second edition": [rows(retrieved // 3, 10) for _ in range(3)]}


HITS = [{"at 1": 0.95, "at 3": 0.98}] * 2


def test_the_search_is_judged_apart_from_the_reading():
    rates = hit_rates(1)
    assert 0.9 < rates["at 1"] <= rates["at 3"] <= 1


def test_in_the_second_edition_the_new_sentence_is_evidence_too():
    changed = next(question for question in questions() if question.new_answer)
    assert evidence_in(changed, changed.evidence, 1)
    assert evidence_in(changed, f"It is {changed.new_answer} now.", 2)
    assert not evidence_in(changed, f"It is {changed.new_answer} now.", 1)


def test_retrieval_that_reads_and_weights_that_do_not_know_support_the_claim():
    result = conclude(marks(retrieved=28, closed=0), HITS)
    assert result.verdict == "supported" and all(result.targets.values())
    assert "90 %" in result.sentence  # the stale share


def test_a_reader_that_fails_is_reported_as_failing():
    result = conclude(marks(retrieved=6, closed=0), HITS)
    assert not any(met for name, met in result.targets.items() if "closed book <=" not in name)
    assert conclude(marks(retrieved=0, closed=0), HITS).verdict == "no measurable difference"


def test_questions_that_can_be_guessed_without_the_handbook_refute_the_claim():
    assert conclude(marks(retrieved=28, closed=10), HITS).verdict == "not supported"


def test_at_smoke_scale_every_arm_is_asked(smoke_lesson):
    results = smoke_lesson("retrieval")
    asked = {row["id"] for rows in results["details"]["marks"]["retrieved"] for row in rows}
    assert asked <= {
        question.id for seed in results["seeds"] for question in questions_held_out(seed)
    }
    assert {"closed book", "fine-tuned", "retrieved", "oracle"} <= results["arms"].keys()
