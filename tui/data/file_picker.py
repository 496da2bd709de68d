"""A dialog to choose a text file: type to filter a folder, or a path.

It is the workbench's filtered list over one folder. The library textual-fspicker does not filter
while typing, and would still need our checks of the file.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from textual import work
from textual.widgets import Input

from simplegpt.cli import UserError
from simplegpt.progress import format_bytes
from tui.data.text_file import check_file
from tui.shell.dialogs import Entry, ListDialog

HOME = "~"
PARENT = ".."


class FilePicker(ListDialog[Path]):
    """Returns a text file, or None if cancelled."""

    def __init__(self) -> None:
        super().__init__(
            "Choose a text file",
            placeholder="Filter, or a path such as ~/texts/",
            hint="Enter to choose or open · Esc to cancel",
            search=self._find,
        )

    async def _find(self, text: str) -> Sequence[Entry[Path]]:
        return await asyncio.to_thread(find_entries, text)

    def choose(self, value: Path) -> None:
        """Open a folder, or end the dialog with a text file."""
        self._open(value)

    @work(group="open", exclusive=True)
    async def _open(self, value: Path) -> None:
        if await asyncio.to_thread(value.expanduser().is_dir):
            field = self.query_one("#filter", Input)
            field.value = "" if value == Path() else f"{value}/"
            field.cursor_position = len(field.value)
            return
        try:
            await asyncio.to_thread(check_file, value.expanduser())
        except UserError as error:
            self.show_error(str(error))
        else:
            self.dismiss(value.expanduser())


def find_entries(text: str) -> list[Entry[Path]]:
    """List the folder that `text` begins with, filtered by the rest of it. Folders come first.

    Hidden files are listed only if the rest begins with a dot. A path that matches nothing is the
    only entry, so that choosing it shows the error.
    """
    start, slash, pattern = text.rpartition("/")
    if text == HOME:
        start, slash, pattern = HOME, "/", ""
    folder = Path(f"{start}{slash}")
    try:
        paths = list(folder.expanduser().iterdir())
    except OSError:
        paths = []
    shown = [
        path
        for path in paths
        if pattern.casefold() in path.name.casefold()
        and path.name.startswith(".") <= pattern.startswith(".")
    ]
    shown.sort(key=lambda path: (not path.is_dir(), path.name.casefold()))
    entries = [_entry(folder / path.name, path) for path in shown]
    if not pattern:
        entries.insert(0, Entry(_parent(folder), PARENT, ["parent folder"]))
    if slash and not entries:
        entries = [Entry(Path(text), text)]
    return entries


def _parent(folder: Path) -> Path:
    if folder.name == HOME:
        return folder.expanduser().parent
    return folder / PARENT if folder.name in ("", PARENT) else folder.parent


def _entry(value: Path, path: Path) -> Entry[Path]:
    try:
        size = "" if path.is_dir() else format_bytes(path.stat().st_size)
    except OSError as error:
        size = error.strerror or str(error)
    return Entry(value, f"{value.name}/" if path.is_dir() else value.name, [size])
