"""The text of a conversation, with a cursor that moves by tokens."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import ClassVar, NamedTuple

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.selection import Selection
from textual.strip import Strip

from tui.chat.conversations import PARAGRAPH, Role, Turn, heading
from tui.shared.text_flow import NEWLINE, TextFlow

GUTTER = "▎ "
SHADES = 24
# The shades of 10% and 1%.
UNLIKELY_SHADE, RARE_SHADE = (round(p**0.5 * (SHADES - 1)) for p in (0.1, 0.01))


class Piece(NamedTuple):
    """A token of an answer, or the whole of what the user wrote: the cursor moves by pieces."""

    turn: str
    """Id of the turn that it belongs to."""
    role: Role
    token: int | None
    """Its index among the turn's tokens; None where the turn has none."""
    text: str
    logprob: float | None = None
    is_given: bool = False
    is_heading: bool = False
    """Whether it says whose message follows: the cursor passes over it."""


def pieces_of(turn: Turn, before: Turn | None) -> list[Piece]:
    """A turn as pieces: its heading, and its tokens where it has any, otherwise its text."""
    headed = heading(turn, before)
    pieces = [Piece(turn.id, turn.role, None, headed, is_heading=True)] if headed else []
    if turn.text and not turn.pieces:
        pieces.append(Piece(turn.id, turn.role, None, turn.text))
    known = len(turn.logprobs) == len(turn.pieces)
    pieces += [
        Piece(turn.id, turn.role, i, text, turn.logprobs[i] if known else None, i < turn.n_given)
        for i, text in enumerate(turn.pieces)
    ]
    return pieces


def system_pieces(text: str) -> list[Piece]:
    """The system prompt as pieces, which belong to no turn."""
    head = Piece("", "you", None, "System:\n", is_heading=True)
    return [head, Piece("", "you", None, text + PARAGRAPH)]


class Look(NamedTuple):
    """How a piece is drawn."""

    name: str
    """Of its component class."""
    shade: int | None
    """The colour of its probability, where these are shown."""
    cursor: bool


class Transcript(ScrollView, can_focus=True):
    """The turns of the path that is shown, drawn as one text.

    The bar at the left shows who wrote the line. Only visible lines are drawn, and streaming wraps
    only the last one, so its cost does not grow with the text.
    """

    HELP = """\
## The text

Your text and the model's have different colours. **←** and **→** move by tokens, **↑** and **↓** by
lines. **Enter**, or a double click, shows the alternatives to a token and continues from the one
you choose. Drag to select text.
"""
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "transcript--you",
        "transcript--prefill",
        "transcript--model",
        "transcript--given",
        "transcript--cursor",
        "transcript--heading",
        "transcript--bar-you",
        "transcript--bar-model",
        "transcript--unlikely",
        "transcript--medium",
        "transcript--likely",
    }
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "move(-1)", "Previous token", show=False),
        Binding("right", "move(1)", "Next token", show=False),
        Binding("up", "move_line(-1)", "Line above", show=False),
        Binding("down", "move_line(1)", "Line below", show=False),
        Binding("pageup", "move_page(-1)", "Page up", show=False),
        Binding("pagedown", "move_page(1)", "Page down", show=False),
        Binding("home", "move_to(0)", "Beginning", show=False),
        Binding("end", "move_to(-1)", "End", show=False),
        Binding("enter", "select", "Alternatives", tooltip="Alternatives to the token"),
    ]
    ALLOW_SELECT = True

    cursor: reactive[int | None] = reactive(None)
    """Index of the piece that the cursor is on."""
    probabilities: reactive[bool] = reactive(False)
    """Whether tokens are coloured by their probability."""

    class CursorMoved(Message):
        """The cursor is on another piece."""

    @dataclass
    class TokenSelected(Message):
        """Enter or a double click on a piece."""

        piece: Piece
        transcript: "Transcript" = field(repr=False)

        @property
        def control(self) -> "Transcript":
            return self.transcript

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.pieces: list[Piece] = []
        self.flow = TextFlow(1)
        self._follows = True
        self._styles: dict[str, Style] = {}
        self._shades: list[Style] = []
        self._looks: dict[Look, Style] = {}

    # The text

    @property
    def text(self) -> str:
        """The text that is shown."""
        return "".join(piece.text for piece in self.pieces)

    def show(self, turns: Sequence[Turn], system: str = "") -> None:
        """Show these turns, below the system prompt, in place of what was shown."""
        self.pieces = system_pieces(system) if system else []
        for before, turn in zip([None, *turns], turns, strict=False):
            self.pieces += pieces_of(turn, before)
        self.cursor = None
        self._follows = True
        self._wrap()

    def extend(self, pieces: Sequence[Piece]) -> None:
        """Add pieces at the end."""
        self._follows = self._follows or self.is_vertical_scroll_end
        first = len(self.flow.lines)
        for piece in pieces:
            self.pieces.append(piece)
            first = min(first, self.flow.append(piece.text, len(self.pieces) - 1))
        self._resize_content()
        self.refresh_lines(first - self.scroll_offset.y, len(self.flow.lines) - first + 1)

    def _wrap(self) -> None:
        width = self.scrollable_content_region.width - len(GUTTER) - 1  # one for a newline
        self.flow = TextFlow(width)
        for index, piece in enumerate(self.pieces):
            self.flow.append(piece.text, index)
        self._resize_content()
        self.refresh()

    def _resize_content(self) -> None:
        lines = len(self.flow.lines)
        self.virtual_size = Size(self.scrollable_content_region.width, lines)
        if self._follows:
            self.scroll_end(animate=False, immediate=True, force=True)

    def on_resize(self, event: events.Resize) -> None:
        self._follows = self._follows or self.is_vertical_scroll_end
        width = max(1, self.scrollable_content_region.width - len(GUTTER) - 1)
        if self.flow.width != width:
            self._wrap()
        elif self._follows:
            self.scroll_end(animate=False, immediate=True, force=True)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        # Textual leaves out a scroll bar that is not shown yet: it would come up at the top.
        self.vertical_scrollbar.position = new_value
        self._follows = self.is_vertical_scroll_end

    # Looks

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._styles.clear()
        self._shades.clear()
        self._looks.clear()

    def _style(self, name: str) -> Style:
        if name not in self._styles:
            self._styles[name] = self.get_component_rich_style(f"transcript--{name}")
        return self._styles[name]

    def _shade(self, shade: int) -> Style:
        """The colour of one of `SHADES`, from a theme's error over warning to success."""
        if not self._shades:
            ground = self.background_colors[1]
            colours = [
                self.get_component_styles(f"transcript--{name}").color
                for name in ("unlikely", "medium", "likely")
            ]
            for i in range(SHADES):
                place = 2 * i / (SHADES - 1)
                low = min(1, int(place))
                hue = colours[low].blend(colours[low + 1], place - low)
                if hue.ansi is None:
                    style = Style(bgcolor=ground.blend(hue, 0.38).rich_color)
                else:  # the terminal's own colours do not mix
                    style = Style(color=colours[round(place)].rich_color)
                # Also told apart without colour, as under NO_COLOR.
                unlikely, rare = i < UNLIKELY_SHADE, i < RARE_SHADE
                self._shades.append(style + Style(underline=unlikely or None, bold=rare or None))
        return self._shades[shade]

    def _look(self, index: int) -> Look:
        piece = self.pieces[index]
        shade = shade_of(piece.logprob) if self.probabilities else None
        name = "heading" if piece.is_heading else "given" if piece.is_given else piece.role
        return Look(name, shade, index == self.cursor and self.has_focus)

    def _look_style(self, look: Look) -> Style:
        if look not in self._looks:
            style = self.rich_style + self._style(look.name)
            if look.shade is not None:
                style += self._shade(look.shade)
            if look.cursor:
                style += self._style("cursor")
            self._looks[look] = style
        return self._looks[look]

    def render_line(self, y: int) -> Strip:
        base = self.rich_style
        line = y + self.scroll_offset.y
        width = self.scrollable_content_region.width
        if line >= len(self.flow.lines) or not self.pieces:
            return Strip.blank(width, base)
        runs = self.flow.lines[line]
        yours = bool(runs) and self.pieces[runs[0].piece].role == "you"
        segments = [Segment(GUTTER, base + self._style("bar-you" if yours else "bar-model"))]
        selection = self.text_selection
        span = selection.get_span(line) if selection is not None else None
        at = len(GUTTER)
        for look, part in groupby(runs, key=lambda run: self._look(run.piece)):
            text = "".join(run.text for run in part)
            if text.endswith(NEWLINE):
                seen = (self.probabilities or look.cursor) and look.name in ("model", "given")
                text = text[:-1] + ("↵" if seen else " ")
            segments.extend(self._selected(text, self._look_style(look), at, span))
            at += len(text)
        return Strip(segments).crop_extend(0, width, base).apply_offsets(0, line)

    def _selected(
        self, text: str, style: Style, at: int, span: tuple[int, int] | None
    ) -> list[Segment]:
        """`text` as segments, the part of it inside the selected `span` marked."""
        if span is None:
            return [Segment(text, style)]
        start = max(0, span[0] - at)
        end = len(text) if span[1] == -1 else max(0, span[1] - at)
        marked = style + self.screen.get_component_rich_style("screen--selection")
        parts = ((text[:start], style), (text[start:end], marked), (text[max(start, end) :], style))
        return [Segment(part, look) for part, look in parts if part]

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """The selected text, without the bar and the breaks of wrapping."""
        gutter = len(GUTTER)
        start, end = selection.start, selection.end
        first = (0, 0) if start is None else (start.y, max(0, start.x - gutter))
        last = None if end is None else (end.y, max(0, end.x - gutter))
        return self.flow.text_between(first, last), "\n"

    def selection_updated(self, selection: Selection | None) -> None:
        self.refresh()

    # The cursor

    @property
    def piece(self) -> Piece | None:
        """The piece that the cursor is on."""
        cursor = self.cursor
        return self.pieces[cursor] if cursor is not None and cursor < len(self.pieces) else None

    def watch_cursor(self) -> None:
        self.post_message(self.CursorMoved())

    def on_focus(self) -> None:
        if self.cursor is None and self.pieces:
            self.action_move_to(-1)
        self.refresh()

    def on_blur(self) -> None:
        self.refresh()

    def action_move(self, step: int) -> None:
        """Move to the next visible piece (a token may be half a character, without text)."""
        index = (len(self.pieces) if self.cursor is None else self.cursor) + step
        while 0 <= index < len(self.pieces) and not self._is_visible(index):
            index += step
        if 0 <= index < len(self.pieces):
            self._move_to(index)

    def action_move_to(self, place: int) -> None:
        visible = [index for index in range(len(self.pieces)) if self._is_visible(index)]
        if visible:
            self._move_to(visible[place])

    def _is_visible(self, index: int) -> bool:
        """Whether the cursor can be seen on a piece."""
        return bool(self.pieces[index].text) and not self.pieces[index].is_heading

    def action_move_line(self, step: int) -> None:
        if self.cursor is None:
            self.action_move(-1)
            return
        line = self.flow.line_of(self.cursor)
        column = self.flow.column_of(self.cursor)
        target = self.flow.piece_at(line + step, column)
        if target is not None and target == self.cursor:  # one piece over several lines
            self.scroll_relative(y=step, animate=False)
        elif target is not None:
            self._move_to(target)

    def action_move_page(self, step: int) -> None:
        height = max(1, self.size.height - 1)
        line = self.flow.line_of(self.cursor) if self.cursor is not None else 0
        target = self.flow.piece_at(min(max(0, line + step * height), len(self.flow.lines) - 1), 0)
        if target is None:
            self.action_move_to(0 if step < 0 else -1)
        else:
            self._move_to(target)

    def action_select(self) -> None:
        if self.piece is not None:
            self.post_message(self.TokenSelected(self.piece, self))

    def _move_to(self, index: int) -> None:
        self.cursor = index
        line, top = self.flow.line_of(index), self.scroll_offset.y
        if not top <= line < top + self.size.height:
            self.scroll_to(y=line - self.size.height // 2, animate=False)

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        if offset is None:
            return
        line = offset.y + self.scroll_offset.y
        index = self.flow.piece_at(line, max(0, offset.x - len(GUTTER)))
        if index is None:
            return
        is_double = index == self.cursor and event.chain > 1
        self.cursor = index
        if is_double:
            self.action_select()


def shade_of(logprob: float | None) -> int | None:
    """The shade of a probability: by its square root, so that 1%, 10% and 50% differ."""
    if logprob is None or math.isnan(logprob):
        return None
    return round(math.sqrt(math.exp(min(0.0, logprob))) * (SHADES - 1))
