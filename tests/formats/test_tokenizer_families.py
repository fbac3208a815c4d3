"""The ways in which families cut words, against the libraries that they come from."""

import functools
import json

import pytest

from tests.formats.strings import varied_texts
from tinylm.formats.gguf_vocabulary import PRE_TOKENIZERS, gguf_vocabulary, tokenizer_json
from tinylm.formats.tokenizer_json import byte_signs, from_library, to_library
from tinylm.text.tokenizers import BpeTokenizer

tokenizers = pytest.importorskip("tokenizers")
transformers = pytest.importorskip("transformers")
NAMES = [name for name in PRE_TOKENIZERS if name != "default"]


@functools.cache
def long_merges() -> tuple[list[str], list[str]]:
    """Tokens and merges that were learned without cutting: they show where a pattern cuts."""
    from tokenizers import models, pre_tokenizers, trainers

    made = tokenizers.Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    trainer = trainers.BpeTrainer(
        vocab_size=1500, initial_alphabet=byte_signs(), show_progress=False
    )
    made.train_from_iterator(varied_texts(3000, seed=1), trainer)
    model = json.loads(made.to_str())["model"]
    return sorted(model["vocab"], key=model["vocab"].get), [" ".join(m) for m in model["merges"]]


def metadata(pre: str, **more) -> dict:
    tokens, merges = long_merges()
    fields = {"model": "gpt2", "pre": pre, "tokens": tokens, "merges": merges, **more}
    return {f"tokenizer.ggml.{name}": value for name, value in fields.items()}


def published(pre: str) -> tokenizers.Tokenizer:
    """The tokenizer of a family as transformers makes it from a vocabulary and merges."""
    from tokenizers import models, pre_tokenizers

    tokens, merges = long_merges()
    vocab, pairs = (
        {token: id for id, token in enumerate(tokens)},
        [tuple(m.split()) for m in merges],
    )
    if pre == "qwen2":
        return transformers.Qwen2Tokenizer(vocab=vocab, merges=pairs)._tokenizer
    if pre == "gpt-2":
        return transformers.GPT2Tokenizer(vocab=vocab, merges=pairs)._tokenizer
    made = tokenizers.Tokenizer(models.BPE(vocab, pairs, ignore_merges=pre == "llama-bpe"))
    if pre == "llama-bpe":
        from transformers.convert_slow_tokenizer import TikTokenConverter

        pattern = tokenizers.Regex(TikTokenConverter().pattern)
        cut = pre_tokenizers.Split(pattern, "isolated")
        spell = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        made.pre_tokenizer = pre_tokenizers.Sequence([cut, spell])
    else:  # as in the tokenizer.json of SmolLM2
        digits = pre_tokenizers.Digits(individual_digits=True)
        words = pre_tokenizers.ByteLevel(add_prefix_space=False)
        made.pre_tokenizer = pre_tokenizers.Sequence([digits, words])
    return made


@pytest.mark.parametrize("pre", NAMES)
def test_ten_thousand_texts_encode_as_in_the_library_that_a_family_uses(pre):
    tokens, _ = long_merges()
    tokenizer, library = from_library(tokenizer_json(metadata(pre)), len(tokens)), published(pre)
    texts = varied_texts(10_000)
    theirs = library.encode_batch_fast(texts, add_special_tokens=False)
    assert [tokenizer.encode(text) for text in texts] == [encoding.ids for encoding in theirs]


@pytest.mark.parametrize("pre", NAMES)
def test_a_pattern_is_recognised_by_what_it_cuts_not_by_how_it_is_written(pre):
    tokens, merges = long_merges()
    library = json.loads(tokenizer_json(metadata(pre)))
    for part in library["pre_tokenizer"].get("pretokenizers", [library["pre_tokenizer"]]):
        part["trim_offsets"] = False  # decides nothing
    vocabulary = gguf_vocabulary(from_library(json.dumps(library), len(tokens)))
    assert (vocabulary.model, vocabulary.pre) == ("gpt2", pre)
    assert (vocabulary.tokens, vocabulary.merges) == (tokens, merges)


def test_our_own_tokenizer_is_gpt_2s_also_after_a_detour_through_hugging_face():
    own = BpeTokenizer([(98, 121), (104, 101), (32, 116)], specials=["<|document|>"])
    detour = from_library(json.dumps(to_library(own)), own.vocab_size)
    for tokenizer in (own, detour):
        vocabulary = gguf_vocabulary(tokenizer)
        assert (vocabulary.pre, vocabulary.merges) == ("gpt-2", ["b y", "h e", "Ġ t"])
        assert (vocabulary.tokens[-1], vocabulary.types[-1]) == ("<|document|>", 3)


@pytest.mark.parametrize(
    "change, reason",
    [
        ({"pre_tokenizer": {"type": "Whitespace"}}, "no name"),
        ({"pre_tokenizer": None}, "no name"),
        ({"model": {"type": "Unigram", "vocab": [["a", 0.0]], "unk_id": 0}}, "neither"),
    ],
)
def test_a_tokenizer_that_llama_cpp_cannot_run_is_refused(change, reason):
    tokens, _ = long_merges()
    library = json.loads(tokenizer_json(metadata("gpt-2"))) | change
    with pytest.raises(ValueError, match=reason):
        gguf_vocabulary(from_library(json.dumps(library), len(tokens)))


def test_a_token_that_texts_may_write_is_told_from_one_of_the_program():
    tokens, _ = long_merges()
    names, types = [*tokens, "<think>", "<|end|>"], [1] * len(tokens) + [4, 3]
    fields = metadata("gpt-2", tokens=names, token_type=types)
    tokenizer = from_library(tokenizer_json(fields), len(names))
    assert tokenizer.encode("<think>") == [len(tokens)]
    assert len(tokenizer.encode("<|end|>")) > 1
    assert gguf_vocabulary(tokenizer).types == types
