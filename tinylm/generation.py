"""Sampling: narrow the model's distribution, draw one token from it, append it, and again.

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

EXCLUDED = float("-inf")  # as a logit: probability 0 after softmax


def narrow(logits: Tensor, sampling: Sampling) -> Tensor:
    """Logits (B, V) -> (B, V) after temperature, top-k, top-p and min-p, in that order.

    Excluded tokens get -inf. The likeliest token always stays; temperature 0 keeps it alone.
    """
    # Softmax never says 0: without cuts one token in some hundred comes from the far tail, and a
    # small model does not recover from it.
    if sampling.temperature == 0:
        best = logits.argmax(-1, keepdim=True)  # (B, 1)
        return torch.full_like(logits, EXCLUDED).scatter(-1, best, 0.0)
    logits = logits / sampling.temperature
    if sampling.top_k is not None and sampling.top_k < logits.shape[-1]:
        # By place, not by comparing with the k-th logit: with ties exactly k stay.
        kept, places = logits.topk(sampling.top_k)  # (B, k)
        logits = torch.full_like(logits, EXCLUDED).scatter(-1, places, kept)
    if sampling.top_p < 1:
        shares = logits.softmax(-1)
        # The likeliest thousand reach p nearly always; sorting all of a large vocabulary would
        # take as long as the model.
        ordered, places = shares.topk(min(1024, shares.shape[-1]))  # (B, at most V)
        if ordered.sum(-1).min() < sampling.top_p:
            ordered, places = shares.sort(descending=True, stable=True)  # (B, V)
        # A token is surplus where the likelier ones alone reach p; never the first, which has none.
        surplus = ordered.cumsum(-1) - ordered >= sampling.top_p
        kept = logits.gather(-1, places).masked_fill(surplus, EXCLUDED)
        logits = torch.full_like(logits, EXCLUDED).scatter(-1, places, kept)
    # min-p moves with the model: where it is sure few tokens stay, where it is not many do.
    if sampling.min_p > 0:
        limit = logits.amax(-1, keepdim=True) + torch.tensor(sampling.min_p).log()  # (B, 1)
        logits = logits.masked_fill(logits < limit, EXCLUDED)
    return logits


def penalise(logits: Tensor, ids: Tensor, penalty: float) -> Tensor:
    """Make the tokens in `ids` (B, any) less likely (Keskar et al. 2019)."""
    seen = logits.gather(1, ids)
    # Dividing a negative logit would make its token likelier, so those are multiplied.
    return logits.scatter(1, ids, torch.where(seen > 0, seen / penalty, seen * penalty))


def draw(logits: Tensor, generators: list[torch.Generator]) -> Tensor:
    """One token per row (B,), each with its own generator.

    By inverting the cumulative distribution: a uniform number u falls into token i's stretch with
    token i's probability.
    """
    cumulative = logits.float().softmax(-1).cumsum(-1)  # (B, V), last column about 1
    uniform = torch.stack([torch.rand((), generator=g) for g in generators])  # (B,)
    # Times the last entry: rounding may leave it under 1, and u must stay below it.
    targets = uniform.to(logits.device)[:, None] * cumulative[:, -1:]
    return torch.searchsorted(cumulative, targets, right=True)[:, 0].clamp(max=logits.shape[1] - 1)


@torch.inference_mode()
def stream(
    model: GPT, prompts: list[list[int]], sampling: Sampling, generators: list[torch.Generator]
) -> Iterator[Tensor]:
    """Yield the next token of every row (B,), endlessly.

    `prompts` holds B lists of ids of one length, at least one each; `generators` holds one a row.
    """
    if not prompts[0]:
        raise ValueError("the prompt is empty: give a character, or use document_token = true")
    model.eval()
    weight, context = model.tokens.weight, model.config.context
    ids = torch.tensor(prompts, device=weight.device)  # (B, all tokens so far)
    cache = Cache(model.config, len(generators), weight.dtype, weight.device)
    # The decoder reads plain matrices in the memory of the CPU: no adapters, no GPU.
    plain = not any(".frozen." in name for name, _ in model.named_parameters())
    decoder = Decoder(model, cache) if plain and weight.device.type == "cpu" else None
    while True:
        if cache.length in (0, context):
            # At the start the prompt is read as a whole. When the cache is full, the last half of
            # the context is read anew: positions cannot go on beyond it.
            cache.length = 0
            recent = ids if ids.shape[1] <= context else ids[:, -max(1, context // 2) :]
            logits = model(recent, cache)[:, -1]  # (B, V)
        elif decoder:
            logits = torch.from_numpy(decoder(ids[:, -1].numpy()))
        else:
            logits = model(ids[:, -1:], cache)[:, -1]
        if sampling.repetition_penalty > 1:
            logits = penalise(logits, ids, sampling.repetition_penalty)
        threads = torch.get_num_threads()
        if decoder:  # beside NumPy's threads torch's would spin: 8 rows take six times as long
            torch.set_num_threads(1)
        # Drawn on the CPU, where one token at a time is no less fast, and sums have a fixed order.
        next_ids = draw(narrow(logits.cpu(), sampling), generators).to(ids.device)
        torch.set_num_threads(threads)
        ids = torch.cat((ids, next_ids[:, None]), dim=1)
        yield next_ids


@dataclass
class Continuation:
    """One sample as it grows. `text` follows the prompt; nothing in it is taken back."""

    prompt: str
    seed: int
    text: str = ""
    tokens: int = 0
    seconds: float = 0.0
    finish_reason: str = ""  # length, stop (a stop string) or document (a new one was begun)
    held: str = field(default="", repr=False)  # the beginning of a stop string, perhaps

    def add(self, piece: str, stop: tuple[str, ...]) -> None:
        """Append a piece of text; end before the earliest stop string.

        What may become a stop string is held back until it is clear that it does not.
        """
        # What was held back before stands in front of the new piece.
        text = self.held + piece
        ends = [text.find(word) for word in stop if word in text]
        if ends:
            self.text, self.held, self.finish_reason = self.text + text[: min(ends)], "", "stop"
            return
        beginnings = [word[:n] for word in stop for n in range(1, len(word))]
        hold = max((len(part) for part in beginnings if text.endswith(part)), default=0)
        shown = len(text) - hold
        self.text, self.held = self.text + text[:shown], text[shown:]


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
    ids: tuple[int, ...] = ()  # the prompt as ids, where it is more than text (chat.py)


def continue_text(
    model: GPT, tokenizer: Tokenizer, request: Request
) -> Iterator[list[Continuation]]:
    """Yield the growing continuations after every token, until all have finished.

    It is the same list each time. A row that has finished stays as it is while others go on.
    """
    start = time.perf_counter()
    rows = [Continuation(request.prompt, request.seed + row) for row in range(request.count)]
    decoders = [StreamDecoder(tokenizer) for _ in rows]
    generators = [torch.Generator().manual_seed(row.seed) for row in rows]
    # The token that begins documents goes first; when the model writes it, its text is finished.
    end = tokenizer.special_id(request.begin) if request.begin else -1
    prompt = list(request.ids) or [end] * bool(request.begin) + tokenizer.encode(request.prompt)
    tokens = stream(model, [prompt] * request.count, request.sampling, generators)
    for number, ids in enumerate(tokens, start=1):
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
                row.add(decoder.flush(), ())  # what an unfinished character leaves
        yield rows
        if all(row.finish_reason for row in rows):
            return


def generate(model: GPT, tokenizer: Tokenizer, request: Request) -> list[Continuation]:
    """All continuations of a request, finished."""
    return list(continue_text(model, tokenizer, request))[-1]
