"""The palette finds actions, runs, checkpoints, settings and files; the recent ones come first."""

import os
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from simplegpt.data.__main__ import main as data_command
from simplegpt.run.checkpoints import CheckpointInfo, sidecar
from tests.tui.conftest import SMALL, settle, until
from tests.tui.made_runs import Shape, make_run
from tui.app import Workbench
from tui.config.screen import ConfigScreen
from tui.data.choices import remember
from tui.data.palette_entries import data_entries
from tui.data.screen import DataScreen
from tui.shell import messages
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


@pytest.fixture
def prepared(workplace: Path) -> Path:
    """Three texts, the one elsewhere chosen last, and the token files of one of them."""
    for name in ("old.txt", "new.txt", "../elsewhere.txt"):
        (workplace / name).write_text("to be or not to be\n" * 50)
    os.utime(workplace / "old.txt", (1, 1))
    os.utime(workplace / "../elsewhere.txt", (0, 0))
    remember((workplace / "../elsewhere.txt").resolve())
    words = ("--text_file", "old.txt", "--output_dir", "data/old", "--tokenizer_name", "char")
    data_command(list(words))
    return workplace


def test_texts_chosen_last_come_first_and_then_the_newest(prepared: Path) -> None:
    found = [(entry.group, entry.label) for entry in data_entries()]
    texts = [label for group, label in found if group == "Texts"]
    assert texts[:3] == [str((prepared / "../elsewhere.txt").resolve()), "new.txt", "old.txt"]
    assert "tinyshakespeare" in texts
    assert found[-1] == ("Token files", "data/old/train-char.bin")


async def test_texts_and_token_files_open_on_the_data_screen(prepared: Path) -> None:
    app = Workbench()
    async with app.run_test(size=SMALL) as pilot:
        await settle(pilot)
        await choose(pilot, "new.txt")
        await until(pilot, lambda: isinstance(app.screen, DataScreen))
        screen = app.screen
        assert isinstance(screen, DataScreen)
        await until(pilot, lambda: screen.choice is not None and screen.choice.name == "new.txt")
        await choose(pilot, "data/old/train-char.bin")
        await until(pilot, lambda: screen.token_set is not None)
        assert screen.token_set is not None
        assert screen.token_set.train == Path("data/old/train-char.bin")


async def choose(pilot: Pilot[Any], label: str) -> None:
    """Choose the entry of that label in the palette."""
    app = pilot.app
    await pilot.press("ctrl+p")
    await until(pilot, lambda: isinstance(app.screen, Palette))
    palette = app.screen
    assert isinstance(palette, Palette)
    palette.query_one(Input).value = label
    await until(pilot, lambda: [entry.label for entry in palette.shown] == [label])
    await pilot.press("enter")


async def test_deleted_text_is_an_error_on_the_data_screen(prepared: Path) -> None:
    app = Workbench(messages.OpenData(Path("gone.txt")))
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: isinstance(app.screen, DataScreen))
        screen = app.screen
        assert isinstance(screen, DataScreen)
        await until(pilot, lambda: "gone.txt" in screen.text_error)
