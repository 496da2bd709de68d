"""A dialog to choose a text, or documents in a file or folder: type to filter, or a path.

It is the workbench's filtered list over one folder. The library textual-fspicker does not filter
while typing, and would still need our checks of the file.
"""

import asyncio
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from textual import work
from textual.binding import Binding, BindingType
from textual.widgets import Input

from simplegpt.cli import UserError
from simplegpt.progress import format_bytes
from tui.data.choices import kind_of
from tui.data.text_file import check_file
from tui.shared.paths import expand_home
from tui.shell import settings
from tui.shell.dialogs import Entry, ListDialog

HOME = "~"
PARENT = ".."
ALL = "*"
"""The documents of a folder."""
MAX_FILES = 1_000
"""Listed of one folder: typing finds the others."""
SNIFFED_BYTES = 1_024


class FilePicker(ListDialog[Path]):
    """Returns a text, a file of documents or a folder of them, or None if cancelled."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "complete", "Complete", show=False, priority=True)
    ]

    def __init__(self) -> None:
        super().__init__(
            "Choose a text, documents or a folder",
            placeholder="Filter, or a path such as ~/texts/",
            empty="No text files here",
            hint="Enter to choose or open · Tab to complete · Esc to cancel",
            search=self._find,
        )

    async def _find(self, text: str) -> Sequence[Entry[Path]]:
        return await asyncio.to_thread(find_entries, text)

    def action_complete(self) -> None:
        """Complete the path to the entry under the cursor; open it if it is a folder."""
        if (entry := self.highlighted) is not None and entry.label not in (PARENT, ALL):
            self._fill(f"{entry.value}{'/' if entry.label.endswith('/') else ''}")

    def _fill(self, path: str) -> None:
        field = self.query_one("#filter", Input)
        field.value = path
        field.cursor_position = len(path)

    def choose(self, value: Path) -> None:
        """Open a folder, or end the dialog with a file or, for `ALL`, with its folder."""
        self._open(value)

    @work(group="open", exclusive=True)
    async def _open(self, value: Path) -> None:
        path = expand_home(value)
        if value.name == ALL:
            self.dismiss(path.parent)
            return
        if await asyncio.to_thread(os.path.isdir, path):
            self._fill("" if value == Path() else f"{value}/")
            return
        try:
            await asyncio.to_thread(check_file, path)
        except (UserError, OSError, ValueError) as error:  # ValueError: a NUL in the path
            self.show_error(str(error))
        else:
            self.dismiss(path)


def find_entries(text: str) -> list[Entry[Path]]:
    """List the folder that `text` begins with, filtered by the rest of it. Folders come first.

    Without a text, those chosen last come before them. Hidden files are listed only if the rest
    begins with a dot. A path that is not in the list is the only entry, so that choosing it says
    why it cannot be opened.
    """
    from simplegpt.data.documents import SUFFIXES  # tiktoken: not before the first paint

    start, slash, pattern = text.rpartition("/")
    if text == HOME:
        start, slash, pattern = HOME, "/", ""
    folder = Path(f"{start}{slash}")
    names, problem = _names(expand_home(folder))
    entries = [
        entry
        for name in names
        if pattern.casefold() in name.casefold()
        and name.startswith(".") <= pattern.startswith(".")
        and (entry := _entry(folder / name)) is not None
    ]
    entries.sort(key=lambda entry: (not entry.label.endswith("/"), entry.label.casefold()))
    if not pattern:
        has_files = any(not entry.label.endswith("/") for entry in entries)
        note = problem or ("" if has_files else "No text files here")
        if any(entry.label.endswith(SUFFIXES) for entry in entries):
            n_folders = sum(entry.label.endswith("/") for entry in entries)
            every = Entry(folder / ALL, ALL, ["all documents in this folder"])
            entries.insert(n_folders, every)
        entries.insert(0, Entry(_parent(folder), PARENT, ["parent folder"], detail=note))
    if not text:
        return [*_recent_entries(), *entries]
    return entries or ([Entry(Path(text), text)] if slash else [])


def _names(folder: Path) -> tuple[list[str], str]:
    """The names in a folder, or why it cannot be read."""
    try:
        return sorted(os.listdir(folder))[:MAX_FILES], ""  # noqa: PTH208 - no Path for each name
    except OSError as error:
        return [], error.strerror or str(error)
    except ValueError as error:  # a NUL in the path
        return [], str(error)


def _parent(folder: Path) -> Path:
    if folder.name == HOME:
        return expand_home(folder).parent
    return folder / PARENT if folder.name in ("", PARENT) else folder.parent


def _entry(value: Path) -> Entry[Path] | None:
    """The entry of a folder, a text or documents; None for any other file."""
    path = expand_home(value)
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            return Entry(value, f"{value.name}/", [""])
        if not stat.S_ISREG(status.st_mode):  # reading a pipe would block
            return None
        if kind_of(path) == "text":
            with path.open("rb") as file:
                if b"\0" in file.read(SNIFFED_BYTES):
                    return None
    except OSError as error:
        return Entry(value, value.name, [error.strerror or str(error)])
    return Entry(value, value.name, [format_bytes(status.st_size)])


def _recent_entries() -> list[Entry[Path]]:
    return [
        Entry(path, path.name, [str(path.parent)], group="Recent")
        for path in settings.Settings.load().recent_texts
        if os.path.exists(path)
    ]
