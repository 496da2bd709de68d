"""F1 explains the focused widget and lists the keys; any of them can be run from there."""

from pathlib import Path

from textual.widgets import Input

from tests.tui.conftest import SMALL, settle, until
from tests.tui.made_runs import Shape, make_run
from tui.app import Workbench
from tui.shell import messages
from tui.shell.help import HelpDialog


async def test_help_explains_the_focus_and_lists_the_screens_keys_first(workplace: Path) -> None:
    run = make_run(workplace / "models" / "r", Shape(steps=100))
    app = Workbench(messages.OpenRun(run.path))
    async with app.run_test(size=SMALL) as pilot:
        await settle(pilot)
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, HelpDialog))
        dialog = app.screen
        assert isinstance(dialog, HelpDialog)
        assert dialog.markdown.startswith("## Plot")  # it has the focus
        groups = list(dict.fromkeys(entry.group for entry in dialog.shown))
        assert groups == ["Train", "Plot", "Everywhere"]
        keys = {(entry.label, *entry.columns) for entry in dialog.shown}
        assert any(key == "F7" and text.startswith("Pause") for key, text in keys)
        assert "F1  ?" in {key for key, _ in keys}
        await pilot.press(*"quit")
        await until(pilot, lambda: [entry.label for entry in dialog.shown] == ["F10  ^q"])
        await pilot.press("f1")  # the same key closes it
        await until(pilot, lambda: app.screen is not dialog)


async def test_key_is_run_from_the_help_of_a_screen_and_of_a_dialog(workplace: Path) -> None:
    app = Workbench()
    async with app.run_test(size=SMALL) as pilot:
        await app.visit("data")
        await settle(pilot)
        await pilot.press("f1", *"choose a text", "enter")
        await until(pilot, lambda: app.screen.title == "Choose a text, documents or a folder")
        await pilot.press("f1", *"cancel", "enter")
        await until(pilot, lambda: app.screen.title != "Choose a text, documents or a folder")
        assert app.current_mode == "data"
        assert not app.screen.query(Input).filter("#filter")
