"""Pictures of the Chat screen and its windows, at both sizes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Static

from tests.tui.chat.test_chat_inside import live_run, save_checkpoint
from tests.tui.chatting import FAKE, notices, say, until
from tests.tui.conftest import LARGE, SIZES, SMALL, settle
from tui.app import Workbench
from tui.chat.beside import GIB, choose_share
from tui.chat.screen import ChatScreen
from tui.chat.time_machine import Era

Snap = Callable[..., bool]
Size = tuple[int, int]


@pytest.fixture(autouse=True)
def fixed_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    """What changes from machine to machine: the engine, ages, downloads, what is free."""
    monkeypatch.setattr("tui.chat.engine.ENGINE_COMMAND", FAKE)
    monkeypatch.setattr("tui.chat.conversation_list.format_age", lambda seconds: "5 min")
    monkeypatch.setenv("HF_HOME", "/nowhere")
    busy = choose_share(0, memory_free=64 * GIB, cores_free=0)
    monkeypatch.setattr("tui.chat.beside_actions.measure_share", lambda path: busy)


async def chat(pilot: Pilot[Any], model: str | None = "models/shakespeare-char") -> ChatScreen:
    assert isinstance(pilot.app, Workbench)
    screen = await pilot.app.visit("chat")
    assert isinstance(screen, ChatScreen)
    await settle(pilot)
    if model is not None:
        screen.open_model(model)
        await settle(pilot)
    return screen


async def usual(pilot: Pilot[Any]) -> ChatScreen:
    """Two exchanges, the second with two answers."""
    screen = await chat(pilot)
    await say(pilot, screen, "/tokens 30")
    await say(pilot, screen, "/temp 0.8")
    await say(pilot, screen, "Count as far as you can: one two three four")
    await say(pilot, screen, ".\n\nAnd now backwards:")
    await pilot.press("ctrl+r")
    await settle(pilot)
    pilot.app.clear_notifications()
    return screen


@SIZES
def test_empty(snap: Snap, size: Size) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        await chat(pilot, None)

    assert snap(Workbench(), size, steps)


@SIZES
def test_usual(snap: Snap, size: Size) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        await usual(pilot)

    assert snap(Workbench(), size, steps)


@SIZES
def test_long(snap: Snap, size: Size) -> None:
    """A text of many screens, a prompt of many lines, hostile and wide characters."""

    async def steps(pilot: Pilot[Any]) -> None:
        screen = await chat(pilot, "models/" + "a-very-long-name-" * 9)
        await say(pilot, screen, "/tokens 2000")
        await say(pilot, screen, "[b]漢字\x1b[31m 😀\tand a " + "word" * 60 + "\n")
        pilot.app.clear_notifications()
        screen.prompt.put("\n".join(f"line {i} of the next prompt" for i in range(20)))

    assert snap(Workbench(), size, steps)


@SIZES
def test_failed(snap: Snap, size: Size) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        await chat(pilot, "missing")

    assert snap(Workbench(), size, steps)


def test_loading(snap: Snap) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        screen = await usual(pilot)
        screen.open_model("forever")
        await until(pilot, lambda: "50%" in str(screen.left.query_one(".state", Static).content))
        # The load never ends: the picture is taken of what it says so far.
        for worker in pilot.app.workers:
            if worker.group == "engine":
                worker.cancel()
        await until(pilot, lambda: all(w.group != "engine" for w in pilot.app.workers))

    assert snap(Workbench(), SMALL, steps)


@SIZES
def test_looking_inside(snap: Snap, size: Size) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        screen = await usual(pilot)
        screen.left.transcript.focus()
        await pilot.press("p", "left", "left", "enter")
        await until(pilot, lambda: pilot.app.screen.is_modal)

    assert snap(Workbench(), size, steps)


def test_probabilities_in_a_light_theme(snap: Snap) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        pilot.app.theme = "paper"
        screen = await usual(pilot)
        screen.left.transcript.focus()
        await pilot.press("p", "left", "left")

    assert snap(Workbench(), LARGE, steps)


def test_settings_over_the_text(snap: Snap) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        screen = await usual(pilot)
        await pilot.press("ctrl+t", "tab")
        screen.form.query_one("#set-top_p").value = "1.5"  # type: ignore[attr-defined]

    assert snap(Workbench(), SMALL, steps)


@SIZES
def test_comparing(snap: Snap, size: Size) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        screen = await usual(pilot)
        await say(pilot, screen, "/compare models/baby-muon")
        await say(pilot, screen, "\n\nOnce more:")
        pilot.app.clear_notifications()

    assert snap(Workbench(), size, steps)


@SIZES
def test_time_machine(snap: Snap, size: Size, workplace: Path) -> None:
    run = live_run(workplace / "models" / "run")
    for step in range(100, 700, 100):
        save_checkpoint(run, step, f"step-{step:06}.ckpt")

    async def steps(pilot: Pilot[Any]) -> None:
        screen = await usual(pilot)
        screen.prompt.put("/time models/run")
        await pilot.press("enter")
        await until(pilot, lambda: len(pilot.app.screen.query(Era).filter(".-ended")) == 6)

    assert snap(Workbench(), size, steps)


@SIZES
def test_choosing_a_model(snap: Snap, size: Size, workplace: Path) -> None:
    run = live_run(workplace / "models" / "run")
    save_checkpoint(run, 200, "best.ckpt")
    save_checkpoint(run, 300)

    async def steps(pilot: Pilot[Any]) -> None:
        await chat(pilot, None)
        await pilot.press("f7")
        await until(pilot, lambda: getattr(pilot.app.screen, "entries", None))

    assert snap(Workbench(), size, steps)


@SIZES
def test_finding_a_conversation(snap: Snap, size: Size) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        screen = await usual(pilot)
        await say(pilot, screen, "/new")
        await say(pilot, screen, "The lady doth protest")
        await pilot.press("f8")
        await until(pilot, lambda: getattr(pilot.app.screen, "found", None))

    assert snap(Workbench(), size, steps)


def test_beside_a_live_run(snap: Snap, workplace: Path) -> None:
    run = live_run(workplace / "models" / "run")
    save_checkpoint(run, 300)

    async def steps(pilot: Pilot[Any]) -> None:
        screen = await chat(pilot, None)
        screen.keep_watch = lambda wanted: None  # type: ignore[method-assign]
        screen.open_model(str(run), beside_run=run)
        await until(pilot, lambda: screen.left.can_generate)
        save_checkpoint(run, 400)
        screen.look_for_checkpoint()
        await until(pilot, lambda: screen.has_newer)
        assert notices(pilot) == ""

    assert snap(Workbench(), SMALL, steps)
