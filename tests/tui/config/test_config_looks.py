"""Pictures of the Config screen: its usual state at both sizes, errors, a save, the light theme."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from simplegpt.train.speed import MeasuredSpeed
from tests.tui.configs import CONFIG, MACHINE, PATH, ConfigWorkbench, make_project, on_config
from tests.tui.conftest import LARGE, SIZES, SMALL, settle, until
from tui.app import Workbench
from tui.config.dialogs import SaveDialog
from tui.config.estimate import Machine

Snap = Callable[..., bool]
Size = tuple[int, int]


@pytest.fixture(autouse=True)
def project(workplace: Path) -> Path:
    make_project(workplace)
    return workplace


def workbench() -> Workbench:
    """On a machine that is the same everywhere."""
    speed = MeasuredSpeed("letters-first", 5_000_000, 8e9, "cpu")
    return ConfigWorkbench(Machine(MACHINE.memory, MACHINE.cpu_memory, 0, speeds=(speed,)))


@SIZES
def test_usual(snap: Snap, size: Size) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        screen = await on_config(pilot)
        await screen.go_to("model.n_embd")

    assert snap(workbench(), size, steps)


def test_errors(snap: Snap, project: Path) -> None:
    """Of a field, of two fields, of a token file, of an unknown key."""
    (project / PATH).write_text(CONFIG + "max_step = 3\n")
    (project / "data/val-char.bin").unlink()

    async def steps(pilot: Pilot[Any]) -> None:
        screen = await on_config(pilot)
        screen.document.type("model.n_head", "5")
        screen.document.type("data.train_batch_size", "many")
        screen.refresh_state()
        await settle(pilot)
        await screen.go_to("data.train_batch_size")

    assert snap(workbench(), LARGE, steps)


def test_save(snap: Snap) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        screen = await on_config(pilot)
        screen.document.apply({"trainer.max_steps": 5000, "optimization.peak_lr": 3e-4})
        screen.refresh_state()
        await pilot.press("f7")
        await until(pilot, lambda: isinstance(pilot.app.screen, SaveDialog))

    assert snap(workbench(), SMALL, steps)


def test_light_theme_toml(snap: Snap) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        pilot.app.theme = "paper"
        screen = await on_config(pilot)
        screen.document.type("model.n_layer", "6")
        screen.refresh_state()
        screen.action_show_tab("toml")

    assert snap(workbench(), LARGE, steps)
