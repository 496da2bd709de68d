"""Curves in braille, eight dots to a cell, drawn as whole arrays. Without Textual."""

from itertools import pairwise
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from tui.shared.history import Array

Dots: TypeAlias = NDArray[np.bool_]
"""``[row, column]`` of a canvas, in dots, from the top left."""

_BITS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]], np.uint8)
"""Unicode's bit for each dot of a cell."""
_FIRST_CHARACTER = 0x2800
NO_LAYER = -1


class BrailleCanvas:
    """Layers of dots. A cell has one colour: that of the layer drawn in it last."""

    def __init__(self, columns: int, rows: int) -> None:
        """`columns` and `rows` are cells; a cell is two dots wide and four high."""
        self.columns, self.rows = columns, rows
        self.width, self.height = 2 * columns, 4 * rows
        self._bits = np.zeros((rows, columns), np.uint8)
        self._layers = np.full((rows, columns), NO_LAYER)
        self._is_background = np.zeros((rows, columns), np.bool_)

    def draw(self, dots: Dots, layer: int, *, is_background: bool = False) -> None:
        """Add the dots of a layer.

        In a cell they join those of other curves, and replace those of a background (a band, a
        vertical line), so that a curve stays as thin as it is.
        """
        cells = dots.reshape(self.rows, 4, self.columns, 2).transpose(0, 2, 1, 3)
        bits = (cells * _BITS).sum(axis=(2, 3), dtype=np.uint8)
        drawn = bits > 0
        if is_background:
            drawn &= (self._bits == 0) | self._is_background
        kept = np.where(self._is_background, 0, self._bits)
        self._bits = np.where(drawn, bits | kept, self._bits)
        self._layers[drawn] = layer
        self._is_background[drawn] = is_background

    def lines(self) -> list[list[tuple[str, int]]]:
        """Each row of cells as texts with their layers."""
        characters = (self._bits + np.uint32(_FIRST_CHARACTER)).astype("<u4")
        found = []
        for codes, layers in zip(characters, self._layers, strict=True):
            text = codes.tobytes().decode("utf-32-le").replace(chr(_FIRST_CHARACTER), " ")
            changes = np.flatnonzero(np.diff(layers)) + 1
            ends = [0, *changes.tolist(), self.columns]
            found.append([(text[a:b], int(layers[a])) for a, b in pairwise(ends)])
        return found

    # Dots of shapes. Places are in dots from the top left; what lies outside is left out.

    def spans(self, top: Array, bottom: Array) -> Dots:
        """In each column the dots from `top` to `bottom`; none where one is NaN."""
        inside = (bottom >= 0) & (top < self.height)
        columns = np.flatnonzero(inside)
        first = np.clip(np.rint(top[columns]), 0, self.height - 1).astype(int)
        last = np.clip(np.rint(bottom[columns]), 0, self.height - 1).astype(int)
        edges = np.zeros((self.height + 1, self.width), np.int8)
        edges[first, columns] += 1
        edges[last + 1, columns] -= 1
        return np.cumsum(edges[:-1], axis=0, dtype=np.int8) > 0

    def line(self, y: Array) -> Dots:
        """A connected line through the value of each column."""
        return self.band(y, y)

    def band(self, top: Array, bottom: Array) -> Dots:
        """The area between two lines; columns that would not touch are connected."""
        upper, lower = top.copy(), bottom.copy()
        for edge, line, outer in ((upper, top, np.fmin), (lower, bottom, np.fmax)):
            middles = (line[1:] + line[:-1]) / 2
            edge[1:] = outer(edge[1:], middles)
            edge[:-1] = outer(edge[:-1], middles)
        return self.spans(upper, lower)

    def marks(self, x: Array, y: Array) -> Dots:
        """A square of three by three dots at each point."""
        dots = np.zeros((self.height, self.width), np.bool_)
        inside = (x >= 0) & (x < self.width) & (y >= 0) & (y < self.height)
        columns, rows = x[inside].astype(int), y[inside].astype(int)
        for right in (-1, 0, 1):
            for down in (-1, 0, 1):
                near = np.clip(rows + down, 0, self.height - 1)
                dots[near, np.clip(columns + right, 0, self.width - 1)] = True
        return dots

    def vertical(self, x: float) -> Dots:
        """A dotted vertical line."""
        dots = np.zeros((self.height, self.width), np.bool_)
        if 0 <= x < self.width:
            dots[::2, int(x)] = True
        return dots

    def halftone(self) -> Dots:
        """Every second dot, as on a chessboard."""
        rows, columns = np.indices((self.height, self.width))
        checks: Dots = (rows + columns) % 2 == 0
        return checks
