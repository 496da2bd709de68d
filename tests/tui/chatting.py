"""A Chat screen with a fake engine, for tests: a real process that speaks the protocol."""

import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from textual.pilot import Pilot

import tui.app
from tests.tui.conftest import LARGE, settle, until
from tui.app import Workbench
from tui.chat.screen import ChatScreen

T = TypeVar("T")
FAKE = (sys.executable, str(Path(__file__).with_name("fake_engine.py")))
ANSWER = " five six seven eight nine ten"
"""The fake engine's six tokens from the seed 1234."""
NEXT = " six seven eight nine ten one"
"""Those from the next seed."""


class FakeWorkbench(Workbench):
    """A workbench whose chat talks to the fake engine."""

    CSS_PATH = Path(tui.app.__file__).with_name("app.tcss")  # a subclass's path is relative to it
    MODES: ClassVar = {**Workbench.MODES, "chat": lambda: ChatScreen(FAKE)}


@asynccontextmanager
async def chatting(
    model: str | None = "tiny",
    size: tuple[int, int] = LARGE,
    command: Sequence[str] = FAKE,
) -> AsyncIterator[tuple[Pilot[None], ChatScreen]]:
    """The Chat screen with a model loaded, and at most six tokens an answer."""
    app = FakeWorkbench() if command is FAKE else Workbench()
    async with app.run_test(size=size) as pilot:
        screen = await app.visit("chat")
        assert isinstance(screen, ChatScreen)
        await settle(pilot)
        if model is not None:
            screen.open_model(model)
            await settle(pilot)
        short = screen.settings.model_copy(update={"n_tokens_to_generate": 6})
        screen.session.settings = screen.settings = short
        yield pilot, screen
        screen.leave()
        for pane in screen.panes:
            await pane.session.model.engine.close()


async def say(pilot: Pilot[None], screen: ChatScreen, text: str) -> None:
    """Send a prompt and wait for the answer."""
    await say_only(pilot, screen, text)
    await settle(pilot)


async def say_only(pilot: Pilot[None], screen: ChatScreen, text: str) -> None:
    """Send a prompt."""
    screen.prompt.focus()
    screen.prompt.put(text)
    await pilot.press("enter")


async def dialog(pilot: Pilot[Any], kind: type[T]) -> T:
    """Wait for a dialog to open."""
    await until(pilot, lambda: isinstance(pilot.app.screen, kind) and pilot.app.screen.is_mounted)
    found = pilot.app.screen
    assert isinstance(found, kind)
    return found


def shown(screen: ChatScreen) -> str:
    return screen.left.transcript.text


def notices(pilot: Pilot[None]) -> str:
    return "\n".join(notice.message for notice in pilot.app._notifications)
