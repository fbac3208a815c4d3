"""sample, evaluate, compare, plot: what a trained model says and what it is worth."""

import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tyro.conf import Positional

from tinylm.commands.terminal import at_least, checked, clean, print_json, say
from tinylm.config import Sampling

if TYPE_CHECKING:
    from tinylm.generation import Continuation, Request
    from tinylm.runs import Run
    from tinylm.text.tokenizers import Tokenizer


def sample(
    run: Positional[Path],
    prompt: str | None = None,
    chat: str | None = None,
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
        prompt: Text to continue. Default: the first prompt of the run's recipe.
        chat: A message to answer instead, in the conversation format of an imported model.
        tokens: Number of tokens to add at most.
        temperature: 0 always takes the likeliest token; above 1 makes unlikely tokens likelier.
        top_k: Keep the k likeliest tokens.
        top_p: Keep the fewest tokens whose probability reaches p.
        min_p: Keep tokens at least p times as likely as the likeliest.
        repetition_penalty: Above 1 makes tokens already seen less likely.
        seed: The same seed gives the same text. Sample number i is drawn with seed + i.
        count: Number of continuations.
        stop: Strings that end a continuation.
        json: One JSON object per continuation: prompt, text, tokens, seed, seconds, finish_reason.
    """
    values = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "min_p": min_p}
    sampling = checked(Sampling, {**values, "repetition_penalty": repetition_penalty})
    asked = checked_request(prompt, tokens, sampling, seed, count, stop)
    shown, steps = continuations(run, asked, chat, prompt is None)
    finished = print_finished(steps, json) if count > 1 or json else print_growing(steps, shown)
    say_speed(finished)


def checked_request(
    prompt: str | None, tokens: int, sampling: Sampling, seed: int, count: int, stop: Sequence[str]
) -> "Request":
    """What to generate, from options; ValueError for one that is out of range."""
    at_least(1, tokens=tokens, count=count)
    # Sample i has seed + i, and a generator takes 63 bits.
    if not 0 <= seed < 2**63 - count:
        raise ValueError(f"--seed {seed} must lie between 0 and {2**63 - 1 - count}")
    # Only after the checks: this loads torch.
    from tinylm.generation import Request

    stops = tuple(word for word in stop if word)
    return Request(prompt or "", tokens, sampling, seed, count, stops)


def continuations(
    run: Path, asked: "Request", message: str | None, default_prompt: bool
) -> tuple[str, Iterator[list["Continuation"]]]:
    """The text to show before the first token, and the continuations as they grow.

    The prompt is a `message` in the run's conversation format, the first prompt of its recipe
    (`default_prompt`), or the one that was `asked`.
    """
    from tinylm.generation import continue_text
    from tinylm.runs import open_run
    from tinylm.text.explain import unseen_characters
    from tinylm.text.tokenizers import DOCUMENT
    from tinylm.training.load import load_model

    opened = open_run(run)
    model, tokenizer, recipe = load_model(opened)
    text = next(iter(recipe.sample.prompts), "") if default_prompt else asked.prompt
    if unseen := unseen_characters(tokenizer, text):
        say(f"characters that the model never saw: {' '.join(unseen)}")
    # As the documents began that the model has learned from.
    begin = DOCUMENT if recipe.corpus.document_token else None
    request = in_format(opened, tokenizer, message, replace(asked, prompt=text, begin=begin))
    return text if message is None else "", continue_text(model, tokenizer, request)


def in_format(
    run: "Run", tokenizer: "Tokenizer", message: str | None, request: "Request"
) -> "Request":
    """The request as the run's model expects it: a message, or the prompt where there is none."""
    from tinylm.formats.chat import chat_request, prompt_request

    if message is not None:
        return chat_request(run, tokenizer, message, request)
    return prompt_request(run, tokenizer, request)


def print_growing(steps: Iterable[list["Continuation"]], prompt: str) -> list["Continuation"]:
    """Print one continuation behind its prompt, token by token; returns it whole."""
    rows: list[Continuation] = []
    shown = 0  # characters
    print(clean(prompt), end="", flush=True)
    for rows in steps:
        print(clean(rows[0].text[shown:]), end="", flush=True)
        shown = len(rows[0].text)
    print()
    return rows


def print_finished(steps: Iterable[list["Continuation"]], json: bool) -> list["Continuation"]:
    """Print all continuations once the last one has come to its end; returns them."""
    (rows,) = deque(steps, maxlen=1)  # the state after the last token
    for number, row in enumerate(rows, start=1):
        if json:
            fields = ("prompt", "text", "tokens", "seed", "seconds", "finish_reason")
            print_json({field: getattr(row, field) for field in fields})
        else:
            print(f"--- {number} (seed {row.seed})\n{clean(row.prompt + row.text)}")
    return rows


def say_speed(rows: Sequence["Continuation"]) -> None:
    """Tokens, seconds and tokens per second of all continuations together."""
    # They grow side by side, so the slowest one's seconds are those of all.
    total, seconds = sum(row.tokens for row in rows), max(row.seconds for row in rows)
    say(f"{total} tokens in {seconds:.1f} s ({total / max(seconds, 1e-9):.0f} tokens/s)")


def evaluate(run: Positional[Path], text: Path, json: bool = False) -> None:
    """Score a text under a trained model: bits per byte, nats per token.

    Args:
        run: A run folder.
        text: A UTF-8 text file.
        json: One JSON object: bits_per_byte, nats_per_token, perplexity, tokens, bytes, context.
    """
    import numpy as np

    from tinylm.corpora.documents import read_documents
    from tinylm.evaluation.likelihood import measure
    from tinylm.model.device import choose_compute
    from tinylm.runs import open_run
    from tinylm.training.load import load_model

    model, tokenizer, recipe = load_model(open_run(run))
    ids = tokenizer.encode_array("\n\n".join(read_documents(text).texts))
    if recipe.corpus.document_token:
        ids = np.concatenate(
            (np.array([tokenizer.special_id("<|document|>")], dtype=ids.dtype), ids)
        )
    score = measure(model, ids, tokenizer, choose_compute("cpu", "fp32"))
    result = {
        "bits_per_byte": score.bits_per_byte,
        "nats_per_token": score.nats_per_token,
        "perplexity": math.exp(min(700.0, score.nats_per_token)),  # equally likely choices
        "tokens": score.tokens,
        "bytes": score.bytes,
        "context": score.context,
    }
    if json:
        print_json(result)
    else:
        print(
            "\n".join(
                f"{key:15} {value:,.4f}".removesuffix(".0000") for key, value in result.items()
            )
        )


def compare(
    runs: Positional[tuple[Path, ...]],
    out: Path,
    scale: Literal["smoke", "full"] = "full",
    reader: Path | None = None,
) -> None:
    """Judge runs side by side: same prompts, same seeds, curves and probabilities, on one page.

    Args:
        runs: Two or more run folders, the base first.
        out: Folder for comparison.json, samples.md, the pictures and index.html.
        scale: full measures for about half a minute, or some minutes where a model is large; smoke
            only shows that everything works.
        reader: A larger model that had no part in the training, such as runs/smollm2. It judges
            whether the samples make sense, by their bits per byte.
    """
    if len(runs) < 2:
        raise ValueError(f"compare needs two or more runs, not {len(runs)}")
    from tinylm.compare.judge import compare_runs
    from tinylm.compare.samples import SMOKE

    effort = SMOKE if scale == "smoke" else None
    print(clean(compare_runs(list(runs), out, effort=effort, reader=reader)))
    say(f"The page: {(out / 'index.html').resolve()}")


def plot(runs: Positional[tuple[Path, ...]], out: Path = Path("curves.png")) -> None:
    """Draw the loss curves of one or more runs.

    Args:
        runs: Run folders.
        out: The picture to write (.png or .svg).
    """
    from tinylm.pages.figures import is_ours, loss_curves, save_figure
    from tinylm.runs import open_run

    if not runs:
        raise ValueError("plot needs runs, such as: tinylm plot runs/demo/base runs/demo/verse")
    if out.exists() and not is_ours(out):
        raise ValueError(f"{out} exists and was not drawn by TinyLM: choose another --out")
    save_figure(loss_curves([open_run(run) for run in runs]), out)
    print(out)
