"""Rows about text: byte-pair encoding against its two standard libraries, and the metre scorer on
verse and prose."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from statistics import median
from typing import Any

from tinylm.bench.measure import Bar, Reading, Setup, Skip, contest, ratios, seconds
from tinylm.evaluation.meter_report import TEXTS, meter_report
from tinylm.text.bpe import WORD, Pair
from tinylm.text.bpe_training import train_bpe
from tinylm.text.tokenizers import BpeTokenizer

VOCABULARY = 1024


def bpe(setup: Setup) -> Iterator[Reading]:
    """Learning 1,024 tokens from 1.1 MB, and encoding a file: against tokenizers and tiktoken."""
    text = setup.shakespeare().read_text(encoding="utf-8")
    merges = train_bpe(text, VOCABULARY - 256)
    if tokenizers := peer("tokenizers"):
        yield learning(tokenizers, text)
    yield from encoding(encoders_of(merges, text), len(text.encode("utf-8")) / 1e6)


def learning(tokenizers: Any, text: str) -> Reading:
    """Learning the merges of a text, against Hugging Face's library."""
    times = contest(
        {
            "TinyLM": lambda: seconds(lambda: train_bpe(text, VOCABULARY - 256)),
            "tokenizers": lambda: seconds(lambda: trained_peer(tokenizers, text)),
        }
    )
    own, other = times["TinyLM"], times["tokenizers"]
    return Reading(
        "bpe",
        "learning 1,024 tokens from 1.1 MB, against tokenizers",
        "x",
        ratios(other, own),
        Bar(">=", 1 / 3, beyond=1),
        f"TinyLM {median(own):.2f} s, tokenizers {median(other):.2f} s",
    )


def encoders_of(merges: Sequence[Pair], text: str) -> dict[str, Callable[[], Any]]:
    """Functions that encode the text, by name: ours, and those of the peers that are installed."""
    encoders: dict[str, Callable[[], Any]] = {
        # a new one each time, that has seen no word yet
        "TinyLM": lambda: BpeTokenizer(merges).encode_array(text)
    }
    if tokenizers := peer("tokenizers"):
        peer_tokenizer = trained_peer(tokenizers, text)
        encoders["tokenizers"] = lambda: peer_tokenizer.encode(text)
    if tiktoken := peer("tiktoken"):
        # tiktoken's ids are ranks: the same tokens in the same order give the same merges.
        ranks = {BpeTokenizer(merges).token_bytes(id): id for id in range(VOCABULARY)}
        ready = tiktoken.Encoding(
            "bench", pat_str=WORD.pattern, mergeable_ranks=ranks, special_tokens={}
        )
        encoders["tiktoken"] = lambda: ready.encode_ordinary(text)
        if ready.encode_ordinary(text) != BpeTokenizer(merges).encode(text):
            raise AssertionError("TinyLM and tiktoken cut the same text differently")
    return encoders


def encoding(encoders: dict[str, Callable[[], Any]], megabytes: float) -> Iterator[Reading]:
    """Encoding a text of this size with each encoder, against both peers."""
    times = contest(
        {name: partial(seconds, encode) for name, encode in encoders.items()}, repeats=7
    )
    speeds = {name: [megabytes / spent for spent in values] for name, values in times.items()}
    for name, bar in (("tokenizers", Bar(">=", 2)), ("tiktoken", Bar(">=", 0.5, beyond=1))):
        what = f"encoding a file, against {name}"
        if name not in speeds:
            yield Reading("bpe", what, "x", detail=f"{name} is not installed: pip install {name}")
            continue
        detail = f"TinyLM {median(speeds['TinyLM']):.1f} MB/s, {name} {median(speeds[name]):.1f}"
        yield Reading("bpe", what, "x", ratios(speeds["TinyLM"], speeds[name]), bar, detail)


def peer(name: str) -> Any:
    """An installed module, or None."""
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError:
        return None


def trained_peer(tokenizers: Any, text: str) -> Any:
    """The tokenizers library's byte-level BPE, split into words as GPT-2 does, learned from the
    text."""
    split = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    library = tokenizers.Tokenizer(tokenizers.models.BPE())
    library.pre_tokenizer = split
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=VOCABULARY, initial_alphabet=split.alphabet(), show_progress=False
    )
    library.train_from_iterator([text], trainer)
    return library


def meter(setup: Setup) -> Iterator[Reading]:
    """The metre scorer on real verse and prose (needs --texts)."""
    if setup.texts is None:
        raise Skip(f"needs --texts FOLDER with {', '.join(TEXTS.values())}")
    for what, row in meter_report(setup.texts).items():
        direction, value = str(row["bar"]).split()
        bar = Bar(">=" if direction == ">=" else "<=", float(value))
        spread = f"95 % interval {row['low']:.3f} to {row['high']:.3f}, n = {row['count']:,}"
        yield Reading(
            "meter",
            what,
            "",
            (float(row["value"]),),
            bar,
            spread if row["low"] != row["high"] else "",
        )
