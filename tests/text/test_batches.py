import numpy as np
import pytest

from tinylm.text.batches import IGNORE, Batches, read_ids, validation_windows, write_ids

IDS = np.arange(1003, dtype=np.uint16)


def test_targets_are_the_inputs_one_position_further():
    batch = Batches(IDS, context=8, batch_size=4, seed=1)[0]
    assert batch.inputs.shape == (4, 8) and batch.inputs.dtype == np.int64
    assert (batch.targets == batch.inputs + 1).all()


def test_a_batch_depends_on_the_seed_and_its_number_alone():
    stream, again = Batches(IDS, 8, 4, seed=1), Batches(IDS, 8, 4, seed=1)
    late = again[70].inputs  # another epoch, asked for first
    for k in (0, 1, 69):
        assert (stream[k].inputs == again[k].inputs).all()
    assert (stream[70].inputs == late).all()
    assert (Batches(IDS, 8, 4, seed=2)[0].inputs != stream[0].inputs).any()


def test_an_epoch_sees_every_window_once_and_the_next_one_is_cut_elsewhere():
    stream = Batches(IDS, context=8, batch_size=1, seed=3)
    epochs = [
        [int(stream[k].inputs[0, 0]) for k in range(e * stream.windows, (e + 1) * stream.windows)] for e in range(3)
    ]
    for starts in epochs:
        assert len(set(starts)) == stream.windows == 124
        assert len({start % 8 for start in starts}) == 1  # a grid
    assert len({starts[0] % 8 for starts in epochs}) > 1
    assert all(starts != sorted(starts) for starts in epochs)


@pytest.mark.parametrize("length", [9, 10, 16, 17, 18, 25])
def test_short_texts_are_used_to_their_ends(length):
    stream = Batches(np.arange(length), context=8, batch_size=2, seed=0)
    seen = {int(t) for k in range(200) for t in stream[k].targets.flatten()}
    assert max(seen) == length - 1 and min(seen) == 1


def test_a_text_shorter_than_the_context_is_refused_with_both_numbers():
    with pytest.raises(ValueError, match=r"8 tokens, fewer than one context of 8"):
        Batches(np.arange(8), context=8, batch_size=1, seed=0)


def test_masked_tokens_are_no_targets():
    mask = (IDS % 3 == 0).astype(np.uint8)
    batch = Batches(IDS, 8, 4, seed=1, mask=mask)[0]
    assert ((batch.targets == IGNORE) == (np.where(batch.targets == IGNORE, 1, batch.targets) % 3 != 0)).all()
    assert (batch.targets != IGNORE).any()


@pytest.mark.parametrize("length", [2, 9, 10, 64, 65, 70])
@pytest.mark.parametrize("rows", [1, 3])
def test_validation_scores_every_token_after_the_first_exactly_once(length, rows):
    windows = validation_windows(np.arange(length), context=8, rows=rows)
    assert sorted(int(t) for batch in windows for t in batch.targets.flatten()) == list(range(1, length))
    assert all((batch.targets == batch.inputs + 1).all() for batch in windows)


@pytest.mark.parametrize("kind", [np.uint16, np.uint32])
def test_ids_come_back_from_their_file_as_a_memory_map(tmp_path, kind):
    chunks = [np.array([1, 2], dtype=kind), np.array([], dtype=kind), np.array([3], dtype=kind)]
    path = write_ids(tmp_path / "train", chunks)
    assert path.suffix == f".{np.dtype(kind).name}"
    ids = read_ids(path)
    assert isinstance(ids, np.memmap) and ids.tolist() == [1, 2, 3]
    assert read_ids(write_ids(tmp_path / "empty", [])).tolist() == []
