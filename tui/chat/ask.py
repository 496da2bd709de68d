"""A window that asks for one line of text."""

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static


class AskText(ModalScreen[str | None]):
    """Returns what was typed, without white space around it; None for Escape or nothing."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss", "Cancel")]

    def __init__(self, title: str, question: str, value: str) -> None:
        super().__init__()
        self.ask_title = title
        self.question = question
        self.value = value

    def compose(self) -> ComposeResult:
        with Vertical(id="ask") as window:
            window.border_title = self.ask_title
            window.border_subtitle = "Enter takes it · Esc cancels"
            yield Static(self.question, markup=False)
            yield Input(self.value)

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        self.dismiss(event.value.strip() or None)
