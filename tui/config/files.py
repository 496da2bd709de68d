"""What the Config screen does with files: open, save, merge, start a training."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from textual import work
from textual.message import Message
from textual.widgets import Button

from simplegpt.cli import UserError
from simplegpt.config.load import config_folder
from simplegpt.files import first_free_path
from simplegpt.run import hardware
from simplegpt.run.directory import RunDirectory
from tui.config.dialogs import OpenQuestion, SaveQuestion
from tui.config.document import ConfigDocument, short_path
from tui.config.facts import look_at_data
from tui.shell import messages
from tui.shell.dialogs import Answer, Question
from tui.shell.screen import WorkbenchScreen

MOST_LISTED = 200


class DiskSeen(Message):
    """The file on disk is not what it was."""

    def __init__(self, document: ConfigDocument, text: str) -> None:
        super().__init__()
        self.document = document
        self.text = text


class ConfigFiles(WorkbenchScreen):
    """The part of the Config screen that touches files; the rest is in `tui.config.screen`."""

    document: ConfigDocument
    _asking = False
    _laid_over = ""
    """The text that values from elsewhere made, where nobody had typed anything before."""

    def has_work(self) -> bool:
        """Whether a person has typed what is not saved."""
        return self.document.is_changed and self.document.text != self._laid_over

    def refresh_document(self, *, typed_toml: bool = False) -> None:
        """Show the document as it is now; `typed_toml`: its text is on the screen already."""
        raise NotImplementedError

    def show_tab(self, tab: str) -> None:
        """Turn to ``form`` or ``toml``."""
        raise NotImplementedError

    async def go_to(self, key: str) -> None:
        """Put the cursor into the field of `key`."""
        raise NotImplementedError

    def show_document(self, document: ConfigDocument) -> None:
        """Edit another document."""
        self.document = document
        self.refresh_document()

    # Opening

    @work(group="open", exclusive=True)
    async def open_asking(self, path: Path | None, values: Mapping[str, Any]) -> None:
        """Edit the config at `path` (None: the one that is open) with `values` laid over."""
        if path is not None and path.absolute() != self.document.path.absolute():
            if not await self._may_leave():
                return
            try:
                self.show_document(await asyncio.to_thread(ConfigDocument.open, path))
            except UserError as error:
                self.notify(str(error), severity="error", title="Not opened")
                return
        if values and not self.document.has_syntax_error:
            had_work = self.has_work()
            self.document.lay_over(values)
            if not had_work:
                self._laid_over = self.document.text
            self.refresh_document()
            self.show_tab("form")
            self.set_focus(self.query_one("#train", Button))  # Enter goes on

    async def _may_leave(self) -> bool:
        """Unsaved changes were saved or given up, or there are none."""
        if not self.has_work():
            return True
        answers = [
            Answer("save", "Save", "primary"),
            Answer("discard", "Discard", "warning"),
        ]
        text = f"{self.document.name} has changes that are not saved."
        answer = await self.app.push_screen_wait(Question("Unsaved changes", text, answers))
        return answer == "discard" or (answer == "save" and await self._save("Save"))

    def action_open(self) -> None:
        self._choose(templates_first=False)

    def action_new(self) -> None:
        self._choose(templates_first=True)

    @work(group="open", exclusive=True)
    async def _choose(self, *, templates_first: bool) -> None:
        configs = [] if templates_first else await asyncio.to_thread(find_configs, Path.cwd())
        question = OpenQuestion(configs, templates_first=templates_first)
        chosen = await self.app.push_screen_wait(question)
        if chosen is None or not await self._may_leave():
            return
        try:
            document = ConfigDocument.open(chosen.path, is_new=chosen.is_template)
        except UserError as error:
            self.notify(str(error), severity="error", title="Not opened")
            return
        self.show_document(document)

    # Saving

    def action_save(self) -> None:
        self._save_asking("Save", ask_path=self.document.is_new)

    def action_save_as(self) -> None:
        self._save_asking("Save", ask_path=True)

    @work(group="save", exclusive=True)
    async def _save_asking(self, accept: str, *, ask_path: bool) -> None:
        if not ask_path and not self.document.is_changed:
            self.notify(f"{self.document.name} is saved as it is.")
            return
        await self._save(accept, ask_path=ask_path)

    async def _save(self, accept: str, *, ask_path: bool | None = None) -> bool:
        """Show what would be written and write it; False where it was not."""
        if not await self._settle_with_disk():
            return False
        document = self.document
        ask = document.is_new if ask_path is None else ask_path
        suggested = free_path(document) if ask else document.path
        path = await self.app.push_screen_wait(
            SaveQuestion(document.diff(), suggested, accept=accept, ask_path=ask)
        )
        if path is None:
            return False
        before = document.text
        try:
            written = await asyncio.to_thread(document.write, path)
        except UserError as error:
            self.notify(str(error), severity="error", title="Not saved")
            return False
        document.saved_at(path, written, before)
        self.notify(f"Saved {document.name}.")
        self.refresh_document()
        return True

    # What happens on disk

    @work(thread=True, group="look-at-disk", exclusive=True)
    def look_at_disk(self) -> None:
        document = self.document
        if not document.is_new and (text := document.changed_on_disk()) is not None:
            self.post_message(DiskSeen(document, text))

    async def on_disk_seen(self, event: DiskSeen) -> None:
        if event.document is not self.document or self._asking or not self.is_current:
            return
        if event.text == self.document.saved_text:
            return  # it was saved while a thread read
        if self.document.is_changed:
            self._ask_about_disk()
        else:
            self._take(event.text, merge=False)
            self.notify(f"{self.document.name} changed on disk: read again.")

    def action_reload(self) -> None:
        self._ask_about_disk(again=True)

    @work(group="disk", exclusive=True)
    async def _ask_about_disk(self, *, again: bool = False) -> None:
        if await self._settle_with_disk() and again:
            self.notify(f"{self.document.name} is up to date with the disk.")

    async def _settle_with_disk(self) -> bool:
        """Both may have changed: ask which holds. False where nothing was decided."""
        document = self.document
        theirs = None if document.is_new else await asyncio.to_thread(document.changed_on_disk)
        if theirs is None:
            return True
        if not document.is_changed:
            self._take(theirs, merge=False)
            return True
        answers = [
            Answer("merge", "Merge", "primary"),
            Answer("mine", "Keep mine"),
            Answer("theirs", "Take theirs"),
        ]
        text = (
            f"{document.name} was changed on disk while it was edited here. Merging keeps the "
            "file as it is there and lays the settings that were changed here over it."
        )
        self._asking = True
        try:
            question = Question("Both have changed", text, answers)
            answer = await self.app.push_screen_wait(question)
        finally:
            self._asking = False
        return self._settled(answer, theirs)

    def _settled(self, answer: str | None, theirs: str) -> bool:
        if answer == "mine":
            self.document.known_on_disk(theirs)
            self.refresh_document()
        elif answer is not None:
            merge: Literal[True, False] = answer == "merge"
            try:
                self._take(theirs, merge=merge)
            except ValueError as error:
                self.notify(f"The file on disk is not TOML: {error}", severity="error")
                return False
        return answer is not None

    def _take(self, text: str, *, merge: bool) -> None:
        self.document.take_from_disk(text, merge=merge)
        self.refresh_document()

    # Training

    @work(group="train", exclusive=True)
    async def action_train(self) -> None:
        """Start a training of this config: whole, saved, and into a directory of its own."""
        document = self.document
        facts = await asyncio.to_thread(look_at_data, document.text, document.path)
        problems = (*facts.inspection.problems, *facts.problems)
        if problems:
            said = "\n".join(f"{', '.join(one.keys) or one.origin}: {one.message}"
                             for one in problems[:3])  # fmt: skip
            more = f"\n… and {len(problems) - 3} more" if len(problems) > 3 else ""
            many = (
                "A mistake is left" if len(problems) == 1 else f"{len(problems)} mistakes are left"
            )
            self.notify(said + more, severity="error", title=many)
            await self.go_to(problems[0].keys[0] if problems[0].keys else "")
            return
        if document.is_changed and not await self._save("Save and train"):
            return
        assert facts.inspection.config is not None  # no problems
        overrides = await self._free_output(facts.inspection.config.output_dir)
        if overrides is not None:
            self.post_message(messages.StartTraining(document.path, overrides))

    async def _free_output(self, output_dir: Path) -> tuple[str, ...] | None:
        """Overrides that give the run a directory of its own; None where it shall not start."""
        if not await asyncio.to_thread(RunDirectory(output_dir).exists):
            return ()
        free = await asyncio.to_thread(first_free_path, output_dir)
        run = RunDirectory(output_dir)
        status = run.status()
        is_done = status is None or status.state == "finished"
        resume = [] if is_done else [Answer("resume", "Resume it")]
        answers = [Answer("new", f"Train in {free.name}", "primary"), *resume]
        text = f"{short_path(output_dir)} already holds a run, which is never overwritten."
        question = Question("The directory is taken", text, answers)
        answer = await self.app.push_screen_wait(question)
        if answer == "resume":
            self.post_message(messages.ResumeTraining(run.path))
        return ("--output_dir", str(free)) if answer == "new" else None


def usual_config() -> ConfigDocument:
    """What a newcomer edits first: the config for this machine, of this folder or as it came."""
    name = "shakespeare_char.toml" if hardware.gpus() else "shakespeare_char_cpu.toml"
    here = Path.cwd() / "configs" / name
    came = config_folder() / name
    try:
        if here.is_file():
            return ConfigDocument.open(here)
        return ConfigDocument.open(came, is_new=True)
    except UserError:
        return ConfigDocument(Path.cwd() / "configs" / "new.toml", "", is_new=True)


def find_configs(root: Path) -> list[Path]:
    """TOML configs at `root` and two levels below it; not those inside of runs."""
    found: list[Path] = []
    for pattern in ("*.toml", "*/*.toml", "*/*/*.toml"):
        for path in sorted(root.glob(pattern)):
            hidden = any(part.startswith(".") for part in path.relative_to(root).parts)
            if not hidden and path.name not in ("pyproject.toml", "config.toml"):
                found.append(path)
    return found[:MOST_LISTED]


def free_path(document: ConfigDocument) -> Path:
    """A name for a new config that is not taken: in ``configs`` here, or beside the old one."""
    old = document.path
    folder = old.parent if old.is_relative_to(Path.cwd()) else Path.cwd() / "configs"
    return first_free_path(folder / old.name)
