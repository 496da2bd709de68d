"""The first lines of a text, plain or as coloured tokens."""

from collections.abc import Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui.shared.text_flow import NEWLINE, TextFlow

SHADES = 4
"""Neighbouring tokens have different colours; four are enough to see where each begins."""
_FAINT = Style(dim=True)


class TextSample(ScrollView, can_focus=True):
    """Shows pieces of text one after another, as they are in the file."""

    HELP = """\
**The text** as it is in the file, or its tokens in alternating colours. ↵ is a line break, symbols
such as ␛ are control characters, `\\xe2` is a byte that is not a whole character.
"""
    COMPONENT_CLASSES: ClassVar[set[str]] = {f"text-sample--token-{i}" for i in range(SHADES)}
    DEFAULT_CSS = """
    TextSample {
        color: $foreground;
        scrollbar-size-vertical: 1;
        scrollbar-background: $background;
        & > .text-sample--token-0 { background: $primary 32%; }
        & > .text-sample--token-1 { background: $accent 28%; }
        & > .text-sample--token-2 { background: $secondary 34%; }
        & > .text-sample--token-3 { background: $success 26%; }
        /* Also told apart where there are few colours or none. */
        & > .text-sample--token-1, & > .text-sample--token-3 { text-style: underline; }
        &:ansi > .text-sample--token-0, &:ansi > .text-sample--token-2 { background: ansi_default; }
        &:ansi > .text-sample--token-1 { background: ansi_default; color: $accent; }
        &:ansi > .text-sample--token-3 { background: ansi_default; color: $success; }
    }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.pieces: tuple[str, ...] = ()
        self.coloured = False
        self.flow = TextFlow(1)

    def show(self, pieces: Sequence[str], *, coloured: bool) -> None:
        """Show `pieces` from the top; `coloured` tells them apart."""
        self.pieces, self.coloured = tuple(pieces), coloured
        self.scroll_home(animate=False)
        self._wrap()

    def on_resize(self, event: events.Resize) -> None:
        self._wrap()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self.refresh()

    def _wrap(self) -> None:
        # One cell is kept for the newline's sign, one for the scrollbar.
        self.flow = TextFlow(max(1, self.size.width - 2))
        for index, piece in enumerate(self.pieces):
            self.flow.append(piece, index)
        self.virtual_size = Size(max(1, self.size.width - 1), len(self.flow.lines))
        self.refresh()

    def render_line(self, y: int) -> Strip:
        width, line = self.size.width, y + self.scroll_offset.y
        base = self.rich_style
        if line >= len(self.flow.lines):
            return Strip.blank(width, base)
        segments = []
        for run in self.flow.lines[line]:
            is_newline = run.text == NEWLINE
            style = self._style(f"token-{run.piece % SHADES}") if self.coloured else base
            if is_newline:
                style += _FAINT
            text = run.text if not is_newline else "↵" if self.coloured else " "
            segments.append(Segment(text, style))
        return Strip(segments).adjust_cell_length(width, base)

    def _style(self, name: str) -> Style:
        style = self.get_component_rich_style(f"text-sample--{name}")
        assert isinstance(style, Style)
        return style
