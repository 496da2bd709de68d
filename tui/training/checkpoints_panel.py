"""The checkpoints of the run and their losses."""

from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message
from textual.reactive import var
from textual.widgets import DataTable, Static

from simplegpt.cli import one_line
from simplegpt.progress import format_loss
from simplegpt.run.events import CheckpointSaved
from tui.training.view import RunView


class CheckpointsPanel(Vertical):
    """A table, newest first."""

    HELP: ClassVar[str] = """\
## Checkpoints
The saved checkpoints, newest first, with their validation loss; ★ marks the best. **Enter** opens
a chat with one.
"""
    DEFAULT_CSS: ClassVar[str] = """
    CheckpointsPanel {
        DataTable { height: 1fr; background: transparent; }
        #none { padding: 0 1; height: 1fr; }
    }
    """

    view: var[RunView | None] = var(None, init=False)

    @dataclass
    class Selected(Message):
        """A checkpoint was selected to chat with."""

        path: str
        """Relative to the run's directory."""

    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self._shown: list[CheckpointSaved] | None = None

    def compose(self) -> ComposeResult:
        table: DataTable[str] = DataTable(cursor_type="row", cell_padding=1)
        table.add_column("", key="best", width=1)
        table.add_column("step", key="step")
        table.add_column("val loss", key="loss")
        table.add_column("file", key="file")
        yield table
        yield Static("no checkpoints yet", id="none")

    def watch_view(self, view: RunView | None) -> None:
        checkpoints = view.history.checkpoints.values() if view is not None else ()
        newest_first = list(reversed(checkpoints))
        if newest_first == self._shown:
            return
        self._shown = newest_first
        table = self.query_one(DataTable)
        table.display = bool(newest_first)
        self.query_one("#none").display = not newest_first
        table.clear()
        best = min((e.val_loss for e in newest_first if e.val_loss is not None), default=None)
        for event in newest_first:
            star = "★" if best is not None and event.val_loss == best else ""
            name = one_line(event.path.removeprefix("ckpts/"))
            loss = format_loss(event.val_loss)
            table.add_row(star, f"{event.step:,}", loss, name, key=event.path)

    @on(DataTable.RowSelected)
    def _row_selected(self, event: DataTable.RowSelected) -> None:
        event.stop()
        if event.row_key.value is not None:
            self.post_message(self.Selected(event.row_key.value))
