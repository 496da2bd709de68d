"""The Runs screen: every run below the working directory, and what one does with them."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Center, Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Button, DataTable, Input, Static

from tui.runs.run_actions import RunActions
from tui.runs.run_details import RunDetails
from tui.runs.run_list import SORT_KEYS, RunFinder, SortKey, arrange
from tui.runs.run_summary import RunSummary
from tui.runs.run_table import RunTable
from tui.runs.trash import TrashedItem
from tui.shared.text import one_line
from tui.shell import messages

LOOK_SECONDS = 2.0
MOST_COMPARED = 6
_SORT_WORDS: dict[SortKey, str] = {
    "age": "newest first",
    "name": "by name",
    "state": "by state",
    "progress": "furthest first",
    "loss": "least loss first",
    "size": "largest first",
}


def now() -> float:
    """Seconds since 1970: what ages are counted from."""
    return time.time()


@dataclass
class RunsFound(Message):
    """A look at the disk is done."""

    runs: list[RunSummary]
    trashed: list[TrashedItem]
    move_to: Path | None = None


class RunsScreen(RunActions):
    """The list of runs."""

    MODE = "runs"
    CSS_PATH = "screen.tcss"
    HELP = """\
All runs below the folder in which the workbench was started, four levels deep; hidden folders are
left out. **Enter** watches a run in the dashboard, live or ended. **Resume** goes on from its last
checkpoint exactly as if it had never stopped; **New** makes a config whose training starts
from its weights. **Space** marks runs to compare; without marks a run is compared with the next.

The **filter** takes words of a name, a state or an error, and settings such as `n_layer=6`.
**Delete** moves a run to a trash in this folder, **Undo** brings it back; *Empty the trash* is in
the palette.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f9", "watch", "Watch", show=False, tooltip="Open the run in the dashboard"),
        Binding("r", "resume", "Resume", tooltip="Go on from its last checkpoint"),
        Binding("n", "continue_from", "New", tooltip="A new config that starts from it"),
        Binding("c", "chat", "Chat", tooltip="Talk to its newest checkpoint"),
        Binding("v,f7", "compare", "Compare", tooltip="Curves and configs side by side"),
        Binding("d,delete", "delete", "Delete", key_display="d", tooltip="Move it to the trash"),
        # These stand in the line above the table: the footer has no room for them at 80 columns.
        Binding("space", "mark", "Mark", show=False, tooltip="Mark the run for comparing"),
        Binding("s", "sort", "Sort", show=False, tooltip="Sort by the next column"),
        Binding("S", "turn_round", "Turn order round", show=False),
        Binding("slash,f8", "filter", "Filter", show=False, tooltip="Show only some runs"),
        Binding("u", "undo_delete", "Undo", show=False, tooltip="Bring back the last deleted run"),
        Binding("e", "rename", "Rename", show=False, tooltip="Give its folder another name"),
        Binding("o", "open_folder", "Open folder", show=False, tooltip="In the file browser"),
        Binding("escape", "clear", "Clear filter and marks", show=False),
    ]
    _ON_ONE_RUN = frozenset(
        {"watch", "resume", "continue_from", "chat", "mark", "compare", "rename", "delete"}
        | {"open_folder", "sort", "turn_round", "filter"}
    )

    def __init__(self) -> None:
        super().__init__()
        self.finder = RunFinder(self.root)
        self.found: list[RunSummary] | None = None
        """All that were found; None until the first look is done."""
        self.marked: set[Path] = set()
        self.sort_key: SortKey = "age"
        self.reverse = False
        self._looking = False
        self._look_again: Path | bool = False
        self._timer: Timer | None = None

    def compose_body(self) -> ComposeResult:
        with Horizontal(id="bar"):
            yield Static("Looking for runs …", id="count", markup=False)
            yield Static(id="hint", markup=False)
            yield Input(
                placeholder="name, state, n_layer=6",
                id="filter",
                compact=True,
                tooltip="Words of a name, a state or an error, or settings such as n_layer=6",
            )
        yield RunTable(id="table")
        with Vertical(id="empty"):
            yield Static(id="empty-text", markup=False)
            with Center():
                yield Button("Choose a corpus", id="begin", variant="primary")
        yield RunDetails(id="details")

    def on_mount(self) -> None:
        self.query_one(RunTable).focus()

    def on_screen_resume(self) -> None:
        self.refresh_runs()
        self._timer = self._timer or self.set_interval(LOOK_SECONDS, self.refresh_runs)
        self._timer.resume()

    def watch_runs(self) -> None:
        if self.is_current:
            self.refresh_runs()

    def on_screen_suspend(self) -> None:
        if self._timer is not None:
            self._timer.pause()

    # Looking

    def refresh_runs(self, move_to: Path | None = None) -> None:
        """Look for runs again, in a worker; one look at a time."""
        if self._looking:
            self._look_again = move_to or True
            return
        self._looking = True
        self._look(move_to)

    @work(thread=True, group="look-for-runs")
    def _look(self, move_to: Path | None) -> None:
        self.post_message(RunsFound(self.finder.look(), self.trash.items(), move_to))

    @on(RunsFound)
    def _found(self, event: RunsFound) -> None:
        self._looking = False
        self.found, self.trashed = event.runs, event.trashed
        self.marked &= {run.path for run in event.runs}
        self._show(event.move_to)
        if self._look_again:
            again, self._look_again = self._look_again, False
            self.refresh_runs(again if isinstance(again, Path) else None)

    def _show(self, move_to: Path | None = None) -> None:
        """Put what was found on the screen, filtered and sorted."""
        if self.found is None:
            return
        table, text = self.query_one(RunTable), self.query_one("#filter", Input).value
        shown = arrange(self.found, self.sort_key, reverse=self.reverse, filter_text=text)
        table.show(
            shown, sorted_by=(self.sort_key, self.reverse), marked=set(self.marked), now=now()
        )
        if move_to is not None:
            table.move_to(move_to)
        self._show_count(len(shown))
        was_empty, is_empty = self.has_class("-empty"), not shown
        self.set_class(is_empty, "-empty")
        self.set_class(not self.found, "-none")
        if is_empty:
            self.query_one("#empty-text", Static).update(self._why_empty(text))
        if not self.found and not was_empty:
            self.query_one("#begin").focus()
        elif was_empty and not is_empty and self.focused is self.query_one("#begin"):
            table.focus()
        self._show_details()
        self.refresh_bindings()

    def _show_count(self, shown: int) -> None:
        runs = self.found or []
        live = sum(run.alive for run in runs)
        parts = [f"{shown} of {len(runs)} runs" if shown < len(runs) else _plural(len(runs), "run")]
        parts += [f"{live} live"] if live else []
        words = _SORT_WORDS[self.sort_key]
        parts += [f"{words}, turned round" if self.reverse else words] if shown else []
        parts += [f"{len(self.marked)} marked"] if self.marked else []
        self.query_one("#count", Static).update(" · ".join(parts))
        keys = [("space", "mark"), ("s", "sort"), ("/", "filter")]
        # At 80 columns there is room for one more, and beside a count of marks for none.
        last = ("u", "undo") if self.trashed else ("e", "rename")
        keys += [last] if self.trashed or not self.marked else []
        said = [Content.assemble((key, "$footer-key-foreground bold"), f" {w}") for key, w in keys]
        self.query_one("#hint", Static).update(Content("  ").join(said))

    def _why_empty(self, text: str) -> str:
        if self.found:
            return f"No run matches “{one_line(text)}”. Esc clears the filter."
        return (
            f"No runs yet below {one_line(str(self.root))}\n\n"
            "A run begins with a text: choose a corpus, look at the config, train."
        )

    def _show_details(self) -> None:
        table = self.query_one(RunTable)
        row = table.cursor_row
        after = table.runs[row + 1] if row + 1 < len(table.runs) else None
        self.query_one(RunDetails).show(table.current, after)

    @on(DataTable.RowHighlighted)
    def _row_highlighted(self, event: DataTable.RowHighlighted) -> None:
        self._show_details()

    @on(DataTable.RowSelected)
    def _row_selected(self, event: DataTable.RowSelected) -> None:
        self.action_watch()

    @on(Button.Pressed, "#begin")
    def _begin(self, event: Button.Pressed) -> None:
        self.post_message(messages.OpenData())

    # Sorting, filtering, marking

    @on(RunTable.SortAsked)
    def _sort_asked(self, event: RunTable.SortAsked) -> None:
        self.reverse = not self.reverse if event.key == self.sort_key else False
        self.sort_key = event.key
        self._show()

    def action_sort(self) -> None:
        place = (SORT_KEYS.index(self.sort_key) + 1) % len(SORT_KEYS)
        self.sort_key, self.reverse = SORT_KEYS[place], False
        self._show()

    def action_turn_round(self) -> None:
        self.reverse = not self.reverse
        self._show()

    def action_filter(self) -> None:
        self.add_class("-filtering")
        self.query_one("#filter").focus()

    @on(Input.Changed, "#filter")
    def _filter_changed(self, event: Input.Changed) -> None:
        self._show()

    @on(Input.Submitted, "#filter")
    def _filter_submitted(self, event: Input.Submitted) -> None:
        self.set_class(bool(event.value), "-filtering")
        self.query_one(RunTable).focus()

    def action_clear(self) -> None:
        field = self.query_one("#filter", Input)
        if not field.value and not field.has_focus:
            self.marked.clear()
        field.value = ""
        self.remove_class("-filtering")
        self.query_one(RunTable).focus()
        self._show()

    def action_mark(self) -> None:
        table = self.query_one(RunTable)
        if (run := table.current) is not None:
            self.marked ^= {run.path}
            table.action_cursor_down()
            self._show()

    @property
    def current(self) -> RunSummary | None:
        """The run under the cursor."""
        return self.query_one(RunTable).current

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in self._ON_ONE_RUN and not self.found:
            return False
        return action != "undo_delete" or bool(self.trashed)

    def action_compare(self) -> None:
        table = self.query_one(RunTable)
        chosen = [run for run in table.runs if run.path in self.marked]
        if not chosen and table.current is not None:
            chosen = table.runs[table.cursor_row : table.cursor_row + 2]
        if len(chosen) < 2:
            self._refuse("Comparing takes two runs: mark them with Space.")
        elif len(chosen) > MOST_COMPARED:
            self._refuse(f"At most {MOST_COMPARED} runs can be told apart: unmark some with Space.")
        else:
            from tui.runs.compare import CompareScreen  # the plot costs time: not at the start

            self.app.push_screen(CompareScreen(chosen))


def _plural(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"
