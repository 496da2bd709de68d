"""A Chat screen with a fake engine, for tests: a real process that speaks the protocol."""

import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from tests.tui.conftest import LARGE, settle
from tui.app import Workbench
from tui.chat.screen import ChatScreen

FAKE = (sys.executable, str(Path(__file__).with_name("fake_engine.py")))
DEADLINE_SECONDS = 20.0


@asynccontextmanager
async def chatting(
    model: str | None = "tiny", size: tuple[int, int] = LARGE
) -> AsyncIterator[tuple[Pilot[None], ChatScreen]]:
    """The Chat screen with a model loaded, and at most six tokens an answer."""
    app = Workbench()
    async with app.run_test(size=size) as pilot:
        screen = await app.visit("chat")
        assert isinstance(screen, ChatScreen)
        await settle(pilot)
        if model is not None:
            screen.open_model(model)
            await settle(pilot)
        screen.left.settings = screen.left.settings.model_copy(update={"n_tokens_to_generate": 6})
        screen.form.show(screen.left.settings)
        yield pilot, screen
        screen.leave()


async def until(pilot: Pilot[Any], holds: Callable[[], object]) -> None:
    """Wait for what comes from a process."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, "it did not come"
        await pilot.pause(0.01)


async def say(pilot: Pilot[None], screen: ChatScreen, text: str) -> None:
    """Send a prompt and wait for the answer."""
    screen.prompt.focus()
    screen.prompt.put(text)
    await pilot.press("enter")
    await settle(pilot)


def shown(screen: ChatScreen) -> str:
    return "".join(piece.text for piece in screen.left.transcript.pieces)


def notices(pilot: Pilot[None]) -> str:
    return "\n".join(notice.message for notice in pilot.app._notifications)
