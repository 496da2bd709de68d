"""The Runs screen: every run below the working directory, and what one does with them."""

import shutil
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult, SystemCommand
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Button, DataTable, Input, Static

from simplegpt.errors import UserError
from simplegpt.progress import quantity
from simplegpt.run import RunDirectory
from tui import messages
from tui.figures import in_one_line
from tui.run_files import RenameError, continued_config, name_problem, open_command, rename_run
from tui.run_list import SORT_KEYS, RunFinder, SortKey, arrange
from tui.run_summary import RunSummary
from tui.screens.base import WorkbenchScreen
from tui.screens.dialogs import Answer, Question
from tui.screens.text_question import TextQuestion
from tui.trash import Trash, TrashedItem, TrashError
from tui.widgets.run_details import RunDetails
from tui.widgets.run_table import RunTable

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


@dataclass
class Told(Message):
    """A worker has something to say."""

    sentence: str
    failed: bool = False
    move_to: Path | None = None
    """Look again, and put the cursor here."""


class RunsScreen(WorkbenchScreen):
    """The list of runs."""

    MODE = "runs"
    HEADING: ClassVar[str] = "Runs"
    CSS_PATH = "runs.tcss"
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
        self.root = Path.cwd()
        self.finder = RunFinder(self.root)
        self.trash = Trash(self.root)
        self.runs: list[RunSummary] | None = None
        """All that were found; None until the first look is done."""
        self.trashed: list[TrashedItem] = []
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
            yield Button("Choose a corpus", id="begin", variant="primary")
        yield RunDetails(id="details")

    def on_mount(self) -> None:
        self.query_one(RunTable).focus()

    def shown(self) -> None:
        self.refresh_runs()
        self._timer = self._timer or self.set_interval(LOOK_SECONDS, self.refresh_runs)
        self._timer.resume()

    def hidden(self) -> None:
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
        self.runs, self.trashed = event.runs, event.trashed
        self.marked &= {run.path for run in event.runs}
        self._show(event.move_to)
        if self._look_again:
            again, self._look_again = self._look_again, False
            self.refresh_runs(again if isinstance(again, Path) else None)

    @on(Told)
    def _told(self, event: Told) -> None:
        severity = "warning" if event.failed else "information"
        self.notify(in_one_line(event.sentence), severity=severity, markup=False)  # type: ignore[arg-type]
        if event.move_to is not None:
            self.refresh_runs(event.move_to)

    def _show(self, move_to: Path | None = None) -> None:
        """Put what was found on the screen, filtered and sorted."""
        if self.runs is None:
            return
        table, text = self.query_one(RunTable), self.query_one("#filter", Input).value
        shown = arrange(self.runs, self.sort_key, reverse=self.reverse, filter_text=text)
        table.show(
            shown, sorted_by=(self.sort_key, self.reverse), marked=set(self.marked), now=now()
        )
        if move_to is not None:
            table.move_to(move_to)
        self._show_count(len(shown))
        was_empty, is_empty = self.has_class("-empty"), not shown
        self.set_class(is_empty, "-empty")
        self.set_class(not self.runs, "-none")
        if is_empty:
            self.query_one("#empty-text", Static).update(self._why_empty(text))
        if not self.runs and not was_empty:
            self.query_one("#begin").focus()
        elif was_empty and not is_empty and self.focused is self.query_one("#begin"):
            table.focus()
        self._show_details()
        self.refresh_bindings()

    def _show_count(self, shown: int) -> None:
        runs = self.runs or []
        live = sum(run.alive for run in runs)
        parts = [f"{shown} of {len(runs)} runs" if shown < len(runs) else _plural(len(runs), "run")]
        parts += [f"{live} live"] if live else []
        words = _SORT_WORDS[self.sort_key]
        parts += [f"{words}, turned round" if self.reverse else words] if shown else []
        parts += [f"{len(self.marked)} marked"] if self.marked else []
        self.query_one("#count", Static).update(" · ".join(parts))
        keys = [("space", "mark"), ("s", "sort"), ("/", "filter"), ("e", "rename")]
        keys += [("u", "undo")] if self.trashed else []
        said = [Content.assemble((key, "$footer-key-foreground bold"), f" {w}") for key, w in keys]
        self.query_one("#hint", Static).update(Content("  ").join(said))

    def _why_empty(self, text: str) -> str:
        if self.runs:
            return f"No run matches “{in_one_line(text)}”. Esc clears the filter."
        return (
            f"No runs yet below {in_one_line(str(self.root))}\n\n"
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

    # What one does with a run

    @property
    def current(self) -> RunSummary | None:
        """The run under the cursor."""
        return self.query_one(RunTable).current

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in self._ON_ONE_RUN and not self.runs:
            return False
        return action != "undo_delete" or bool(self.trashed)

    def action_watch(self) -> None:
        if (run := self.current) is not None:
            self.post_message(messages.OpenRun(run.path))

    def action_chat(self) -> None:
        run = self.current
        if run is None:
            return
        if run.checkpoint is None:
            self._refuse(f"{run.name} has no checkpoint yet: there is nothing to talk to.")
            return
        beside = run.path if run.alive else None
        self.post_message(messages.OpenChat(str(run.path), beside_run=beside))

    @work(group="resume", exclusive=True)
    async def action_resume(self) -> None:
        run = self.current
        if run is None:
            return
        if run.alive:
            self._refuse(f"{run.name} is {run.state}: Enter watches it.")
        elif not RunDirectory(run.path).last_checkpoint.exists():
            self._refuse(
                f"{run.name} has no last.ckpt to go on from; n makes a config that starts from what there is."
            )
        elif run.state != "finished" and (run.progress is None or run.progress < 1):
            self.post_message(messages.ResumeTraining(run.path))
        else:
            steps = await self._ask_steps(run)
            if steps is not None:
                overrides = ("--trainer.max_steps", steps)
                self.post_message(messages.ResumeTraining(run.path, overrides))

    async def _ask_steps(self, run: RunSummary) -> str | None:
        def problem(text: str) -> str | None:
            if text.strip().replace("_", "").isdecimal() and int(text) > run.step:
                return None
            return f"A whole number above {run.step:,} is needed."

        text = f"{in_one_line(run.name)} has reached its end. Up to which step shall it go on?"
        question = TextQuestion(
            "Resume", text, str(2 * max(run.step, 1)), accept="Resume", problem=problem
        )
        answer = await self.app.push_screen_wait(question)
        return None if answer is None else str(int(answer))

    def action_continue_from(self) -> None:
        run = self.current
        if run is None:
            return
        if run.checkpoint is None:
            self._refuse(f"{run.name} has no checkpoint yet: there are no weights to start from.")
            return
        self._make_config(run, run.checkpoint)

    @work(thread=True, group="run-files")
    def _make_config(self, run: RunSummary, checkpoint: Path) -> None:
        try:
            path = continued_config(RunDirectory(run.path), checkpoint, self.root)
        except UserError as error:
            self.post_message(Told(str(error), failed=True))
            return
        self.post_message(Told(f"{path.relative_to(self.root)} was made; it is yours to change."))
        self.post_message(messages.OpenConfig(path))

    @work(group="rename", exclusive=True)
    async def action_rename(self) -> None:
        summary = self.current
        if summary is None:
            return
        if summary.alive:
            self._refuse(f"{summary.name} is {summary.state}: stop it before it is renamed.")
            return
        path = summary.path
        question = TextQuestion(
            "Rename",
            f"A new name for {in_one_line(summary.name)}:",
            path.name,
            accept="Rename",
            problem=lambda text: name_problem(path, text.strip()),
        )
        name = await self.app.push_screen_wait(question)
        if name is not None:
            self._rename(RunDirectory(path), name)

    @work(thread=True, group="run-files")
    def _rename(self, run: RunDirectory, name: str) -> None:
        try:
            renamed = rename_run(run, name)
        except RenameError as error:
            self.post_message(Told(str(error), failed=True))
            return
        self.post_message(
            Told(f"{run.path.name} is called {name.strip()} now.", move_to=renamed.path)
        )

    def action_delete(self) -> None:
        run = self.current
        if run is None:
            return
        if run.alive:
            self._refuse(f"{run.name} is {run.state}: stop it before it is deleted.")
            return
        self._delete(run)

    @work(thread=True, group="run-files")
    def _delete(self, run: RunSummary) -> None:
        try:
            self.trash.delete(run.path)
        except TrashError as error:
            self.post_message(Told(str(error), failed=True))
            return
        sentence = f"{run.name} ({quantity(run.size, 'B')}) is in the trash; u brings it back."
        self.post_message(Told(sentence, move_to=run.path))

    def action_undo_delete(self) -> None:
        if self.trashed:
            self._restore(self.trashed[0])

    @work(thread=True, group="run-files")
    def _restore(self, item: TrashedItem) -> None:
        try:
            path = self.trash.restore(item)
        except TrashError as error:
            self.post_message(Told(str(error), failed=True))
            return
        self.post_message(Told(f"{path.name} is back.", move_to=path))

    @work(group="empty-trash", exclusive=True)
    async def empty_trash(self) -> None:
        """Delete for good what is in the trash, after asking."""
        names = ", ".join(in_one_line(item.original.name) for item in self.trashed[:5])
        more = f" and {len(self.trashed) - 5} more" if len(self.trashed) > 5 else ""
        text = f"{names}{more}: {quantity(self.trash.size(), 'B')}. This cannot be undone."
        answers = [Answer("keep", "Keep", "primary"), Answer("empty", "Delete for good", "error")]
        if await self.app.push_screen_wait(Question("Empty the trash?", text, answers)) == "empty":
            self._empty()

    @work(thread=True, group="run-files")
    def _empty(self) -> None:
        try:
            self.trash.empty()
        except TrashError as error:
            self.post_message(Told(str(error), failed=True))
            return
        self.post_message(Told("The trash is empty.", move_to=self.root))

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
            from tui.screens.compare import CompareScreen  # the plot costs time: not at the start

            self.app.push_screen(CompareScreen(chosen))

    def action_open_folder(self) -> None:
        if (run := self.current) is not None:
            self._open_folder(run.path)

    @work(thread=True, group="run-files")
    def _open_folder(self, path: Path) -> None:
        command = open_command(path)
        try:
            if shutil.which(command[0]) is None:
                raise FileNotFoundError
            done = subprocess.run(command, capture_output=True, timeout=10, check=False)
            opened = done.returncode == 0
        except (OSError, subprocess.TimeoutExpired):
            opened = False
        if not opened:
            self.post_message(FolderNotOpened(path))

    def on_folder_not_opened(self, event: "FolderNotOpened") -> None:
        self.app.copy_to_clipboard(str(event.path))
        sentence = f"There is no file browser here. Copied: {event.path}"
        self.notify(in_one_line(sentence), markup=False)

    def commands(self) -> Iterable[SystemCommand]:
        yield from super().commands()
        if self.trashed:
            count = _plural(len(self.trashed), "run")
            yield SystemCommand("Empty the trash", f"Delete {count} for good", self.empty_trash)

    def _refuse(self, sentence: str) -> None:
        self.notify(in_one_line(sentence), severity="warning", markup=False)


@dataclass
class FolderNotOpened(Message):
    """Nothing could show a folder."""

    path: Path


def _plural(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"
