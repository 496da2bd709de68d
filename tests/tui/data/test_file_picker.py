"""The file dialog lists texts and folders, completes paths, and survives odd ones."""

import os
from pathlib import Path

import pytest

from tests.tui.conftest import SMALL, settle, until
from tui.app import Workbench
from tui.data.file_picker import FilePicker, find_entries
from tui.data.screen import DataScreen

VERSE = "To be, or not to be, that is the question.\n"


def labels(text: str) -> list[str]:
    return [entry.label for entry in find_entries(text)]


def test_only_texts_and_folders_are_listed(workplace: Path) -> None:
    (workplace / "books").mkdir()
    (workplace / "emma.txt").write_text(VERSE)
    (workplace / "model.ckpt").write_bytes(b"PK\0\0")
    os.mkfifo(workplace / "pipe")
    assert labels("") == ["..", "books/", "*", "emma.txt"]
    assert labels("EMM") == ["emma.txt"]
    (empty,) = find_entries("books/")
    assert (empty.label, empty.detail) == ("..", "No text files here")


@pytest.mark.parametrize(
    "odd", ["~nobody/x", "~nobody", "a\0b/", "x" * 300 + "/", "no/such/", "..", "/", "//", "~"]
)
def test_odd_path_is_no_crash(workplace: Path, odd: str) -> None:
    entries = find_entries(odd)
    # a folder has at least a line that says why it is empty; a filter may match nothing
    assert entries or "/" not in odd
    assert all(entry.label or entry.detail for entry in entries)


def test_folder_that_cannot_be_read_says_why(workplace: Path) -> None:
    (entry,) = find_entries("no/such/")
    assert entry.detail == "No such file or directory"


async def test_tab_completes_and_recent_files_come_first(workplace: Path) -> None:
    (workplace / "books").mkdir()
    (workplace / "books" / "emma.txt").write_text(VERSE)
    app = Workbench()
    async with app.run_test(size=SMALL) as pilot:
        await app.visit("data")
        await settle(pilot)
        await pilot.press("f7", *"bo", "tab", *"em", "tab", "enter")
        await until(pilot, lambda: not isinstance(app.screen, FilePicker))
        await settle(pilot)
        assert isinstance(app.screen, DataScreen)
        assert app.screen.choice is not None
        assert app.screen.choice.name == "books/emma.txt"
    assert find_entries("")[0].label == "emma.txt"
    assert find_entries("")[0].group == "Recent"
