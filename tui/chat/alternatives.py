"""What else could have come at a token, and going on from there."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import DataTable, Static

from simplegpt.config.schema import SamplingConfig
from simplegpt.inference.protocol import Alternative
from tui.chat.words import percent, settings_in_words
from tui.shared.text import show_token

BAR_CELLS = 12
CONTEXT_CHARACTERS = 48


@dataclass(frozen=True)
class Asked:
    """The place in the text that is looked at."""

    before: str
    token_id: int
    token: str
    sampling: SamplingConfig


class AlternativesWindow(ModalScreen[Alternative | None]):
    """A table of tokens with their probabilities before and after the sampling settings.

    Returns the one that Enter was pressed on, or None.
    """

    HELP = """\
## Look inside

**model** is the probability under the model itself, **sampled** with the settings of now: – where
they rule the token out. **Enter** goes on from the token under the cursor; the old answer stays
beside the new one (`[` and `]` in the text).
"""
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q", "dismiss", "Close")]

    def __init__(self, asked: Asked, alternatives: Sequence[Alternative]) -> None:
        super().__init__()
        self.asked = asked
        self.alternatives = alternatives

    def compose(self) -> ComposeResult:
        with Vertical(id="alternatives") as window:
            window.border_title = "What could have come"
            window.border_subtitle = "Enter goes on from here · Esc closes"
            yield Static(self._place(), id="place")
            yield DataTable(cursor_type="row", id="table")
            yield Static(self._settings(), id="settings", markup=False)

    def _place(self) -> Text:
        before = show_token(self.asked.before[-CONTEXT_CHARACTERS:]).replace("·", " ")
        lead = "…" if len(self.asked.before) > CONTEXT_CHARACTERS else ""
        return Text.assemble(
            (lead + before, "dim"), (show_token(self.asked.token), "bold reverse"), no_wrap=True
        )

    def _settings(self) -> str:
        changed = settings_in_words(self.asked.sampling)
        return "sampled with: " + (" · ".join(changed) or "the default settings")

    def on_mount(self) -> None:
        table = self.query_one(DataTable)
        table.add_column("", width=1)
        table.add_column("token", width=18)
        table.add_column(Text("model", justify="right"), width=7)
        table.add_column("", width=BAR_CELLS)
        table.add_column(Text("sampled", justify="right"), width=7)
        table.add_column("", width=BAR_CELLS)
        for alternative in self.alternatives:
            taken = alternative.id == self.asked.token_id
            table.add_row(
                Text("●" if taken else " "),
                Text(show_token(alternative.text), style="bold" if taken else ""),
                Text(percent(alternative.probability), justify="right"),
                Text(bar(alternative.probability)),
                Text(percent(alternative.probability_after), justify="right"),
                Text(bar(alternative.probability_after)),
            )
        table.focus()

    @on(DataTable.RowSelected)
    def _selected(self, event: DataTable.RowSelected) -> None:
        self.dismiss(self.alternatives[event.cursor_row])


def bar(share: float) -> str:
    """A bar of eighths."""
    eighths = math.ceil(share * BAR_CELLS * 8)
    full, rest = divmod(min(eighths, BAR_CELLS * 8), 8)
    return "█" * full + (" ▏▎▍▌▋▊▉"[rest] if rest else "")
