"""The lesson on retrieval: who is asked what, and how an answer is judged."""

import torch

from tinylm.assistant.fused import FusedIndex
from tinylm.assistant.meaning import Encoder
from tinylm.assistant.retrieval import Index
from tinylm.assistant.search_quality import search_quality
from tinylm.assistant.training import questions_held_out
from tinylm.config import ModelConfig
from tinylm.corpora.handbook import handbook, paraphrases, questions
from tinylm.lessons.retrieval import conclude, evidence_in, hit_rates
from tinylm.model.gpt import GPT
from tinylm.text.tokenizers import BpeTokenizer


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


def test_the_search_by_meaning_is_reported_and_changes_no_verdict():
    without = conclude(marks(retrieved=28, closed=0), HITS)
    assert "not measured" in without.sentence and without.details["meaning"] is None
    rows = {"found": [20.0, 45.0, 70.0], "seconds": 0.5}
    meaning = {name: rows for name in ("words", "meaning", "likelihood", "fused")}
    with_it = conclude(marks(retrieved=28, closed=0), HITS, meaning)
    assert with_it.details["meaning"] == meaning and "45 %" in with_it.sentence
    assert "likelihood takes 0.5 s a question, BM25 500 ms" in with_it.sentence
    assert (with_it.verdict, with_it.targets) == (without.verdict, without.targets)


def test_every_search_is_measured_on_the_same_questions():
    model = GPT(ModelConfig(vocab_size=256, context=200, depth=2, width=16, heads=2))
    model.initialise(torch.Generator().manual_seed(0))
    tokenizer = BpeTokenizer([])
    index = FusedIndex(
        Index({"pay": handbook(1)["pay"]}), Encoder(model.eval(), tokenizer, "small")
    )
    asked = [question for question in paraphrases() if question.document == "pay"]
    quality = search_quality(index, asked)
    assert quality.percent("words", 10_000) < quality.percent("meaning", 10_000) == 100
    assert {len(row) for row in quality.ranks.values()} == {len(asked)}
    assert quality.row("fused")[0] <= quality.row("fused")[1] <= quality.row("fused")[2]
    assert all(spent >= 0 for spent in quality.seconds.values())
