import itertools

import numpy as np
import pytest

from tinylm.text.batches import IGNORE, Batches, Corpus, validation_windows, window_starts
from tinylm.text.token_files import read_ids, write_ids
from tinylm.text.tokenizers import DOCUMENT, CharTokenizer

IDS = np.arange(1003, dtype=np.uint16)
PLAIN, MARKED = CharTokenizer("ab"), CharTokenizer("ab", specials=[DOCUMENT])
BEGIN = MARKED.special_id(DOCUMENT)


def batches(ids=IDS, context=8, batch_size=4, seed=1, tokenizer=PLAIN, **fields) -> Batches:
    return Batches(Corpus(tokenizer, ids, ids, "", **fields), context, batch_size, seed)


def documents(*lengths) -> np.ndarray:
    """Documents that begin with their token and go on with ids that are all different."""
    ids = np.arange(1000, 1000 + sum(lengths))
    ids[np.cumsum((0, *lengths[:-1]))] = BEGIN
    return ids


def test_targets_are_the_inputs_one_position_further():
    batch = batches()[0]
    assert batch.inputs.shape == (4, 8) and batch.inputs.dtype == np.int64
    assert (batch.targets == batch.inputs + 1).all()


def test_a_batch_depends_on_the_seed_and_its_number_alone():
    stream, again = batches(), batches()
    late = again[70].inputs  # another epoch, asked for first
    for k in (0, 1, 69):
        assert (stream[k].inputs == again[k].inputs).all()
    assert (stream[70].inputs == late).all()
    assert (batches(seed=2)[0].inputs != stream[0].inputs).any()


def test_an_epoch_sees_every_window_once_and_the_next_one_is_cut_elsewhere():
    stream = batches(batch_size=1)
    count = len(stream.starts)
    epochs = [
        [int(stream[k].inputs[0, 0]) for k in range(e * count, (e + 1) * count)] for e in range(3)
    ]
    assert count == 124
    for starts in epochs:
        assert len(set(starts)) == count and len({start % 8 for start in starts}) == 1  # a grid
        assert starts != sorted(starts)
    assert len({starts[0] % 8 for starts in epochs}) > 1


@pytest.mark.parametrize("length", [9, 10, 16, 17, 18, 25])
def test_short_texts_are_used_to_their_ends(length):
    stream = batches(np.arange(length), batch_size=2)
    seen = {int(t) for k in range(300) for t in stream[k].targets.flatten()}
    assert max(seen) == length - 1 and min(seen) == 1


def test_marked_documents_are_read_whole_and_once_an_epoch():
    ids = documents(5, 30, 3, 4, 6, 20)
    stream = batches(ids, batch_size=1, tokenizer=MARKED)
    windows = [stream[k] for k in range(len(stream.starts))]
    targets = [int(t) for batch in windows for t in batch.targets.flatten() if t != IGNORE]
    assert sorted(targets) == sorted(ids[1:].tolist())
    begun = {tuple(batch.inputs[0][batch.targets[0] != IGNORE]) for batch in windows}
    # a document by itself: the next one does not fit into its window
    assert tuple(ids[:5]) in begun
    # two short ones in a row, then one more
    assert tuple(ids[35:42]) in begun and tuple(ids[42:48]) in begun


def test_windows_of_like_length_share_a_batch():
    stream = batches(
        documents(*(80 + 7 * n % 170 for n in range(400))), context=256, tokenizer=MARKED
    )
    epoch = [stream[k] for k in range(len(stream.starts) // 4)]
    padding = sum(int((batch.targets == IGNORE).sum()) for batch in epoch) / sum(
        b.inputs.size for b in epoch
    )
    assert padding < 0.12
    widths = [batch.inputs.shape[1] for batch in epoch]
    assert widths != sorted(widths) and {width % 16 for width in widths} == {0}


def test_batches_of_short_and_of_long_windows_come_in_random_order():
    stream = batches(documents(*range(5, 69)), context=64, batch_size=1, tokenizer=MARKED)
    lengths = [int((stream[k].targets != IGNORE).sum()) for k in range(len(stream.starts))]
    falls = sum(a > b for a, b in itertools.pairwise(lengths))
    assert falls > 0.25 * len(lengths)  # sorted, they would fall once in 32 batches


def test_windows_are_sorted_by_length_within_groups_alone():
    """A batch may hold any part of the text; sorted as a whole, each would hold one length."""
    lengths = np.random.default_rng(0).integers(20, 64, 600)
    stream = batches(documents(*lengths), context=64, batch_size=2, tokenizer=MARKED)
    stream[0]
    rows = stream.lengths[stream.order]  # (batches, 2)
    spread = np.abs(rows[:, 0] - rows[:, 1])
    assert spread.mean() < 3  # hardly any padding
    assert (spread > 0).mean() > 0.3  # 32 batches of 2 have no equal partner for each


def test_the_tokens_of_a_batch_are_counted_where_it_has_fewer_rows():
    assert batches(np.arange(25), batch_size=64).tokens == 2 * 8
    assert batches(batch_size=4).tokens == 4 * 8


def test_fewer_windows_than_a_batch_has_rows_make_a_smaller_batch():
    assert batches(np.arange(28), batch_size=32)[3].inputs.shape == (2, 8)


def test_a_text_shorter_than_the_context_is_refused_with_both_numbers():
    with pytest.raises(ValueError, match=r"8 tokens, fewer than one context of 8"):
        batches(np.arange(8))


def test_masked_tokens_are_no_targets():
    mask = (IDS % 3 == 0).astype(np.uint8)
    batch = batches(train_mask=mask)[0]
    plain = batches()[0]
    assert (batch.targets == np.where(plain.targets % 3 == 0, plain.targets, IGNORE)).all()


@pytest.mark.parametrize("length", [2, 9, 10, 64, 65, 70])
@pytest.mark.parametrize("rows", [1, 3])
def test_validation_scores_every_token_after_the_first_exactly_once(length, rows):
    windows = list(validation_windows(np.arange(length), None, 8, rows))
    targets = np.concatenate([batch.targets.flatten() for batch in windows])
    assert sorted(targets[targets != IGNORE].tolist()) == list(range(1, length))
    assert all(((b.targets == b.inputs + 1) | (b.targets == IGNORE)).all() for b in windows)


@pytest.mark.parametrize("lengths", [(5, 30, 12), (1, 1, 2), (8, 8), (9, 16, 17)])
def test_validation_of_documents_scores_each_token_once_from_its_documents_beginning(lengths):
    ids = documents(*lengths)
    windows = list(validation_windows(ids, BEGIN, 8, rows=2))
    targets = np.concatenate([batch.targets.flatten() for batch in windows])
    assert sorted(targets[targets != IGNORE].tolist()) == sorted(ids[1:].tolist())
    for batch in windows:
        for row in batch.inputs:
            assert BEGIN not in row[1:]  # a window never runs on into the next document


def test_validation_leaves_out_what_the_mask_leaves_out():
    mask = (IDS % 3 == 0).astype(np.uint8)
    windows = list(validation_windows(IDS, None, context=8, rows=5, mask=mask))
    scored = [int(t) for batch in windows for t in batch.targets.flatten() if t != IGNORE]
    assert sorted(scored) == [id for id in range(1, 1003) if id % 3 == 0]


def test_a_text_that_begins_without_its_mark_is_read_from_the_start():
    assert window_starts(np.array([1, 2, BEGIN, 3]), BEGIN, 8).tolist() == [0, 2]


@pytest.mark.parametrize("kind", [np.uint16, np.uint32])
def test_ids_come_back_from_their_file_as_a_memory_map(tmp_path, kind):
    chunks = [np.array([1, 2], dtype=kind), np.array([], dtype=kind), np.array([3], dtype=kind)]
    path = write_ids(tmp_path / "train", chunks)
    assert path.suffix == f".{np.dtype(kind).name}"
    ids = read_ids(path)
    assert isinstance(ids, np.memmap) and ids.tolist() == [1, 2, 3]
    assert read_ids(write_ids(tmp_path / "empty", [])).tolist() == []
