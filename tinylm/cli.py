"""The command line: thin functions that read arguments, call the library and print.

Results go to standard output, progress and timings to standard error. Heavy imports stand inside the commands, so that
`--help` answers at once. A mistake of the user's is one line and exit code 2; `--debug` shows where it came from.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro
from pydantic.fields import FieldInfo
from tyro.conf import Positional, UseAppendAction, arg

from tinylm.config import CorpusConfig, Recipe, Sampling, Section, closest, load_recipe

if TYPE_CHECKING:
    from tinylm.training.trainer import Trainer

app = tyro.extras.SubcommandApp()
Settings = Annotated[UseAppendAction[tuple[str, ...]], arg(metavar="FIELD=VALUE")]


# Demo fields for a try in seconds: everything runs, nothing is learned.
SMOKE = {
    "train.steps": "6", "train.batch_size": "4", "train.evaluate_every": "3", "sample.every": "6",
    "sample.tokens": "20",
    "corpus.size": "100000", "corpus.valid_share": "0.05",
}
SMOKE_SHAPE = {"model.depth": "2", "model.width": "64", "tokenizer.vocab_size": "400"}


def say(text: str) -> None:
    """Progress, timings and notices: beside the results, so that those can be piped."""
    print(text, file=sys.stderr, flush=True)


def clean(text: str) -> str:
    """Text that a model or a file produced, made safe to print: control characters but tab and newline are shown.

    >>> clean("a" + chr(27) + "[31mb")
    'a␛[31mb'
    """
    return "".join(c if c in "\n\t" or c.isprintable() else chr(0x2400 + ord(c)) if ord(c) < 32 else "�" for c in text)


# -- training ---------------------------------------------------------------------------------------------------------


@app.command
def demo(out: Path = Path("runs/demo"), scale: Literal["smoke", "full"] = "full") -> None:
    """Pretrain on stories, fine-tune on verse, compare the two: the whole idea in a few minutes.

    Args:
        out: Folder for base/, verse/ and compare/; an earlier demo in it is replaced.
        scale: full takes minutes and learns; smoke takes seconds and only shows that everything works.
    """
    from tinylm.comparison import compare_runs
    from tinylm.training.start import start_run

    start = time.perf_counter()
    for name, recipe, smoke in (("base", "demo-base", SMOKE | SMOKE_SHAPE), ("verse", "demo-verse", SMOKE)):
        fields = smoke if scale == "smoke" else {}
        chosen = load_recipe(recipe, fields if name == "base" else {**fields, "start_from": str(out / "base")})
        say(f"\n{name}: {chosen.purpose}")
        follow(start_run(chosen, out / name, replace=True))
    print(compare_runs([out / "base", out / "verse"], out / "compare", replace=True))
    say(f"{(time.perf_counter() - start) / 60:.1f} minutes. The page: {(out / 'compare' / 'index.html').resolve()}")


@app.command
def train(
    recipe: Positional[str],
    out: Path | None = None,
    start_from: str | None = None,
    max_minutes: float | None = None,
    set: Settings = (),
) -> None:
    """Train a model from a recipe: pretraining, or fine-tuning where the recipe starts from a run.

    Args:
        recipe: A TOML file, or the name of a shipped recipe.
        out: The run folder to make. Default: runs/ and the recipe's name.
        start_from: A run to fine-tune.
        max_minutes: Fit the number of steps into this time.
        set: Any field of the recipe; --train.steps 300 says the same as --set train.steps=300.
    """
    fields = dict(part.split("=", 1) for part in set)
    if start_from is not None:
        fields["start_from"] = start_from
    if max_minutes is not None:
        fields["train.max_minutes"] = str(max_minutes)
    chosen = load_recipe(recipe, fields)

    from tinylm.training.start import start_run

    trainer = start_run(chosen, out or Path("runs") / chosen.name)
    if chosen.purpose:
        say(chosen.purpose)
    follow(trainer)


@app.command
def resume(run: Positional[Path]) -> None:
    """Continue an interrupted run from its last save, to the same bits as if it had not been interrupted.

    Args:
        run: A run folder.
    """
    from tinylm.training.start import resume_run

    trainer = resume_run(run)
    say(f"{run}: from step {trainer.step} of {trainer.recipe.train.steps}")
    follow(trainer)


def follow(trainer: "Trainer") -> None:
    """Announce a run, train it under a progress bar, and say how it ended and what to do next."""
    from tqdm.auto import tqdm

    from tinylm.training.start import estimate

    train, whole = trainer.recipe.train, estimate(trainer)
    for notice in trainer.notices:
        say(notice)
    say(
        f"{whole.parameters:,} parameters, {whole.tokens:,} tokens in {train.steps:,} steps, about {whole.minutes:.1f} "
        f"minutes and {whole.peak_bytes / 1e9:.1f} GB on {trainer.compute.device} in {str(trainer.compute.dtype)[6:]}"
    )
    with stop_on_signal(trainer), tqdm(total=train.steps, initial=trainer.step, unit="step", mininterval=0.5) as bar:
        for record in trainer.run():
            bar.update()
            speed = record.tokens / max(record.seconds, 1e-9)
            bar.set_postfix_str(f"loss {record.loss:.3f}, {speed:,.0f} tokens/s", refresh=False)
            if record.valid:
                bar.write(
                    f"step {record.step}: validation {record.valid['nats_per_token']:.4f} nats/token, "
                    f"{record.valid['bits_per_byte']:.4f} bits/byte", file=sys.stderr,
                )
            if record.notice:
                bar.write(f"step {record.step}: {record.notice}", file=sys.stderr)
            for text in record.samples[:1]:
                bar.write(clean("  | " + text[:300].replace("\n", "\n  | ")), file=sys.stderr)
    if trainer.step < train.steps:
        say(f"stopped after step {trainer.step}; go on with: tinylm resume {trainer.folder}")
    else:
        best = trainer.best
        found = f"best step {best['step']}: {best['nats_per_token']:.4f} nats/token"
        say(f"done in {trainer.seconds / 60:.1f} minutes; {found}")
        say(f'try: tinylm sample {trainer.folder} --prompt "{(trainer.recipe.sample.prompts or ("",))[0]}"')


@contextmanager
def stop_on_signal(trainer: "Trainer") -> Iterator[None]:
    """Ctrl-C or a polite kill ends the run after its present step, saved; a second Ctrl-C ends it at once."""

    def stop(number: int, _frame: Any) -> None:
        if trainer.stopping:
            raise KeyboardInterrupt
        say("\nstopping after this step; press Ctrl-C again to stop at once")
        trainer.stop()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


# -- using a model ----------------------------------------------------------------------------------------------------


@app.command
def sample(
    run: Positional[Path],
    prompt: str | None = None,
    tokens: int = 200,
    temperature: float = 0.8,
    top_k: int | None = None,
    top_p: float = 1.0,
    min_p: float = 0.0,
    repetition_penalty: float = 1.0,
    seed: int = 0,
    count: int = 1,
    stop: tuple[str, ...] = (),
    json: bool = False,
) -> None:
    """Continue a prompt with a trained model.

    Args:
        run: A run folder.
        prompt: What to continue. Default: the first prompt of the run's recipe.
        tokens: Most tokens to add.
        temperature: 0 takes the likeliest token each time; above 1 grows wilder.
        top_k: Keep the k likeliest tokens.
        top_p: Keep the fewest tokens whose probability reaches p.
        min_p: Keep tokens at least p times as likely as the likeliest.
        repetition_penalty: Above 1 makes tokens already seen less likely.
        seed: The same seed gives the same text. Sample number i is drawn with seed + i.
        count: How many continuations.
        stop: Strings that end a continuation.
        json: One JSON object per continuation: prompt, text, tokens, seed, seconds, finish_reason.
    """
    at_least(1, tokens=tokens, count=count)
    values = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "min_p": min_p}
    chosen = checked(Sampling, {**values, "repetition_penalty": repetition_penalty})

    from tinylm.generation import Request, continue_text
    from tinylm.runs import open_run
    from tinylm.training.checkpoint import load_model

    model, tokenizer, recipe = load_model(open_run(run))
    begin = "<|document|>" if recipe.corpus.document_token else None
    text = prompt if prompt is not None else next(iter(recipe.sample.prompts), "")
    request = Request(text, tokens, chosen, seed, count, tuple(word for word in stop if word), begin)
    shown, rows = 0, []
    if count == 1 and not json:
        print(clean(text), end="", flush=True)
    for rows in continue_text(model, tokenizer, request):
        if count == 1 and not json:
            print(clean(rows[0].text[shown:]), end="", flush=True)
            shown = len(rows[0].text)
    for number, row in enumerate(rows, start=1):
        if json:
            fields = ("prompt", "text", "tokens", "seed", "seconds", "finish_reason")
            print_json({field: getattr(row, field) for field in fields})
        elif count > 1:
            print(f"--- {number} (seed {row.seed})\n{clean(row.prompt + row.text)}")
    if count == 1 and not json:
        print()
    total, seconds = sum(row.tokens for row in rows), max(row.seconds for row in rows)
    say(f"{total} tokens in {seconds:.1f} s ({total / max(seconds, 1e-9):.0f} tokens/s)")


@app.command
def evaluate(run: Positional[Path], text: Path, json: bool = False) -> None:
    """Score a text under a trained model: bits per byte, nats per token.

    Args:
        run: A run folder.
        text: A UTF-8 text file.
        json: One JSON object: bits_per_byte, nats_per_token, perplexity, tokens, bytes, context.
    """
    import numpy as np

    from tinylm.evaluation.likelihood import measure
    from tinylm.model.compute import choose_compute
    from tinylm.runs import open_run
    from tinylm.text.corpora.documents import read_documents
    from tinylm.training.checkpoint import load_model

    model, tokenizer, recipe = load_model(open_run(run))
    ids = tokenizer.encode_array("\n\n".join(read_documents(text).texts))
    if recipe.corpus.document_token:
        ids = np.concatenate((np.array([tokenizer.special_id("<|document|>")], dtype=ids.dtype), ids))
    score = measure(model, ids, tokenizer.bytes_per_token(), choose_compute("cpu", "fp32"))
    result = {
        "bits_per_byte": score.bits_per_byte, "nats_per_token": score.nats_per_token, "perplexity": score.perplexity,
        "tokens": score.tokens, "bytes": score.bytes, "context": score.context,
    }
    if json:
        print_json(result)
    else:
        print("\n".join(f"{key:15} {value:,.4f}".removesuffix(".0000") for key, value in result.items()))


@app.command
def compare(runs: Positional[tuple[Path, ...]], out: Path) -> None:
    """Judge runs side by side: same prompts, same seeds, curves and probabilities, on one page.

    Args:
        runs: Two or more run folders, the base first.
        out: Folder for comparison.json, samples.md, the pictures and index.html.
    """
    if len(runs) < 2:
        raise ValueError(f"compare needs two or more runs, not {len(runs)}")
    from tinylm.comparison import compare_runs

    print(clean(compare_runs(list(runs), out)))
    say(f"The page: {(out / 'index.html').resolve()}")


@app.command
def plot(runs: Positional[tuple[Path, ...]], out: Path = Path("curves.png")) -> None:
    """Draw the loss curves of one or more runs.

    Args:
        runs: Run folders.
        out: The picture to write (.png or .svg).
    """
    from tinylm.figures import loss_curves, save_figure
    from tinylm.runs import open_run

    save_figure(loss_curves([open_run(run) for run in runs]), out)
    print(out)


# -- text -------------------------------------------------------------------------------------------------------------


@app.command
def corpus(
    name: Positional[str], split: Literal["train", "valid"] | None = None, bytes: int = 1_000_000, stats: bool = False
) -> None:
    """Print a shipped corpus: stories, verse, handbook, domain.

    Args:
        name: Which one.
        split: Only the training or the validation side. Default: all of it.
        bytes: About how much; ends at the end of a document.
        stats: Print figures about it instead.
    """
    at_least(1, bytes=bytes)
    from tinylm.text.corpora import build

    if name not in build.SHIPPED:
        hint = closest(name, list(build.SHIPPED))
        raise ValueError(f"no shipped corpus {name}{hint}; there are: {', '.join(build.SHIPPED)}")
    if stats:
        from tinylm.datasheet import corpus_figures

        print("\n".join(f"{label:48} {value:,.4g}" for label, value in corpus_figures(name, bytes).items()))
        return
    parts = build.split_corpus(CorpusConfig(text=name, size=bytes))
    texts = {"train": parts.train, "valid": parts.valid, None: lambda: build.whole(name, bytes)}[split]()
    for number, text in enumerate(build.within(texts, bytes)):
        print((parts.separator if number else "") + text, end="")
    print()


@app.command
def tokenizer(
    action: Positional[Literal["train", "encode", "decode", "show"]],
    file: Positional[Path],
    what: Positional[tuple[str, ...]] = (),
    kind: Literal["bpe", "char"] = "bpe",
    vocab_size: int = 1024,
    out: Path = Path("tokenizer.json"),
) -> None:
    """Learn a tokenizer from a text, or watch one at work.

    Args:
        action: train FILE; or encode, decode or show with a tokenizer.json.
        file: The text to learn from, or a tokenizer.json, or a run folder.
        what: encode and show: the text. decode: the ids.
        kind: train: bpe or char.
        vocab_size: train: tokens to learn (bpe).
        out: train: where to write it.
    """
    from tinylm.text.bpe_training import train_bpe_tokenizer
    from tinylm.text.corpora.documents import iter_text
    from tinylm.text.show import show
    from tinylm.text.tokenizers import CharTokenizer, load_tokenizer

    if action == "train":
        if not file.is_file():
            raise ValueError(f"there is no text file {file}")
        text = iter_text(file)
        made = train_bpe_tokenizer(text, vocab_size) if kind == "bpe" else CharTokenizer.train(text)
        made.save(out)
        print(f"{out}: {made.vocab_size} tokens, fingerprint {made.fingerprint()}")
        return
    loaded = load_tokenizer(file / "model" / "tokenizer.json" if file.is_dir() else file)
    if action == "encode":
        print(*loaded.encode(" ".join(what)))
    elif action == "decode":
        if wrong := [word for word in what if not word.isdigit()]:
            raise ValueError(f"{wrong[0]!r} is no token id: ids are whole numbers from 0 to {loaded.vocab_size - 1}")
        print(clean(loaded.decode(map(int, what))))
    else:
        print(clean("\n".join(show(loaded, " ".join(what)))))


@app.command
def meter(file: Positional[Path], json: bool = False) -> None:
    """Scan lines as iambic pentameter.

    Args:
        file: A text file, one line of verse per line; - for standard input.
        json: One JSON object per line: line, ok, score, syllables, pattern.
    """
    from tinylm.evaluation.meter import scan_lines
    from tinylm.text.corpora.documents import iter_text

    text = sys.stdin.read() if str(file) == "-" else "".join(iter_text(file)) if file.is_file() else None
    if text is None:
        raise ValueError(f"there is no file {file}")
    scansions = scan_lines(text)
    for scansion in scansions:
        if json:
            print_json({key: getattr(scansion, key) for key in ("line", "ok", "score", "syllables", "pattern")})
        else:
            mark = "yes" if scansion.ok else " no"
            print(f"{mark} {scansion.score:.2f} {scansion.pattern:12} {clean(scansion.line)}")
    accepted = sum(scansion.ok for scansion in scansions)
    say(f"{accepted} of {len(scansions)} lines scan as iambic pentameter")


@app.command
def fetch(name: Positional[str], out: Path | None = None) -> None:
    """Download a public-domain text (the only command that uses the network), checked by its SHA-256.

    Args:
        name: tiny-shakespeare, moby-dick, pride-and-prejudice or sherlock-holmes.
        out: Folder to keep it in. Default: the user's data folder.
    """
    from tqdm.auto import tqdm

    from tinylm.text.corpora.fetch import fetch as download

    with tqdm(unit="B", unit_scale=True, desc=name, delay=1) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        path = download(name, out, show)
    print(path)


# -- the frame --------------------------------------------------------------------------------------------------------


def print_json(value: Any) -> None:
    """One JSON object on one line (the commands' own `json` flags hide the module there)."""
    print(json.dumps(value, ensure_ascii=False), flush=True)


def at_least(least: int, **values: int) -> None:
    """ValueError naming the first option below `least`."""
    for name, value in values.items():
        if value < least:
            raise ValueError(f"--{name.replace('_', '-')} {value}: at least {least}")


def checked(section: type[Section], values: dict[str, Any]) -> Any:
    """A section built from options; ValueError in one line per mistake."""
    from pydantic import ValidationError

    try:
        return section.model_validate(values)
    except ValidationError as error:
        wrong = [f"--{str(e['loc'][0]).replace('_', '-')} {e['input']}: {e['msg']}" for e in error.errors()]
        raise ValueError("\n".join(wrong)) from None


def recipe_fields(section: type[Section] = Recipe, prefix: str = "") -> Iterator[str]:
    """One line per field of a recipe, for `train --help`: name, default and explanation."""
    for name, field in section.model_fields.items():
        inner = inner_section(field)
        if inner is not None:
            yield from recipe_fields(inner, f"{prefix}{name}.")
        else:
            default = "" if field.default_factory else f" (default: {field.default})"
            yield f"--{prefix}{name.replace('_', '-')}: {field.description}{default}"


def inner_section(field: FieldInfo) -> type[Section] | None:
    """The section class that a field holds, looking through `| None`; None for plain values."""
    kinds = (field.annotation, *getattr(field.annotation, "__args__", ()))
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Section)), None)


def with_settings(argv: list[str]) -> list[str]:
    """Rewrite `--train.steps 5` and `--train.stop-after=5` as `--set train.steps=5` ..., which `train` understands.

    >>> with_settings(["train", "r.toml", "--train.stop-after", "5", "--out", "x"])
    ['train', 'r.toml', '--set', 'train.stop_after=5', '--out', 'x']
    """
    out, rest = [], iter(argv)
    for word in rest:
        name, equals, value = word.partition("=")
        if argv[0] == "train" and name.startswith("--") and "." in name:
            value = value if equals else next(rest, "")
            out += ["--set", f"{name[2:].replace('-', '_')}={value}"]
        else:
            out.append(word)
    return out


def main(argv: list[str] | None = None) -> None:
    """Entry point of `tinylm` and `python -m tinylm`."""
    words = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in words
    words = with_settings([word for word in words if word != "--debug"] or ["--help"])
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="replace")  # type: ignore[union-attr]
    if words[:1] == ["train"]:
        head, args = (train.__doc__ or "").split("    Args:")
        train.__doc__ = head + "".join(f"    {line}\n" for line in recipe_fields()) + "\n    Args:" + args
    try:
        app.cli(prog="tinylm", args=words, config=(tyro.conf.FlagCreatePairsOff,))
    except BrokenPipeError:  # `tinylm corpus stories | head` is no mistake; nobody is left to print for
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (ValueError, OSError) as error:
        if debug:
            raise
        print(f"tinylm: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
