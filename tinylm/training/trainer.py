"""One loop for pretraining, fine-tuning and learning from a reward.

    trainer = Trainer(recipe, corpus, model, folder)
    for record in trainer.run():
        print(record.step, record.loss)

`run()` is a generator: a command draws a progress bar from it, a notebook draws a curve, a test
takes five steps and stops. There are no callbacks. Everything random (the batches, dropout, the
samples along the way) is a function of the seed and the step, so a run that was interrupted goes on
to the same bits as one that was not.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save as to_safetensors
from torch import Tensor

from tinylm.config import Recipe
from tinylm.evaluation.likelihood import batch_nats, measure
from tinylm.generation import Request, generate
from tinylm.model.device import choose_compute
from tinylm.model.gpt import GPT
from tinylm.runs import FORMAT, LOGS, append_line, file_entry, save_files
from tinylm.text.batches import IGNORE, Batch, Batches, Corpus
from tinylm.text.tokenizers import DOCUMENT
from tinylm.training.checkpoint import STATE, model_files, state_file, trained, weights_file
from tinylm.training.optim import Optimizers

Parent = dict[str, str] | None  # path, relative_path and fingerprint of the run started from
COMPARED = ("nats_per_token", "bits_per_byte")  # what two texts' losses are compared by
PROGRESS = ("step", "tokens", "seconds", "first_loss", "rising", "best")  # what a resume restores


@dataclass(frozen=True)
class Record:
    """One optimiser step. `valid` and `samples` are filled where the recipe asks for them."""

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
class StepResult:
    """What one step's gradients were computed from."""

    loss: float  # what the gradients are of
    tokens: int  # read in the step
    measures: dict[str, float] = field(default_factory=dict)  # further entries of its record


@dataclass(frozen=True)
class Alone:
    """The processes that train one model together: only this one. Several: distributed.py."""

    rank: int = 0
    count: int = 1

    def add_up(self, number: float, gradients: Sequence[Tensor] = ()) -> float:
        """The sum of `number` over all processes; `gradients` become theirs, in place."""
        return number


class Trainer:
    """Trains `model` on `corpus` as `recipe` says, and keeps the run folder true at every save.

    Two methods say what is learned, and another stage overrides them (reward.RewardTrainer):
    `compute_gradients` leaves the gradients of one step on the model, and `is_best` decides which
    weights model/ keeps. Both must be functions of the weights, the seed and the step alone, so
    that a resumed run repeats them to the bit.
    """

    def __init__(
        self, recipe: Recipe, corpus: Corpus, model: GPT, folder: Path, parent: Parent = None
    ) -> None:
        train = recipe.train
        self.recipe, self.corpus, self.folder, self.parent = recipe, corpus, folder, parent
        # Precision follows from the processor's features, never from a timing: it must repeat.
        self.compute = choose_compute(train.device, train.precision)
        self.model = model.to(self.compute.device)
        self.forward: Callable[[Tensor], Tensor] = self.model  # may be compiled (performance.py)
        self.team = Alone()
        # batches[k] is a function of k: the place in the data is the step, nothing else.
        self.batches = Batches(corpus, model.config.context, train.batch_size, train.seed)
        self.optimizers = Optimizers(self.model, train)
        self.manifest: dict[str, Any] = {}
        self.notices: list[str] = []  # what a person should know before the start
        self.stopping = False
        self.lock: object = None  # the run folder's lock; held while this trainer lives
        # What the manifest says of machine and versions (environment.py); start.py fills it in.
        self.environment: Callable[[Trainer], dict[str, Any]] = lambda trainer: {}
        self.costs: object = None  # what its parts take, once measured (estimate.py)
        self.started = time.perf_counter()  # start.py puts it back to where starting began
        # The progress, which a resume restores beside the weights and the optimiser.
        self.step, self.tokens, self.seconds = 0, 0, 0.0
        self.first_loss, self.rising = math.nan, 0  # rising: validations since the best one
        self.best: dict[str, Any] = {"step": 0, "nats_per_token": math.inf}

    @property
    def finished(self) -> bool:
        """Whether all steps are done, or validation has not improved for `patience` passes."""
        patience = self.recipe.train.patience or math.inf
        return self.rising >= patience or self.step >= self.recipe.train.steps

    @property
    def tokens_per_step(self) -> int:
        """About how many tokens a step reads, for estimates."""
        return self.batches.tokens

    def run(self) -> Iterator[Record]:
        """Yield one record per step until the last one, `stop_after` or `stop()`.

        Saves after every validation. Raises ValueError with advice where the loss is not finite or
        runs away; the last save stays as it is.
        """
        start = time.perf_counter()
        train = self.recipe.train
        last = min(train.steps, train.stop_after or train.steps)
        if not self.manifest:
            self.begin()
        # The sum over processes: all leave at the same step when one is asked to stop.
        while self.step < last and not self.finished and not self.team.add_up(self.stopping):
            # 1. gradients, 2. clip, 3. check before anything reaches the weights, 4. update
            result = self.compute_gradients(self.step)
            norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), train.clip).item()
            self.check(result.loss, norm)
            rate = self.optimizers.step(self.step)
            self.step += 1
            self.tokens += result.tokens
            entry = {"kind": "train", "step": self.step, "loss": result.loss}
            entry |= {"learning_rate": rate, "grad_norm": norm, "tokens": self.tokens}
            self.log("metrics.jsonl", entry | result.measures)
            # 5. judge and save now and then; the clock stands still while the caller looks
            valid = self.validate() if self.is_due(train.evaluate_every) else None
            samples = self.sample() if self.is_due(self.recipe.sample.every) else ()
            self.seconds += time.perf_counter() - start
            if valid or self.step == last:
                self.save(improved=valid is not None and self.best["step"] == self.step)
            progress = (self.step, result.loss, rate, norm, self.tokens, self.seconds)
            yield Record(*progress, valid, samples, self.notice(valid), result.measures)
            start = time.perf_counter()
        if self.step < last and not self.finished:
            self.stopping = True
            self.save(improved=False)

    def stop(self) -> None:
        """Ask `run` to save and end after the step it is in: what Ctrl-C does."""
        self.stopping = True

    def log(self, name: str, record: dict[str, Any]) -> None:
        """Add a record to a log of the run folder; the first process writes for all."""
        if self.team.rank == 0:
            append_line(self.folder / name, record)

    def is_due(self, every: int) -> bool:
        """Whether something that happens every so many steps, and at the end, happens now."""
        return self.step % every == 0 or self.step == self.recipe.train.steps

    def compute_gradients(self, step: int) -> StepResult:
        """The gradients of the mean loss of batch number `step` (from 0)."""
        batch = self.batches[step]
        return StepResult(self.accumulate(batch), batch.inputs.size)

    def accumulate(self, batch: Batch) -> float:
        """Add up the gradients of the mean loss over the batch's targets; returns that loss.

        The batch is cut into micro-batches that fit into memory. Each one's sum is divided by the
        target count of the whole batch. (A mean of the parts' means would be another number: a part
        with few unmasked targets would weigh as much as a full one.)
        """
        count = max(1, int((batch.targets != IGNORE).sum()))
        # Process r of n takes every n-th part, beginning with part r.
        rows = min(self.recipe.train.micro_batch_size, len(batch.inputs) // self.team.count)
        total = 0.0
        self.model.train()
        # Dropout draws from a seed of its own for each step; the caller's generator is left alone.
        with torch.random.fork_rng(enabled=self.model.config.dropout > 0):
            if self.model.config.dropout:
                source = (self.recipe.train.seed, self.step, self.team.rank)
                torch.manual_seed(int(np.random.SeedSequence(source).generate_state(1)[0]))
            for row in range(self.team.rank * rows, len(batch.inputs), self.team.count * rows):
                part = Batch(batch.inputs[row : row + rows], batch.targets[row : row + rows])
                loss = batch_nats(self.forward, part, self.compute).sum() / count
                loss.backward()
                total += loss.item()
        gradients = [w.grad for w in self.model.parameters() if w.grad is not None]
        return self.team.add_up(total, gradients)

    def check(self, loss: float, norm: float) -> None:
        """Stop before a bad update: a number that is not finite, or a loss beyond all reason.

        Beyond reason is twice the loss of the first batch, or of guessing (log of the vocabulary).
        """
        if math.isnan(self.first_loss):
            self.first_loss = loss
        # An untrained model's first loss is about that of guessing, a fine-tune's may be far below
        # it on its first batch: the larger of the two is the measure.
        finite = math.isfinite(loss) and math.isfinite(norm)
        guessing = math.log(self.model.config.vocab_size)
        if finite and loss < 2 * max(self.first_loss, guessing) + 2:
            return
        what = "runs away" if finite else "is not a finite number"
        numbers = f"loss {loss:.3g}, gradient norm {norm:.3g}, first loss {self.first_loss:.3g}"
        advice = "Try a third of train.learning_rate and train.muon_learning_rate, or more warmup."
        good = f"The checkpoint of step {self.manifest['step']} in {self.folder} is good"
        raise ValueError(f"step {self.step + 1}: the loss {what} ({numbers}). {advice} {good}")

    def validate(self) -> dict[str, Any]:
        """Measure all validation ids, and those of the base run's corpus; log and return it."""
        corpus = self.corpus
        score = measure(self.model, corpus.valid, corpus.tokenizer, self.compute, corpus.valid_mask)
        # A full pass, never a random batch: two validations differ by the weights alone.
        record: dict[str, Any] = {"step": self.step}
        record |= {name: getattr(score, name) for name in (*COMPARED, "tokens", "context")}
        if corpus.base_valid is not None:  # what a fine-tune forgets
            base = measure(self.model, corpus.base_valid, corpus.tokenizer, self.compute)
            record |= {f"base_{name}": getattr(base, name) for name in COMPARED}
        # Logged before it is checked: the curve should show where a run broke.
        self.log("metrics.jsonl", {"kind": "valid", **record})
        if not math.isfinite(score.nats):
            raise ValueError(f"step {self.step}: validation is not finite; lower the rates")
        self.rising = 0 if self.is_best(record) else self.rising + 1
        if not self.rising:
            self.best = record
        return record

    def is_best(self, valid: dict[str, Any]) -> bool:
        """Whether a validation record is the best so far; model/ then keeps its weights."""
        return bool(valid["nats_per_token"] <= self.best["nats_per_token"])

    def notice(self, valid: dict[str, Any] | None) -> str:
        """One line where validation was above its best twice in a row, once per rise."""
        if valid is None or self.rising != 2:
            return ""
        best, now = self.best["nats_per_token"], valid["nats_per_token"]
        compared = f"best was step {self.best['step']} ({best:.3f} nats/token, now {now:.3f})"
        return f"validation has turned upward: {compared}; model/ keeps that step"

    def sample(self) -> tuple[str, ...]:
        """Continue the recipe's prompts with this step's weights; log and return the texts."""
        # The same seed each time: what changes between two samples is the model alone.
        config, seed = self.recipe.sample, self.recipe.train.seed
        begin = DOCUMENT if self.recipe.corpus.document_token else None
        texts = []
        # An empty prompt needs a token that begins documents: there is nothing else to begin with.
        for prompt in config.prompts if begin else filter(None, config.prompts):
            request = Request(prompt, config.tokens, config.sampling, seed, begin=begin)
            text = generate(self.model, self.corpus.tokenizer, request)[0].text
            record = {"step": self.step, "prompt": prompt, "seed": seed, "text": text}
            self.log("samples.jsonl", record)
            texts.append(prompt + text)
        return tuple(texts)

    def begin(self) -> None:
        """Before the first step: judge and save the starting point."""
        # An interruption is no part of the recipe: a resumed run goes on to the end.
        train = self.recipe.train.model_copy(update={"stop_after": None})
        lasting = self.recipe.model_copy(update={"model": self.model.config, "train": train})
        # The token files are in place already (corpora/build.py wrote them); list them.
        data = sorted((self.folder / "data").glob("*"))
        self.manifest = {"files": {f"data/{path.name}": file_entry(path) for path in data}}
        self.validate()
        self.save(True, model_files(lasting, self.model.config, self.corpus.tokenizer))

    def save(self, improved: bool, files: dict[str, bytes] | None = None) -> None:
        """Write state/, model/ where these weights are the best so far, and last the manifest."""
        if self.team.rank > 0:
            return  # one process writes for all
        # Seconds stand in a log of their own: metrics.jsonl is then equal, to the bit, for a run
        # that was interrupted and one that was not.
        speed = round(self.tokens / max(self.seconds, 1e-9), 1)
        timing = {"step": self.step, "seconds": round(self.seconds, 3), "tokens_per_second": speed}
        append_line(self.folder / "timings.jsonl", timing)
        # A resume cuts the logs back to the length they had at this save.
        paths = [self.folder / name for name in LOGS]
        logs = {path.name: path.stat().st_size for path in paths if path.exists()}
        progress = {name: getattr(self, name) for name in PROGRESS} | {"logs": logs}
        # model/ keeps the best weights, state/ the last ones with all that the next step needs.
        files = dict(files or {})
        if improved:
            files[weights_file(self.recipe)] = to_safetensors(trained(self.model))
        # The state moves last: a crash before that leaves an older state, from which these same
        # weights come again.
        files[STATE] = state_file(self.model, self.optimizers.state(), progress)
        manifest = {**self.describe(), "files": self.manifest["files"]}
        self.manifest = save_files(self.folder, files, manifest)

    def describe(self) -> dict[str, Any]:
        """The manifest's account of the run so far."""
        # "stopped" can be resumed as "running" can; it says that a person asked for it.
        steps = self.recipe.train.steps
        unfinished = "stopped" if self.stopping else "running"
        status = "finished" if self.finished else unfinished
        account = {"format": FORMAT, "status": status, "step": self.step, "steps": steps}
        account |= {"best": self.best, "tokens": self.tokens, "seconds": self.seconds}
        account |= {"corpus_sha256": self.corpus.sha256, "parent": self.parent}
        return account | self.environment(self)
