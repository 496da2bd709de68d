"""What one does with one run of the list: each action, and the files it touches in workers.

What would harm a live run is refused in a sentence, and asked again of the disk by the function
that does it: a run may have been started meanwhile.
"""

import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from textual import on, work
from textual.app import SystemCommand
from textual.message import Message

from simplegpt.cli import UserError
from simplegpt.progress import format_bytes
from simplegpt.run.directory import RunDirectory
from tui.runs.run_files import continued_config, open_command
from tui.runs.run_summary import RunSummary
from tui.runs.trash import Trash, TrashedItem, TrashError
from tui.shared.text import one_line
from tui.shell import messages
from tui.shell.dialogs import Answer, Question, TextDialog
from tui.shell.screen import WorkbenchScreen


@dataclass
class Told(Message):
    """A worker has something to say."""

    sentence: str
    failed: bool = False
    move_to: Path | None = None
    """Look again, and put the cursor here."""


@dataclass
class FolderNotOpened(Message):
    """Nothing could show a folder."""

    path: Path


class RunActions(WorkbenchScreen):
    """A screen with a run under its cursor."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path.cwd()
        self.trash = Trash(self.root)
        self.trashed: list[TrashedItem] = []
        """What is in the trash, last deleted first."""

    @property
    def current(self) -> RunSummary | None:
        """The run under the cursor."""
        raise NotImplementedError

    def refresh_runs(self, move_to: Path | None = None) -> None:
        """Look for runs again, and then put the cursor on one."""
        raise NotImplementedError

    @on(Told)
    def _told(self, event: Told) -> None:
        severity = "warning" if event.failed else "information"
        self.notify(one_line(event.sentence), severity=severity, markup=False)  # type: ignore[arg-type]
        if event.move_to is not None:
            self.refresh_runs(event.move_to)

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

    def action_resume(self) -> None:
        run = self.current
        if run is None:
            return
        if run.alive:
            self._refuse(f"{run.name} is {run.state}: Enter watches it.")
        elif not RunDirectory(run.path).last_checkpoint.exists():
            self._refuse(
                f"{run.name} has no last.ckpt to go on from; n starts another run from its weights."
            )
        else:
            self.post_message(messages.ResumeTraining(run.path))

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
        question = TextDialog(
            "Rename",
            f"A new name for {one_line(summary.name)}:",
            path.name,
            accept="Rename",
            error_in=RunDirectory(path).rename_problem,
        )
        name = await self.app.push_screen_wait(question)
        if name is not None:
            self._rename(RunDirectory(path), name)

    @work(thread=True, group="run-files")
    def _rename(self, run: RunDirectory, name: str) -> None:
        try:
            renamed = run.rename(name)
        except UserError as error:
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
        sentence = f"{run.name} ({format_bytes(run.size)}) is in the trash; u brings it back."
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
        names = ", ".join(one_line(item.original.name) for item in self.trashed[:5])
        more = f" and {len(self.trashed) - 5} more" if len(self.trashed) > 5 else ""
        text = f"{names}{more}: {format_bytes(self.trash.size())}. This cannot be undone."
        answers = [Answer("empty", "Delete for good", "error")]
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
        self.notify(one_line(sentence), markup=False)

    def commands(self) -> Iterable[SystemCommand]:
        yield from super().commands()
        if self.trashed:
            count = len(self.trashed)
            sentence = f"Delete {count} run{'s' if count > 1 else ''} for good"
            yield SystemCommand("Empty the trash", sentence, self.empty_trash)

    def _refuse(self, sentence: str) -> None:
        self.notify(one_line(sentence), severity="warning", markup=False)
