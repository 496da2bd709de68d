"""The Config screen."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.widgets import Static

from tui.screens.base import WorkbenchScreen


class ConfigScreen(WorkbenchScreen):
    """Config."""

    MODE = "config"
    HEADING: ClassVar[str] = "Config"
    CSS_PATH = "config.tcss"

    def compose_body(self) -> ComposeResult:
        yield Static("Config")

    def open(self, path: Path | None, values: Mapping[str, Any]) -> None:
        """Edit the config at `path`, with `values` (dotted key -> value) laid over as if typed."""
