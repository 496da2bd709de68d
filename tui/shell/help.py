"""The dialog that F1 opens."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import Markdown

from tui.shell.dialogs import Dialog


class HelpDialog(Dialog[None]):
    """Help, as Markdown."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("f1,q", "cancel", "Close")]
    DEFAULT_CSS: ClassVar[str] = """
    HelpDialog {
        #dialog { width: 84; padding: 0 1; }
        VerticalScroll { height: auto; scrollbar-size-vertical: 1; }
    }
    """

    def __init__(self, markdown: str) -> None:
        super().__init__("Help", hint="Esc to close")
        self.markdown = markdown

    def compose_body(self) -> ComposeResult:
        with VerticalScroll():
            yield Markdown(self.markdown)
