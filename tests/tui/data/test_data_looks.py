"""Pictures of the Data screen and its windows, at both sizes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import OptionList

from simplegpt.data.__main__ import Done, Written
from simplegpt.progress import ProgressReport
from tests.tui.conftest import LARGE, SIZES, settle
from tests.tui.made_runs import SAMPLE
from tui.app import Workbench
from tui.data.file_picker import FilePicker
from tui.data.screen import DataScreen
from tui.data.tokenizing import Work
from tui.data.writing import FilesWritten, WritingFailed

Snap = Callable[..., bool]
Size = tuple[int, int]


@pytest.fixture(autouse=True)
def texts(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few texts, as they lie about."""
    data = workplace / "data"
    data.mkdir()
    (data / "verse.txt").write_text(SAMPLE * 200)
    (data / "latin.txt").write_bytes("Übung macht den Meister\n".encode("latin-1") * 20)
    name = "a-book-with-the-kind-of-name-that-only-a-download-has-2026-11-22-final(2)"
    hostile = "\x1b[31m[bold]red[/bold]\x07\tÜbung — 日本語 " + "very long line " * 40 + "\n"
    (data / f"{name}.txt").write_text(hostile * 30)
    # tiktoken's own names change with its version.
    monkeypatch.setattr(
        "simplegpt.data.tokenizer.tokenizer_names", lambda: ["char", "byte", "gpt2"]
    )


async def on_data(pilot: Pilot[Any], name: str | None = None) -> DataScreen:
    assert isinstance(pilot.app, Workbench)
    screen = await pilot.app.visit("data")
    assert isinstance(screen, DataScreen)
    await settle(pilot)
    if name is not None:
        at = next(i for i, one in enumerate(screen.choices) if name in one.name)
        screen.query_one("#corpora", OptionList).highlighted = at
        await settle(pilot)
    return screen


@SIZES
def test_first_sight(snap: Snap, size: Size) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        await on_data(pilot)

    assert snap(Workbench(), size, steps)


@SIZES
def test_text_as_tokens(snap: Snap, size: Size) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        await on_data(pilot, "verse")
        await pilot.press("enter", "down", "down")

    assert snap(Workbench(), size, steps)


def test_tokens_in_a_light_theme(snap: Snap) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        pilot.app.theme = "paper"
        await on_data(pilot, "verse")
        await pilot.press("enter", "down", "down")

    assert snap(Workbench(), LARGE, steps)


@SIZES
def test_long_and_hostile_text(snap: Snap, size: Size) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        await on_data(pilot, "a-book")

    assert snap(Workbench(), size, steps)


@SIZES
def test_text_that_is_none(snap: Snap, size: Size) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        await on_data(pilot, "latin")

    assert snap(Workbench(), size, steps)


@SIZES
def test_writing(snap: Snap, size: Size) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        screen = await on_data(pilot, "verse")
        screen.panel.start(80_000_000)
        report = ProgressReport(
            label="tokenizing train-char.bin",
            unit="B",
            done=31_000_000,
            total=72_000_000,
            rate=7_200_000,
            eta=5.7,
            counts={"tokens": 9_812_345},
        )
        screen.panel.advance(report)

    assert snap(Workbench(), size, steps)


def done() -> FilesWritten:
    work = Work(Path("data/verse.txt"), "gpt2", Path("data/verse"))
    files = [
        Written(path=f"data/verse/{part}-gpt2.bin", tokens=n, tokenizer="gpt2")
        for part, n in (("train", 305_970), ("val", 32_055))
    ]
    return FilesWritten(work, Done(files=files, seconds=0.4))


@SIZES
def test_written(snap: Snap, size: Size) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        screen = await on_data(pilot, "verse")
        await pilot.press("enter", "enter")
        screen.post_message(done())

    assert snap(Workbench(), size, steps)


@SIZES
def test_writing_that_failed(snap: Snap, size: Size) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        screen = await on_data(pilot, "verse")
        sentence = (
            "data/verse/train-char.bin cannot be written: the disk is full after 1,234,567 tokens; "
            "nothing was kept"
        )
        screen.post_message(WritingFailed(sentence))

    assert snap(Workbench(), size, steps)


@SIZES
def test_question_before_overwriting(snap: Snap, size: Size, workplace: Path) -> None:
    (workplace / "data/verse").mkdir()
    for part in ("train", "val"):
        for suffix in ("bin", "bin.json"):
            (workplace / f"data/verse/{part}-char.{suffix}").touch()

    async def steps(pilot: Pilot[Any]) -> None:
        await on_data(pilot, "verse")
        await pilot.press("f9")
        await pilot.pause()

    assert snap(Workbench(), size, steps)


@SIZES
def test_file_picker(snap: Snap, size: Size, monkeypatch: pytest.MonkeyPatch) -> None:
    # The folder's own path is another on each machine.
    monkeypatch.setattr(FilePicker, "_show_place", lambda self: None)

    async def steps(pilot: Pilot[Any]) -> None:
        await on_data(pilot)
        await pilot.press("f7")
        await settle(pilot)
        await pilot.press("home", "enter")
        await pilot.pause()
        await settle(pilot)
        await pilot.press("down")

    assert snap(Workbench(), size, steps)
