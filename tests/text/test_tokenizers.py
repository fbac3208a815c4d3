"""Tokenizers: no text is lost, files are checked, and the ids are those of the `tokenizers`
library."""

import copy
import hashlib
import json
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinylm.text.bpe import Pair
from tinylm.text.bpe_training import train_bpe_tokenizer
from tinylm.text.explain import show, token_label
from tinylm.text.tokenizer_files import (
    encode_marked,
    load_tokenizer,
    save_tokenizer,
    tokenizer_from_dict,
)
from tinylm.text.tokenizers import BpeTokenizer, CharTokenizer, StreamDecoder, Tokenizer

# for slow machines; same strings each time
settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")

TEXT = (
    "Mara mends the nets along the wall; the goat eats 3 nets, naïvely. Where's the ladle? — "
    "Under the 🐐!\n\n" * 3
)
SPECIALS = ("<|document|>", "<|user|>", "<|user|>>")
CHAR = CharTokenizer.train(TEXT, SPECIALS)
BPE = train_bpe_tokenizer([TEXT, TEXT], 300, SPECIALS)
BOTH = pytest.mark.parametrize("tokenizer", [CHAR, BPE], ids=["char", "bpe"])
any_unicode = st.text(alphabet=st.characters(exclude_categories=["Cs"]))
# without unassigned code points: libraries with newer tables give them a class
known_to_all = st.one_of(
    st.text(alphabet=st.characters(exclude_categories=["Cs", "Cn"])),
    st.text(alphabet="the nas'lrv31é\n\t —🐐", max_size=60),
)


# ---- text -> ids -> text ----


@BOTH
@given(text=any_unicode)
def test_any_text_comes_back_unchanged_by_every_way_in(tokenizer: Tokenizer, text: str) -> None:
    ids = tokenizer.encode(text)
    array = tokenizer.encode_array(text)
    assert tokenizer.decode(ids) == tokenizer.decode(array) == text
    assert array.tolist() == ids and array.dtype == np.uint16 and array.ndim == 1
    assert tokenizer.bytes_per_token()[ids].sum() == len(text.encode("utf-8"))
    assert b"".join(map(tokenizer.token_bytes, ids)).decode() == text


@BOTH
@given(data=st.data())
def test_a_stream_of_any_ids_gives_the_text_of_decode_and_no_broken_characters(
    tokenizer: Tokenizer, data: st.DataObject
) -> None:
    ids = data.draw(st.lists(st.integers(0, tokenizer.vocab_size - 1)))
    stream = StreamDecoder(tokenizer)
    assert "".join(map(stream.push, ids)) + stream.flush() == tokenizer.decode(ids)


def test_a_stream_holds_a_character_back_until_it_is_whole() -> None:
    stream = StreamDecoder(BpeTokenizer([]))
    assert [stream.push(id) for id in "a🐐b".encode()] == ["a", "", "", "", "🐐", "b"]
    assert [stream.push(0xF0), stream.flush(), stream.push(97), stream.flush()] == [
        "",
        "\ufffd",
        "a",
        "",
    ]


@BOTH
def test_bytes_of_no_character_become_the_replacement_sign(tokenizer: Tokenizer) -> None:
    offset = len(CHAR.characters) if tokenizer is CHAR else 0
    assert tokenizer.decode([offset + 0xE2, offset + ord("a")]) == "\ufffda"


@BOTH
@pytest.mark.parametrize("wrong", [-1, 10_000])
def test_an_id_outside_the_vocabulary_is_refused_with_the_range(
    tokenizer: Tokenizer, wrong: int
) -> None:
    calls: list[Callable[[], object]] = [
        lambda: tokenizer.decode([0, wrong]),
        lambda: tokenizer.token_bytes(wrong),
        lambda: token_label(tokenizer, wrong),
        lambda: StreamDecoder(tokenizer).push(wrong),
    ]
    for call in calls:
        with pytest.raises(
            ValueError, match=f"^id {wrong} .* ids run from 0 to {tokenizer.vocab_size - 1}$"
        ):
            call()


@BOTH
def test_half_a_character_is_refused_in_one_line_that_says_where(tokenizer: Tokenizer) -> None:
    learn = (
        partial(train_bpe_tokenizer, vocab_size=256) if tokenizer is BPE else CharTokenizer.train
    )
    for call in (tokenizer.encode, tokenizer.encode_array, partial(show, tokenizer), learn):
        with pytest.raises(
            ValueError, match=r"^character 2 of the text is a lone surrogate \(U\+D83D\).*$"
        ):
            call("ab\ud83d")


def test_a_long_text_is_encoded_as_its_stretches_are_not_seen() -> None:
    text = TEXT * 8000  # 2.5 million characters, several stretches
    once = BPE.encode_array(TEXT)
    assert np.array_equal(BPE.encode_array(text), np.tile(once, 8000))


# ---- the vocabulary ----


def test_characters_come_by_code_point_then_the_bytes_then_the_specials() -> None:
    tokenizer = CharTokenizer.train(["tea", "éa"], ["<|end|>"])
    assert tokenizer.characters == "aeté" and tokenizer.vocab_size == 4 + 256 + 1
    assert tokenizer.encode("éa") == [3, 0]
    assert tokenizer.encode("x🐐") == [4 + byte for byte in "x🐐".encode()]
    assert tokenizer.special_id("<|end|>") == 260


def test_bytes_come_first_then_the_merges_then_the_specials() -> None:
    assert BPE.vocab_size == 300 and len(BPE.merges) == 300 - 256 - len(SPECIALS)
    assert BPE.encode("\x00é") == [0, 0xC3, 0xA9]
    assert [BPE.special_id(name) for name in SPECIALS] == [297, 298, 299]
    assert BPE.token_bytes(256) == b"".join(BPE.token_bytes(id) for id in BPE.merges[0])


def test_a_vocabulary_above_65536_ids_uses_32_bits() -> None:
    pairs: list[Pair] = [(left, right) for left in range(256) for right in range(256)]
    tokenizer = BpeTokenizer(pairs[: 2**16 - 256])
    wider = BpeTokenizer(pairs)
    assert tokenizer.encode_array("ab").dtype == np.uint16
    assert wider.encode_array("ÿÿ").dtype == np.uint32
    assert wider.decode(wider.encode("ab ÿ")) == "ab ÿ" and max(wider.encode("~~")) > 2**14
    one_more = BpeTokenizer(pairs[: 2**16 - 256], specials=["<|document|>"])
    assert one_more.special_id("<|document|>") == 2**16
    assert one_more.encode_array("ab").dtype == np.uint32


@pytest.mark.parametrize("character", ["\x7f", "\x80", "\u07ff", "\u0800", "\uffff", "\U00010000"])
def test_the_first_and_last_character_of_each_length_are_written_as_their_bytes(character) -> None:
    tokenizer = CharTokenizer("a")
    spelt = [1 + byte for byte in character.encode("utf-8")]
    assert tokenizer.encode(f"a{character}a") == [0, *spelt, 0]


@BOTH
def test_special_names_are_text_unless_allowed(tokenizer: Tokenizer) -> None:
    text = "a<|user|>>b<|document|>"
    assert max(tokenizer.encode(text)) < tokenizer.special_id(SPECIALS[0])
    assert tokenizer.decode(tokenizer.encode(text)) == text
    allowed = encode_marked(tokenizer, text)
    longest, document = tokenizer.special_id("<|user|>>"), tokenizer.special_id("<|document|>")
    assert allowed == [*tokenizer.encode("a"), longest, *tokenizer.encode("b"), document]
    assert tokenizer.decode(allowed) == "ab"
    assert tokenizer.token_bytes(longest) == b"" and tokenizer.bytes_per_token()[longest] == 0


def test_specials_are_checked_and_looked_up_with_a_hint() -> None:
    with pytest.raises(
        ValueError, match=r'is no special token \(did you mean "<\|document\|>"\?\)'
    ):
        CHAR.special_id("<|docment|>")
    with pytest.raises(ValueError, match=r"there are: none$"):
        BpeTokenizer([]).special_id("<|end|>")
    for names in (["a", "a"], [""]):
        with pytest.raises(ValueError, match="different names that are not empty"):
            CharTokenizer("ab", names)


def test_labels_can_be_printed_and_tell_bytes_from_characters() -> None:
    tokenizer = CharTokenizer.train("A \n\t\x07🐐", ["<|end|>"])
    labels = [token_label(tokenizer, id) for id in range(tokenizer.vocab_size)]
    assert labels[:6] == ["<U+0007>", "⇥", "⏎", "␣", "A", "🐐"]
    assert labels[6 + 0x41] == "<0x41>" and labels[-1] == "<|end|>"
    assert len(set(labels)) == len(labels)
    assert [token_label(BPE, 0xE2), token_label(BPE, ord(" "))] == ["<0xE2>", "␣"]
    assert all(token_label(BPE, id).isprintable() for id in range(BPE.vocab_size))


def test_show_lets_a_learner_watch_each_merge_and_each_fallback() -> None:
    shown = show(BPE, "the nets")
    assert shown[0] == "word the: t h e" and any(
        line.startswith("word ␣nets: ␣ n e t s") for line in shown
    )
    last = [line for line in shown[1:] if line.startswith("  ")][-1]
    assert last.endswith(": " + " ".join(token_label(BPE, id) for id in BPE.encode(" nets")))
    assert (
        show(CharTokenizer("ab"), "aß")[1]
        == "ß → <0xC3> (id 197) <0x9F> (id 161), not in the vocabulary"
    )
    assert show(BPE, "") == show(CHAR, "") == []


# ---- training: what cannot be done is said in one line ----


def test_a_vocabulary_too_large_for_the_text_says_how_many_merges_were_possible() -> None:
    with pytest.raises(
        ValueError,
        match=r"^vocab_size 1000 asks for 743 merges, but only 3 merges were possible in "
        r"this text; use vocab_size 260 or less, or a longer text$",
    ):
        train_bpe_tokenizer("aaabdaaabac", 1000, ["<|end|>"])
    assert train_bpe_tokenizer("aaabdaaabac", 260, ["<|end|>"]).vocab_size == 260


def test_a_vocabulary_smaller_than_the_bytes_is_refused() -> None:
    with pytest.raises(
        ValueError,
        match=r"^vocab_size 256 is too small: BPE needs at least 257 ids, for 256 bytes and 1",
    ):
        train_bpe_tokenizer(TEXT, 256, ["<|end|>"])


@pytest.mark.parametrize("text", ["", "a", " ", "  \n\n\t ", "aaaa"])
def test_tiny_and_blank_texts_end_in_a_tokenizer(text: str) -> None:
    for tokenizer in (CharTokenizer.train(text), train_bpe_tokenizer(text, 256)):
        assert tokenizer.decode(tokenizer.encode(text + "é")) == text + "é"
        assert tokenizer.encode("") == [] and tokenizer.encode_array("").shape == (0,)
        assert tokenizer.decode([]) == "" and tokenizer_from_dict(tokenizer.to_dict()).encode(
            text
        ) == tokenizer.encode(text)


def test_training_takes_a_text_or_its_documents() -> None:
    assert CharTokenizer.train(iter(["ab", "c"])).to_dict() == CharTokenizer.train("abc").to_dict()
    assert (
        train_bpe_tokenizer(iter([TEXT]), 280).to_dict() == train_bpe_tokenizer(TEXT, 280).to_dict()
    )


# ---- files ----


@BOTH
def test_save_and_load_keep_everything_and_the_fingerprint_is_that_of_the_file(
    tokenizer: Tokenizer, tmp_path: Path
) -> None:
    path = tmp_path / "tokenizer ü.json"
    save_tokenizer(tokenizer, path)
    loaded = load_tokenizer(path)
    assert type(loaded) is type(tokenizer) and loaded.to_dict() == tokenizer.to_dict()
    assert (
        tokenizer_from_dict(dict(reversed(tokenizer.to_dict().items()))).fingerprint()
        == tokenizer.fingerprint()
    )
    assert loaded.encode(TEXT) == tokenizer.encode(TEXT) and loaded.specials == tokenizer.specials
    assert (
        loaded.fingerprint()
        == tokenizer.fingerprint()
        == hashlib.sha256(path.read_bytes()).hexdigest()
    )


def test_different_tokenizers_have_different_fingerprints() -> None:
    tokenizers = [
        CHAR,
        BPE,
        CharTokenizer("ab"),
        CharTokenizer("abc"),
        CharTokenizer("ab", ["c"]),
        BpeTokenizer([]),
    ]
    assert len({tokenizer.fingerprint() for tokenizer in tokenizers}) == len(tokenizers)


def damaged(**changes: Any) -> dict[str, Any]:
    description = copy.deepcopy(BpeTokenizer([(97, 98), (256, 99)], ["<|end|>"]).to_dict())
    description.update(changes)
    return {key: value for key, value in description.items() if value != "absent"}


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ([], "no TinyLM tokenizer"),
        ({}, "no TinyLM tokenizer"),
        (damaged(format="other"), "no TinyLM tokenizer"),
        (damaged(version=2), "version 2 is newer than 1: update TinyLM"),
        (damaged(version="1"), "damaged"),
        (damaged(version=True), "damaged"),
        (damaged(version="absent"), "damaged"),
        (damaged(kind="word"), "damaged"),
        (damaged(kind="absent"), "damaged: KeyError, 'kind'"),
        (damaged(kind=["bpe"]), "damaged"),
        (damaged(merges="absent"), "damaged: KeyError, 'merges'"),
        (damaged(merges=None), "damaged"),
        (damaged(merges="ab"), "damaged"),
        (damaged(merges={"ab": 1}), "damaged"),
        (damaged(merges=[[97, 98, 99]]), "damaged"),
        (damaged(merges=[[97.0, 98.0]]), "damaged"),
        (damaged(merges=[[True, 98]]), "damaged"),
        (damaged(merges=[["a", "b"]]), "damaged"),
        (damaged(merges=[[97, 256]]), "merge 0 joins ids 97 and 256"),
        (damaged(merges=[[97, float("nan")]]), "damaged"),
        (damaged(merges=[[97, 97], *([n, n] for n in range(256, 400))]), "grow beyond"),
        (damaged(merges=[[97, 98], [97, 98]]), "spells a token that exists already"),
        (damaged(specials="<|end|>"), "damaged|different names"),
        (damaged(specials=[1]), "damaged"),
        (damaged(specials=[["a"]]), "damaged"),
        (damaged(specials=None), "damaged"),
        (damaged(specials=["a", "a"]), "different names"),
        (damaged(extra=1), "damaged"),
        (damaged(kind="char"), "damaged"),
        (damaged(kind="char", merges="absent", characters="aab"), "different and in the order"),
        (damaged(kind="char", merges="absent", characters="ba"), "different and in the order"),
        (damaged(kind="char", merges="absent", characters=["a", "b"]), "damaged"),
        (damaged(kind="char", merges="absent", characters="a\udc00"), "lone surrogate"),
        (damaged(kind="char", merges="absent", characters=7), "damaged"),
    ],
)
def test_a_damaged_file_ends_in_one_line_with_its_name(
    description: Any, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(description), encoding="utf-8")
    with pytest.raises(ValueError, match=message) as error:
        load_tokenizer(path)
    assert str(error.value).startswith(str(path)) and "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 200_000, b"9" * 10_000])
def test_a_file_that_is_no_json_ends_in_one_line(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_bytes(content)
    with pytest.raises(ValueError) as error:
        load_tokenizer(path)
    assert str(error.value).startswith(str(path)) and "\n" not in str(error.value)


# ---- the field's own library ----


def in_their_library(tokenizer: BpeTokenizer) -> Any:
    """The same vocabulary and merges in Hugging Face `tokenizers`, whose byte level writes each
    byte as a letter."""
    theirs = pytest.importorskip("tokenizers")
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    letter = {byte: chr(byte) for byte in printable} | {
        byte: chr(256 + n) for n, byte in enumerate(others)
    }
    names = [
        "".join(letter[byte] for byte in tokenizer.token_bytes(id))
        for id in range(256 + len(tokenizer.merges))
    ]
    merges = [(names[left], names[right]) for left, right in tokenizer.merges]
    built = theirs.Tokenizer(
        theirs.models.BPE(vocab={name: id for id, name in enumerate(names)}, merges=merges)
    )
    built.pre_tokenizer = theirs.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    return built


def test_bpe_ids_are_those_of_the_tokenizers_library() -> None:
    theirs = in_their_library(BPE)

    @given(known_to_all)
    def same(text: str) -> None:
        assert BPE.encode(text) == theirs.encode(text).ids

    same()


@pytest.mark.skipif(
    "TINYLM_TEXTS" not in os.environ, reason="TINYLM_TEXTS names no folder of texts"
)
def test_a_whole_book_has_the_ids_of_the_tokenizers_library() -> None:
    text = (Path(os.environ["TINYLM_TEXTS"]) / "tinyshakespeare.txt").read_text(encoding="utf-8")
    tokenizer = train_bpe_tokenizer(text, 1024)
    assert tokenizer.encode(text) == in_their_library(tokenizer).encode(text).ids
    assert tokenizer.decode(tokenizer.encode_array(text)) == text
