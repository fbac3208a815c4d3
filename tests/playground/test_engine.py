"""The engine in JavaScript computes what the Python computes: ids, logits, narrowing, text, metre.
Run in Node."""

import random

import numpy as np
import pytest
import torch

from tests.playground.conftest import FAMILIES, VERSE, as_request, family, in_node
from tinylm.config import Sampling
from tinylm.evaluation.meter import scan, shuffled
from tinylm.generation import narrow, stream
from tinylm.playground.export import tokenizer_facts
from tinylm.playground.meter_table import table_of
from tinylm.playground.weights import pack, with_weights
from tinylm.text.bpe_training import train_bpe
from tinylm.text.explain import token_label
from tinylm.text.tokenizer_files import encode_marked
from tinylm.text.tokenizers import BpeTokenizer, CharTokenizer

SPECIALS = ["<|document|>"]
TEXT = "The tide comes in, and Mara's 3 nets dry; naïve café, 東京 東京 ٣٤ 🙂🙂\t\n\n  indeed " * 5


def tokenizers():
    return [BpeTokenizer(train_bpe(TEXT, 60), SPECIALS), CharTokenizer.train(TEXT, SPECIALS)]


def random_texts(count: int) -> list[str]:
    """Strings of the text's own pieces, of blanks of all kinds and of characters from the whole of
    Unicode."""
    draw = np.random.default_rng(5)
    blanks = " \u00a0\u0085\u2003\u3000\ufeff\u200b\x1c\r\n\t"
    wide = [int(c) for c in draw.integers(0, 0x110000, 4 * count) if not 0xD800 <= c < 0xE000]
    texts = []
    for i in range(count):
        start = int(draw.integers(len(TEXT)))
        strange = "".join(map(chr, wide[3 * i : 3 * i + 3]))
        parts = [TEXT[start : start + 12], strange, blanks[i % len(blanks)] * (i % 3), "'ll 9"]
        texts.append("".join(parts[int(place)] for place in draw.permutation(4)))
    return texts


@pytest.mark.parametrize("which", [0, 1], ids=["bpe", "char"])
def test_a_thousand_random_strings_become_the_same_ids_and_the_same_text(which):
    tokenizer, texts = tokenizers()[which], ["", "a" * 20_000, *random_texts(1000)]
    expected = [tokenizer.encode(text) for text in texts]
    facts = tokenizer_facts(tokenizer)
    assert in_node("encode", tokenizer=facts, texts=texts) == expected
    torn = [ids[1:-1] for ids in expected]  # may begin and end inside a character
    assert in_node("decode", tokenizer=facts, ids=torn) == [tokenizer.decode(ids) for ids in torn]


def test_tokens_are_labelled_as_in_python():
    for tokenizer in tokenizers():
        ids = [id for text in (TEXT, "<|document|>é") for id in encode_marked(tokenizer, text)]
        labels = in_node("label", tokenizer=tokenizer_facts(tokenizer), ids=ids)
        assert labels == [token_label(tokenizer, id) for id in ids]


def parity_case(name: str, which: int):
    """A model of a family with a tokenizer, rounded: what the engine is asked, and PyTorch's logits
    and greedy ids."""
    tokenizer = tokenizers()[which]
    model = family(name, tokenizer.vocab_size)
    packed = pack(model, "int8" if which else "fp16")
    rounded = with_weights(model, packed.rounded)
    ids = (tokenizer.encode(TEXT) * 2)[:200]
    request = {
        "config": model.config.model_dump(),
        "ids": ids,
        "prompt": 180,
        "greedy": 64,
        **as_request(packed),
    }
    with torch.inference_mode():
        expected = rounded(torch.tensor([ids]))[0]  # (200, V)
    assert expected.std() > 0.5
    # goes on past the context
    greedy = stream(rounded, [ids[:180]], Sampling(temperature=0), [torch.Generator()])
    return request, expected, ids[:180] + [int(next(greedy)[0]) for _ in range(64)]


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("which", [0, 1], ids=["bpe", "char"])
def test_logits_equal_those_of_pytorch_with_the_same_rounded_weights(name, which):
    request, expected, greedy = parity_case(name, which)
    answer = in_node("logits", **request)
    torch.testing.assert_close(torch.tensor(answer["rows"]), expected, atol=1e-3, rtol=0)
    assert answer["greedy"] == greedy


def test_the_settings_narrow_a_distribution_as_generation_does():
    logits = torch.randn(1, 50, generator=torch.Generator().manual_seed(1)) * 2
    settings = [
        Sampling(temperature=t, top_k=k, top_p=p, min_p=m)
        for t in (0, 0.7, 1.4)
        for k in (None, 1, 7)
        for p in (0.6, 1.0)
        for m in (0.0, 0.2)
    ]
    asked = [
        {"temperature": s.temperature, "topK": s.top_k or 0, "topP": s.top_p, "minP": s.min_p}
        for s in settings
    ]
    answers = in_node("narrow", logits=logits[0].tolist(), settings=asked)
    for sampling, chances in zip(settings, answers):
        expected = narrow(logits, sampling).softmax(-1)[0]
        torch.testing.assert_close(
            torch.tensor(chances, dtype=torch.float32), expected, atol=1e-5, rtol=0
        )


def test_random_numbers_are_even_and_depend_on_the_seed():
    first, again, other = (
        np.array(in_node("uniform", seed=seed, count=4000)) for seed in (1, 1, 2)
    )
    assert (first == again).all() and abs(np.corrcoef(first, other)[0, 1]) < 0.05
    assert abs(np.corrcoef(first[1:], first[:-1])[0, 1]) < 0.05
    assert np.histogram(first, bins=10, range=(0, 1))[0].min() > 320


def test_verse_lines_get_the_same_verdict_and_pattern_as_in_python():
    mixed = [
        shuffled(line, random.Random(seed)) for line in VERSE.split("\n") for seed in range(20)
    ]
    hard = ["the net the net the net the net", "O, th' evening - “i'th' sea’s” roar", "so " * 30]
    lines = [*VERSE.split("\n"), *mixed, *hard]
    answers = in_node("scan", table=table_of(lines), lines=lines)
    scans = [scan(line) for line in lines]
    assert {s.ok for s in scans} == {True, False}
    assert [answer["ok"] for answer in answers] == [s.ok for s in scans]
    assert [answer["pattern"] for answer in answers[:-1]] == [s.pattern for s in scans[:-1]]


def test_a_line_with_a_word_outside_the_table_gets_no_verdict():
    assert (
        in_node("scan", table=table_of([VERSE]), lines=["I never far, but will be forout"])[0]["ok"]
        is None
    )
