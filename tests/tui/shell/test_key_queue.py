"""Keys that arrive in one burst are handled in the order typed."""

from pathlib import Path

from textual.events import Key
from textual.widgets import Input

from tests.tui.conftest import SMALL, settle, until
from tests.tui.made_runs import Shape, make_run
from tui.app import Workbench
from tui.chat.prompt import PromptArea
from tui.data.file_picker import FilePicker
from tui.data.screen import DataScreen


def burst(app: Workbench, *keys: str) -> None:
    """Press keys faster than any of them can take effect."""
    for key in keys:
        app.post_message(Key("question_mark" if key == "?" else key, None if key[1:] else key))


async def test_burst_reaches_the_screen_and_the_dialog_that_it_opens(workplace: Path) -> None:
    make_run(workplace / "models" / "r", Shape(steps=100, state="finished"))
    (workplace / "verse.txt").write_text("To be, or not to be.\n")
    app = Workbench()
    async with app.run_test(size=SMALL) as pilot:
        await settle(pilot)
        burst(app, "f3", "f7", *"verse", "enter", "f2", "slash", *"nothing")
        field = app.screen.query_one("#filter", Input)
        await until(pilot, lambda: field.value == "nothing")
        data = app.visited["data"]
        assert isinstance(data, DataScreen)
        await until(pilot, lambda: data.choice is not None and data.choice.name == "verse.txt")


async def test_burst_of_text_and_keys_with_priority_keeps_its_order(workplace: Path) -> None:
    app = Workbench()
    async with app.run_test(size=SMALL) as pilot:
        await app.visit("chat")
        await settle(pilot)
        prompt = app.screen.query_one(PromptArea)
        await until(pilot, lambda: prompt.has_focus)
        burst(app, *"JULIETT", "backspace", ":", "ctrl+n", *"Ay", "delete", *" me", "ctrl+n")
        await until(pilot, lambda: prompt.text == "JULIET:\nAy me\n")


async def test_letters_move_in_a_list_and_are_text_in_a_field(workplace: Path) -> None:
    app = Workbench()
    async with app.run_test(size=SMALL) as pilot:
        await app.visit("data")
        await settle(pilot)
        corpora = app.screen.query_one("#corpora")
        burst(app, "j", "j", "k")
        await until(pilot, lambda: getattr(corpora, "highlighted", 0) == 1)
        burst(app, "f7", *"jk?")
        await until(pilot, lambda: isinstance(app.screen, FilePicker))
        await until(pilot, lambda: app.screen.query_one("#filter", Input).value == "jk?")
