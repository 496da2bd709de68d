"""The checkpoints of the run and their losses."""

import math
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.reactive import var
from textual.widgets import DataTable, Static

from simplegpt.cli import one_line
from simplegpt.progress import format_loss
from tui.shared.history import History
from tui.training.view import RunView


class Row(NamedTuple):
    """A checkpoint as the table shows it."""

    path: str
    """Relative to the run's directory."""
    step: int
    val_loss: float | None
    """Measured at the checkpoint's own step; None where it was saved between validations."""
    is_best: bool


class CheckpointTable(DataTable[str]):
    """A table that j and k move in as well."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "cursor_down", "Down", show=False),
        Binding("k", "cursor_up", "Up", show=False),
    ]


class CheckpointsPanel(Vertical):
    """A table, newest first."""

    HELP: ClassVar[str] = """\
## Checkpoints
The saved checkpoints, newest first. The val loss is that of the checkpoint's own step, a dash where
it was saved between two validations; ★ marks the best. **Enter** opens a chat with one.
"""
    ALLOW_MAXIMIZE = True
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
        self._shown: list[Row] | None = None

    def compose(self) -> ComposeResult:
        table = CheckpointTable(cursor_type="row", cell_padding=1)
        table.add_column("", key="best", width=1)
        table.add_column("step", key="step")
        table.add_column("val loss", key="loss")
        table.add_column("file", key="file")
        yield table
        yield Static("no checkpoints yet", id="none")

    def watch_view(self, view: RunView | None) -> None:
        rows = checkpoint_rows(view.history) if view is not None else []
        if rows == self._shown:
            return
        self._shown = rows
        table = self.query_one(CheckpointTable)
        table.display = bool(rows)
        self.query_one("#none").display = not rows
        table.clear()
        for row in rows:
            name = one_line(row.path.removeprefix("ckpts/"))
            star, loss = "★" if row.is_best else "", format_loss(row.val_loss)
            table.add_row(star, f"{row.step:,}", loss, name, key=row.path)

    @on(DataTable.RowSelected)
    def _row_selected(self, event: DataTable.RowSelected) -> None:
        event.stop()
        if event.row_key.value is not None:
            self.post_message(self.Selected(event.row_key.value))


def checkpoint_rows(history: History) -> list[Row]:
    """The checkpoints, newest first."""
    newest_first = list(reversed(history.checkpoints.values()))
    losses = [history.validation_loss_at(event.step) for event in newest_first]
    finite = [loss for loss in losses if loss is not None and math.isfinite(loss)]
    best = min(finite, default=None)
    return [
        Row(event.path, event.step, loss, loss is not None and loss == best)
        for event, loss in zip(newest_first, losses, strict=True)
    ]
