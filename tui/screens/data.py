"""The Data screen."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.widgets import Static

from tui.screens.base import WorkbenchScreen


class DataScreen(WorkbenchScreen):
    """Data."""

    MODE = "data"
    HEADING: ClassVar[str] = "Data"
    CSS_PATH = "data.tcss"

    def compose_body(self) -> ComposeResult:
        yield Static("Data")

    def show_corpora(self) -> None:
        """Show what can be prepared."""
