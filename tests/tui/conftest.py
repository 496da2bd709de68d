"""A person's own files and the working directory, made anew for each test of the workbench."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from textual.app import App
from textual.pilot import Pilot
from textual.screen import ModalScreen
from textual.widgets import Input, TextArea
from textual.worker import WorkerCancelled

SETTLE_SECONDS = 20.0
SMALL, LARGE = (80, 24), (140, 45)
SIZES = pytest.mark.parametrize("size", [SMALL, LARGE], ids=["80x24", "140x45"])


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory; settings, conversations and HOME lie in temporary folders."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("SIMPLEGPT_TUI_HOME", str(tmp_path / "settings"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLORTERM", "truecolor")  # with fewer colours the theme is another one
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr("textual.constants.TEXTUAL_ANIMATIONS", "none")
    return folder


async def settle(pilot: Pilot[Any]) -> None:
    """Wait until the workers are done and what they posted is on the screen; stop the blinking.

    Where a question is open, the worker that asked it waits for its answer: it is left alone.
    """
    await pilot.pause()
    while not isinstance(pilot.app.screen, ModalScreen):
        running = [worker for worker in pilot.app.workers if not worker.is_finished]
        if not running:
            break
        with suppress(WorkerCancelled):  # an exclusive worker made way for its successor
            await asyncio.wait_for(pilot.app.workers.wait_for_complete(running), SETTLE_SECONDS)
        await pilot.pause()
    for field in pilot.app.screen.query(Input):
        field.cursor_blink = False
    for area in pilot.app.screen.query(TextArea):
        area.cursor_blink = False
    await pilot.pause()


def toasts(app: App[Any]) -> str:
    """What the notifications on the screen say; for `run_test(notifications=True)`."""
    return "\n".join(str(toast.render()) for toast in app.screen.query("Toast"))


Steps = Callable[[Pilot[Any]], Awaitable[None]]


@pytest.fixture
def snap(snap_compare: Callable[..., bool]) -> Callable[..., bool]:
    """``assert snap(app, SMALL, steps)``: the app's picture, settled, after `steps` of a pilot."""

    def compare(app: App[Any], size: tuple[int, int], steps: Steps | None = None) -> bool:
        async def before(pilot: Pilot[Any]) -> None:
            await settle(pilot)
            if steps is not None:
                await steps(pilot)
                await settle(pilot)

        return snap_compare(app, terminal_size=size, run_before=before)

    return compare


async def until(pilot: Pilot[Any], true: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait until `true()` and the widgets have followed; fails after `seconds`.

    For what stays true: what soon passes may have passed unseen.
    """
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come true in time"
        await pilot.pause(0.02)
    for _ in range(2):  # a message, and the one that answers it
        await pilot.pause(0)


async def quit_by(app: App[Any], answer: Callable[[], object], seconds: float = 15.0) -> None:
    """Give the last answer before the app exits, and wait until it has.

    A pilot would ask the app to confirm that it has handled all messages. An app that is exiting
    handles no more, so the pilot would wait in vain.
    """
    answer()
    deadline = time.monotonic() + seconds
    while app.is_running:
        assert time.monotonic() < deadline, "it did not exit in time"
        await asyncio.sleep(0.02)
