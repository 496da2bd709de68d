"""Text in pieces (tokens), wrapped to a width: knows which piece stands where."""

import re
from bisect import bisect_right
from typing import NamedTuple

from rich.cells import cell_len

from simplegpt.cli import printable

NEWLINE = "\n"
_ATOM = re.compile(r"\n|[^\S\n]+|\S+")


class Run(NamedTuple):
    """A part of one piece on one line."""

    text: str
    """What is shown; a newline stands at the end of the line that it ends."""
    piece: int
    width: int
    """Cells; a newline takes one, in which the cursor can be seen."""


class TextFlow:
    """Lines of runs. Append only; a change of width builds a new one."""

    def __init__(self, width: int) -> None:
        self.width = max(1, width)
        self.lines: list[list[Run]] = [[]]
        self.wrapped: list[bool] = [False]
        """Of each line: whether it ends because it was full, not by a newline."""
        self._column = 0
        self._word = 0
        """Index of the run of the last line at which its last word begins."""

    def append(self, text: str, piece: int) -> int:
        """Add a piece's text (or more of it); returns the first line that changed.

        Pieces are numbered upwards.
        """
        first = len(self.lines) - 1
        for atom in _ATOM.findall(printable(text)):
            if atom == NEWLINE:
                self.lines[-1].append(Run(NEWLINE, piece, 1))
                self._break(wrapped=False)
            elif atom.isspace():
                self._put(atom, piece)  # beyond the edge it is not drawn
                self._word = len(self.lines[-1])
            else:
                self._put_word(atom, piece)
        return first

    def piece_at(self, line: int, column: int) -> int | None:
        """The piece at a place; on the right of a line, its last one."""
        if not 0 <= line < len(self.lines) or not self.lines[line]:
            return None
        for run in self.lines[line]:
            if column < run.width:
                return run.piece
            column -= run.width
        return self.lines[line][-1].piece

    def line_of(self, piece: int) -> int:
        """The line on which a piece ends."""
        filled = len(self.lines) if self.lines[-1] else len(self.lines) - 1
        return max(
            0, bisect_right(self.lines, piece, 0, filled, key=lambda runs: runs[0].piece) - 1
        )

    def column_of(self, piece: int) -> int:
        """The cell at which a piece begins on the line on which it ends."""
        column = 0
        for run in self.lines[self.line_of(piece)]:
            if run.piece == piece:
                break
            column += run.width
        return column

    def text_between(self, start: tuple[int, int], end: tuple[int, int] | None) -> str:
        """The text from one place to another, each (line, character); None is the end.

        Breaks that come from wrapping are not part of it.
        """
        parts: list[str] = []
        last = len(self.lines) - 1 if end is None else min(end[0], len(self.lines) - 1)
        for y in range(start[0], last + 1):
            text = "".join(run.text for run in self.lines[y])
            stop = end[1] if end is not None and y == end[0] else None
            parts.append(text[start[1] if y == start[0] else 0 : stop])
        return "".join(parts)

    def _put(self, text: str, piece: int, width: int | None = None) -> None:
        run = Run(text, piece, cell_len(text) if width is None else width)
        self.lines[-1].append(run)
        self._column += run.width

    def _put_word(self, word: str, piece: int) -> None:
        width = cell_len(word)
        if self._column + width > self.width and self._word > 0:
            self._wrap_word()
        if self._column + width <= self.width:
            self._put(word, piece, width)
            return
        for character in word:  # longer than a line
            size = cell_len(character)
            if self._column + size > self.width and self._column > 0:
                self._break(wrapped=True)
            self._put(character, piece, size)

    def _wrap_word(self) -> None:
        """Move the unfinished word at the end of the last line to a line of its own."""
        moved = self.lines[-1][self._word :]
        del self.lines[-1][self._word :]
        self._break(wrapped=True)
        self.lines[-1].extend(moved)
        self._column = sum(run.width for run in moved)

    def _break(self, wrapped: bool) -> None:
        self.wrapped[-1] = wrapped
        self.lines.append([])
        self.wrapped.append(False)
        self._column = self._word = 0
