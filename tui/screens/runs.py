"""The Runs screen."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.widgets import Static

from tui.screens.base import WorkbenchScreen


class RunsScreen(WorkbenchScreen):
    """Runs."""

    MODE: ClassVar[str] = "runs"
    HEADING: ClassVar[str] = "Runs"
    CSS_PATH = "runs.tcss"

    def compose_body(self) -> ComposeResult:
        yield Static("Runs")

    def refresh_runs(self) -> None:
        """Look for runs again."""
