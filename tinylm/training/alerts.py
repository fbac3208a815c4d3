"""What a person should know about a run as it goes: gradients that jump, steps from which nothing
was learned, a fine-tune that makes its model worse.

    for record in watched(trainer.run(), trainer): ...

None of them ends a run. A jump is harmless once, because the gradient is clipped, and often
repeated it is how a run that will fail begins. A loss of exactly 0 means that the batch held
nothing to learn. A fine-tune begins with a model that is good already: where its training loss
rises far above that model's, the recipe does not suit it, and waiting will not help.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from statistics import fmean, median

from tinylm.training.trainer import Record, Trainer

JUMP = 10  # times the usual gradient norm
USUAL = 50  # steps whose median is the usual norm
ENOUGH = 10  # steps before there is a usual norm
RECENT = 5  # steps whose mean loss is compared with that of the start
WORSE = 1.2  # times the loss of the start: more than batches and dropout explain


def watched(records: Iterator[Record], trainer: Trainer) -> Iterator[Record]:
    """The records of `trainer`, some with a notice added: each jump of the gradient norm, the first
    loss of exactly 0, once a training loss far above the start's, and an end before the last
    step."""
    norms: deque[float] = deque(maxlen=USUAL)
    losses: deque[float] = deque(maxlen=RECENT)
    idle = worse = False
    for record in records:
        usual = median(norms) if len(norms) >= ENOUGH else float("inf")
        losses.append(record.loss)
        notices = [record.notice] if record.notice else []
        if record.loss == 0 and not idle:
            idle = True
            notices.append(
                "the loss is exactly 0: the batch held no token to learn, or nothing that is not "
                "known"
            )
        elif record.grad_norm > JUMP * usual:
            notices.append(
                f"the gradient jumped to {record.grad_norm / usual:,.0f} times its usual norm and "
                "was clipped; where that goes on, lower train.learning_rate"
            )
        elif not worse and (advice := worse_than_start(losses, trainer)):
            worse = True
            notices.append(advice)
        if trainer.finished and record.step < trainer.recipe.train.steps:
            notices.append(
                f"training ends early: {trainer.rising} validations without a new best; model/ "
                f"keeps step {trainer.best['step']}"
            )
        norms.append(record.grad_norm)
        yield replace(record, notice="; ".join(notices)) if notices else record


def worse_than_start(losses: deque[float], trainer: Trainer) -> str:
    """Advice where a fine-tune's recent losses are far above the model's before the first step."""
    # The start's loss is known as long as no validation was better than the one at step 0.
    if trainer.parent is None or trainer.recipe.reward is not None or trainer.best["step"] > 0:
        return ""
    start, recent = trainer.best["nats_per_token"], fmean(losses)
    if len(losses) < RECENT or recent < WORSE * start:
        return ""
    causes = ["a third of train.learning_rate and train.muon_learning_rate"]
    if trainer.recipe.model.dropout > 0:
        causes.insert(0, "model.dropout 0, where the model was trained without it, or")
    return (
        f"the training loss ({recent:.2f}) is far above that of the model before the first step "
        f"({start:.2f}): the recipe makes it worse; try {' '.join(causes)}"
    )
