"""corpus, tokenizer, meter, fetch: everything about text that needs no model."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from tinylm.commands.terminal import at_least, clean, print_json, say
from tinylm.config import CorpusConfig, closest


def corpus(
    name: Positional[str],
    split: Literal["train", "valid"] | None = None,
    bytes: int = 1_000_000,
    stats: bool = False,
) -> None:
    """Print a shipped corpus: stories, verse, handbook, domain.

    Args:
        name: The corpus to print.
        split: Only the training or the validation side. Default: all of it.
        bytes: About how many bytes to print; the text ends at the end of a document.
        stats: Print statistics instead of the text.
    """
    at_least(1, bytes=bytes)
    from tinylm.corpora import build

    if name not in build.SHIPPED:
        hint = closest(name, list(build.SHIPPED))
        shipped = ", ".join(build.SHIPPED)
        raise ValueError(f"there is no shipped corpus {name}{hint}; the corpora are: {shipped}")
    if stats:
        from tinylm.pages.datasheet import corpus_figures

        print(
            "\n".join(
                f"{label:48} {value:,.4g}" for label, value in corpus_figures(name, bytes).items()
            )
        )
        return
    parts = build.split_corpus(CorpusConfig(text=name, size=bytes))
    texts = {"train": parts.train, "valid": parts.valid, None: lambda: build.whole(name, bytes)}[
        split
    ]()
    for number, text in enumerate(build.within(texts, bytes)):
        print((parts.separator if number else "") + text, end="")
    print()


def tokenizer(
    action: Positional[Literal["train", "encode", "decode", "show"]],
    file: Positional[Path],
    what: Positional[tuple[str, ...]] = (),
    kind: Literal["bpe", "char"] = "bpe",
    vocab_size: int = 1024,
    out: Path = Path("tokenizer.json"),
) -> None:
    """Train a tokenizer on a text, or see how one cuts a text.

    Args:
        action: train FILE; or encode, decode or show with a tokenizer.json.
        file: The text to learn from, or a tokenizer.json, or a run folder.
        what: encode and show: the text. decode: the ids.
        kind: train: bpe or char.
        vocab_size: train: tokens to learn (bpe).
        out: train: where to write it.
    """
    from tinylm.text.explain import show
    from tinylm.text.tokenizer_files import load_tokenizer

    if action == "train":
        learn(file, kind, vocab_size, out)
        return
    loaded = load_tokenizer(file / "model" / "tokenizer.json" if file.is_dir() else file)
    if action == "encode":
        print(*loaded.encode(" ".join(what)))
    elif action == "decode":
        print(clean(loaded.decode(token_ids(what, loaded.vocab_size))))
    else:
        print(clean("\n".join(show(loaded, " ".join(what)))))


def learn(file: Path, kind: Literal["bpe", "char"], vocab_size: int, out: Path) -> None:
    """Learn a tokenizer from a text file and write it to `out`."""
    from tinylm.corpora.documents import iter_text
    from tinylm.text.bpe_training import train_bpe_tokenizer
    from tinylm.text.tokenizer_files import save_tokenizer
    from tinylm.text.tokenizers import CharTokenizer

    if not file.is_file():
        raise ValueError(f"there is no text file {file}")
    text = iter_text(file)
    trained = train_bpe_tokenizer(text, vocab_size) if kind == "bpe" else CharTokenizer.train(text)
    save_tokenizer(trained, out)
    print(f"{out}: {trained.vocab_size} tokens, fingerprint {trained.fingerprint()}")


def token_ids(words: Sequence[str], vocab_size: int) -> list[int]:
    """The ids that were typed; ValueError names the first word that is none."""
    if wrong := [word for word in words if not word.isdigit()]:
        raise ValueError(
            f"{wrong[0]!r} is not a token id: ids are whole numbers from 0 to {vocab_size - 1}"
        )
    return list(map(int, words))


def meter(file: Positional[Path], json: bool = False) -> None:
    """Scan lines as iambic pentameter.

    Args:
        file: A text file, one line of verse per line; - for standard input.
        json: One JSON object per line: line, ok, score, syllables, pattern.
    """
    from tinylm.corpora.documents import iter_text
    from tinylm.evaluation.meter import scan_lines

    text = (
        sys.stdin.read()
        if str(file) == "-"
        else "".join(iter_text(file))
        if file.is_file()
        else None
    )
    if text is None:
        raise ValueError(f"there is no file {file}")
    scansions = scan_lines(text)
    for scansion in scansions:
        if json:
            print_json(
                {
                    key: getattr(scansion, key)
                    for key in ("line", "ok", "score", "syllables", "pattern")
                }
            )
        else:
            mark = "yes" if scansion.ok else " no"
            print(f"{mark} {scansion.score:.2f} {scansion.pattern:12} {clean(scansion.line)}")
    accepted = sum(scansion.ok for scansion in scansions)
    say(f"{accepted} of {len(scansions)} lines scan as iambic pentameter")


def fetch(name: Positional[str], out: Path | None = None) -> None:
    """Download a public-domain text or a foundation model, and check its SHA-256.

    This is the only command that uses the network.

    Args:
        name: tiny-shakespeare, moby-dick, pride-and-prejudice, sherlock-holmes; or smollm2, the
            model SmolLM2-135M-Instruct (98 MB, Apache-2.0).
        out: Folder to store it in. Default: the user's data folder.
    """
    from tqdm.auto import tqdm

    from tinylm.corpora.fetch import data_folder
    from tinylm.corpora.fetch import fetch as download
    from tinylm.formats.smollm2 import fetch_smollm2

    if name == "smollm2":
        print(fetch_smollm2(out or data_folder(), say))
        return
    with tqdm(unit="B", unit_scale=True, desc=name, delay=1) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        path = download(name, out, show)
    print(path)
