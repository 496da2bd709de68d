"""The Train screen: start a run or join one, and watch it."""

from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.widgets import Static

from tui.screens.base import WorkbenchScreen
from tui.widgets.header import Mode


class TrainingScreen(WorkbenchScreen):
    """The dashboard of one run."""

    MODE: ClassVar[Mode] = "train"
    HEADING: ClassVar[str] = "Train"
    CSS_PATH = "training.tcss"

    def compose_body(self) -> ComposeResult:
        yield Static("Train")

    def join(self, path: Path) -> None:
        """Watch the run at `path`, live or ended."""
        self.workbench.watch_run(path)

    def start(self, config: Path, overrides: tuple[str, ...] = ()) -> None:
        """Start a run of a saved config."""

    def resume(self, run: Path, overrides: tuple[str, ...] = ()) -> None:
        """Go on with an ended run."""
