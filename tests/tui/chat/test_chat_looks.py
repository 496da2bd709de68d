"""Pictures of the Chat screen."""

from collections.abc import Callable
from typing import Any

from textual.pilot import Pilot

from tests.tui.chatting import FakeWorkbench, say
from tests.tui.conftest import LARGE, SIZES, SMALL, settle
from tui.chat.screen import ChatScreen

Snap = Callable[..., bool]
Size = tuple[int, int]


async def chat(pilot: Pilot[Any], model: str) -> ChatScreen:
    assert isinstance(pilot.app, FakeWorkbench)
    screen = await pilot.app.visit("chat")
    assert isinstance(screen, ChatScreen)
    await settle(pilot)
    screen.open_model(model)
    await settle(pilot)
    return screen


async def usual(pilot: Pilot[Any]) -> ChatScreen:
    """Two exchanges, the second with two answers."""
    screen = await chat(pilot, "models/shakespeare-char")
    await say(pilot, screen, "/tokens 30")
    await say(pilot, screen, "/temp 0.8")
    await say(pilot, screen, "Count as far as you can: one two three four")
    await say(pilot, screen, ".\n\nAnd now backwards:")
    await pilot.press("ctrl+r")
    await settle(pilot)
    pilot.app.clear_notifications()
    return screen


@SIZES
def test_usual(snap: Snap, size: Size) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        await usual(pilot)

    assert snap(FakeWorkbench(), size, steps)


@SIZES
def test_turns(snap: Snap, size: Size) -> None:
    """A dialogue with a chat model and a system prompt."""

    async def steps(pilot: Pilot[Any]) -> None:
        screen = await chat(pilot, "models/python-chat")
        await say(pilot, screen, "/tokens 30")
        await say(pilot, screen, "/system You count from any number, briefly.")
        await say(pilot, screen, "Please count from five.")
        await say(pilot, screen, "Thank you! Could you go on from there?")
        await pilot.press("ctrl+r")
        await settle(pilot)
        pilot.app.clear_notifications()

    assert snap(FakeWorkbench(), size, steps)


def test_long(snap: Snap) -> None:
    """A text of many screens, a prompt of many lines, hostile and wide characters."""

    async def steps(pilot: Pilot[Any]) -> None:
        screen = await chat(pilot, "models/" + "a-very-long-name-" * 9)
        await say(pilot, screen, "/tokens 2000")
        await say(pilot, screen, "[b]漢字\x1b[31m 😀\tand a " + "word" * 60 + "\n")
        pilot.app.clear_notifications()
        screen.prompt.put("\n".join(f"line {i} of the next prompt" for i in range(20)))

    assert snap(FakeWorkbench(), SMALL, steps)


def test_failed(snap: Snap) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        await chat(pilot, "missing")

    assert snap(FakeWorkbench(), SMALL, steps)


def test_probabilities_in_a_light_theme(snap: Snap) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        pilot.app.theme = "paper"
        screen = await usual(pilot)
        screen.left.transcript.focus()
        await pilot.press("p", "left", "left")

    assert snap(FakeWorkbench(), LARGE, steps)
