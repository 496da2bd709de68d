"""The Runs screen: every run below the working directory, and what can be done with it."""

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar, Literal, TypeAlias

from textual import on, work
from textual.app import ComposeResult, SystemCommand
from textual.binding import Binding, BindingType
from textual.containers import Center, Horizontal, Vertical
from textual.content import Content
from textual.reactive import reactive
from textual.widgets import Button, DataTable, Input, Static
from textual.worker import Worker

from simplegpt.cli import UserError, one_line
from simplegpt.files import first_free_path
from simplegpt.progress import format_bytes, format_loss, format_progress, plural
from simplegpt.run.checkpoints import list_checkpoints, read_info
from simplegpt.run.directory import RunDirectory
from simplegpt.run.evaluations import read_evaluations
from simplegpt.run.notes import Notes, move_baseline, write_notes
from tui.runs.columns_dialog import ColumnsDialog
from tui.runs.details import RunDetails, figures
from tui.runs.jobs import FORMATS, HELLASWAG, Format, Job, evaluate_job, export_job, follow
from tui.runs.listing import arrange, sort_label
from tui.runs.new_config import write_continued_config
from tui.runs.summary import RunSummary, SummaryReader, name_below
from tui.runs.table import RunTable
from tui.runs.trash import Trash, TrashedItem
from tui.runs.trash_dialog import TrashDialog
from tui.shared import queueing
from tui.shared.command import CommandError
from tui.shared.paths import config_paths, expand_home, path_to_write
from tui.shell import messages, settings
from tui.shell.dialogs import Answer, Entry, ListDialog, Question, TextDialog
from tui.shell.modes import Mode
from tui.shell.screen import WorkbenchScreen

Export: TypeAlias = tuple[Path, Format] | Literal["curves"]
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
from its weights. **Space** marks runs to compare or to delete.

**Q** trains a config after the run under the cursor, and **W** the run's own config with several
values of a setting (a *sweep*), one run after another. Both continue without the workbench;
**Delete** takes a queued run out of the queue.

**B** makes a run the *baseline*: the list and **Compare** then show in which settings other runs
differ from it. **C** chooses the settings that have a column, **N** edits a note; words in it that
begin with `#` are tags. **L** measures a checkpoint's loss on another text, or its accuracy on
multiple-choice questions, and keeps the result with the run. **E** exports a checkpoint for
transformers or llama.cpp, or the curves of the marked runs as CSV and PNG.

The **filter** takes words of a name, a state, an error or a note, tags such as `#wide`, and
settings such as `n_layer=6`. **Delete** moves runs to a trash in this folder, **Ctrl+Z** restores
them, and **T** lists the trash; *Empty the trash* is in the palette.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f7,x", "compare", "Compare", key_display="F7", tooltip="Compare marked runs"),
        Binding("f8,slash,ctrl+f", "filter", "Filter", key_display="F8", tooltip="Filter the runs"),
        Binding("f9", "chat", "Chat", tooltip="Chat with its newest checkpoint"),
        Binding("r", "resume", "Resume", tooltip="Resume it from its last checkpoint"),
        Binding("n", "new_config", "New", tooltip="New config that starts from its weights"),
        Binding("d,delete", "delete", "Delete", key_display="d", tooltip="Move to the trash"),
        # The footer has no room for these at 80 columns; the line above the table shows some.
        Binding("space", "mark", "Mark", show=False, tooltip="Mark to compare or delete"),
        Binding("less_than_sign", "sort(-1)", "Sort by the previous column", show=False),
        Binding("greater_than_sign", "sort(1)", "Sort by the next column", show=False),
        Binding("I", "invert_order", "Invert the sort order", show=False),
        Binding("ctrl+z", "undo", "Undo", show=False, tooltip="Restore the last deleted runs"),
        Binding("ctrl+y,ctrl+shift+z", "redo", "Redo", show=False, tooltip="Delete them again"),
        Binding("R", "rename", "Rename", show=False, tooltip="Rename its folder"),
        Binding("N", "edit_notes", "Note and tags", show=False, tooltip="Edit note and #tags"),
        Binding("B", "toggle_baseline", "Baseline", show=False, tooltip="Compare others with it"),
        Binding("C", "choose_columns", "Columns", show=False, tooltip="Choose the columns"),
        Binding("Q", "queue", "Train after", show=False, tooltip="Train a config after this run"),
        Binding("W", "sweep", "Sweep", show=False, tooltip="Train this config with several values"),
        Binding("E", "export", "Export", show=False, tooltip="Export weights or curves"),
        Binding("L", "evaluate", "Evaluate", show=False, tooltip="Measure its loss on other data"),
        Binding("T", "show_trash", "Trash", show=False, tooltip="List and restore deleted runs"),
        Binding("o", "open_folder", "Open folder", show=False, tooltip="In the file browser"),
        Binding("escape", "clear", "Clear", show=False, tooltip="Clear the filter or the marks"),
        # Reached where the action of the same key is not possible.
        Binding("r", "explain('resume')", show=False),
        Binding("n", "explain('new_config')", show=False),
        Binding("f9", "explain('chat')", show=False),
        Binding("L", "explain('evaluate')", show=False),
    ]
    _NEEDS_RUNS = frozenset(
        {"watch", "resume", "new_config", "chat", "mark", "compare", "rename", "delete"}
        | {"open_folder", "sort", "invert_order", "filter", "edit_notes", "toggle_baseline"}
        | {"choose_columns", "explain", "queue", "sweep", "export", "evaluate"}
    )

    summaries: reactive[Sequence[RunSummary] | None] = reactive(None)
    """Of all runs; None until they were read first."""
    trashed: reactive[Sequence[TrashedItem]] = reactive(())
    """What is in the trash, last deleted first."""
    sort_column: reactive[str] = reactive("age")
    is_inverted: reactive[bool] = reactive(False)
    columns: reactive[Sequence[str]] = reactive(())
    """The settings that have a column."""
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
        self._job: Worker[None] | None = None
        """The export or evaluation that runs; one at a time."""
        self._restored: Sequence[Path] = ()
        """What was restored last, for a redo of the deletion."""

    def compose_body(self) -> ComposeResult:
        with Horizontal(id="bar"):
            yield Static("Looking for runs …", id="count", markup=False)
            yield Static(id="hint", markup=False)
            yield Input(
                placeholder="name, state, #tag, n_layer=6",
                id="filter",
                compact=True,
                tooltip="Words of a name, state, error or note, #tags, or settings (n_layer=6)",
            )
        yield RunTable(id="table")
        with Vertical(id="empty"):
            yield Static(id="empty-text", markup=False)
            with Center():
                yield Button("Choose a corpus", id="begin", variant="primary")
        yield Static(id="job", markup=False)
        yield RunDetails(id="details")

    def on_mount(self) -> None:
        self.query_one(RunTable).focus()
        for name in ("summaries", "trashed", "sort_column", "is_inverted", "columns", "marked"):
            self.watch(self, name, self._show, init=False)
        self.set_interval(REFRESH_SECONDS, self._read_if_current)
        self._load_columns()

    @work(group="columns")
    async def _load_columns(self) -> None:
        self.columns = (await asyncio.to_thread(settings.Settings.load)).run_columns

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

    @property
    def baseline(self) -> RunSummary | None:
        """The run that the others are compared with."""
        return next((run for run in self.summaries or () if run.is_baseline), None)

    def _show(self) -> None:
        """Show what was read, filtered and sorted."""
        if self.summaries is None:
            return
        table, text = self.query_one(RunTable), self.query_one("#filter", Input).value
        shown = arrange(
            self.summaries, self.sort_column, inverted=self.is_inverted, filter_text=text
        )
        table.show(
            shown,
            sorted_by=(self.sort_column, self.is_inverted),
            marked=self.marked,
            settings=self.columns,
            baseline=self.baseline,
            now=self._clock(),
        )
        if self._cursor_to in [run.path for run in shown]:
            table.move_to(self._cursor_to)
            self._cursor_to = None
        self._show_bar(len(shown))
        self._show_emptiness(shown, text)
        self._show_details()

    def _show_details(self) -> None:
        self.query_one(RunDetails).show(self.current, self.baseline)
        self.refresh_bindings()

    def _show_bar(self, shown: int) -> None:
        runs = self.summaries or ()
        live = sum(run.is_live for run in runs)
        parts = [f"{shown} of {len(runs)} runs" if shown < len(runs) else plural(len(runs), "run")]
        parts += [f"{live} live"] if live else []
        parts += [sort_label(self.sort_column, inverted=self.is_inverted)] if shown else []
        parts += [f"{len(self.marked)} marked"] if self.marked else []
        self.query_one("#count", Static).update(" · ".join(parts))
        keys = [("Space", "Mark"), ("< >", "Sort")]
        # At 80 columns there is room for one more, and beside a count of marks for none.
        last = ("^z", "Undo") if self.trashed else ("R", "Rename")
        keys += [last] if self.trashed or not self.marked else []
        if self.has_class("-wide"):
            keys += [("B", "Baseline"), ("C", "Columns"), ("N", "Note")]
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
        self._show_details()

    # Sorting, filtering, marking

    @on(RunTable.SortRequested)
    def _sort_requested(self, event: RunTable.SortRequested) -> None:
        self.is_inverted = not self.is_inverted if event.column == self.sort_column else False
        self.sort_column = event.column

    def action_sort(self, direction: int) -> None:
        """Sort by the next column to the right (1) or to the left (-1)."""
        columns = self.query_one(RunTable).sortable_columns
        if not columns:
            return
        at = columns.index(self.sort_column) if self.sort_column in columns else 0
        self.is_inverted = False
        self.sort_column = columns[(at + direction) % len(columns)]

    def action_invert_order(self) -> None:
        self.is_inverted = not self.is_inverted

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
            if self._job is not None:
                self._job.cancel()
                return
            self.marked = frozenset()
        field.value = ""
        self.remove_class("-filtering")
        self.query_one(RunTable).focus()

    def action_mark(self) -> None:
        table = self.query_one(RunTable)
        if (run := table.current) is not None:
            table.action_cursor_down()
            self.marked ^= {run.path}

    @work(group="columns")
    async def action_choose_columns(self) -> None:
        """Choose the settings that have a column, and remember them."""
        dialog = ColumnsDialog(self.columns, [run.settings for run in self.summaries or ()])
        await self.app.push_screen_wait(dialog)
        self.columns = tuple(dialog.columns)
        try:
            await asyncio.to_thread(settings.change, run_columns=self.columns)
        except OSError as error:
            self._refuse(f"The columns cannot be saved: {error}")

    # What can be done with a run

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in self._NEEDS_RUNS and not self.summaries:
            return False
        if action in ("undo", "show_trash"):
            return bool(self.trashed)
        if action == "redo":
            return bool(self._restored)
        return not self.problem(action)

    def problem(self, action: str) -> str:
        """Return why `action` is not possible for the run under the cursor; empty where it is."""
        run = self.current if self.is_mounted and action in _NEEDED else None
        if run is None:
            return ""
        if action == "resume" and run.is_live:
            return f"{run.name} is {run.state}: press Enter to watch it."
        if action == "resume" and not run.can_resume:
            return f"{run.name} has no last.ckpt to resume from; n starts from its weights."
        if action in ("chat", "new_config", "evaluate") and run.checkpoint is None:
            return f"{run.name} has no checkpoint yet {_NEEDED[action]}."
        return ""

    def action_explain(self, action: str) -> None:
        """Show why `action` is not possible now."""
        self._refuse(self.problem(action))

    @property
    def current(self) -> RunSummary | None:
        """The run under the cursor."""
        return self.query_one(RunTable).current

    @property
    def chosen(self) -> list[RunSummary]:
        """The marked runs in the order of the list, or else the one under the cursor."""
        marked = [run for run in self.query_one(RunTable).runs if run.path in self.marked]
        return marked or ([self.current] if self.current is not None else [])

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
        if (run := self.current) is not None:
            beside = run.path if run.is_live else None
            self.post_message(messages.OpenChat(str(run.path), beside_run=beside))

    def action_resume(self) -> None:
        if (run := self.current) is not None:
            self.post_message(messages.ResumeTraining(run.path))

    @work(group="files")
    async def action_new_config(self) -> None:
        run = self.current
        if run is None or run.checkpoint is None:
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
        """Compare the marked runs with each other, or this one with the baseline or the next."""
        from tui.runs.compare import MAX_RUNS, CompareScreen  # the plot is slow to import

        runs = self.chosen
        if len(runs) == 1:
            other = self.baseline if self.baseline is not runs[0] else None
            other = other or self.query_one(RunTable).next
            runs += [other] if other is not None else []
        if len(runs) < 2:
            self._refuse("Comparing takes two runs: mark them with Space.")
        elif len(runs) > MAX_RUNS:
            self._refuse(f"At most {MAX_RUNS} runs can be compared: unmark some with Space.")
        else:
            compare = CompareScreen(runs)
            compare.runs = self.runs
            self.app.push_screen(compare)

    # Name, notes, baseline

    @work(group="files")
    async def action_rename(self) -> None:
        summary = self.current
        if summary is None:
            return
        if summary.is_live:
            self._refuse(f"{summary.name} is {summary.state}: stop it before renaming it.")
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

    @work(group="files")
    async def action_edit_notes(self) -> None:
        run = self.current
        if run is None:
            return
        text = f"A note on {one_line(run.name)}. Words that begin with # are tags:"
        typed = await self.app.push_screen_wait(
            TextDialog("Note and tags", text, str(run.notes), accept="Save")
        )
        if typed is not None:
            await self._change_files(write_notes, RunDirectory(run.path), Notes.parse(typed))

    @work(group="files")
    async def action_toggle_baseline(self) -> None:
        """Make the run under the cursor the baseline, or no run if it is the baseline already."""
        run, baseline = self.current, self.baseline
        if run is None:
            return
        new = None if run is baseline else RunDirectory(run.path)
        others = [RunDirectory(one.path) for one in self.summaries or () if one.is_baseline]
        await self._change_files(move_baseline, new, others)

    async def _change_files(self, change: Callable[..., None], *arguments: object) -> None:
        """Change files of runs in a thread, and read the runs again."""
        try:
            await asyncio.to_thread(change, *arguments)
        except UserError as error:
            self._refuse(str(error))
        self._read()

    # Runs that start later

    @work(group="queue")
    async def action_queue(self) -> None:
        """Choose a config that is trained after the run under the cursor."""
        run = self.current
        if run is None:
            return
        paths = await asyncio.to_thread(config_paths, self.root)
        entries = [Entry(path, str(path.relative_to(self.root))) for path in paths]
        dialog = ListDialog(
            f"Train after {run.name}",
            entries,
            placeholder="Filter the configs",
            empty="No configs here",
            hint="Enter to queue · Esc to cancel",
        )
        config = await self.app.push_screen_wait(dialog)
        if config is not None:
            await self._start(_queue, config, run.path)

    @work(group="queue")
    async def action_sweep(self) -> None:
        """Train the config of the run under the cursor with several values of settings."""
        run = self.current
        if run is None:
            return
        config = RunDirectory(run.path).config
        text = (
            f"Train the config of {one_line(run.name)} once for each value, one run after another"
            f"{', after it' if run.is_live else ''}. Settings and values:"
        )
        dialog = TextDialog(
            "Sweep",
            text,
            "peak_lr=1e-3,3e-4",
            accept="Start",
            error_in=partial(queueing.sweep_problem, config),
        )
        typed = await self.app.push_screen_wait(dialog)
        if typed is not None:
            await self._start(
                queueing.sweep, config, typed.split(), run.path if run.is_live else None
            )

    async def _start(self, start: Callable[..., Path | list[Path]], *arguments: object) -> None:
        """Start trainings in a thread; the list shows them as soon as they are queued."""
        self._report("Starting …")
        try:
            started = await asyncio.to_thread(start, *arguments)
        except (UserError, OSError) as error:
            self.notify(str(error), title="Not started", severity="error", markup=False)
        else:
            paths = started if isinstance(started, list) else [started]
            names = ", ".join(name_below(self.root, path) for path in paths)
            self._report(f"Queued: {names}")
        self._search()

    # Exporting and evaluating

    def unsaved(self) -> str | None:
        return None if self._job is None else "an export or evaluation that is running"

    def leave(self) -> None:
        if self._job is not None:
            self._job.cancel()

    @work(group="export")
    async def action_export(self) -> None:
        """Choose what to export: the curves, or a checkpoint of the run under the cursor."""
        runs = self.chosen
        chosen: Export | None = "curves"
        if len(runs) == 1:
            entries: list[Entry[Export]] = [Entry("curves", "Curves", ("CSV and PNG",))]
            for path, description in (await asyncio.to_thread(_checkpoints, runs[0])).items():
                entries += [
                    Entry((path, format), path.name, (name, description))
                    for format, name in FORMATS.items()
                ]
            hint = "Enter to export · Esc to cancel"
            dialog = ListDialog(f"Export {runs[0].path.name}", entries, hint=hint)
            chosen = await self.app.push_screen_wait(dialog)
        if chosen is None or not runs or (chosen != "curves" and self._is_busy()):
            return
        if chosen == "curves":
            await self._export_curves([run.path for run in runs])
            return
        checkpoint, format = chosen
        name = runs[0].path.name
        suffix = ".gguf" if format == "gguf" else "-hf"
        proposed = await asyncio.to_thread(first_free_path, self.root / f"{name}{suffix}")
        typed = await self.app.push_screen_wait(
            TextDialog(
                "Export",
                f"{checkpoint.name} of {one_line(name)} as {FORMATS[format]}, to:",
                str(proposed.relative_to(self.root)),
                accept="Export",
                error_in=_output_problem,
            )
        )
        if typed is not None:
            output = path_to_write(typed)
            self._start_job(export_job(checkpoint, output, format), lambda: f"Exported: {output}")

    @work(group="evaluate")
    async def action_evaluate(self) -> None:
        """Choose a checkpoint of the run under the cursor and data, and measure its loss."""
        run = self.current
        if run is None or run.checkpoint is None or self._is_busy():
            return
        found = await asyncio.to_thread(_checkpoints, run)
        checkpoint: Path | None = run.checkpoint
        if len(found) > 1:
            checkpoint = await self.app.push_screen_wait(
                ListDialog(
                    f"Evaluate a checkpoint of {run.path.name}",
                    [Entry(path, path.name, (text,)) for path, text in found.items()],
                )
            )
        if checkpoint is None:
            return
        from simplegpt.data import corpus  # urllib

        size = format_bytes(corpus.HELLASWAG.size)
        entries = [Entry(HELLASWAG, "HellaSwag", (f"10,042 questions, downloaded once ({size})",))]
        if own := run.settings.get("data.val_fpath"):
            name = name_below(self.root, Path(own).absolute())
            entries.insert(0, Entry(Path(own), name, ("its validation data",)))
        data = await self.app.push_screen_wait(
            ListDialog(
                f"Evaluate {checkpoint.name} on",
                entries,
                placeholder="A token file (.bin), a text, questions (.jsonl), or choose one",
                hint="Enter to evaluate · Esc to cancel",
                parse=_existing,
            )
        )
        if data is None:
            return
        directory = RunDirectory(run.path)
        before = len(await asyncio.to_thread(read_evaluations, directory))
        self._start_job(evaluate_job(checkpoint, data), lambda: kept_result(directory, before))

    def _is_busy(self) -> bool:
        """Return whether a job is running; if so, show that only one can."""
        if self._job is not None:
            self._refuse("Another export or evaluation is running. Esc cancels it.")
        return self._job is not None

    def _start_job(self, job: Job, report: Callable[[], str]) -> None:
        """Run a job and show its progress below the list; `report` returns what to say at its end.

        `report` may read files: it is called in a thread.
        """
        self._job = self._run_job(job, report)

    @work(group="job")
    async def _run_job(self, job: Job, report: Callable[[], str]) -> None:
        line = self.query_one("#job", Static)
        self.add_class("-working")
        line.update(f"{job.label} …  Esc to cancel")
        try:
            async with contextlib.aclosing(follow(job)) as reports:
                async for progress in reports:
                    line.update(f"{job.label} · {format_progress(progress)} · Esc to cancel")
            self._report(await asyncio.to_thread(report))
        except CommandError as error:
            self.notify(str(error), title="Failed", severity="error", markup=False)
        except asyncio.CancelledError:
            self._report(f"Cancelled: {job.label}")
            raise
        finally:
            self._job = None
            self.remove_class("-working")
        self._read()

    async def _export_curves(self, runs: Sequence[Path]) -> None:
        """Write the curves of `runs` to files."""
        from tui.runs.export import export  # numpy

        name = runs[0].name if len(runs) == 1 else "runs"
        target = await asyncio.to_thread(first_free_path, self.root / f"{name}-curves.csv")
        self._report(f"Exporting the curves of {plural(len(runs), 'run')} …")
        try:
            files = await asyncio.to_thread(export, runs, target)
        except (UserError, OSError) as error:
            self._refuse(str(error))
            return
        hint = "" if len(files) > 1 else ". For a PNG: pip install 'simplegpt[png]'"
        self._report(f"Exported: {', '.join(file.name for file in files)}{hint}")

    # The trash

    @work(group="files")
    async def action_delete(self) -> None:
        """Move the marked runs, or else the one under the cursor, to the trash.

        A queued run is taken out of the queue, and leaves nothing.
        """
        queued = [run for run in self.chosen if run.state == "queued"]
        for run in queued:
            await asyncio.to_thread(RunDirectory(run.path).send, "stop")
            self._report(f"{run.name} is taken out of the queue.")
        runs = [run for run in self.chosen if run not in queued]
        live = [run for run in runs if run.is_live]
        for run in live:
            self._refuse(f"{run.name} is {run.state}: stop it before deleting it.")
        if not live:
            await self._delete([run.path for run in runs])

    async def _delete(self, paths: Sequence[Path]) -> None:
        sizes = {run.path: run.size for run in self.summaries or ()}
        deleted, now = [], time.time()
        for path in paths:
            try:
                await asyncio.to_thread(self.trash.delete, path, now)
            except UserError as error:
                self._refuse(str(error))
            else:
                deleted.append(path)
        if deleted:
            size = format_bytes(sum(sizes.get(path, 0) for path in deleted))
            first = name_below(self.root, deleted[0])
            names = first if len(deleted) == 1 else f"{len(deleted)} runs"
            self._report(f"{names} ({size}) moved to the trash. Ctrl+Z to undo.")
        self._restored = ()
        self._search()

    @work(group="files")
    async def action_undo(self) -> None:
        """Restore the last deleted runs: all that were deleted together."""
        await self._restore([i for i in self.trashed if i.time == self.trashed[0].time])

    @work(group="files")
    async def action_redo(self) -> None:
        """Delete again what was restored last."""
        await self._delete(self._restored)

    @work(group="files")
    async def action_show_trash(self) -> None:
        """List the deleted runs, and restore the one that is chosen."""
        sizes = await asyncio.to_thread(self.trash.sizes, self.trashed)
        dialog = TrashDialog(self.trashed, sizes, self._clock())
        item = await self.app.push_screen_wait(dialog)
        if item is not None:
            await self._restore([item])

    async def _restore(self, items: Sequence[TrashedItem]) -> None:
        restored = []
        for item in items:
            try:
                restored.append(await asyncio.to_thread(self.trash.restore, item))
            except UserError as error:
                self._refuse(str(error))
        if restored:
            self._restored = restored
            self._report(f"{', '.join(path.name for path in restored)} restored.")
            self._search(cursor_to=restored[0])

    @work(group="files")
    async def empty_trash(self) -> None:
        """Delete what is in the trash permanently, after asking."""
        names = ", ".join(one_line(item.original.name) for item in self.trashed[:5])
        more = f" and {len(self.trashed) - 5} more" if len(self.trashed) > 5 else ""
        sizes = await asyncio.to_thread(self.trash.sizes, self.trashed)
        text = f"{names}{more}: {format_bytes(sum(sizes))}. This cannot be undone."
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


def _queue(config: Path, after: Path) -> Path:
    return queueing.queue(config, queueing.free_directory(config), after)


def _checkpoints(run: RunSummary) -> dict[Path, str]:
    """Return a run's checkpoints, the best first, with what is known of each. Blocks."""
    found = sorted(list_checkpoints(RunDirectory(run.path)), key=lambda one: not one.is_best)
    described = {
        one.path: f"step {one.info.step:,} · val loss {format_loss(one.info.own_val_loss)}"
        for one in found
    }
    if run.checkpoint is not None and read_info(run.checkpoint) is None:
        described[run.checkpoint] = "step unknown"
    return described


def kept_result(run: RunDirectory, before: int) -> str:
    """Return the figures of an evaluation, of which the run had `before` before it. Blocks."""
    new = read_evaluations(run)[before:]
    return " · ".join(figures(new[-1])) if new else f"The result cannot be kept in {run.path}."


def _existing(text: str) -> Path | None:
    """Return the path that was typed, if there is something."""
    path = expand_home(text)
    return path if os.path.exists(path) else None


def _output_problem(text: str) -> str | None:
    """Return what is wrong with the path of an export."""
    if not text:
        return "Enter the path of a new folder or file."
    try:
        return f"{text} already exists." if os.path.lexists(path_to_write(text)) else None
    except UserError as error:
        return str(error)


_NEEDED = {
    "resume": "",
    "chat": "to chat with",
    "new_config": "to start from",
    "evaluate": "to evaluate",
}
"""The actions that need a checkpoint, and what for."""


def open_folder(opener: Sequence[str], path: Path) -> bool:
    """Show a folder in a file browser; return whether that succeeded."""
    if shutil.which(opener[0]) is None:
        return False
    try:
        done = subprocess.run([*opener, path], capture_output=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
