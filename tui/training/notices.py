"""Notices about a run: NaN, divergence, a loss spike, a plateau, a rising val loss.

Without Textual. Whether a run diverges is said by its events; the other notices are pure functions
of arrays. The dashboard shows them on the plot.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from simplegpt.progress import format_loss
from tui.shared.curves import smooth
from tui.shared.history import Array, History

SPIKE_WINDOW = 50
SPIKE_SIGMAS = 6.0
SPIKE_LEAST = 0.1
"""Nats: a smaller jump is no spike, however smooth the curve was."""
RECENT_ROWS = 200
PLATEAU_VALIDATIONS = 5
PLATEAU_IMPROVEMENT = 0.002
"""Relative: less than that over the last validations is a plateau."""
RISE = 0.01
"""Relative: a val loss that far above the best one is clearly worse."""


@dataclass(frozen=True)
class Notice:
    """Something unusual in the curves."""

    kind: Literal["nan", "diverging", "spike", "plateau", "rising"]
    step: int
    text: str

    @property
    def is_error(self) -> bool:
        return self.kind in ("nan", "diverging")


def find_notices(history: History) -> list[Notice]:
    """All notices about the curves as they are now, the most serious first."""
    found: list[Notice] = []
    if history.first_bad_step is not None:
        text = (
            f"loss is NaN or infinite since step {history.first_bad_step:,}: try a lower peak_lr, "
            "a longer warmup or gradient clipping"
        )
        found.append(Notice("nan", history.first_bad_step, text))
    elif history.last is not None and history.last.diverging:
        text = f"diverging: the loss is {format_loss(history.last.loss)}, far above its best"
        found.append(Notice("diverging", history.last.step, text))
    spike = last_spike(history.train["step"], history.train["loss"])
    if spike is not None:
        step, height = spike
        found.append(Notice("spike", step, f"loss spike of {height:.2f} at step {step:,}"))
    steps, losses = history.validation["step"], history.validation["loss"]
    rising = rising_since(steps, losses)
    plateau = plateau_since(steps, losses)
    if rising is not None:
        text = f"val loss rising since step {rising:,}: the model may be overfitting"
        found.append(Notice("rising", rising, text))
    elif plateau is not None:
        found.append(Notice("plateau", plateau, f"val loss plateau since step {plateau:,}"))
    return found


def last_spike(steps: Array, losses: Array) -> tuple[int, float] | None:
    """Step and height of the newest spike among the last rows, measured against the mean and the
    standard deviation of the rows before it; None without one."""
    steps, losses = steps[-RECENT_ROWS:], losses[-RECENT_ROWS:]
    good = np.isfinite(losses)
    steps, losses = steps[good], losses[good]
    if len(losses) <= SPIKE_WINDOW:
        return None
    mean = smooth(losses, SPIKE_WINDOW)[:-1]
    square = smooth(losses**2, SPIKE_WINDOW)[:-1]
    sigma = np.sqrt(np.maximum(square - mean**2, 0.0))
    height = losses[1:] - mean
    jumps = np.flatnonzero(height > np.maximum(SPIKE_SIGMAS * sigma, SPIKE_LEAST))
    jumps = jumps[jumps >= SPIKE_WINDOW - 1]
    if len(jumps) == 0:
        return None
    last = int(jumps[-1])
    return int(steps[last + 1]), float(height[last])


def plateau_since(steps: Array, losses: Array) -> int | None:
    """The step since which the best val loss hardly improved; None where it does improve."""
    if len(losses) <= PLATEAU_VALIDATIONS + 1 or not np.isfinite(losses).all():
        return None
    before = float(losses[:-PLATEAU_VALIDATIONS].min())
    recent = float(losses[-PLATEAU_VALIDATIONS:].min())
    if recent < before * (1 - PLATEAU_IMPROVEMENT):
        return None
    return int(steps[-PLATEAU_VALIDATIONS - 1])


def rising_since(steps: Array, losses: Array) -> int | None:
    """The step of the best val loss, where those after it (four at least) rise and the last four
    are all clearly worse; None otherwise."""
    if len(losses) < 5 or not np.isfinite(losses).all():
        return None
    best = int(np.argmin(losses))
    later = losses[best + 1 :]
    if len(later) < 4 or (later[-4:] < losses[best] * (1 + RISE)).any():
        return None
    return int(steps[best]) if later[-2:].mean() > later[:2].mean() else None
