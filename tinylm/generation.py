"""Sampling: the model's distribution, narrowed as asked, then one token drawn from it, again and
again.

Each sample has its own generator, seeded with `seed + row`, so sample 3 of 8 is the same text when
drawn alone. On a CPU, `Decoder` takes over behind the prompt. Past the context: when the cache is
full, the last half of the context is read anew and generation goes on from there; the model then
sees between half a context and a whole one, at a cost of one extra pass every context / 2 tokens.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from tinylm.config import Sampling
from tinylm.model.decoder import Decoder
from tinylm.model.gpt import GPT, Cache
from tinylm.text.tokenizers import StreamDecoder, Tokenizer


def narrow(logits: Tensor, sampling: Sampling) -> Tensor:
    """Logits (B, V) -> (B, V) after temperature, top-k, top-p and min-p, in that order; excluded
    tokens get -inf.

    The likeliest token always stays. Temperature 0 keeps it alone. With ties at the k-th place
    exactly k stay.
    """
    if sampling.temperature == 0:
        best = logits.argmax(-1, keepdim=True)  # (B, 1)
        return torch.full_like(logits, float("-inf")).scatter(-1, best, 0.0)
    logits = logits / sampling.temperature
    if sampling.top_k is not None and sampling.top_k < logits.shape[-1]:
        kept, places = logits.topk(sampling.top_k)  # (B, k)
        logits = torch.full_like(logits, float("-inf")).scatter(-1, places, kept)
    if sampling.top_p < 1:
        ordered, places = logits.softmax(-1).sort(descending=True, stable=True)
        enough = ordered.cumsum(-1) - ordered >= sampling.top_p  # likelier tokens alone reach p
        logits = logits.masked_fill(
            torch.zeros_like(enough).scatter(-1, places, enough), float("-inf")
        )
    if sampling.min_p > 0:
        probabilities = logits.softmax(-1)
        limit = sampling.min_p * probabilities.amax(-1, keepdim=True)
        logits = logits.masked_fill(probabilities < limit, float("-inf"))
    return logits


def penalise(logits: Tensor, ids: Tensor, penalty: float) -> Tensor:
    """Make the tokens in `ids` (B, any) less likely: positive logits / penalty, negative ones *
    penalty."""
    seen = logits.gather(1, ids)
    return logits.scatter(1, ids, torch.where(seen > 0, seen / penalty, seen * penalty))


def draw(logits: Tensor, generators: list[torch.Generator]) -> Tensor:
    """One token per row (B,) by inverting the cumulative distribution at one uniform number per
    generator."""
    cumulative = logits.float().softmax(-1).cumsum(-1)  # (B, V), last column about 1
    # (B,)
    uniform = torch.stack([torch.rand((), generator=g) for g in generators]).to(logits.device)
    # The product keeps the target below the last entry even where rounding left that entry under 1.
    places = torch.searchsorted(cumulative, (uniform * cumulative[:, -1])[:, None], right=True)
    return places.squeeze(-1).clamp(max=logits.shape[-1] - 1)


@torch.inference_mode()
def stream(
    model: GPT, prompts: list[list[int]], sampling: Sampling, generators: list[torch.Generator]
) -> Iterator[Tensor]:
    """Yield the next token of every row (B,), endlessly.

    `prompts` holds B prompts of one length, at least one token each; `generators` one a row.
    """
    if not prompts[0]:
        raise ValueError(
            "the prompt is empty: give at least one character, or a recipe with document_token = true"
        )
    model.eval()
    weight, context = model.tokens.weight, model.config.context
    ids = torch.tensor(prompts, device=weight.device)  # (B, all tokens so far)
    cache = Cache(model.config, len(generators), weight.dtype, weight.device)
    # adapters are not the decoder's
    plain = not any(".frozen." in name for name, _ in model.named_parameters())
    decoder = Decoder(model, cache) if plain and weight.device.type == "cpu" else None
    while True:
        if cache.length in (0, context):
            cache.length = 0
            # (B, V)
            logits = model(
                ids if ids.shape[1] <= context else ids[:, -max(1, context // 2) :], cache
            )[:, -1]
        elif decoder:
            logits = torch.from_numpy(decoder(ids[:, -1].numpy()))
        else:
            logits = model(ids[:, -1:], cache)[:, -1]
        if sampling.repetition_penalty > 1:
            logits = penalise(logits, ids, sampling.repetition_penalty)
        threads = torch.get_num_threads()
        # else torch's and NumPy's idle threads fight: 8 rows take 6 x
        torch.set_num_threads(1 if decoder else threads)
        try:
            fresh = draw(narrow(logits, sampling), generators)
        finally:
            torch.set_num_threads(threads)
        ids = torch.cat((ids, fresh[:, None]), dim=1)
        yield fresh


@dataclass
class Continuation:
    """One sample as it grows. `text` is what follows the prompt and may be shown; nothing shown is
    taken back."""

    prompt: str
    seed: int
    text: str = ""
    tokens: int = 0
    seconds: float = 0.0
    # "length", "stop" (a stop string) or "document" (the model began a new document)
    finish_reason: str = ""
    held: str = field(default="", repr=False)  # the beginning of a stop string, perhaps

    def add(self, piece: str, stop: tuple[str, ...]) -> None:
        """Append a piece of text; end before the earliest stop string, hold back what may become
        one."""
        text = self.held + piece
        ends = [place for place in (text.find(word) for word in stop) if place >= 0]
        if ends:
            self.text, self.held, self.finish_reason = self.text + text[: min(ends)], "", "stop"
            return
        starts = {word[:n] for word in stop for n in range(1, len(word))}
        hold = max((len(start) for start in starts if text.endswith(start)), default=0)
        self.text, self.held = self.text + text[: len(text) - hold], text[len(text) - hold :]


@dataclass(frozen=True)
class Request:
    """What to generate: `count` continuations of one prompt, of at most `tokens` tokens each."""

    prompt: str
    tokens: int = 120
    sampling: Sampling = field(default=Sampling())
    seed: int = 0
    count: int = 1
    stop: tuple[str, ...] = ()
    # a special token to put before the prompt, at which a continuation also ends
    begin: str | None = None


def continue_text(
    model: GPT, tokenizer: Tokenizer, request: Request
) -> Iterator[list[Continuation]]:
    """Yield the growing continuations after every token, the same list each time, until all have
    finished."""
    start = time.perf_counter()
    rows = [Continuation(request.prompt, request.seed + row) for row in range(request.count)]
    decoders = [StreamDecoder(tokenizer) for _ in rows]
    generators = [torch.Generator().manual_seed(row.seed) for row in rows]
    end = tokenizer.special_id(request.begin) if request.begin else -1
    prompt = ([end] if request.begin else []) + tokenizer.encode(request.prompt)
    for number, ids in enumerate(
        stream(model, [prompt] * request.count, request.sampling, generators), start=1
    ):
        for row, decoder, token in zip(rows, decoders, ids.tolist()):
            if row.finish_reason:
                continue
            row.seconds = time.perf_counter() - start
            if token == end:
                row.finish_reason = "document"
            else:
                row.tokens = number
                row.add(decoder.push(token), request.stop)
            if number == request.tokens and not row.finish_reason:
                row.finish_reason = "length"
            if row.finish_reason in ("document", "length"):
                row.add(decoder.flush(), ())
        yield rows
        if all(row.finish_reason for row in rows):
            return


def generate(model: GPT, tokenizer: Tokenizer, request: Request) -> list[Continuation]:
    """All continuations of a request, finished."""
    *_, rows = continue_text(model, tokenizer, request)
    return rows
