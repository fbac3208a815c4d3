from pathlib import Path

import numpy as np
import pytest

from tests.conftest import tiny_recipe
from tinylm.config import CorpusConfig
from tinylm.corpora.build import (
    Split,
    build_corpus,
    cut_text,
    document_hash,
    endless,
    split_corpus,
    text_hash,
    whole,
    within,
)
from tinylm.text.tokenizers import DOCUMENT


def sides(**fields) -> tuple[list[str], list[str]]:
    split = split_corpus(CorpusConfig(**fields))
    return list(split.train()), list(split.valid())


def test_one_text_is_cut_once_at_ninety_percent_of_its_characters(tmp_path):
    text = "é\n word" * 500
    (tmp_path / "a.txt").write_text(text, encoding="utf-8")
    train, valid = sides(text=str(tmp_path / "a.txt"))
    cut = int(len(text) * 0.9)
    assert "".join(train) == text[:cut] and "".join(valid) == text[cut:]


def test_chunks_of_a_long_text_end_where_no_token_can_cross(tmp_path, text_file):
    text = "\n\n".join(f"line {i}  of words\n and more\t" for i in range(120_000))
    (tmp_path / "long.txt").write_text(text, encoding="utf-8")
    split = cut_text(tmp_path / "long.txt", 0.1, "utf-8")
    chunks = list(split.train())
    assert len(chunks) > 1 and "".join(chunks) == text[: int(len(text) * 0.9)]
    from tinylm.text.bpe_training import train_bpe_tokenizer

    tokenizer = train_bpe_tokenizer(chunks[0][:20_000], 300)
    pieces = np.concatenate([tokenizer.encode_array(chunk) for chunk in chunks])
    assert np.array_equal(pieces, tokenizer.encode_array("".join(chunks)))


def test_documents_stand_on_one_side_only_copies_included(tmp_path):
    texts = [f"poem {i % 40}" for i in range(80)]  # each one twice
    (tmp_path / "poems.txt").write_text("\n\n".join(texts), encoding="utf-8")
    train, valid = sides(text=str(tmp_path / "poems.txt"), separator="\n\n")
    assert len(set(valid)) == 4 and not set(train) & set(valid)
    assert sorted(train + valid) == sorted(texts)
    assert sides(text=str(tmp_path / "poems.txt"), separator="\n\n", seed=1)[1] != valid


def test_a_folder_is_split_by_its_files(tmp_path):
    for i in range(10):
        (tmp_path / f"{i}.md").write_text(f"document number {i}", encoding="utf-8")
    train, valid = sides(text=str(tmp_path))
    assert (len(train), len(valid)) == (9, 1)


def test_the_longer_side_of_few_documents_is_for_training_and_what_was_skipped_is_told(tmp_path):
    for seed in range(6):
        (tmp_path / "long.txt").write_text("a long document " * 90, encoding="utf-8")
        (tmp_path / "short.txt").write_text("ab", encoding="utf-8")
        (tmp_path / "bad.txt").write_bytes(b"\xff\xfe\xff")
        assert [len(side[0]) for side in sides(text=str(tmp_path), seed=seed)] == [1440, 2]
    corpus = build_corpus(tiny_recipe(tmp_path), tmp_path)
    assert len(corpus.skipped) == 1 and "bad.txt (not UTF-8 text" in corpus.skipped[0]


def test_the_tokenizer_learns_from_the_training_side_alone(tmp_path):
    (tmp_path / "a.txt").write_text("ab" * 450 + "xy" * 50, encoding="utf-8")
    recipe = tiny_recipe(tmp_path / "a.txt")
    corpus = build_corpus(recipe, tmp_path)
    assert corpus.tokenizer.characters == "ab"
    assert corpus.tokenizer.decode(corpus.valid) == "xy" * 50


def test_documents_begin_with_their_token_where_the_recipe_says_so(tmp_path):
    (tmp_path / "a.txt").write_text("one--two--three--four", encoding="utf-8")
    recipe = tiny_recipe(tmp_path / "a.txt", corpus={"separator": "--", "document_token": True})
    corpus = build_corpus(recipe, tmp_path)
    begin = corpus.tokenizer.special_id(DOCUMENT)
    assert corpus.train[0] == corpus.valid[0] == begin
    assert (np.concatenate((corpus.train, corpus.valid)) == begin).sum() == 4
    assert "-" not in corpus.tokenizer.decode(corpus.train)


def test_the_name_of_a_special_token_in_a_text_is_text(tmp_path):
    (tmp_path / "a.txt").write_text(f"one {DOCUMENT} two--three {DOCUMENT}", encoding="utf-8")
    recipe = tiny_recipe(tmp_path / "a.txt", corpus={"separator": "--", "document_token": True})
    corpus = build_corpus(recipe, tmp_path)
    begin = corpus.tokenizer.special_id(DOCUMENT)
    assert (np.concatenate((corpus.train, corpus.valid)) == begin).sum() == 2


@pytest.mark.parametrize("name", ["stories", "verse", "handbook", "domain"])
def test_every_shipped_corpus_splits_and_repeats(name):
    train, valid = sides(text=name, size=20_000)
    assert train and valid and not set(train) & set(valid)
    assert (train, valid) == sides(text=name, size=20_000)


def test_a_generated_corpus_ends_at_the_end_of_a_document_below_its_size():
    longer = list(endless("stories", "train", 9_000, seed=0))
    shorter = list(endless("stories", "train", 5_000, seed=0))
    assert longer[: len(shorter)] == shorter
    assert sum(len(text) + 2 for text in shorter) <= 5_000
    assert list(whole("stories", 5_000)) == shorter


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("storys", 'did you mean "stories"'),
        ("no/such.txt", "no no.such.txt"),
        ("moby-dick", "tinylm fetch moby-dick"),
    ],
)
def test_what_cannot_be_read_is_one_line(text, message, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    with pytest.raises(ValueError, match=message) as error:
        split_corpus(CorpusConfig(text=text)).train()
    assert "\n" not in str(error.value)


def test_one_document_is_too_few_to_keep_one_aside(tmp_path):
    Path(tmp_path / "a.txt").write_text("only one", encoding="utf-8")
    with pytest.raises(ValueError, match="1 document, too few"):
        split_corpus(CorpusConfig(text=str(tmp_path / "a.txt"), separator="\n\n"))


def test_blanks_around_a_copy_leave_it_on_the_same_side():
    assert document_hash("a poem\n", 0) == document_hash("a poem", 0)
    assert document_hash("a poem", 0) != document_hash("a poem", 1)


def test_the_hash_of_a_corpus_knows_both_sides():
    def hashed(train, valid):
        return text_hash(Split(lambda: iter(train), lambda: iter(valid), documents=True))

    assert hashed(["a"], ["b"]) == hashed(["a"], ["b"])
    assert len({hashed(["a"], ["b"]), hashed(["a"], ["c"]), hashed(["c"], ["b"])}) == 3


def test_blank_lines_count_in_the_size_of_a_part():
    assert list(within(["aaa", "bbb"], 8)) == ["aaa", "bbb"]
    assert list(within(["aaa", "bbb"], 7)) == ["aaa"]  # 3 + 2 + 3 bytes
