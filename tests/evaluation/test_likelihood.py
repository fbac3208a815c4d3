import math

import numpy as np
import pytest
import torch

from tests.model.test_gpt import build
from tinylm.evaluation.likelihood import measure
from tinylm.model.device import Compute, choose_compute, choose_device
from tinylm.text.batches import IGNORE
from tinylm.text.bpe_training import train_bpe_tokenizer
from tinylm.text.tokenizers import DOCUMENT, BpeTokenizer, CharTokenizer

CPU = Compute(torch.device("cpu"))
TEXT = "the sea and the net and the old grey cat by the door of the bell house sang low " * 4


def uniform(vocab_size):
    model = build(vocab_size=vocab_size)
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
    return model


@pytest.mark.parametrize(
    "tokenizer", [CharTokenizer.train(TEXT), train_bpe_tokenizer(TEXT, 270)], ids=["char", "bpe"]
)
def test_a_uniform_model_pays_the_logarithm_of_the_vocabulary_for_each_token(tokenizer):
    ids = tokenizer.encode_array(TEXT)
    score = measure(uniform(tokenizer.vocab_size), ids, tokenizer, CPU)
    assert score.tokens == len(ids) - 1 and score.bytes == len(TEXT) - len(
        tokenizer.token_bytes(int(ids[0]))
    )
    assert score.nats_per_token == pytest.approx(math.log(tokenizer.vocab_size))
    assert math.exp(score.nats_per_token) == pytest.approx(tokenizer.vocab_size)
    assert score.bits_per_byte == pytest.approx(
        score.tokens * math.log2(tokenizer.vocab_size) / score.bytes
    )


def test_the_score_is_the_sum_over_plain_windows():
    tokenizer = CharTokenizer.train(TEXT)
    model = build(vocab_size=tokenizer.vocab_size)
    ids = tokenizer.encode_array(TEXT)
    nats = 0.0
    for start in range(0, len(ids) - 1, 24):
        window = torch.tensor(ids[start : start + 25].astype(np.int64))
        chances = model(window[None, :-1])[0].log_softmax(-1)
        nats -= chances.gather(1, window[1:, None]).double().sum().item()
    assert measure(model, ids, tokenizer, CPU).nats == pytest.approx(nats, rel=1e-5)


def test_special_tokens_are_neither_paid_for_nor_counted():
    tokenizer = CharTokenizer("ab", specials=[DOCUMENT])
    begin = tokenizer.special_id(DOCUMENT)
    score = measure(
        uniform(tokenizer.vocab_size), np.array([begin, 0, 1, begin, 1]), tokenizer, CPU
    )
    assert (score.tokens, score.bytes) == (3, 3)
    assert score.nats == pytest.approx(3 * math.log(tokenizer.vocab_size))


def test_masked_tokens_are_left_out():
    tokenizer = BpeTokenizer([])
    mask = np.array([1, 1, 0, 1, 0])
    score = measure(uniform(256), np.arange(5), tokenizer, CPU, mask)
    assert score.tokens == 2 and IGNORE < 0


def test_scoring_leaves_the_model_in_the_mode_it_was_in():
    model = build(vocab_size=256, dropout=0.5)
    for training in (True, False):
        model.train(training)
        scores = {measure(model, np.arange(100), BpeTokenizer([]), CPU).nats for _ in range(3)}
        assert len(scores) == 1 and model.training is training


def test_one_token_is_too_few_to_score():
    with pytest.raises(ValueError, match="1 tokens are too few"):
        measure(build(), np.array([1]), BpeTokenizer([]), CPU)


def test_a_device_that_is_not_there_is_refused_with_those_that_are():
    with pytest.raises(ValueError, match="none of auto, cpu"):
        choose_device("gpu")
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match=r"is not on this machine; there is: .*cpu"):
            choose_device("cuda")
    assert choose_compute("cpu", "fp32").dtype == torch.float32
    assert choose_compute("cpu", "bf16").dtype == torch.bfloat16
    assert choose_compute("cpu", "auto") == choose_compute("cpu", "auto")
