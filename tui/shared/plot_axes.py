"""Ticks and labels of a plot's axes: as many as there is room for, in the fewest digits."""

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

from simplegpt.progress import format_count, format_duration, format_scientific

Ticks: TypeAlias = list[tuple[float, str]]
"""Places on an axis and their labels."""
TicksOf: TypeAlias = Callable[[float, float, int], Ticks]
"""Ticks between two values, at most about as many as the number given."""

_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400
_TIME_STEPS = (
    *(1, 2, 5, 10, 20, 30),
    *(minutes * _MINUTE for minutes in (1, 2, 5, 10, 20, 30)),
    *(hours * _HOUR for hours in (1, 2, 3, 6, 12)),
)
"""Seconds that a person counts in."""


def value_ticks(low: float, high: float, count: int) -> Ticks:
    """Losses, learning rates, gradient norms."""
    step = round_step((high - low) / max(count, 1))
    if not 0.01 <= max(abs(low), abs(high)) < 10_000:  # learning rates, exploded gradients
        return [(tick, format_scientific(tick)) for tick in multiples(step, low, high)]
    places = max(0, math.ceil(-math.log10(step) - 1e-9))
    if step * 10**places % 1 > 1e-6:  # steps of 2.5
        places += 1
    return [(tick, f"{tick:.{places}f}") for tick in multiples(step, low, high)]


def count_ticks(low: float, high: float, count: int) -> Ticks:
    """Steps and tokens."""
    step = max(round_step((high - low) / max(count, 1)), 1.0)
    step = math.ceil(step)  # 2.5 steps are none
    return [(tick, format_count(tick)) for tick in multiples(step, low, high)]


def time_ticks(low: float, high: float, count: int) -> Ticks:
    """Seconds, as ``1m 40s``."""
    least = (high - low) / max(count, 1)
    step = next((one for one in _TIME_STEPS if one >= least), None)
    if step is None:
        step = _DAY * max(math.ceil(round_step(least / _DAY)), 1)
    return [(tick, format_duration(tick)) for tick in multiples(step, low, high)]


def log_ticks(low: float, high: float, count: int) -> Ticks:
    """Values whose logarithms to base 10 lie between `low` and `high`; so do the ticks' places.

    At 1, 2 and 5 times each power of ten, or at even steps where the range is short.
    """
    powers = range(math.floor(low), math.ceil(high) + 1)
    if len(powers) > 3 * count:
        return []
    factors = (1,) if len(powers) > count else (1, 2, 5)
    values = [factor * 10.0**power for power in powers for factor in factors]
    values = [value for value in values if low <= math.log10(value) <= high]
    if len(values) < 3:
        return [(math.log10(tick), label) for tick, label in value_ticks(10**low, 10**high, count)]
    return [(math.log10(value), f"{value:.3g}") for value in values]


def round_step(least: float) -> float:
    """The smallest of 1, 2, 2.5 and 5 times a power of ten that is at least `least`."""
    least = max(least, 1e-300) * (1 - 1e-9)  # 0.1 / 4 is a little more than 0.025
    power = 10.0 ** math.floor(math.log10(least))
    return next((f * power for f in (1, 2, 2.5, 5) if f * power >= least), 10 * power)


def multiples(step: float, low: float, high: float) -> Sequence[float]:
    """The multiples of `step` between `low` and `high`."""
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [i * step for i in range(first, last + 1)]
