"""One loop for pretraining and fine-tuning.

    trainer = Trainer(recipe, corpus, model, folder)
    for record in trainer.run():
        print(record.step, record.loss)

`run()` is a generator: a command draws a progress bar from it, a notebook a curve, a test takes
five steps and stops. Nothing calls back. Everything that chance decides (the batches, dropout, the
samples along the way) is a function of the seed and the step, so a run that was interrupted goes on
to the same bits as one that was not.
"""

import math
import platform
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save as to_safetensors
from torch import Tensor

import tinylm
from tinylm.config import Recipe
from tinylm.evaluation.likelihood import batch_nats, measure
from tinylm.generation import Request, generate
from tinylm.model.device import choose_compute
from tinylm.model.gpt import GPT, flops_per_token, size_of
from tinylm.runs import FORMAT, LOGS, append_line, file_entry, save_files
from tinylm.text.batches import IGNORE, Batch, Batches, Corpus
from tinylm.text.tokenizers import DOCUMENT
from tinylm.training.checkpoint import STATE, model_files, state_file, trained, weights_file
from tinylm.training.optim import Optimizers


@dataclass(frozen=True)
class Record:
    """One optimiser step. `valid` and `samples` are filled at the steps where the recipe asks for
    them."""

    step: int  # counted from 1
    loss: float  # nats per target, before this step's update
    learning_rate: float  # AdamW's
    grad_norm: float  # before clipping
    tokens: int  # seen so far, the little padding of batches included
    seconds: float  # of work so far, earlier parts of a resumed run included
    valid: dict[str, Any] | None = None
    samples: tuple[str, ...] = ()
    notice: str = ""  # what a person should know, such as validation turning upward
    measures: dict[str, float] = field(default_factory=dict)  # the stage's own, such as a reward


@dataclass(frozen=True)
class Alone:
    """The processes that train one model together: only this one. Several: see processes.py."""

    rank: int = 0
    count: int = 1

    def add_up(self, number: float, gradients: Sequence[Tensor] = ()) -> float:
        """The sum of `number` over all processes; `gradients` become theirs, in place."""
        return number


@dataclass(frozen=True)
class StepResult:
    """What one step's gradients were computed from."""

    loss: float  # what the gradients are of
    tokens: int  # read in the step
    measures: dict[str, float] = field(default_factory=dict)  # further entries of its record


class Trainer:
    """Trains `model` on `corpus` as `recipe` says, and keeps the run folder `folder` true at every
    save.

    Two methods say what is learned, and another stage overrides them (`reward.RewardTrainer`):
    `compute_gradients` leaves the gradients of one step on the model, and `is_best` decides which
    weights model/ keeps. Both must be functions of the weights, the seed and the step alone, so
    that a resumed run repeats them to the bit.
    """

    def __init__(
        self,
        recipe: Recipe,
        corpus: Corpus,
        model: GPT,
        folder: Path,
        parent: dict[str, str] | None = None,
    ) -> None:
        train = recipe.train
        self.recipe, self.corpus, self.folder, self.parent = recipe, corpus, folder, parent
        self.compute = choose_compute(train.device, train.precision)
        self.model = model.to(self.compute.device)
        self.forward: Callable[[Tensor], Tensor] = self.model
        self.team = Alone()
        self.batches = Batches(corpus, model.config.context, train.batch_size, train.seed)
        self.optimizers = Optimizers(self.model, train)
        self.manifest: dict[str, Any] = {}
        self.notices: list[str] = []  # what a person should know before the start
        self.stopping = False
        # the run folder's, where start.py took it (lock.py); held while this trainer lives
        self.lock: object = None
        # What a resume restores, beside weights and optimiser:
        self.step, self.tokens, self.seconds, self.first_loss, self.rising = 0, 0, 0.0, math.nan, 0
        self.best: dict[str, Any] = {"step": 0, "nats_per_token": math.inf}

    @property
    def tokens_per_step(self) -> int:
        """About how many tokens a step reads, for estimates."""
        return self.batches.tokens

    def with_recipe(self, recipe: Recipe) -> "Trainer":
        """A trainer of the same parts for another recipe."""
        return Trainer(recipe, self.corpus, self.model, self.folder, self.parent)

    def run(self) -> Iterator[Record]:
        """Yield one record per step until the last one, `stop_after` or `stop()`; saves after every
        validation.

        Raises ValueError with advice where the loss is not finite or runs away; the last save stays
        as it is.
        """
        mark = time.perf_counter()
        if not self.manifest:
            self.begin()
        train = self.recipe.train
        last = min(train.steps, train.stop_after or train.steps)
        # all processes leave at the same step
        while self.step < last and not self.team.add_up(self.stopping):
            result = self.compute_gradients(self.step)
            norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), train.clip).item()
            self.check(result.loss, norm)
            rate = self.optimizers.step(self.step)
            self.step += 1
            self.tokens += result.tokens
            facts = {"loss": result.loss, "learning_rate": rate, "grad_norm": norm}
            facts |= {"tokens": self.tokens, **result.measures}
            self.log("metrics.jsonl", {"kind": "train", "step": self.step, **facts})
            valid = self.validate() if self.due(train.evaluate_every) else None
            samples = self.sample() if self.due(self.recipe.sample.every) else ()
            self.seconds += time.perf_counter() - mark
            if valid or self.step == last:
                self.save(improved=valid is not None and self.best["step"] == self.step)
            yield Record(
                self.step,
                result.loss,
                rate,
                norm,
                self.tokens,
                self.seconds,
                valid,
                samples,
                self.notice(valid),
                result.measures,
            )
            mark = time.perf_counter()
        if self.step < last:
            self.stopping = True
            self.save(improved=False)

    def stop(self) -> None:
        """Ask `run` to save and end after the step it is in: what Ctrl-C does."""
        self.stopping = True

    def log(self, name: str, record: dict[str, Any]) -> None:
        """Add a record to a log of the run folder; the first process writes for all."""
        if self.team.rank == 0:
            append_line(self.folder / name, record)

    def due(self, every: int) -> bool:
        return self.step % every == 0 or self.step == self.recipe.train.steps

    def compute_gradients(self, step: int) -> StepResult:
        """The gradients of the mean loss of batch number `step` (from 0)."""
        batch = self.batches[step]
        return StepResult(self.accumulate(batch), batch.inputs.size)

    def is_best(self, valid: dict[str, Any]) -> bool:
        """Whether a validation record beats the best one so far; model/ then keeps its weights."""
        return bool(valid["nats_per_token"] <= self.best["nats_per_token"])

    def accumulate(self, batch: Batch) -> float:
        """Add up the gradients of the mean loss over the batch's targets, one micro-batch at a
        time; returns that loss.

        Each part is divided by the target count of the whole batch: uneven masks weigh the same
        however it is cut.
        """
        noise = (self.recipe.train.seed, self.step, self.team.rank)
        count = max(1, int((batch.targets != IGNORE).sum()))
        # a part for every process
        rows = min(self.recipe.train.micro_batch_size, len(batch.inputs) // self.team.count)
        total = 0.0
        self.model.train()
        # torch's own stays as it was
        with torch.random.fork_rng(enabled=self.model.config.dropout > 0):
            if self.model.config.dropout:
                torch.manual_seed(int(np.random.SeedSequence(noise).generate_state(1)[0]))
            for row in range(self.team.rank * rows, len(batch.inputs), self.team.count * rows):
                part = Batch(batch.inputs[row : row + rows], batch.targets[row : row + rows])
                loss = batch_nats(self.forward, part, self.compute).sum() / count
                loss.backward()
                total += loss.item()
        return self.team.add_up(
            total, [w.grad for w in self.model.parameters() if w.grad is not None]
        )

    def check(self, loss: float, norm: float) -> None:
        """Stop before a bad update reaches the weights: at twice the loss of the first batch and of
        guessing."""
        if math.isnan(self.first_loss):
            self.first_loss = loss
        finite = math.isfinite(loss) and math.isfinite(norm)
        if finite and loss < 2 * max(self.first_loss, math.log(self.model.config.vocab_size)) + 2:
            return
        raise ValueError(
            f"step {self.step + 1}: the loss {'runs away' if finite else 'is not a finite number'} (loss {loss:.3g}, "
            f"gradient norm {norm:.3g}, first loss {self.first_loss:.3g}). Try a third of train.learning_rate and "
            f"train.muon_learning_rate, or a longer train.warmup. The checkpoint of step {self.manifest['step']} in "
            f"{self.folder} is good"
        )

    def validate(self) -> dict[str, Any]:
        """A full pass over the validation ids, and those of the base's corpus where there are any;
        logs the result."""
        corpus = self.corpus
        score = measure(self.model, corpus.valid, corpus.tokenizer, self.compute, corpus.valid_mask)
        record: dict[str, Any] = {
            "step": self.step,
            "nats_per_token": score.nats_per_token,
            "bits_per_byte": score.bits_per_byte,
            "tokens": score.tokens,
            "context": score.context,
        }
        if corpus.base_valid is not None:
            base = measure(self.model, corpus.base_valid, corpus.tokenizer, self.compute)
            record |= {
                "base_nats_per_token": base.nats_per_token,
                "base_bits_per_byte": base.bits_per_byte,
            }
        self.log("metrics.jsonl", {"kind": "valid", **record})
        if not math.isfinite(score.nats):
            raise ValueError(
                f"step {self.step}: the validation loss is not a finite number; lower the learning rates"
            )
        self.rising = 0 if self.is_best(record) else self.rising + 1
        if not self.rising:
            self.best = record
        return record

    def notice(self, valid: dict[str, Any] | None) -> str:
        """One line where validation has been above its best twice in a row, said once per rise."""
        if valid is None or self.rising != 2:
            return ""
        return (
            f"validation has turned upward: best was step {self.best['step']} "
            f"({self.best['nats_per_token']:.3f} nats/token, now {valid['nats_per_token']:.3f}); model/ keeps that step"
        )

    def sample(self) -> tuple[str, ...]:
        """Continue the recipe's prompts with this step's weights; logs and returns the texts,
        prompts included."""
        wanted, begin = self.recipe.sample, DOCUMENT if self.recipe.corpus.document_token else None
        texts = []
        for prompt in wanted.prompts if begin else filter(None, wanted.prompts):
            request = Request(
                prompt, wanted.tokens, wanted.sampling, seed=self.recipe.train.seed, begin=begin
            )
            text = generate(self.model, self.corpus.tokenizer, request)[0].text
            record = {"step": self.step, "prompt": prompt, "seed": request.seed, "text": text}
            self.log("samples.jsonl", record)
            texts.append(prompt + text)
        return tuple(texts)

    def begin(self) -> None:
        """Before the first step: judge and save the starting point."""
        # An interruption is no part of the recipe: a resume goes on to the end.
        lasting = self.recipe.model_copy(
            update={
                "model": self.model.config,
                "train": self.recipe.train.model_copy(update={"stop_after": None}),
            }
        )
        self.manifest = {
            "files": {
                f"data/{p.name}": file_entry(p) for p in sorted((self.folder / "data").glob("*"))
            }
        }
        self.validate()
        self.save(
            improved=True, files=model_files(lasting, self.model.config, self.corpus.tokenizer)
        )

    def save(self, improved: bool, files: dict[str, bytes] | None = None) -> None:
        """Write state/, model/ where these weights are the best so far, and last the manifest."""
        if self.team.rank > 0:
            return
        speed = round(self.tokens / max(self.seconds, 1e-9), 1)
        timing = {"step": self.step, "seconds": round(self.seconds, 3), "tokens_per_second": speed}
        append_line(self.folder / "timings.jsonl", timing)
        logs = {
            name: (self.folder / name).stat().st_size
            for name in LOGS
            if (self.folder / name).exists()
        }
        progress = {
            "step": self.step,
            "tokens": self.tokens,
            "seconds": self.seconds,
            "first_loss": self.first_loss,
            "rising": self.rising,
            "best": self.best,
            "logs": logs,
        }
        files = dict(files or {})
        if improved:
            files[weights_file(self.recipe)] = to_safetensors(trained(self.model))
        # The state moves last: a crash before that leaves an older state, from which these same
        # weights come again.
        files[STATE] = state_file(self.model, self.optimizers.state(), progress)
        self.manifest = save_files(
            self.folder, files, {**self.describe(), "files": self.manifest["files"]}
        )

    def describe(self) -> dict[str, Any]:
        """The manifest's account of the run so far."""
        train, config = self.recipe.train, self.model.config
        return {
            "format": FORMAT,
            "status": "finished"
            if self.step == train.steps
            else "stopped"
            if self.stopping
            else "running",
            "step": self.step,
            "steps": train.steps,
            "best": self.best,
            "tokens": self.tokens,
            "seconds": self.seconds,
            "flops": self.tokens * flops_per_token(config),
            "peak_memory_bytes": peak_memory(),
            "parameters": size_of(config).total,
            "seed": train.seed,
            "corpus_sha256": self.corpus.sha256,
            "parent": self.parent,
            "device": str(self.compute.device),
            "precision": str(self.compute.dtype)[6:],
            "threads": torch.get_num_threads(),
            "processes": self.team.count,
            "platform": platform.platform(),
            "versions": {
                "tinylm": tinylm.__version__,
                "python": platform.python_version(),
                "torch": torch.__version__,
                "numpy": np.__version__,
            },
        }


def peak_memory() -> int:
    """Most bytes this process has held so far; 0 where the platform does not say (Windows)."""
    if sys.platform == "win32":
        return 0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # Linux counts in kB
