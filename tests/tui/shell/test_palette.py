"""The palette finds actions, runs, checkpoints, settings and files; the recent ones come first."""

from pathlib import Path

import pytest
from textual.widgets import Input

from simplegpt.run.checkpoints import CheckpointInfo, sidecar
from tests.tui.conftest import SMALL, settle, until
from tests.tui.made_runs import Shape, make_run
from tui.app import Workbench
from tui.config.screen import ConfigScreen
from tui.shell.palette import RECENT, Palette


@pytest.fixture
def place(workplace: Path) -> Path:
    """A run with a checkpoint, and a config."""
    run = make_run(workplace / "models" / "tiny", Shape(steps=100, state="finished"))
    checkpoint = run.checkpoints / "last.ckpt"
    sidecar(checkpoint).write_text(CheckpointInfo(step=100, val_loss=1.5).model_dump_json())
    (workplace / "my.toml").write_text("seed = 1\n")
    return workplace


async def test_palette_finds_everything_and_opens_it(place: Path) -> None:
    app = Workbench()
    async with app.run_test(size=SMALL) as pilot:
        await settle(pilot)
        await pilot.press("ctrl+p")
        await until(pilot, lambda: isinstance(app.screen, Palette))
        palette = app.screen
        assert isinstance(palette, Palette)
        field = palette.query_one(Input)
        for words, group, label in (
            ("go to chat", "Actions", "Go to Chat"),
            ("tiny", "Runs", "models/tiny"),
            ("tiny ckpt 1.5", "Checkpoints", "models/tiny/ckpts/last.ckpt"),
            ("n_layer", "Settings", "model.n_layer"),
            ("my.toml", "Files", "my.toml"),
        ):
            field.value = words
            await until(
                pilot,
                lambda group=group, label=label: (  # type: ignore[misc]
                    (group, label) in [(entry.group, entry.label) for entry in palette.shown]
                ),
            )
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ConfigScreen))
        config = app.screen
        assert isinstance(config, ConfigScreen)
        await until(pilot, lambda: config.document.name == "my.toml")


async def test_recent_command_comes_first_and_a_setting_gets_the_focus(place: Path) -> None:
    app = Workbench()
    async with app.run_test(size=SMALL) as pilot:
        await settle(pilot)
        await pilot.press("ctrl+p", *"model.n_layer")
        palette = app.screen
        assert isinstance(palette, Palette)
        await until(pilot, lambda: [entry.label for entry in palette.shown] == ["model.n_layer"])
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ConfigScreen))
        config = app.screen
        assert isinstance(config, ConfigScreen)
        await until(pilot, lambda: config.focused_key == "model.n_layer")
        await pilot.press("ctrl+p")
        await until(pilot, lambda: isinstance(app.screen, Palette))
        again = app.screen
        assert isinstance(again, Palette)
        await until(pilot, lambda: bool(again.shown))
        await until(pilot, lambda: again.shown[0].label == "model.n_layer")
        assert again.shown[0].group == RECENT
