"""The table of runs: a line each, columns to fit the width; a click on a heading sorts."""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from rich.cells import cell_len
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
from simplegpt.progress import format_bytes, format_count, format_loss
from tui.runs.summary import ACCURACY, EVALUATED_LOSS, PARAMETERS, RunSummary, differences
from tui.shared.run_signs import MUTED, SIGNS
from tui.shared.small_curve import block_curve
from tui.shared.text import format_age, shorten_middle

_PADDING = 2  # of a column: one cell on each side
_WIDE = 110  # columns of the terminal from which settings and differences are shown
_NAME_WIDTH, _DIFFERS_WIDTH = 14, 20  # at least, before settings get a column
BASELINE, BEST = "◎", "★"


@dataclass(frozen=True)
class _Column:
    key: str
    label: str
    width: int
    right: bool = False
    is_sorted: bool = True
    """Whether a click on its heading sorts."""


class RunTable(DataTable[Text]):
    """Rows of `RunSummary`; Enter or a click on the row under the cursor chooses it."""

    HELP = """\
**Runs** — live ones first. The symbol shows the state: ● running, ‖ paused, ✓ finished, ■ stopped,
✗ failed, **?** crashed. ★ marks the lowest loss of each tokenizer, ◎ the baseline (**B**), from
which *Differs* shows the settings that differ, and ◆ a marked run. The small curve leaves out the
first tenth of a run. A click on a heading sorts by it, a second click inverts the order.
"""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "select_cursor", "Watch", tooltip="Open the run in the dashboard"),
        Binding("home", "scroll_top", "First run", show=False),
        Binding("end", "scroll_bottom", "Last run", show=False),
    ]

    @dataclass
    class SortRequested(Message):
        """A heading was clicked."""

        column: str

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id, cursor_type="row")
        self.runs: Sequence[RunSummary] = ()
        self.marked: AbstractSet[Path] = frozenset()
        self.sorted_by: tuple[str, bool] = ("age", False)
        self.baseline: RunSummary | None = None
        self.settings: Sequence[str] = ()
        """The settings that have a column, where there is room."""
        self.now = 0.0
        self._layout: tuple[_Column, ...] = ()

    def on_mount(self) -> None:
        self.app.theme_changed_signal.subscribe(self, self._recolour)

    def on_resize(self, event: events.Resize) -> None:
        self._fill()

    def on_data_table_header_selected(self, event: DataTable.HeaderSelected) -> None:
        event.stop()
        if event.column_key.value in self.sortable_columns:
            self.post_message(self.SortRequested(event.column_key.value))

    @property
    def sortable_columns(self) -> list[str]:
        """The columns that are shown and can be sorted by, from the left."""
        return [column.key for column in self._layout if column.is_sorted]

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
        sorted_by: tuple[str, bool],
        marked: AbstractSet[Path],
        settings: Sequence[str],
        baseline: RunSummary | None,
        now: float,
    ) -> None:
        """Show `runs` in their order; the cursor stays on its run, or in its row."""
        here, row = self.current, self.cursor_row
        same_rows = [run.path for run in runs] == [run.path for run in self.runs]
        self.runs, self.sorted_by, self.marked, self.now = runs, sorted_by, marked, now
        self.settings, self.baseline = settings, baseline
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

    # Columns

    def _columns(self) -> tuple[_Column, ...]:
        """All columns: those of settings and of the differences where there is room."""
        wide = self.outer_size.width >= _WIDE
        columns = [
            _Column("mark", "", 1, is_sorted=False),
            _Column("state", "State", 12),
            _Column("name", "Run", 0),
            _Column("progress", "Done", 10 if wide else 4, right=not wide),
            _Column("loss", "Best", 7, right=True),
            _Column("curve", "Loss", 12 if wide else 8, is_sorted=False),
            *(self._setting_columns() if wide else []),
            _Column("size", "Size", 8, right=True),
            _Column("age", "Age", 6, right=True),
        ]
        if wide and self.baseline is not None:
            columns.append(_Column("differs", "Differs from ◎", 0, is_sorted=False))
        # The scrollbar's cell is kept free even while there is none: rows come after columns.
        room = self.outer_size.width - 1
        has_differences = columns[-1].key == "differs"
        needed = _NAME_WIDTH + (_DIFFERS_WIDTH if has_differences else 0)
        while (left := room - sum(c.width + _PADDING for c in columns)) < needed and wide:
            last_setting = next((c for c in reversed(columns) if c.key in self.settings), None)
            if last_setting is None:
                break
            columns.remove(last_setting)
        left = max(left, 12)
        name = min(max(left * 2 // 5, _NAME_WIDTH), 34) if has_differences else left
        widths = {"name": name, "differs": left - name}
        return tuple(
            replace(column, label=self._label(column), width=widths.get(column.key, column.width))
            for column in columns
        )

    def _setting_columns(self) -> list[_Column]:
        """A column for each chosen setting, as wide as its widest value."""
        columns = []
        for key in self.settings:
            values = [run.settings.get(key) for run in self.runs]
            label = key.rpartition(".")[2]
            widest = max((cell_len(format_value(key, value)) for value in values), default=0)
            is_number = all(isinstance(value, int | float | None) for value in values)
            width = min(max(widest, len(label) + 1), 16)
            columns.append(_Column(key, label, width, right=is_number))
        return columns

    def _label(self, column: _Column) -> str:
        sorted_by, inverted = self.sorted_by
        if column.key != sorted_by:
            return column.label
        arrow = "↑" if inverted else "↓"
        return arrow + column.label if column.right else column.label + arrow

    # Cells

    def _rows(self, layout: Sequence[_Column]) -> list[list[Text]]:
        widths = {column.key: column.width for column in layout}
        folder, best = common_folder(self.runs), best_runs(self.runs)
        rows = []
        for run in self.runs:
            texts = self._texts(run, widths, folder, is_best=run.path in best)
            rows.append([_fitted(texts[column.key], column) for column in layout])
        return rows

    def _texts(
        self, run: RunSummary, widths: Mapping[str, int], folder: str, *, is_best: bool
    ) -> dict[str, Text]:
        sign, colour = SIGNS[run.state]
        style = self._colour(colour)
        baseline = self.baseline
        own = {} if baseline is None or baseline is run else differences_of(run, baseline)
        mark = "◆" if run.path in self.marked else BASELINE if run is baseline else ""
        return {
            "mark": Text(mark, self._colour("$accent")),
            "state": Text.assemble((sign, style), f" {run.state}"),
            "name": Text(
                shorten_middle(one_line(run.name.removeprefix(folder)), widths["name"]),
                "bold" if run.is_live else "",
            ),
            "progress": self._progress(run, style, widths["progress"]),
            "loss": Text.assemble(
                (BEST if is_best else "", self._colour("$accent")), format_loss(run.best_loss)
            ),
            "curve": Text(block_curve(run.curve.losses, widths["curve"]), self._colour("$primary")),
            **{key: Text(format_value(key, run.settings.get(key))) for key in self.settings},
            "size": Text(format_bytes(run.size)),
            "age": Text(format_age(self.now - run.started) if run.started else "–"),
            "differs": Text(
                "the baseline" if run is baseline else listed(own), self._colour(MUTED)
            ),
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
    """Return the folder in which all `runs` are (``models/``), which no row needs to repeat."""
    folder = os.path.commonpath([Path(run.name).parent for run in runs]) if runs else ""
    return folder and f"{folder}{os.sep}"


def best_runs(runs: Sequence[RunSummary]) -> set[Path]:
    """Return the runs with the lowest loss of each tokenizer: losses of two do not compare.

    None where all runs of a tokenizer have the same loss, as one run alone.
    """
    groups: dict[object, list[tuple[float, Path]]] = {}
    for run in runs:
        if run.best_loss is not None and math.isfinite(run.best_loss):
            tokenizer = run.settings.get("tokenizer_name")
            groups.setdefault(tokenizer, []).append((run.best_loss, run.path))
    best = set()
    for group in groups.values():
        lowest, highest = min(group)[0], max(group)[0]
        best |= {path for loss, path in group if loss == lowest < highest}
    return best


def differences_of(run: RunSummary, other: RunSummary) -> dict[str, Any]:
    """Return the settings of `run` that `other` has not, or has with another value."""
    return {key: own for key, (own, _) in differences(run.settings, other.settings).items()}


def listed(settings: Mapping[str, Any]) -> str:
    """``"n_layer 6, peak_lr 0.0003"``."""
    return ", ".join(
        f"{key.rpartition('.')[2]} {format_setting(value)}" for key, value in settings.items()
    )


_FORMATS: Mapping[str, Callable[[Any], str]] = {
    PARAMETERS: format_count,
    EVALUATED_LOSS: format_loss,
    ACCURACY: "{:.2%}".format,
}


def format_value(key: str, value: Any) -> str:
    """A setting in a column of its own."""
    if value is None:
        return format_setting(value)
    formatted = _FORMATS.get(key, format_setting)
    return formatted(value)


def format_setting(value: Any) -> str:
    """A setting's value; of a path its last part, which tells two of them apart."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, str):
        return one_line(value if "/" not in value else Path(value).name)
    return one_line(literal(value))
