"""The Chat screen."""

from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.widgets import Static

from tui.screens.base import WorkbenchScreen


class ChatScreen(WorkbenchScreen):
    """Chat."""

    MODE = "chat"
    HEADING: ClassVar[str] = "Chat"
    CSS_PATH = "chat.tcss"

    def compose_body(self) -> ComposeResult:
        yield Static("Chat")

    def open_model(self, model: str, beside_run: Path | None = None) -> None:
        """Talk to `model`; the engine must not slow down the live run `beside_run`."""
