"""The Runs screen: every run below the working directory, and what can be done with it."""

import asyncio
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult, SystemCommand
from textual.binding import Binding, BindingType
from textual.containers import Center, Horizontal, Vertical
from textual.content import Content
from textual.reactive import reactive
from textual.widgets import Button, DataTable, Input, Static

from simplegpt.cli import UserError, one_line
from simplegpt.progress import format_bytes
from simplegpt.run.directory import RunDirectory
from tui.runs.details import RunDetails
from tui.runs.listing import SORT_KEYS, SORT_LABELS, SortKey, arrange
from tui.runs.new_config import write_continued_config
from tui.runs.summary import RunSummary, SummaryReader
from tui.runs.table import RunTable
from tui.runs.trash import Trash, TrashedItem
from tui.shell import messages
from tui.shell.dialogs import Answer, Question, TextDialog
from tui.shell.modes import Mode
from tui.shell.screen import WorkbenchScreen

REFRESH_SECONDS = 30.0
"""Between two refreshes while no run changes: ages grow, files are deleted."""
OPENER = ("open",) if sys.platform == "darwin" else ("xdg-open",)
"""The command that shows a folder in the system's file browser."""


class RunsScreen(WorkbenchScreen):
    """The list of runs."""

    MODE: ClassVar[Mode] = "runs"
    CSS_PATH = "screen.tcss"
    HELP = """\
All runs below the folder in which the workbench was started, four levels deep; hidden folders are
left out. **Enter** opens a run in the dashboard, live or ended. **Resume** continues it from its
last checkpoint exactly as if it had never stopped; **New** makes a config whose training starts
from its weights. **Space** marks runs to compare or to delete; without marks a run is compared
with the next one.

The **filter** takes words of a name, a state or an error, and settings such as `n_layer=6`.
**Delete** moves runs to a trash in this folder, **Undo** restores them; *Empty the trash* is in
the palette.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f9", "watch", "Watch", show=False, tooltip="Open the run in the dashboard"),
        Binding("r", "resume", "Resume", tooltip="Resume it from its last checkpoint"),
        Binding("n", "new_config", "New", tooltip="A new config that starts from its weights"),
        Binding("c", "chat", "Chat", tooltip="Chat with its newest checkpoint"),
        Binding("v,f7", "compare", "Compare", tooltip="Curves and configs side by side"),
        Binding("d,delete", "delete", "Delete", key_display="d", tooltip="Move to the trash"),
        # These are in the line above the table: the footer has no room for them at 80 columns.
        Binding("space", "mark", "Mark", show=False, tooltip="Mark to compare or delete"),
        Binding("s", "sort", "Sort", show=False, tooltip="Sort by the next column"),
        Binding("S", "reverse_order", "Reverse sort order", show=False),
        Binding("slash,f8", "filter", "Filter", show=False, tooltip="Show only some runs"),
        Binding("u", "undo_delete", "Undo", show=False, tooltip="Restore what was deleted last"),
        Binding("e", "rename", "Rename", show=False, tooltip="Rename its folder"),
        Binding("o", "open_folder", "Open folder", show=False, tooltip="In the file browser"),
        Binding("escape", "clear", "Clear filter and marks", show=False),
    ]
    _NEEDS_RUNS = frozenset(
        {"watch", "resume", "new_config", "chat", "mark", "compare", "rename", "delete"}
        | {"open_folder", "sort", "reverse_order", "filter"}
    )

    summaries: reactive[Sequence[RunSummary] | None] = reactive(None)
    """Of all runs; None until they were read first."""
    trashed: reactive[Sequence[TrashedItem]] = reactive(())
    """What is in the trash, last deleted first."""
    sort_key: reactive[SortKey] = reactive[SortKey]("age")
    is_reversed: reactive[bool] = reactive(False)
    marked: reactive[frozenset[Path]] = reactive(frozenset[Path]())

    def __init__(
        self, opener: Sequence[str] = OPENER, clock: Callable[[], float] = time.time
    ) -> None:
        super().__init__()
        self.root = Path.cwd()
        self.trash = Trash(self.root)
        self._opener, self._clock = opener, clock
        self._reader = SummaryReader(self.root)
        self._reading = asyncio.Lock()
        self._is_waiting = False
        """Whether a reading waits for the one before it; one is enough."""
        self._cursor_to: Path | None = None
        """Where the cursor goes as soon as this run is in the list."""

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
        for name in ("summaries", "trashed", "sort_key", "is_reversed", "marked"):
            self.watch(self, name, self._show, init=False)
        self.set_interval(REFRESH_SECONDS, self._read_if_current)

    def on_screen_resume(self) -> None:
        self._read()

    def watch_runs(self) -> None:
        self._read_if_current()

    # Reading

    def _read_if_current(self) -> None:
        if self.is_current:
            self._read()

    @work(group="read")
    async def _read(self) -> None:
        """Read what the list shows of all runs."""
        if self.runs is None or self._is_waiting:
            return
        self._is_waiting = True
        async with self._reading:
            self._is_waiting = False
            summaries = await asyncio.to_thread(self._reader.read, self.runs)
            self.trashed = await asyncio.to_thread(self.trash.items)
            self.marked &= {run.path for run in summaries}
            self.summaries = summaries

    def _search(self, cursor_to: Path | None = None) -> None:
        """Look for runs again after a change, and then put the cursor on one."""
        self._cursor_to = cursor_to
        self.post_message(messages.RunsChanged())

    # Showing

    def _show(self) -> None:
        """Show what was read, filtered and sorted."""
        if self.summaries is None:
            return
        table, text = self.query_one(RunTable), self.query_one("#filter", Input).value
        shown = arrange(self.summaries, self.sort_key, reverse=self.is_reversed, filter_text=text)
        table.show(
            shown,
            sorted_by=(self.sort_key, self.is_reversed),
            marked=self.marked,
            now=self._clock(),
        )
        if self._cursor_to in [run.path for run in shown]:
            table.move_to(self._cursor_to)
            self._cursor_to = None
        self._show_bar(len(shown))
        self._show_emptiness(shown, text)
        self.query_one(RunDetails).show(table.current, table.next)
        self.refresh_bindings()

    def _show_bar(self, shown: int) -> None:
        runs = self.summaries or ()
        live = sum(run.is_live for run in runs)
        parts = [f"{shown} of {len(runs)} runs" if shown < len(runs) else plural(len(runs), "run")]
        parts += [f"{live} live"] if live else []
        order = SORT_LABELS[self.sort_key]
        parts += [f"{order}, reversed" if self.is_reversed else order] if shown else []
        parts += [f"{len(self.marked)} marked"] if self.marked else []
        self.query_one("#count", Static).update(" · ".join(parts))
        keys = [("space", "mark"), ("s", "sort"), ("/", "filter")]
        # At 80 columns there is room for one more, and beside a count of marks for none.
        last = ("u", "undo") if self.trashed else ("e", "rename")
        keys += [last] if self.trashed or not self.marked else []
        hints = [Content.assemble((key, "$footer-key-foreground bold"), f" {w}") for key, w in keys]
        self.query_one("#hint", Static).update(Content("  ").join(hints))

    def _show_emptiness(self, shown: Sequence[RunSummary], filter_text: str) -> None:
        was_empty, begin = self.has_class("-empty"), self.query_one("#begin")
        self.set_class(not shown, "-empty")
        self.set_class(not self.summaries, "-none")
        if self.summaries and not shown:
            text = f"No run matches “{one_line(filter_text)}”. Esc to clear the filter."
            self.query_one("#empty-text", Static).update(text)
        elif not shown:
            text = (
                f"No runs yet below {one_line(str(self.root))}\n\n"
                "A run begins with a text: choose a corpus, look at the config, train."
            )
            self.query_one("#empty-text", Static).update(text)
        if not self.summaries and not was_empty:
            begin.focus()
        elif was_empty and shown and self.focused is begin:
            self.query_one(RunTable).focus()

    @on(DataTable.RowHighlighted)
    def _row_highlighted(self, event: DataTable.RowHighlighted) -> None:
        table = self.query_one(RunTable)
        self.query_one(RunDetails).show(table.current, table.next)

    # Sorting, filtering, marking

    @on(RunTable.SortRequested)
    def _sort_requested(self, event: RunTable.SortRequested) -> None:
        self.is_reversed = not self.is_reversed if event.key == self.sort_key else False
        self.sort_key = event.key

    def action_sort(self) -> None:
        self.is_reversed = False
        self.sort_key = SORT_KEYS[(SORT_KEYS.index(self.sort_key) + 1) % len(SORT_KEYS)]

    def action_reverse_order(self) -> None:
        self.is_reversed = not self.is_reversed

    def action_filter(self) -> None:
        self.add_class("-filtering")
        self.query_one("#filter").focus()

    @on(Input.Changed, "#filter")
    def _filter_changed(self) -> None:
        self._show()

    @on(Input.Submitted, "#filter")
    def _filter_submitted(self, event: Input.Submitted) -> None:
        self.set_class(bool(event.value), "-filtering")
        self.query_one(RunTable).focus()

    def action_clear(self) -> None:
        field = self.query_one("#filter", Input)
        if not field.value and not field.has_focus:
            self.marked = frozenset()
        field.value = ""
        self.remove_class("-filtering")
        self.query_one(RunTable).focus()

    def action_mark(self) -> None:
        table = self.query_one(RunTable)
        if (run := table.current) is not None:
            table.action_cursor_down()
            self.marked ^= {run.path}

    # What can be done with a run

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in self._NEEDS_RUNS and not self.summaries:
            return False
        return action != "undo_delete" or bool(self.trashed)

    @property
    def current(self) -> RunSummary | None:
        """The run under the cursor."""
        return self.query_one(RunTable).current

    @property
    def marked_runs(self) -> list[RunSummary]:
        """In the order of the list."""
        return [run for run in self.query_one(RunTable).runs if run.path in self.marked]

    def commands(self) -> Iterable[SystemCommand]:
        yield from super().commands()
        if self.trashed:
            text = f"Delete {plural(len(self.trashed), 'run')} permanently"
            yield SystemCommand("Empty the trash", text, self.empty_trash)

    @on(Button.Pressed, "#begin")
    def _begin(self) -> None:
        self.post_message(messages.OpenData())

    @on(DataTable.RowSelected)
    def action_watch(self) -> None:
        if (run := self.current) is not None:
            self.post_message(messages.OpenRun(run.path))

    def action_chat(self) -> None:
        run = self.current
        if run is None:
            return
        if run.checkpoint is None:
            self._refuse(f"{run.name} has no checkpoint yet to chat with.")
            return
        beside = run.path if run.is_live else None
        self.post_message(messages.OpenChat(str(run.path), beside_run=beside))

    def action_resume(self) -> None:
        run = self.current
        if run is None:
            return
        if run.is_live:
            self._refuse(f"{run.name} is {run.state}: press Enter to watch it.")
        elif not run.can_resume:
            self._refuse(f"{run.name} has no last.ckpt to resume from; n starts from its weights.")
        else:
            self.post_message(messages.ResumeTraining(run.path))

    @work(group="files")
    async def action_new_config(self) -> None:
        run = self.current
        if run is None:
            return
        if run.checkpoint is None:
            self._refuse(f"{run.name} has no checkpoint yet to start from.")
            return
        directory = RunDirectory(run.path)
        try:
            path = await asyncio.to_thread(
                write_continued_config, directory, run.checkpoint, self.root
            )
        except UserError as error:
            self._refuse(str(error))
            return
        self._report(f"{path.relative_to(self.root)} created.")
        self.post_message(messages.OpenConfig(path))

    def action_compare(self) -> None:
        table = self.query_one(RunTable)
        runs = self.marked_runs or [run for run in (table.current, table.next) if run is not None]
        from tui.runs.compare import MOST_RUNS, CompareScreen  # the plot is slow to import

        if len(runs) < 2:
            self._refuse("Comparing takes two runs: mark them with Space.")
        elif len(runs) > MOST_RUNS:
            self._refuse(f"At most {MOST_RUNS} runs can be compared: unmark some with Space.")
        else:
            compare = CompareScreen(runs)
            compare.runs = self.runs
            self.app.push_screen(compare)

    @work(group="files")
    async def action_rename(self) -> None:
        summary = self.current
        if summary is None:
            return
        if summary.is_live:
            self._refuse(f"{summary.name} is {summary.state}: stop it before it is renamed.")
            return
        run = RunDirectory(summary.path)
        name = await self.app.push_screen_wait(
            TextDialog(
                "Rename",
                f"New name of {one_line(summary.name)}:",
                run.path.name,
                accept="Rename",
                error_in=run.rename_problem,
            )
        )
        if name is None:
            return
        try:
            renamed = await asyncio.to_thread(run.rename, name)
        except UserError as error:
            self._refuse(str(error))
            return
        self._report(f"{run.path.name} renamed to {name}.")
        self._search(cursor_to=renamed.path)

    # The trash

    @work(group="files")
    async def action_delete(self) -> None:
        """Move the marked runs, or else the one under the cursor, to the trash."""
        runs = self.marked_runs or ([self.current] if self.current is not None else [])
        live = [run for run in runs if run.is_live]
        if not runs or live:
            for run in live:
                self._refuse(f"{run.name} is {run.state}: stop it before it is deleted.")
            return
        deleted, now = [], time.time()
        for run in runs:
            try:
                await asyncio.to_thread(self.trash.delete, run.path, now)
            except UserError as error:
                self._refuse(str(error))
            else:
                deleted.append(run)
        if deleted:
            size = format_bytes(sum(run.size for run in deleted))
            names = deleted[0].name if len(deleted) == 1 else f"{len(deleted)} runs"
            self._report(f"{names} ({size}) moved to the trash; u to undo.")
        self._search()

    @work(group="files")
    async def action_undo_delete(self) -> None:
        """Restore what was deleted last: all runs that were deleted together."""
        together = [item for item in self.trashed if item.time == self.trashed[0].time]
        restored = []
        for item in together:
            try:
                restored.append(await asyncio.to_thread(self.trash.restore, item))
            except UserError as error:
                self._refuse(str(error))
        if restored:
            self._report(f"{', '.join(path.name for path in restored)} restored.")
            self._search(cursor_to=restored[0])

    @work(group="files")
    async def empty_trash(self) -> None:
        """Delete what is in the trash permanently, after asking."""
        names = ", ".join(one_line(item.original.name) for item in self.trashed[:5])
        more = f" and {len(self.trashed) - 5} more" if len(self.trashed) > 5 else ""
        size = format_bytes(await asyncio.to_thread(self.trash.size))
        text = f"{names}{more}: {size}. This cannot be undone."
        answers = [Answer("empty", "Delete permanently", "error")]
        question = Question("Empty the trash?", text, answers)
        if await self.app.push_screen_wait(question) != "empty":
            return
        try:
            await asyncio.to_thread(self.trash.empty)
        except UserError as error:
            self._refuse(str(error))
        else:
            self._report("The trash is empty.")
        self._read()

    @work(group="files")
    async def action_open_folder(self) -> None:
        run = self.current
        if run is None:
            return
        if not await asyncio.to_thread(open_folder, self._opener, run.path):
            self.app.copy_to_clipboard(str(run.path))
            self._report(f"No file browser found. Path copied: {run.path}")

    def _report(self, text: str) -> None:
        self.notify(one_line(text), markup=False)

    def _refuse(self, text: str) -> None:
        self.notify(one_line(text), severity="warning", markup=False)


def open_folder(opener: Sequence[str], path: Path) -> bool:
    """Show a folder in a file browser; whether that succeeded."""
    if shutil.which(opener[0]) is None:
        return False
    try:
        done = subprocess.run([*opener, path], capture_output=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def plural(count: int, noun: str) -> str:
    """``"1 run"``, ``"2 runs"``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
