"""The third stage: a model learns from a reward for what it writes itself.

    trainer = start_run(load_recipe("demo-reward"), Path("runs/rewarded"))
    for record in trainer.run(): ...

Pretraining and fine-tuning imitate: at every position the text says which token comes next. A
reward says nothing about single tokens. It judges a finished line, and the model has to find out by
trying which of its tokens earned the score. One step of policy gradient does that:

    1. sample     the model continues B prompts by itself, at temperature 1
    2. score      each finished line gets a reward r (evaluation/rewards.py)
    3. compare    advantage A = (r - mean of the step's rewards) / their standard deviation
    4. learn      loss = - mean over tokens of A log p(token)
                         + kl      x KL(model || reference)
                         - entropy x H(model)

The gradient of A log p(token) makes the tokens of a line that did better than its fellows likelier,
and those of a worse line less likely (REINFORCE: Williams 1992). Subtracting the mean changes
nothing on average and removes most of the noise; with the mean of a group of samples for baseline
no second network has to guess it (GRPO: Shao et al. 2024, from which the division by the deviation
comes too).

The reference is the model as it was before this stage, frozen. KL(model || reference) counts the
nats by which the model has moved away from it, and pulls it back (Ziegler et al. 2019): without
this term whatever the reward does not mention is given up, words and sense first. The entropy H
rewards the model for keeping several continuations open; it is what keeps the vocabulary.

Trade-offs. Samples are drawn in fp32 by the NumPy decoder and learned from in the training
precision, so that the probabilities differ in the third digit. Each batch is used for one update
and thrown away: simple, and right without corrections for samples of an older model (the clipped
ratio of PPO). All samples of a step share one length of prompt, so that they can be drawn side by
side.
"""

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from tinylm.config import Recipe, RewardConfig, Sampling, closest
from tinylm.evaluation.rewards import REWARDS, LineScore, score_lines
from tinylm.generation import stream
from tinylm.model.device import Compute
from tinylm.model.gpt import GPT
from tinylm.model.lora import merge_lora
from tinylm.text.batches import Corpus
from tinylm.text.tokenizers import DOCUMENT, Tokenizer
from tinylm.training.trainer import Parent, StepResult, Trainer

FAIR_TRY = 1_000  # tokens in which a model that writes lines will have finished one
NO_LINE = -1  # marks a target token that belongs to no finished line


@dataclass(frozen=True)
class Rollout:
    """What the model wrote in one step, with what each token earned. B samples of T tokens."""

    ids: Tensor  # (B, T) int64: prompts and what follows them
    sampled: Tensor  # (B, T - 1) bool: targets that the model chose itself
    line: Tensor  # (B, T - 1) int64: the number of the target's line, or NO_LINE
    scores: list[LineScore]  # one per line, all samples behind each other
    texts: list[str]  # (B,) what stands behind each prompt

    def advantages(self) -> Tensor:
        """(B, T - 1): how much better than the step's mean each target's line did, in deviations.

        Tokens of an unfinished line get 0: nothing is known about them yet.
        """
        if not self.scores:
            return torch.zeros(self.line.shape)
        # One mean for all lines of the step, whatever their prompts; GRPO has one for each prompt.
        rewards = torch.tensor([score.reward for score in self.scores])
        centred = rewards - rewards.mean()
        # The small number keeps a step in which all lines earn the same from dividing by zero.
        normalised = centred / (centred.square().mean().sqrt() + 1e-6)
        padded = torch.cat((normalised, torch.zeros(1)))  # NO_LINE = -1 reads the last entry
        return padded[self.line]  # one number per line becomes one per token


class LossTerms(NamedTuple):
    """The loss of N tokens and its parts, each (N,) nats, and the gradient (N, V) of the logits."""

    loss: Tensor
    kl: Tensor
    entropy: Tensor
    gradient: Tensor


class Prompts:
    """Beginnings to continue, cut from the training text and sorted by length.

    Where the corpus marks questions (a mask that is 0 on them), a prompt is the question of one
    document. Otherwise half of the steps start new documents, and half stand behind a line of the
    training text, so that first lines and following lines are both practised.
    """

    def __init__(self, corpus: Corpus, longest: int) -> None:
        # Real beginnings, not the model's own: it should write verse behind any line, not only
        # behind the lines that it likes best.
        tokenizer, ids = corpus.tokenizer, np.asarray(corpus.train).astype(np.int64)
        marked = DOCUMENT in tokenizer.specials
        self.begin = [tokenizer.special_id(DOCUMENT)] if marked else []
        self.questions = corpus.train_mask is not None
        if corpus.train_mask is not None:
            prompts = questions(ids, np.asarray(corpus.train_mask))
        else:
            prompts = [self.begin + line for line in lines_of(ids, tokenizer)]
        self.by_length: dict[int, list[list[int]]] = {}
        for prompt in prompts:
            # A longer one would leave no room in the context for what is to be rewarded.
            if len(prompt) <= longest:
                self.by_length.setdefault(len(prompt), []).append(prompt)
        if not self.by_length:
            raise ValueError(
                f"the training text has no line of at most {longest} tokens to begin with: use "
                "fewer reward.tokens, or a text with lines"
            )
        # A length is drawn as often as prompts have it, so every prompt is equally likely.
        self.lengths = sorted(self.by_length)
        counts = np.array([len(self.by_length[length]) for length in self.lengths])
        self.shares = counts / counts.sum()

    def draw(self, count: int, step: int, random: np.random.Generator) -> list[list[int]]:
        """`count` prompts of one length for step number `step`.

        Every other step begins new documents. All samples of a step then have the same task, and
        their mean is a fair measure of each.
        """
        if self.begin and not self.questions and step % 2 == 0:
            return [self.begin] * count
        length = self.lengths[random.choice(len(self.lengths), p=self.shares)]
        pool = self.by_length[length]
        return [pool[i] for i in random.integers(len(pool), size=count)]


def questions(ids: np.ndarray, mask: np.ndarray) -> list[list[int]]:
    """The runs of unmasked ids: each is a question whose answer, masked 1, follows.

    >>> questions(np.array([9, 1, 2, 3, 9, 4, 5]), np.array([0, 0, 1, 1, 0, 0, 1]))
    [[9, 1], [9, 4]]
    """
    # Where the mask changes, a piece ends and the other kind begins.
    edges = np.flatnonzero(np.diff(mask.astype(np.int8))) + 1
    pieces = np.split(ids, edges)
    first = 0 if mask[0] == 0 else 1  # pieces alternate: question, answer, question ...
    return [piece.tolist() for piece in pieces[first::2] if len(piece) < len(ids)]


def lines_of(ids: np.ndarray, tokenizer: Tokenizer) -> list[list[int]]:
    """The lines of a text as ids, each with the token that ends it; blank ones are left out."""
    # Two tables over the vocabulary, so that the loop below looks at ids and never at text.
    ends = np.array([b"\n" in tokenizer.token_bytes(id) for id in range(tokenizer.vocab_size)])
    begins = np.zeros(tokenizer.vocab_size, dtype=bool)
    if DOCUMENT in tokenizer.specials:
        begins[tokenizer.special_id(DOCUMENT)] = True
    lines: list[list[int]] = []
    line: list[int] = []
    for id in ids.tolist():
        if begins[id]:
            line = []  # drops an unfinished line of the document before
            continue
        line.append(id)
        if ends[id]:
            if len(line) > 1:  # more than the line break
                lines.append(line)
            line = []
    return lines


class RewardStage:
    """What one step of the third stage does: sample, score, and leave gradients on the model."""

    def __init__(self, model: GPT, reference: GPT, corpus: Corpus, config: RewardConfig) -> None:
        if model.config.dropout:
            raise ValueError(
                "model.dropout must be 0 in a run with a reward: the model that is scored has to "
                "be the one that learns"
            )
        self.model, self.config, self.tokenizer = model, config, corpus.tokenizer
        # Frozen: if it followed the model, the KL term would hold nothing back.
        self.reference = reference.eval().requires_grad_(False)
        if config.scorer not in REWARDS:
            hint = closest(config.scorer, list(REWARDS))
            raise ValueError(f"no reward {config.scorer}{hint}; there are: {', '.join(REWARDS)}")
        self.reward = REWARDS[config.scorer]
        # A prompt and what follows it must fit into the context.
        self.prompts = Prompts(corpus, model.config.context - config.tokens)
        # To know what is copied. A set: looking a line up costs the same for any size of text.
        text = self.tokenizer.decode(np.asarray(corpus.train).tolist())
        self.training_lines = {line.strip() for line in text.split("\n")}

    def sample(self, seed: int, step: int) -> Rollout:
        """Step 1 and 2: what the model writes in step `step`, and what it earns; no gradients.

        A pure function of the weights, the seed and the step, so that a resumed run samples the
        same lines.
        """
        random = np.random.default_rng((seed, step))
        model = self.model
        if any(".frozen." in name for name, _ in model.named_parameters()):
            # The decoder reads plain matrices: sample from a copy with the adapters added in.
            merge_lora(model := copy.deepcopy(model))
        prompts = self.prompts.draw(self.config.samples, step, random)
        # One generator a sample: what one sample draws does not depend on those beside it.
        seeds = random.integers(2**62, size=len(prompts)).tolist()
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        # Temperature 1, no cuts: what is drawn must be what the loss differentiates. A distribution
        # whose tail is cut would be pushed towards tokens that it could never have drawn.
        sampling = Sampling(temperature=self.config.temperature)
        tokens = stream(model, prompts, sampling, generators)
        columns = [next(tokens) for _ in range(self.config.tokens)]  # each (B,)
        continuations = torch.stack(columns, dim=1).tolist()
        rows = [prompt + more for prompt, more in zip(prompts, continuations)]
        return self.score(rows, len(prompts[0]))

    def score(self, rows: Sequence[list[int]], start: int) -> Rollout:
        """Step 2: cut each continuation into lines, score them, and note which token is whose.

        `rows` are prompts of `start` tokens and what follows them.
        """
        ids = torch.tensor(rows)  # (B, T)
        # Target t is the token at t + 1: the first sampled one is target start - 1.
        sampled = torch.zeros(ids.shape[0], ids.shape[1] - 1, dtype=torch.bool)
        sampled[:, start - 1 :] = True
        line = torch.full(sampled.shape, NO_LINE)
        scores: list[LineScore] = []
        known = set(self.training_lines)
        for number, row in enumerate(rows):
            spans = self.finished_lines(row[start:])
            lines = [text for text, _, _ in spans]
            # The prompt goes along: a rhyme or an answer is right or wrong only after it.
            prompt = self.tokenizer.decode(row[:start])
            line_scores = score_lines(self.reward, prompt, lines, known)
            for (_, first, end), score in zip(spans, line_scores):
                line[number, start - 1 + first : start - 1 + end] = len(scores)
                scores.append(score)
            known.update(lines)  # the second time, a line is no news
        texts = [self.tokenizer.decode(row[start:]) for row in rows]
        return Rollout(ids, sampled, line, scores, texts)

    def finished_lines(self, ids: Sequence[int]) -> list[tuple[str, int, int]]:
        """The lines of a continuation as (text, first token, token after the last).

        The token with the line break belongs to the line that it ends: ending the line there is a
        decision that earns or costs as much as any word. A document that ends finishes its line
        too.
        """
        spans, first = [], 0
        begin = self.prompts.begin
        for place, id in enumerate(ids):
            is_begin = [id] == begin
            if is_begin or b"\n" in self.tokenizer.token_bytes(id):
                text = self.tokenizer.decode(ids[first : place + 1]).strip()
                if text:
                    spans.append((text, first, place + 1))
                first = place + 1
        return spans

    def backward(
        self, rollout: Rollout, rows: int, forward: Callable[[Tensor], Tensor], compute: Compute
    ) -> dict[str, float]:
        """Step 3 and 4: add the gradients of the loss, `rows` samples at a time.

        Returns the measures of the step: loss, reward, success (share of lines), kl and entropy
        (nats per token), different_words (share of all words).
        """
        advantages = rollout.advantages()
        count = int(rollout.sampled.sum())  # tokens that the model chose, in the whole batch
        sums = {"loss": 0.0, "kl": 0.0, "entropy": 0.0}
        for start in range(0, len(rollout.ids), rows):
            part = slice(start, start + rows)
            ids = rollout.ids[part].to(compute.device)  # (b, T)
            sampled = rollout.sampled[part].to(compute.device)  # (b, T - 1)
            with compute.autocast():
                logits = forward(ids[:, :-1])[sampled]  # (N, V), at sampled tokens only
                # The reference reads the same ids: KL compares two opinions on one text.
                with torch.no_grad():
                    reference_logits = self.reference(ids[:, :-1])[sampled]
            advantage = advantages[part].to(compute.device)[sampled]
            terms = self.loss_terms(logits, reference_logits, ids[:, 1:][sampled], advantage)
            # Divided by the tokens of the whole batch, so that cutting it changes nothing.
            logits.backward(terms.gradient.to(logits.dtype) / count)
            for name in sums:
                sums[name] += getattr(terms, name).sum().item() / count
        return sums | self.measures(rollout)

    @torch.no_grad()
    def loss_terms(
        self, logits: Tensor, reference_logits: Tensor, drawn: Tensor, advantage: Tensor
    ) -> "LossTerms":
        """The loss at N tokens and its gradient, for logits (N, V) of the model and the reference.

        `drawn` (N,) are the ids that were drawn, `advantage` (N,) what they earned. Per token, with
        weights k and e,

            loss = - A log p(drawn) + k KL - e H = - A log p(drawn) + sum over v of p g
            g    = (k + e) log p - k log q
            d loss / d logits = p (g - sum p g + A) - A [v = drawn]

        Torch would find the same gradient, by way of six more arrays of this size: with it a step
        takes a quarter longer. A test compares the two.
        """
        # fp32: differences of small log probabilities are what is learned from.
        log_p = F.log_softmax(logits.float(), dim=-1)
        log_q = F.log_softmax(reference_logits.float(), dim=-1)
        p = log_p.exp()
        kl_weight, entropy_weight = self.config.kl, self.config.entropy
        entropy = -(p * log_p).sum(-1)  # (N,); both sums are exact over the vocabulary, where
        kl = -entropy - (p * log_q).sum(-1)  # an estimate from the drawn token would add noise
        cost = kl_weight * kl - entropy_weight * entropy  # sum p g
        g = log_p.mul(kl_weight + entropy_weight).sub_(log_q, alpha=kl_weight)
        gradient = g.add_((advantage - cost)[:, None]).mul_(p)
        # Minus A at the drawn token: going down the gradient makes it likelier where A is positive.
        gradient.scatter_add_(1, drawn[:, None], -advantage[:, None])
        log_p_drawn = log_p.gather(1, drawn[:, None]).squeeze(1)
        return LossTerms(cost - advantage * log_p_drawn, kl, entropy, gradient)

    def measures(self, rollout: Rollout) -> dict[str, float]:
        """What a step's lines are worth, beside the loss."""
        # A step without a finished line counts as 0, so that its record holds numbers too.
        rewards = [score.reward for score in rollout.scores]
        successes = [score.success for score in rollout.scores]
        words = " ".join(rollout.texts).lower().split()
        return {
            "reward": math.fsum(rewards) / max(1, len(rewards)),
            "success": sum(successes) / max(1, len(successes)),
            "different_words": len(set(words)) / max(1, len(words)),
        }


class RewardTrainer(Trainer):
    """The training loop with `RewardStage` in the place of the next token of a corpus.

    The validation text is still measured: what the model pays for unseen text shows what the reward
    costs. That loss rises by design, so model/ keeps the last weights judged, not those of the
    lowest loss. The reference's weights lie in data/, so that a resumed run has them; a LoRA run's
    reference is its parent.
    """

    def __init__(
        self,
        recipe: Recipe,
        corpus: Corpus,
        model: GPT,
        folder: Path,
        parent: Parent,
        reference: GPT,
    ) -> None:
        super().__init__(recipe, corpus, model, folder, parent)
        if recipe.reward is None:
            raise ValueError("a reward run needs a [reward] section in its recipe")
        self.reference = reference.to(self.compute.device)
        self.stage = RewardStage(self.model, self.reference, corpus, recipe.reward)

    def compute_gradients(self, step: int) -> StepResult:
        """Sample, score, and leave the gradients of one step on the model."""
        if self.team.count > 1:
            raise ValueError("a run with a reward trains in one process: start it without torchrun")
        rollout = self.stage.sample(self.recipe.train.seed, step)
        # Said at once: a model that never ends a line would train for hours on advantages of 0.
        if step == 0 and not rollout.scores and rollout.sampled.sum() >= FAIR_TRY:
            raise ValueError(
                f"no sample of {self.stage.config.tokens} tokens holds a finished line: there is "
                "nothing to reward; raise reward.tokens"
            )
        rows = self.recipe.train.micro_batch_size
        measures = self.stage.backward(rollout, rows, self.forward, self.compute)
        return StepResult(measures.pop("loss"), rollout.ids.numel(), measures)

    def is_best(self, valid: dict[str, Any]) -> bool:
        """The last weights count: the learning rate has fallen to its end, and so has the noise."""
        return True

    @property
    def tokens_per_step(self) -> int:
        """About how many tokens a step writes and reads, for estimates."""
        config, prompts = self.stage.config, self.stage.prompts
        return config.samples * (config.tokens + round(float(prompts.shares @ prompts.lengths)))
