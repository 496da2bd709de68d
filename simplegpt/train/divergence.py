"""The rules by which a training is diverging, or has diverged: functions of its logged losses."""

import math
from collections import deque

from torch import Tensor, nn, stack

from simplegpt.progress import format_loss
from simplegpt.train.ranks import AgreedError

# A single NaN can come from one batch (an overflow in 16-mixed, whose step is skipped).
MAX_NONFINITE_STEPS = 3
SMOOTHED_STEPS = 5
LEAST_RISE = 1.0
"""Nats above the best loss from which a training is diverging; at least half of the best loss."""


class DivergedError(AgreedError):
    """The loss or the weights are NaN or infinite."""


class LossWatch:
    """Judges the losses of a run's logged steps, one after the other."""

    def __init__(self, n_vocab: int) -> None:
        # before anything is learned, the best loss is that of guessing each token alike
        self._best = math.log(n_vocab)
        self._recent: deque[float] = deque(maxlen=SMOOTHED_STEPS)
        self._nonfinite_steps: list[int] = []
        self.is_diverging = False
        """Whether the last loss was NaN or infinite, or the last few far above the best."""

    def judge(self, step: int, loss: float) -> str | None:
        """Take the next loss; return a warning if the training began to diverge with it."""
        was_diverging, self.is_diverging = self.is_diverging, True
        if not math.isfinite(loss):
            self._nonfinite_steps.append(step)
            first = len(self._nonfinite_steps) == 1
            return f"the loss is {format_loss(loss)} at step {step:,}" if first else None
        self._nonfinite_steps.clear()
        self._recent.append(loss)
        mean = math.fsum(one / len(self._recent) for one in self._recent)
        self.is_diverging = mean > self._best + max(LEAST_RISE, self._best / 2)
        if len(self._recent) == SMOOTHED_STEPS:
            self._best = min(self._best, mean)
        if not self.is_diverging or was_diverging:
            return None
        return (
            f"the training diverges: the loss is {format_loss(loss)} at step {step:,}, far above "
            f"{format_loss(self._best)}; try a lower learning rate"
        )

    def check(self) -> None:
        """Raise DivergedError if the losses of several steps in a row were NaN or infinite."""
        if len(self._nonfinite_steps) >= MAX_NONFINITE_STEPS:
            first = self._nonfinite_steps[0]
            raise DivergedError(f"the loss is NaN or infinite since step {first:,}")


def are_finite(network: nn.Module) -> Tensor:
    """Return whether all weights are finite, as a scalar on their device."""
    return stack([p.detach().isfinite().all() for p in network.parameters()]).all()
