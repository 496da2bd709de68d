"""Which other runs are laid over the plot."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Button, SelectionList
from textual.widgets.selection_list import Selection

from simplegpt.run.directory import RunDirectory
from tui.shared.follower import first_picture
from tui.shared.history import History
from tui.shared.text import one_line


@dataclass
class OverlayRead(Message):
    """Curves of other runs were read, by name."""

    generation: int
    histories: dict[str, History]


def read_overlays(runs: Sequence[Path]) -> dict[str, History]:
    """The curves of other runs, from samples of their histories; for a thread."""
    return {path.name: first_picture(RunDirectory(path)) for path in runs}


class OverlayChoice(ModalScreen[list[Path] | None]):
    """Space marks runs, Enter takes them; None for Escape."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss", "Cancel"),
        Binding("enter", "take", "Lay over", priority=True),
    ]
    DEFAULT_CSS: ClassVar[str] = """
    OverlayChoice {
        align: center middle;
        background: $background 60%;
        #dialog {
            width: 64;
            max-width: 94%;
            height: auto;
            max-height: 80%;
            padding: 1 2;
            background: $surface;
            border: round $primary;
            border-title-color: $accent;
            border-title-style: bold;
        }
        SelectionList { height: auto; max-height: 14; border: none; background: transparent; }
        Horizontal { height: 1; margin-top: 1; align-horizontal: right; }
        Button { margin-left: 1; }
    }
    """

    def __init__(self, runs: Sequence[tuple[str, Path]], chosen: Sequence[str]) -> None:
        super().__init__()
        self.runs, self.chosen = runs, chosen

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog") as dialog:
            dialog.border_title = "Lay other runs over this one"
            dialog.border_subtitle = "Space marks, Enter takes"
            yield SelectionList[Path](
                *(
                    Selection(one_line(name), path, path.name in self.chosen)
                    for name, path in self.runs
                )
            )
            with Horizontal():
                yield Button("Lay over", id="take", variant="primary")
                yield Button("Cancel", id="cancel")

    def action_take(self) -> None:
        self.dismiss(list(self.query_one(SelectionList).selected))

    def on_button_pressed(self, event: Button.Pressed) -> None:
        event.stop()
        if event.button.id == "take":
            self.action_take()
        else:
            self.dismiss(None)
