"""The table of runs: a line each, columns to fit the width; a click on a heading sorts."""

import os
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.color import Color
from textual.coordinate import Coordinate
from textual.message import Message
from textual.theme import Theme
from textual.widgets import DataTable

from simplegpt.cli import one_line
from simplegpt.config.edit import literal
from simplegpt.progress import format_bytes, format_loss
from tui.runs.listing import SORT_KEYS, SortKey
from tui.runs.summary import RunSummary, differences
from tui.shared.run_signs import MUTED, SIGNS
from tui.shared.small_curve import block_curve
from tui.shared.text import format_age

_PADDING = 2  # of a column: one cell on each side
_WIDE = 110  # columns of the terminal from which the differences are shown


@dataclass(frozen=True)
class _Column:
    key: str
    label: str
    width: int
    sort: SortKey | None = None
    right: bool = False


class RunTable(DataTable[Text]):
    """Rows of `RunSummary`; Enter or a click on the row under the cursor chooses it."""

    HELP = """\
**Runs** — live ones first. The sign tells the state: ● running, ‖ paused, ✓ finished, ■ stopped,
✗ failed, **?** crashed. *Differs* shows the settings in which a run differs from the next row's.
A click on a heading sorts by it, a second click reverses the order.
"""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "select_cursor", "Watch", tooltip="Open the run in the dashboard"),
        Binding("home", "scroll_top", "First run", show=False),
        Binding("end", "scroll_bottom", "Last run", show=False),
    ]

    @dataclass
    class SortRequested(Message):
        """A heading was clicked."""

        key: SortKey

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id, cursor_type="row")
        self.runs: Sequence[RunSummary] = ()
        self.marked: AbstractSet[Path] = frozenset()
        self.sorted_by: tuple[SortKey, bool] = ("age", False)
        self.now = 0.0
        self._layout: tuple[_Column, ...] = ()

    def on_mount(self) -> None:
        self.app.theme_changed_signal.subscribe(self, self._recolour)

    def on_resize(self, event: events.Resize) -> None:
        self._fill()

    def on_data_table_header_selected(self, event: DataTable.HeaderSelected) -> None:
        event.stop()
        for key in SORT_KEYS:
            if key == event.column_key.value:
                self.post_message(self.SortRequested(key))

    @property
    def current(self) -> RunSummary | None:
        """The run under the cursor."""
        return self.runs[self.cursor_row] if 0 <= self.cursor_row < len(self.runs) else None

    @property
    def next(self) -> RunSummary | None:
        """The run below the cursor."""
        row = self.cursor_row + 1
        return self.runs[row] if row < len(self.runs) else None

    def show(
        self,
        runs: Sequence[RunSummary],
        *,
        sorted_by: tuple[SortKey, bool],
        marked: AbstractSet[Path],
        now: float,
    ) -> None:
        """Show `runs` in their order; the cursor stays on its run, or in its row."""
        here, row = self.current, self.cursor_row
        same_rows = [run.path for run in runs] == [run.path for run in self.runs]
        self.runs, self.sorted_by, self.marked, self.now = runs, sorted_by, marked, now
        self._fill(same_rows=same_rows)
        if not same_rows and runs:
            paths = [run.path for run in runs]
            target = paths.index(here.path) if here and here.path in paths else row
            self.move_cursor(row=min(max(target, 0), len(paths) - 1))

    def move_to(self, path: Path) -> None:
        """Put the cursor on a run, if it is in the list."""
        for row, run in enumerate(self.runs):
            if run.path == path:
                self.move_cursor(row=row)

    def _fill(self, same_rows: bool = True) -> None:
        """Write the cells: only those that changed while rows and columns stay the same."""
        if not self.outer_size.width:
            return
        layout = self._columns()
        rows = self._rows(layout)
        if layout == self._layout and same_rows and self.row_count == len(rows):
            for y, cells in enumerate(rows):
                for x, cell in enumerate(cells):
                    place = Coordinate(y, x)
                    if self.get_cell_at(place) != cell:
                        self.update_cell_at(place, cell)
            return
        self._layout, row = layout, self.cursor_row
        self.clear(columns=True)
        for column in layout:
            label = Text(column.label, justify="right" if column.right else "left")
            self.add_column(label, width=column.width, key=column.key)
        for cells in rows:
            self.add_row(*cells)
        self.move_cursor(row=row)

    def _columns(self) -> tuple[_Column, ...]:
        wide = self.outer_size.width >= _WIDE
        columns = [
            _Column("mark", "", 1),
            _Column("state", "State", 10, "state"),
            _Column("name", "Run", 0, "name"),
            _Column("progress", "Done", 15 if wide else 4, "progress", right=not wide),
            _Column("loss", "Best", 6, "loss", right=True),
            _Column("curve", "Loss", 16 if wide else 8),
            _Column("size", "Size", 8, "size", right=True),
            _Column("age", "Age", 6, "age", right=True),
        ]
        if wide:
            columns.append(_Column("differs", "Differs from the next", 0))
        taken = sum(column.width + _PADDING for column in columns)
        # The scrollbar's cell is kept free even while there is none: rows come after columns.
        room = max(self.outer_size.width - 1 - taken, 24 if wide else 12)
        name = min(room * 2 // 5, 34) if wide else room
        widths = {"name": name, "differs": room - name}
        return tuple(
            _Column(
                column.key,
                self._label(column),
                widths.get(column.key, column.width),
                column.sort,
                column.right,
            )
            for column in columns
        )

    def _label(self, column: _Column) -> str:
        key, reverse = self.sorted_by
        if column.sort != key:
            return column.label
        arrow = "↑" if reverse else "↓"
        return arrow + column.label if column.right else column.label + arrow

    def _rows(self, layout: Sequence[_Column]) -> list[list[Text]]:
        folder = common_folder(self.runs)
        rows = []
        for index, run in enumerate(self.runs):
            after = self.runs[index + 1].settings if index + 1 < len(self.runs) else {}
            texts = self._texts(run, {column.key: column.width for column in layout})
            texts["name"] = Text(
                one_line(run.name.removeprefix(folder)), "bold" if run.is_live else ""
            )
            texts["differs"] = Text(own_settings(run.settings, after), self._colour(MUTED))
            rows.append([_fitted(texts[column.key], column) for column in layout])
        return rows

    def _texts(self, run: RunSummary, widths: Mapping[str, int]) -> dict[str, Text]:
        sign, colour = SIGNS[run.state]
        style = self._colour(colour)
        return {
            "mark": Text("◆" if run.path in self.marked else "", self._colour("$accent")),
            "state": Text.assemble((sign, style), f" {run.state}"),
            "progress": self._progress(run, style, widths["progress"]),
            "loss": Text(format_loss(run.best_loss)),
            "curve": Text(block_curve(run.curve.losses, widths["curve"]), self._colour("$primary")),
            "size": Text(format_bytes(run.size)),
            "age": Text(format_age(self.now - run.started) if run.started else "–"),
        }

    def _progress(self, run: RunSummary, style: str, width: int) -> Text:
        if run.progress is None:
            return Text("–")
        percent = f"{int(run.progress * 100):>3}%"  # rounded down: 100% is the end
        bar = width - len(percent) - 1
        if bar < 1:
            return Text(percent)
        done = int(run.progress * bar)
        return Text.assemble(
            ("━" * done, style), ("─" * (bar - done), self._colour(MUTED)), f" {percent}"
        )

    def _recolour(self, theme: Theme) -> None:
        self._layout = ()
        self._fill()

    def _colour(self, style: str) -> str:
        """A theme variable such as ``$primary``, for Rich; with an opacity: ``$foreground 60%``."""
        name, _, opacity = style.removeprefix("$").partition(" ")
        variables = self.app.theme_variables
        colour = Color.parse(variables[name])
        if opacity:
            share = float(opacity.rstrip("%")) / 100
            colour = Color.parse(variables["surface"]).blend(colour, share)
        return colour.hex


def _fitted(text: Text, column: _Column) -> Text:
    text.justify = "right" if column.right else "left"
    text.truncate(column.width, overflow="ellipsis")
    return text


def common_folder(runs: Sequence[RunSummary]) -> str:
    """The folder in which all `runs` are (``models/``), which no row needs to repeat."""
    folder = os.path.commonpath([Path(run.name).parent for run in runs]) if runs else ""
    return folder and f"{folder}{os.sep}"


def own_settings(settings: Mapping[str, Any], others: Mapping[str, Any]) -> str:
    """``"n_layer 6, peak_lr 0.0003"``: what one run has where another has something else."""
    return ", ".join(
        f"{key.rpartition('.')[2]} {format_setting(own)}"
        for key, (own, _) in differences(settings, others).items()
    )


def format_setting(value: Any) -> str:
    """A setting's value; of a path its last part, which tells two of them apart."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, str):
        return one_line(value if "/" not in value else Path(value).name)
    return one_line(literal(value))
