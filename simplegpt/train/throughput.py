"""How fast a training runs, and how far that is from what the device could do."""

import math
import platform
import time
from dataclasses import dataclass

import lightning
import torch

from simplegpt.config.schema import Config
from simplegpt.run import hardware
from simplegpt.train.plan import flops_per_token

# Steps over which the time left is estimated: long enough to be steady, short enough to notice
# that another program now shares the machine.
REMEMBERED_SECONDS = 60.0


@dataclass(frozen=True)
class Speed:
    tokens_per_second: float
    """Over all devices."""
    step_seconds: float
    mfu: float | None
    """Fraction of the devices' peak; None where the peak is not known."""


class Throughput:
    """Counts tokens and steps, leaving out the time spent on anything but steps."""

    def __init__(self, config: Config) -> None:
        self.tokens = 0
        """Trained on in all attempts, over all devices."""
        self.steps = 0
        """Done in this attempt."""
        self.device_name = ""
        self._config = config
        self._peak: float | None = None
        self._aside = 0.0
        self._mark = (0.0, 0, 0)
        self._recent_seconds = 0.0
        self._recent_steps = 0.0

    def start(self, trainer: lightning.Trainer) -> None:
        device = trainer.strategy.root_device
        precision = self._config.trainer.precision
        if device.type == "cuda":
            name = torch.cuda.get_device_name(device)
            peak = hardware.peak_flops(name, precision)
        else:
            name = f"{hardware.cpu_count()} CPU cores" if device.type == "cpu" else device.type
            peak = measured_peak(device, precision)
        self.device_name = name if trainer.world_size == 1 else f"{trainer.world_size} x {name}"
        self._peak = None if peak is None else peak * trainer.world_size
        self._mark = (self._now(), self.tokens, self.steps)

    def leave_out(self, seconds: float) -> None:
        """Time that was not spent on steps: a validation, a checkpoint, a pause."""
        self._aside += seconds

    def measure(self) -> Speed:
        """The speed since the last call."""
        mark = (self._now(), self.tokens, self.steps)
        seconds, tokens, steps = (new - old for new, old in zip(mark, self._mark, strict=True))
        self._mark = mark
        seconds = max(seconds, 1e-9)
        # Both fade alike: slow first steps (warming up, compiling) weigh no more than others.
        fading = math.exp(-seconds / REMEMBERED_SECONDS)
        self._recent_seconds = self._recent_seconds * fading + seconds
        self._recent_steps = self._recent_steps * fading + steps
        rate = tokens / seconds
        mfu = None
        if self._peak is not None:
            mfu = rate * flops_per_token(self._config.model, self._config.data.seq_len) / self._peak
        return Speed(rate, seconds / max(steps, 1), mfu)

    def average_step_seconds(self) -> float:
        """Over about the last minute; 0 before the first step was measured."""
        return self._recent_seconds / self._recent_steps if self._recent_steps else 0.0

    def _now(self) -> float:
        return time.perf_counter() - self._aside


def measured_peak(device: torch.device, precision: str) -> float | None:
    """FLOP/s of a large matrix product, for devices without a data sheet; takes about 0.1 s."""
    if device.type != "cpu" and platform.system() != "Darwin":
        return None
    dtype = torch.float32 if precision.startswith("32") else torch.bfloat16
    n = 1024
    a = torch.ones(n, n, device=device, dtype=dtype)
    best = float("inf")
    for _ in range(4):  # the first one warms up
        start = time.perf_counter()
        (a @ a)[0, 0].item()
        best = min(best, time.perf_counter() - start)
    return 2 * n**3 / best
