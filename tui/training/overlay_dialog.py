"""The dialog to choose runs whose curves are overlaid on the plot."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Button, SelectionList
from textual.widgets.selection_list import Selection

from simplegpt.cli import one_line
from tui.shell.dialogs import Dialog


class OverlayDialog(Dialog[list[Path]]):
    """Space selects runs, Enter returns them."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "accept", "Overlay", priority=True)]
    DEFAULT_CSS: ClassVar[str] = """
    OverlayDialog SelectionList {
        height: auto;
        max-height: 14;
        border: none;
        background: transparent;
    }
    """

    def __init__(self, runs: Sequence[Path], root: Path, selected: Collection[Path]) -> None:
        """`runs` are shown relative to `root`."""
        super().__init__(
            "Overlay runs",
            hint="Space to select · Enter to overlay · Esc to cancel",
            buttons=[Button("Overlay", variant="primary", action="screen.accept")],
        )
        self._selections = [
            Selection(one_line(str(path.relative_to(root))), path, path in selected)
            for path in runs
        ]

    def compose_body(self) -> ComposeResult:
        yield SelectionList[Path](*self._selections)

    def action_accept(self) -> None:
        self.dismiss(list(self.query_one(SelectionList).selected))
