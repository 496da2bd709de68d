"""Pictures of the Data screen."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import OptionList

from tests.tui.conftest import LARGE, SIZES, SMALL, settle
from tests.tui.made_runs import SAMPLE
from tui.app import Workbench
from tui.data.screen import DataScreen

Snap = Callable[..., bool]
Size = tuple[int, int]


@pytest.fixture(autouse=True)
def texts(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few texts in the data folder."""
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
        at = next(i for i, one in enumerate(screen.choices.texts) if name in one.name)
        screen.query_one("#corpora", OptionList).highlighted = at
        await settle(pilot)
    return screen


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


def test_long_and_hostile_text(snap: Snap) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        await on_data(pilot, "a-book")

    assert snap(Workbench(), SMALL, steps)


def test_unsuitable_text(snap: Snap) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        await on_data(pilot, "latin")

    assert snap(Workbench(), SMALL, steps)
