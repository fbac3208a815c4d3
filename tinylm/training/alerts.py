"""What a person should know about a run as it goes: gradients that jump, steps from which nothing
was learned.

    for record in watched(trainer.run()): ...

Neither ends a run. A jump is harmless once, because the gradient is clipped, and often repeated it
is how a run that will fail begins; a loss of exactly 0 means that the batch held nothing to learn.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from statistics import median

from tinylm.training.trainer import Record

JUMP = 10  # times the usual gradient norm
USUAL = 50  # steps whose median is the usual norm
ENOUGH = 10  # steps before there is a usual norm


def watched(records: Iterator[Record]) -> Iterator[Record]:
    """The same records, some with a notice added: each jump of the gradient norm, and the first
    loss of exactly 0."""
    norms: deque[float] = deque(maxlen=USUAL)
    idle = False
    for record in records:
        usual = median(norms) if len(norms) >= ENOUGH else float("inf")
        notice = ""
        if record.loss == 0 and not idle:
            idle, notice = (
                True,
                "the loss is exactly 0: the batch held no token to learn, or nothing that is not "
                "known",
            )
        elif record.grad_norm > JUMP * usual:
            notice = (
                f"the gradient jumped to {record.grad_norm / usual:,.0f} times its usual norm and "
                "was clipped; where that goes on, lower train.learning_rate"
            )
        norms.append(record.grad_norm)
        yield (
            replace(record, notice="; ".join(filter(None, (record.notice, notice))))
            if notice
            else record
        )
