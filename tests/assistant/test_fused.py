"""Search by meaning beside search by words, with a small model of random weights: what is found is
measured by `tinylm bench search`; here, that all of it is wired up, kept and brought up to date."""

import time

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tinylm.assistant import meaning
from tinylm.assistant.fused import (
    LONGEST_QUESTION,
    FusedIndex,
    Hit,
    fuse,
    likelihood,
    open_fused,
    ranks,
)
from tinylm.assistant.graduate import AskedSearch
from tinylm.assistant.meaning import (
    Encoder,
    Practised,
    Space,
    hidden_states,
    practice,
    text_of,
    unit,
)
from tinylm.assistant.retrieval import Index, Passage, stems
from tinylm.config import ModelConfig
from tinylm.corpora.handbook import paraphrases, questions
from tinylm.model.gpt import GPT
from tinylm.text.tokenizers import CharTokenizer

DOCUMENTS = {
    "ferry.md": "# The ferry\n\nA ticket costs 3 crowns. Children pay nothing.\n\nThe last boat "
    "leaves at ten.",
    "soup.md": "# The canteen\n\nThe soup is hot. The bread is old.",
}


def small(seed: int = 0, context: int = 400) -> Encoder:
    tokenizer = CharTokenizer.train("".join(chr(code) for code in range(10, 127)) + "’")
    shape = {"depth": 3, "width": 32, "heads": 2, "context": context}
    model = GPT(ModelConfig(vocab_size=tokenizer.vocab_size, **shape))
    model.initialise(torch.Generator().manual_seed(seed))
    return Encoder(model.eval(), tokenizer, f"model-{seed}")


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return small()


@pytest.fixture(scope="module")
def index(encoder) -> FusedIndex:
    return FusedIndex(Index(DOCUMENTS), encoder)


def test_a_fused_index_is_asked_like_one_by_words_and_gives_the_same_kind_of_hits(index):
    by_words = Index(DOCUMENTS).search("What does a ticket cost?", 2)
    hits = index.search("What does a ticket cost?", 2)
    assert hits[0].passage == by_words[0].passage and hits[0].share == by_words[0].share
    assert isinstance(hits[0], Hit) and hits[0].score >= hits[1].score
    assert hits[0].scores["words"] == pytest.approx(by_words[0].score)
    assert -1.3 <= hits[0].scores["meaning"] <= 1.3


def test_a_question_that_shares_no_word_finds_something_and_the_likelihood_is_asked(index):
    question = "How expensive is sailing?"
    assert Index(DOCUMENTS).search(question) == []
    hits = index.search(question, 10)
    assert len(hits) == len(index.passages)
    assert all(hit.scores["likelihood"] < 0 and hit.share == 0 for hit in hits)


def test_an_assistant_reads_what_only_the_meaning_finds_and_waits_for_it(index):
    search = AskedSearch(index)
    assert len(search.find("How expensive is sailing?").splitlines()) == search.most
    # On a busy machine the likelihood took longer than the two seconds that other tools have.
    assert search.tool().seconds >= 30


def test_what_a_document_is_about_counts_alike_for_each_of_its_passages(index):
    asked = index.space.place_questions(index.encoder.read([("", "Hot?")]))[0]
    more = index.by_meaning("Hot?") - index.places @ asked
    ferry = [passage.source == "ferry.md" for passage in index.passages]
    assert np.ptp(more[ferry]) < 1e-6 and np.ptp(more) > 1e-3


def test_where_words_find_enough_the_likelihood_is_not_asked(index):
    assert "likelihood" not in index.search("ticket costs")[0].scores


@pytest.mark.parametrize("question", ["", "  "])
def test_no_question_and_no_documents_find_nothing(index, encoder, question):
    assert index.search(question) == []
    assert FusedIndex(Index({}), encoder).search("ticket") == []


def test_the_likelihood_is_that_of_the_questions_tokens_behind_the_passage(encoder):
    passage = Passage("The soup is hot.", "soup.md", 1)
    (got,) = likelihood(encoder, "Hot?", [passage])
    before = encoder.tokenizer.encode("Soup\nThe soup is hot.\nQuestion:")
    ids = torch.tensor([before + encoder.tokenizer.encode(" Hot?")])
    with torch.no_grad():
        loss = F.cross_entropy(
            encoder.model(ids)[0, len(before) - 1 : -1], ids[0, len(before) :], reduction="sum"
        )
    assert got == pytest.approx(-loss.item(), rel=1e-2)


def test_passages_of_different_length_do_not_disturb_each_other(encoder):
    short, long = Passage("Hot.", "soup.md", 1), Passage("The bread is old and dry.", "soup.md", 2)
    together = likelihood(encoder, "Hot?", [short, long])
    assert together[0] == pytest.approx(likelihood(encoder, "Hot?", [short])[0], rel=1e-2)
    alone = encoder.read([text_of(short)])[0]
    assert encoder.read([text_of(long), text_of(short)])[1] == pytest.approx(alone, abs=0.02)


def test_all_layers_with_the_head_are_the_models_own_forward(encoder):
    ids = encoder.tokenizer.encode("The soup is hot.")
    model = encoder.model
    with torch.no_grad():
        logits = model.head(model.norm(hidden_states(model, [ids], model.config.depth)))
        assert torch.allclose(logits[0], model(torch.tensor([ids]))[0], atol=0.05)


def test_texts_longer_than_the_context_are_read_from_their_end():
    narrow = small(context=60)
    long = Passage("The soup is hot. " * 20, "soup.md", 1)
    index = FusedIndex(Index({"soup.md": long.text}), narrow)
    assert np.isfinite([hit.score for hit in index.search("Who? " * 50, 5)]).all()


def test_a_page_pasted_into_the_search_costs_no_more_than_a_long_question(index):
    started = time.perf_counter()
    index.search("How long? " * 2_000)
    assert time.perf_counter() - started < 5
    longest = "x" * (LONGEST_QUESTION - 1)
    one, other = (
        likelihood(index.encoder, longest + end, index.passages) for end in ("a", "b" * 9)
    )
    assert np.array_equal(one, other)


def test_reciprocal_ranks_are_summed_and_words_count_by_the_share_that_was_found():
    scores = {"words": np.array([9.0, 0, 0]), "meaning": np.array([0.1, 0.9, 0.5])}
    sure = fuse(scores, np.array([1.0, 0, 0]))
    assert sure == pytest.approx([2 / 6 + 1 / 8, 1 / 6, 1 / 7])
    assert fuse(scores, np.array([0.1, 0, 0])).argmax() == 1  # the same rank, hardly a word shared
    assert ranks(np.array([1.0, 3.0, 3.0])).tolist() == [3, 1, 2]


def test_a_passage_that_the_likelihood_was_not_asked_about_gets_nothing_from_it():
    scores = {"likelihood": np.array([-np.inf, -3.0])}
    assert fuse(scores, np.zeros(2)).tolist() == pytest.approx([0, 1 / 6])


def test_the_head_brings_questions_nearer_to_their_sentences(monkeypatch):
    generator = np.random.default_rng(0)
    sentences = generator.normal(size=(60, 24)).astype(np.float32)
    turned = sentences @ np.linalg.qr(generator.normal(size=(24, 24)))[0].astype(np.float32)
    noise = generator.normal(size=sentences.shape).astype(np.float32)
    practised = Practised(sentences, 0.7 * sentences + 0.7 * turned + 0.5 * noise, np.arange(60))

    def loss(space: Space) -> float:
        asked, said = space.place_questions(practised.questions), space.place_passages(sentences)
        return float(F.cross_entropy(torch.from_numpy(10 * asked @ said.T), torch.arange(60)))

    learned = Space.fit(sentences, practised)
    monkeypatch.setattr(meaning, "STEPS", 0)
    assert loss(learned) < 0.8 * loss(Space.fit(sentences, practised))


def test_only_changed_passages_are_read_again(index, encoder):
    read = []
    changed = DOCUMENTS | {"soup.md": "# The canteen\n\nThe soup is cold."}
    after = index.updated(changed, lambda batches: (read.extend(batches), batches)[1])
    assert sum(map(len, read)) == 1 and len(index.passages) == 5
    assert "cold" in after.search("Is the soup cold?")[0].passage.text
    assert after.updated(DOCUMENTS).search("Is it hot?") == index.search("Is it hot?")


def test_vectors_are_kept_beside_the_index_and_give_the_same_hits(tmp_path, index):
    def watch(batches):
        read.extend(batches)
        return batches

    read: list = []
    kept = open_fused(tmp_path / "index.json", DOCUMENTS, small(), watch)
    assert read != []
    read.clear()
    again = open_fused(tmp_path / "index.json", DOCUMENTS, small(), watch)
    assert read == []
    for question in ("ticket", "How expensive is sailing?"):
        assert again.search(question) == kept.search(question) == index.search(question)


@pytest.mark.parametrize("damage", ["cut", "empty", "of another model"])
def test_damaged_vectors_or_those_of_another_model_are_made_anew(tmp_path, damage):
    path = tmp_path / "index.json"
    right = open_fused(path, DOCUMENTS, small()).search("How expensive is sailing?")
    vectors = tmp_path / "index.vectors"
    if damage == "of another model":
        open_fused(path, DOCUMENTS, small(seed=1))
    else:
        vectors.write_bytes(vectors.read_bytes()[:-100] if damage == "cut" else b"")
    assert open_fused(path, DOCUMENTS, small()).search("How expensive is sailing?") == right


def test_the_practice_has_nothing_of_the_handbooks_questions_and_sentences():
    sentences, pairs = practice()
    assert len(pairs) > 500 and {pair.sentence for pair in pairs} == set(range(len(sentences)))
    asked = paraphrases() + paraphrases(tuning=True) + questions()
    known = {frozenset(stems(text)) for q in asked for text in (q.question, q.evidence)}
    texts = [p.text for p in sentences] + [pair.question for pair in pairs]
    assert [text for text in texts if frozenset(stems(text)) in known] == []


def test_most_practice_questions_share_no_word_with_their_sentence():
    sentences, pairs = practice()
    shared = [
        pair
        for pair in pairs
        if set(stems(pair.question)) & set(stems(sentences[pair.sentence].text))
    ]
    assert len(shared) <= 0.02 * len(pairs)


def test_a_zero_vector_stays_zero():
    assert unit(np.zeros((1, 3), dtype=np.float32)).tolist() == [[0, 0, 0]]


def test_half_whitening_makes_large_directions_smaller_and_keeps_their_order():
    generator = np.random.default_rng(0)
    vectors = generator.normal(size=(500, 3)) * np.array([9.0, 4.0, 1.0])
    spread = (vectors @ meaning.half_whitening(vectors)).std(0)
    assert spread == pytest.approx([3, 2, 1], rel=0.1)
