"""Ticks and labels of a plot's axes: as many as there is room for, in the fewest digits."""

import math
from collections.abc import Sequence

from textual_plot.axis_formatter import AxisFormatter, NumericAxisFormatter

from simplegpt.progress import format_count, format_duration


class ValueAxis(NumericAxisFormatter):
    """Losses, learning rates, gradient norms."""

    def __init__(self, room: int = 6) -> None:
        """`room`: the most labels that fit."""
        self.room = max(room, 2)

    def get_ticks(self, min_: float, max_: float, max_ticks: int = 6) -> list[float]:
        ticks = super().get_ticks(min_, max_, min(max_ticks, self.room))
        return spaced(ticks, min_, max_, self.room)

    def get_labels_for_ticks(self, ticks: Sequence[float]) -> list[str]:
        is_tiny = bool(ticks) and max(abs(tick) for tick in ticks) < 0.01
        return [f"{tick:.0e}" if is_tiny and tick else f"{round(tick, 6):g}" for tick in ticks]


class CountAxis(ValueAxis):
    """Steps and tokens."""

    def get_ticks(self, min_: float, max_: float, max_ticks: int = 6) -> list[float]:
        return [t for t in super().get_ticks(min_, max_, max_ticks) if t.is_integer()]

    def get_labels_for_ticks(self, ticks: Sequence[float]) -> list[str]:
        return [format_count(tick) for tick in ticks]


class TimeAxis(ValueAxis):
    """Seconds since the start."""

    def get_labels_for_ticks(self, ticks: Sequence[float]) -> list[str]:
        return [format_duration(tick) for tick in ticks]


class LogAxis(AxisFormatter):
    """Logarithms to base 10, with ticks at 1, 2 and 5 of each power of ten, or at even steps where
    the range is short."""

    def __init__(self, room: int = 6) -> None:
        self.room = max(room, 2)

    def get_ticks(self, min_: float, max_: float, max_ticks: int = 6) -> list[float]:
        first, last = math.floor(min_), math.ceil(max_)
        if last - first > 40:
            return []
        powers = range(first, last + 1)
        ticks = [math.log10(m) + power for power in powers for m in (1, 2, 5)]
        ticks = [tick for tick in ticks if min_ <= tick <= max_]
        if len(ticks) < 3:
            count = min(max_ticks, self.room)
            even = NumericAxisFormatter().get_ticks(10**min_, 10**max_, count)
            ticks = [math.log10(tick) for tick in even if tick > 0]
        return spaced(ticks, min_, max_, self.room)

    def get_labels_for_ticks(self, ticks: Sequence[float]) -> list[str]:
        return [f"{10**tick:.3g}" for tick in ticks]


def spaced(ticks: Sequence[float], min_: float, max_: float, room: int) -> list[float]:
    """`ticks` without those so near to another that their labels would overlap."""
    least = (max_ - min_) / (2 * room)
    kept: list[float] = []
    for tick in reversed(ticks):
        if not kept or kept[-1] - tick >= least:
            kept.append(tick)
    return kept[::-1]
