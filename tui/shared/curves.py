"""Curves prepared for a screen: reduced to columns, and smoothed. Arrays in and out."""

from dataclasses import dataclass

import numpy as np

from tui.shared.history import Array

FIRST_DROP = 0.1
"""Part of a run, in which its loss falls from that of random weights."""


@dataclass(frozen=True)
class Columns:
    """A curve reduced to its columns that have values, left to right."""

    x: Array
    least: Array
    mean: Array
    greatest: Array

    def log10(self) -> "Columns":
        """The logarithms of the values; NaN for those that have none."""
        least, mean, greatest = (
            np.log10(np.where(y > 0, y, np.nan)) for y in (self.least, self.mean, self.greatest)
        )
        return Columns(self.x, least, mean, greatest)


def reduce_columns(
    x: Array, least: Array, mean: Array, greatest: Array, low: float, high: float, columns: int
) -> Columns:
    """Reduce the points in ``[low, high]`` to at most `columns` columns; NaNs are left out.

    `x` is sorted. One point beyond each edge is kept, so that a line leaves the plot where it
    should.
    """
    first = max(int(np.searchsorted(x, low)) - 1, 0)
    last = int(np.searchsorted(x, high, side="right")) + 1
    x, least, mean, greatest = (a[first:last] for a in (x, least, mean, greatest))
    good = np.isfinite(mean)
    if not good.all():
        x, least, mean, greatest = x[good], least[good], mean[good], greatest[good]
    if len(x) <= columns or high <= low:
        return Columns(x, least, mean, greatest)
    edges = np.searchsorted(x, np.linspace(low, high, columns + 1))
    starts = np.unique(np.concatenate([[0], edges[edges < len(x)]]))
    counts = np.diff(starts, append=len(x))
    return Columns(
        np.add.reduceat(x, starts) / counts,
        np.fmin.reduceat(least, starts),
        np.add.reduceat(mean, starts) / counts,
        np.fmax.reduceat(greatest, starts),
    )


def interpolate(x: Array, y: Array, low: float, high: float, columns: int) -> Array:
    """The curve's value in the middle of each of `columns` columns; NaN where it has none."""
    if len(x) == 0:
        return np.full(columns, np.nan)
    width = (high - low) / columns
    middles = low + (np.arange(columns) + 0.5) * width
    values = np.interp(middles, x, y)
    is_outside = (middles + width / 2 < x[0]) | (middles - width / 2 > x[-1])
    return np.where(is_outside, np.nan, values)


def smooth(y: Array, window: int, *, centred: bool = False) -> Array:
    """Moving mean over `window` values, trailing or `centred`; fewer values at the ends.

    NaNs are not counted, and stay NaN.
    """
    if window <= 1 or len(y) < 2:
        return y
    good = np.isfinite(y)
    total = np.concatenate([[0.0], np.cumsum(np.where(good, y, 0.0))])
    count = np.concatenate([[0], np.cumsum(good)])
    here = np.arange(len(y))
    end = np.minimum(here + 1 + (window // 2 if centred else 0), len(y))
    begin = np.maximum(end - window if not centred else here - window // 2, 0)
    mean = (total[end] - total[begin]) / np.maximum(count[end] - count[begin], 1)
    return np.where(good, mean, np.nan)


def value_at(x: Array, y: Array, place: float) -> float | None:
    """Return the value nearest to `place`; None where the curve is further away than its points are
    from one another. `x` is sorted."""
    if len(x) == 0:
        return None
    spacing = (x[-1] - x[0]) / (len(x) - 1) if len(x) > 1 else np.inf
    if not x[0] - spacing <= place <= x[-1] + spacing:
        return None
    i = int(np.searchsorted(x, place))
    if i > 0 and (i == len(x) or place - x[i - 1] <= x[i] - place):
        i -= 1
    return float(y[i])
