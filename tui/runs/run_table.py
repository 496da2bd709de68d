"""The table of runs: one line each, columns to fit the width, a click on a heading sorts."""

import os
from collections.abc import Sequence
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

from simplegpt.config.edit import literal
from simplegpt.progress import format_bytes, format_loss
from tui.runs.run_list import SORT_KEYS, SortKey
from tui.runs.run_summary import Difference, RunSummary, differences_of_all
from tui.shared.run_signs import MUTED, SIGNS
from tui.shared.small_curve import block_curve
from tui.shared.text import format_age, one_line

_COLOURS = ("primary", "secondary", "accent", "success", "warning", "error")
_PADDING = 2  # a column's own, one cell on each side
_WIDE = 110  # from here on there is room for what differs


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
✗ failed, **?** crashed (its process exited unexpectedly). *Differs* is what a run's config has
otherwise than the next row's. A click on a heading sorts by it, a second one turns it round.
"""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "select_cursor", "Watch", tooltip="Open the run in the dashboard"),
        Binding("home", "scroll_top", "First run", show=False),
        Binding("end", "scroll_bottom", "Last run", show=False),
    ]

    class SortAsked(Message):
        """A heading was clicked."""

        def __init__(self, key: SortKey) -> None:
            super().__init__()
            self.key = key

    COLOURS: ClassVar[tuple[str, ...]] = (
        "success",
        "warning",
        "error",
        "primary",
        "secondary",
        "accent",
    )

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id, cursor_type="row", zebra_stripes=False)
        self.runs: list[RunSummary] = []
        self.marked: AbstractSet[Path] = frozenset()
        self.sorted_by: tuple[SortKey, bool] = ("age", False)
        self.now = 0.0
        self._layout: tuple[_Column, ...] = ()
        self._shared = ""
        self._colours: dict[str, str] = {}

    def on_mount(self) -> None:
        self.app.theme_changed_signal.subscribe(self, self._recolour)

    def on_resize(self, event: events.Resize) -> None:
        self._fill()

    def on_data_table_header_selected(self, event: DataTable.HeaderSelected) -> None:
        event.stop()
        key = event.column_key.value
        for known in SORT_KEYS:
            if known == key:
                self.post_message(self.SortAsked(known))

    @property
    def current(self) -> RunSummary | None:
        """The run under the cursor."""
        return self.runs[self.cursor_row] if 0 <= self.cursor_row < len(self.runs) else None

    def show(
        self,
        runs: Sequence[RunSummary],
        *,
        sorted_by: tuple[SortKey, bool],
        marked: AbstractSet[Path],
        now: float,
    ) -> None:
        """Show `runs` in their order; the cursor stays on its run."""
        here, row = self.current, self.cursor_row
        same_rows = [run.path for run in runs] == [run.path for run in self.runs]
        self.runs = list(runs)
        self.sorted_by, self.marked, self.now = sorted_by, marked, now
        self._fill(same_rows=same_rows)
        if not same_rows and self.runs:
            paths = [run.path for run in self.runs]
            at = paths.index(here.path) if here and here.path in paths else row
            self.move_cursor(row=min(max(at, 0), len(paths) - 1))

    def move_to(self, path: Path) -> None:
        """Put the cursor on a run, if it is in the list."""
        for row, run in enumerate(self.runs):
            if run.path == path:
                self.move_cursor(row=row)

    def _fill(self, same_rows: bool = True) -> None:
        """Write the cells: only those that changed while rows and columns stay what they are."""
        if not self.outer_size.width:
            return
        self._colours = self._colours or self._read_colours()
        layout = self._columns()
        self._shared = shared_folder(self.runs)
        cells = [
            self._cells(layout, run, differing)
            for run, differing in zip(self.runs, differences_of_all(self.runs), strict=True)
        ]
        if layout == self._layout and same_rows and self.row_count == len(cells):
            for y, texts in enumerate(cells):
                for x, text in enumerate(texts):
                    place = Coordinate(y, x)
                    if self.get_cell_at(place) != text:
                        self.update_cell_at(place, text)
            return
        self._layout, row = layout, self.cursor_row
        self.clear(columns=True)
        for column in layout:
            label = Text(column.label, justify="right" if column.right else "left")
            self.add_column(label, width=column.width, key=column.key)
        for run, texts in zip(self.runs, cells, strict=True):
            self.add_row(*texts, key=str(run.path))
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

    def _cells(
        self, layout: Sequence[_Column], run: RunSummary, differing: Sequence[Difference]
    ) -> list[Text]:
        width = {column.key: column.width for column in layout}
        sign, colour = SIGNS[run.state]
        style = self._colours[colour]
        texts = {
            "mark": Text("◆" if run.path in self.marked else "", self._colours["$accent"]),
            "state": Text.assemble((sign, style), f" {run.state}"),
            "name": Text(one_line(run.name[len(self._shared) :]), "bold" if run.alive else ""),
            "progress": self._progress(run, style, width["progress"]),
            "loss": Text(format_loss(run.best_loss)),
            "curve": Text(block_curve(run.curve, width["curve"]), self._colours["$primary"]),
            "size": Text(format_bytes(run.size)),
            "age": Text(format_age(self.now - run.started) if run.started else "–"),
            "differs": Text(differences_in_words(differing), self._colours[MUTED]),
        }
        cells = []
        for column in layout:
            text = texts[column.key]
            text.justify = "right" if column.right else "left"
            text.truncate(column.width, overflow="ellipsis")
            cells.append(text)
        return cells

    def _progress(self, run: RunSummary, style: str, width: int) -> Text:
        if run.progress is None:
            return Text("–")
        percent = f"{int(run.progress * 100):>3}%"  # rounded down: 100% is the end
        bar = width - len(percent) - 1
        if bar < 1:
            return Text(percent)
        done = int(run.progress * bar)
        return Text.assemble(
            ("━" * done, style), ("─" * (bar - done), self._colours[MUTED]), f" {percent}"
        )

    def _recolour(self, theme: Theme) -> None:
        self._colours, self._layout = {}, ()
        self._fill()

    def _read_colours(self) -> dict[str, str]:
        variables = self.app.theme_variables
        colours = {f"${name}": variables[name] for name in _COLOURS}
        back, front = Color.parse(variables["surface"]), Color.parse(variables["foreground"])
        return {**colours, MUTED: back.blend(front, 0.6).hex}


def shared_folder(runs: Sequence[RunSummary]) -> str:
    """The folder that all `runs` lie in (``models/``): said once, it need not stand in each row."""
    shared = os.path.commonpath([Path(run.name).parent for run in runs]) if runs else ""
    return shared and f"{shared}{os.sep}"


def differences_in_words(differing: Sequence[Difference]) -> str:
    """``"n_layer 6, peak_lr 0.0003"``: what a run has, by the settings' own short names."""
    return ", ".join(
        f"{one.key.rpartition('.')[2]} {value_in_words(one.mine)}" for one in differing
    )


def value_in_words(value: Any) -> str:
    """A setting's value; a path as its last part, which is what tells two of them apart."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, str):
        return one_line(value if "/" not in value else Path(value).name)
    return one_line(literal(value))
