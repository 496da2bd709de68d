"""Alternatives to a token: the model's top candidates, before and after the sampling settings."""

import math
from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import DataTable, Static

from simplegpt.config.schema import SamplingConfig
from simplegpt.inference.protocol import Alternative
from tui.chat.conversations import Turn
from tui.chat.labels import format_probability
from tui.chat.sampling import describe_sampling
from tui.shared.text import show_token
from tui.shell.dialogs import Dialog

BAR_CELLS = 12
CONTEXT_CHARACTERS = 48


class AlternativesDialog(Dialog[Alternative]):
    """A table of tokens; returns the one to continue from."""

    DEFAULT_CSS: ClassVar[str] = """
    AlternativesDialog {
        #dialog { width: 75; padding: 0 1; }
        #position { height: 1; }
        DataTable {
            height: auto;
            max-height: 60vh;
            background: transparent;
            overflow-x: hidden;
            scrollbar-size-vertical: 1;
        }
        #settings {
            color: $text-muted;
            margin-bottom: 1;
            text-wrap: nowrap;
            text-overflow: ellipsis;
        }
    }
    """

    def __init__(
        self,
        text_before: str,
        turn: Turn,
        index: int,
        sampling: SamplingConfig,
        alternatives: Sequence[Alternative],
    ) -> None:
        """`index`: of the token of `turn`, which follows `text_before`."""
        super().__init__("Alternatives", hint="Enter to continue from this token · Esc to cancel")
        self.text_before = text_before
        self.turn = turn
        self.index = index
        self.sampling = sampling
        self.alternatives = alternatives

    def compose_body(self) -> ComposeResult:
        yield Static(self._position(), id="position")
        settings = " · ".join(describe_sampling(self.sampling))
        text = f"model: before sampling · sampled: with {settings}"
        yield Static(text, id="settings", markup=False)
        yield DataTable(cursor_type="row")

    def _position(self) -> Content:
        """The end of the text before the token, and the token."""
        before = show_token(self.text_before[-CONTEXT_CHARACTERS:])
        ellipsis = "…" if len(self.text_before) > CONTEXT_CHARACTERS else ""
        token = show_token(self.turn.pieces[self.index])
        return Content.assemble((ellipsis + before, "dim"), (token, "bold reverse"))

    def on_mount(self) -> None:
        table = self.query_one(DataTable)
        table.add_column("", width=1)
        table.add_column("token", width=18)
        table.add_column(Text("model", justify="right"), width=7)
        table.add_column("", width=BAR_CELLS)
        table.add_column(Text("sampled", justify="right"), width=7)
        table.add_column("", width=BAR_CELLS)
        for each in self.alternatives:
            is_taken = each.id == self.turn.ids[self.index]
            table.add_row(
                Text("●" if is_taken else " "),
                Text(show_token(each.text), style="bold" if is_taken else ""),
                Text(format_probability(each.probability), justify="right"),
                Text(bar(each.probability)),
                Text(format_probability(each.probability_after), justify="right"),
                Text(bar(each.probability_after)),
            )
        table.focus()

    @on(DataTable.RowSelected)
    def _selected(self, event: DataTable.RowSelected) -> None:
        self.dismiss(self.alternatives[event.cursor_row])


def bar(share: float) -> str:
    """A bar with a resolution of an eighth of a cell."""
    eighths = math.ceil(share * BAR_CELLS * 8)
    full, rest = divmod(min(eighths, BAR_CELLS * 8), 8)
    return "█" * full + (" ▏▎▍▌▋▊▉"[rest] if rest else "")
