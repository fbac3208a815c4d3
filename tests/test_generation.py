import itertools

import pytest
import torch

from tests.model.test_gpt import FAMILIES, build
from tinylm.config import LoraConfig, Sampling
from tinylm.generation import (
    Continuation,
    Request,
    continue_text,
    draw,
    generate,
    narrow,
    penalise,
    stream,
)
from tinylm.model.decoder import Decoder
from tinylm.model.lora import attach_lora
from tinylm.text.tokenizers import BpeTokenizer, CharTokenizer

LOGITS = torch.log(torch.tensor([[0.5, 0.25, 0.15, 0.1]]))


def kept(**sampling) -> list[int]:
    return (
        narrow(LOGITS, Sampling(temperature=1.0, **sampling))
        .isfinite()[0]
        .nonzero()
        .flatten()
        .tolist()
    )


def test_each_filter_keeps_the_tokens_of_its_definition():
    assert kept() == [0, 1, 2, 3]
    assert kept(top_k=2) == [0, 1] and kept(top_k=99) == [0, 1, 2, 3]
    assert kept(top_p=0.5) == [0] and kept(top_p=0.51) == [0, 1] and kept(top_p=1e-9) == [0]
    assert kept(min_p=0.4) == [0, 1] and kept(min_p=1.0) == [0]


def test_ties_at_the_edge_of_top_k_keep_exactly_k():
    assert narrow(torch.zeros(1, 5), Sampling(top_k=2)).isfinite().sum() == 2


def test_temperature_zero_is_greedy_and_temperature_rescales():
    assert narrow(LOGITS, Sampling(temperature=0)).isfinite().tolist() == [
        [True, False, False, False]
    ]
    assert torch.allclose(narrow(LOGITS, Sampling(temperature=0.5)), LOGITS * 2)


def test_a_penalty_makes_seen_tokens_less_likely_whatever_the_sign():
    out = penalise(torch.tensor([[2.0, -2.0, 1.0]]), torch.tensor([[0, 1, 1]]), 2.0)
    assert out.tolist() == [[1.0, -4.0, 1.0]]


def test_tokens_are_drawn_with_their_probabilities():
    generators = [torch.Generator().manual_seed(seed) for seed in range(4000)]
    drawn = draw(LOGITS.repeat(4000, 1), generators)
    shares = torch.bincount(drawn, minlength=4) / 4000
    # four standard errors
    assert torch.allclose(shares, torch.tensor([0.5, 0.25, 0.15, 0.1]), atol=0.03)


def test_an_excluded_token_is_never_drawn():
    logits = torch.tensor([[float("-inf"), 0.0, float("-inf")]]).repeat(500, 1)
    assert set(draw(logits, [torch.Generator().manual_seed(s) for s in range(500)]).tolist()) == {1}


def greedy(model, prompt, length):
    tokens = stream(model, [prompt], Sampling(temperature=0), [torch.Generator()])
    return [int(token) for token in itertools.islice(tokens, length)]


def uncached(model, prompt, length):
    """The definition of greedy generation, one full pass per token."""
    ids, window, context = list(prompt), list(prompt), model.config.context
    for _ in range(length):
        if len(window) > context:
            window = ids[-(context // 2) :]
        best = int(model(torch.tensor([window]))[0, -1].argmax())
        ids.append(best)
        window.append(best)
    return ids[len(prompt) :]


@pytest.mark.parametrize("family", FAMILIES)
def test_cached_generation_equals_uncached_also_past_the_context(family):
    model = build(**FAMILIES[family])
    assert greedy(model, [3, 1, 4], 60) == uncached(model, [3, 1, 4], 60)


def test_a_prompt_longer_than_the_context_is_read_from_its_last_half():
    model, prompt = build(), list(range(40))
    assert greedy(model, prompt, 5) == uncached(model, prompt[-12:], 5)


def test_a_model_with_adapters_generates_with_them():
    model = build()
    attach_lora(model, LoraConfig(rank=4), torch.Generator().manual_seed(0))
    plain = greedy(model, [3, 1, 4], 30)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith(".b"):
                weight.fill_(0.05)
    assert greedy(model, [3, 1, 4], 30) == uncached(model, [3, 1, 4], 30) != plain


def test_on_a_cpu_the_decoder_reads_every_token_behind_the_prompt(monkeypatch):
    calls, call = [], Decoder.__call__
    monkeypatch.setattr(
        Decoder, "__call__", lambda self, ids: calls.append(len(ids)) or call(self, ids)
    )
    greedy(build(), [3, 1, 4], 10)
    assert calls == [1] * 9


def test_the_callers_number_of_threads_is_his_again_after_every_token():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        for _ in itertools.islice(stream(build(), [[1]], Sampling(), [torch.Generator()]), 3):
            assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_a_penalty_above_one_keeps_greedy_generation_from_repeating_itself():
    tokens = stream(
        build(), [[3, 1]], Sampling(temperature=0, repetition_penalty=1e9), [torch.Generator()]
    )
    drawn = [int(token) for token in itertools.islice(tokens, 20)]
    assert len({3, 1, *drawn}) == 22


def words_model():
    tokenizer = CharTokenizer("abcdefghijklmnopqrstuvwxyz ".strip(), specials=["<|document|>"])
    return build(vocab_size=tokenizer.vocab_size), tokenizer


def test_the_same_seed_gives_the_same_text_alone_or_in_a_batch():
    model, tokenizer = words_model()
    together = generate(model, tokenizer, Request("abc", tokens=30, seed=5, count=3))
    alone = [generate(model, tokenizer, Request("abc", tokens=30, seed=5 + i))[0] for i in range(3)]
    assert [row.text for row in together] == [row.text for row in alone]
    assert len({row.text for row in together}) == 3
    assert [row.seed for row in together] == [5, 6, 7]


def test_a_text_that_ends_in_half_a_character_shows_the_half():
    """Of bytes as tokens, a sample of one token is often the first byte of a longer character."""
    model, tokenizer = build(vocab_size=256), BpeTokenizer([])
    request = Request("a", tokens=1, sampling=Sampling(temperature=1.5), count=64)
    generators = [torch.Generator().manual_seed(seed) for seed in range(64)]
    (ids,) = itertools.islice(stream(model, [[97]] * 64, request.sampling, generators), 1)
    texts = [row.text for row in generate(model, tokenizer, request)]
    assert texts == [tokenizer.decode([id]) for id in ids.tolist()] and "\ufffd" in texts


def test_streamed_text_only_grows_and_is_what_was_generated():
    model, tokenizer = words_model()
    shown = ""
    for rows in continue_text(model, tokenizer, Request("ab", tokens=40, stop=("qq",))):
        assert rows[0].text.startswith(shown)
        shown = rows[0].text
    assert rows[0].finish_reason in ("length", "stop") and rows[0].tokens <= 40
    assert shown == generate(model, tokenizer, Request("ab", tokens=40, stop=("qq",)))[0].text


def test_a_continuation_ends_where_the_model_begins_a_new_document():
    model, tokenizer = words_model()
    with torch.no_grad():  # after "a" the document token is certain
        model.head.weight[tokenizer.special_id("<|document|>")] = 100 * model.norm(
            model.tokens.weight[0]
        )
    row = generate(model, tokenizer, Request("a", tokens=30, begin="<|document|>", seed=1))[0]
    assert row.finish_reason == "document" and "document" not in row.text


@pytest.mark.parametrize(
    ("pieces", "stop", "text", "reason"),
    [
        # a failed match must be tried again from inside itself
        (["a", "a", "a", "b"], ("aab",), "a", "stop"),
        (["one END two"], ("END",), "one ", "stop"),
        (["one E", "N", "D"], ("END",), "one ", "stop"),
        (["one E", "N", "T"], ("END",), "one ENT", ""),
        (["xENDyEN"], ("yEN", "END"), "x", "stop"),  # the earliest wins, not the first in the list
    ],
)
def test_stop_strings_end_a_text_also_across_pieces(pieces, stop, text, reason):
    row = Continuation("", 0)
    for piece in pieces:
        row.add(piece, stop)
    assert (row.text, row.finish_reason) == (text, reason)


def test_what_may_become_a_stop_string_is_held_back_until_it_is_clear():
    row = Continuation("", 0)
    row.add("one EN", ("END",))
    assert (row.text, row.held) == ("one ", "EN")
    row.add("", ())
    assert (row.text, row.held) == ("one EN", "")


def test_streaming_never_splits_a_character():
    tokenizer = BpeTokenizer([])
    model = build(vocab_size=256)
    rows = None
    for rows in continue_text(
        model, tokenizer, Request("é", tokens=50, sampling=Sampling(temperature=2.0))
    ):
        assert not rows[0].text.endswith("�") or rows[0].text.encode("utf-8")
    assert rows[0].tokens == 50


def test_an_empty_prompt_is_refused_unless_documents_begin_with_a_token():
    model, tokenizer = words_model()
    with pytest.raises(ValueError, match="prompt is empty"):
        generate(model, tokenizer, Request(""))
    assert generate(model, tokenizer, Request("", tokens=3, begin="<|document|>"))[0].tokens <= 3


def test_a_prompt_as_long_as_the_context_is_read_whole():
    model = build()
    context = model.config.context
    for seed in range(20):
        random = torch.Generator().manual_seed(seed)
        ids = torch.randint(model.config.vocab_size, (1, context), generator=random)
        assert greedy(model, ids[0].tolist(), 1) == [int(model(ids)[0, -1].argmax())]


@pytest.mark.parametrize("spread", [0.1, 6.0])
def test_the_nucleus_of_a_large_vocabulary_is_that_of_sorting_all_of_it(spread):
    # flat: more than a thousand tokens are needed to reach p; peaked: a few are enough
    logits = spread * torch.randn(4, 5000, generator=torch.Generator().manual_seed(1))
    kept = narrow(logits, Sampling(temperature=1.0, top_p=0.9)).isfinite()
    shares = logits.softmax(-1).sort(descending=True).values
    counts = ((shares.cumsum(-1) - shares) < 0.9).sum(-1)
    assert torch.equal(kept.sum(-1), counts) and bool((counts > 1024).all()) == (spread < 1)
    lowest = logits.masked_fill(~kept, float("inf")).amin(-1)
    assert bool((logits.masked_fill(kept, float("-inf")).amax(-1) <= lowest).all())
