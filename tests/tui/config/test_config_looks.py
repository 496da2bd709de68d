"""Pictures of the Config screen and its windows, at both sizes and in a light theme."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from tests.tui.configs import CONFIG, MACHINE, PATH, make_project, on_config
from tests.tui.conftest import LARGE, SIZES, SMALL, settle
from tui.app import Workbench
from tui.config.facts import Machine, Speed
from tui.config.toml_editor import TomlEditor

Snap = Callable[..., bool]
Size = tuple[int, int]


@pytest.fixture(autouse=True)
def project(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A config with its data, on a machine that is the same everywhere."""
    speed = Speed("letters-first", 5_000_000, 8e9, "cpu")
    machine = Machine(MACHINE.memory, MACHINE.cpu_memory, 0, speeds=(speed,))
    monkeypatch.setattr("tui.config.screen.look_at_machine", lambda root: machine)
    monkeypatch.setattr("tui.config.files.hardware.gpus", list)
    make_project(workplace)
    return workplace


@SIZES
def test_usual(snap: Snap, size: Size) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        screen = await on_config(pilot)
        await screen.go_to("model.n_embd")

    assert snap(Workbench(), size, steps)


@SIZES
def test_mistakes(snap: Snap, size: Size, project: Path) -> None:
    (project / PATH).write_text(CONFIG + "max_step = 3\n")
    (project / "data/val-char.bin").unlink()

    async def steps(pilot: Pilot[Any]) -> None:
        screen = await on_config(pilot)
        screen.document.type("model.n_head", "5")
        screen.document.type("data.train_batch_size", "many")
        screen.refresh_document()
        await screen.go_to("data.train_batch_size")

    assert snap(Workbench(), size, steps)


@SIZES
def test_too_large_for_the_machine(snap: Snap, size: Size) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        screen = await on_config(pilot)
        screen.document.lay_over(
            {"model.n_embd": 2048, "model.n_layer": 24, "data.train_batch_size": 256}
        )
        screen.refresh_document()
        await screen.go_to("model.n_layer")

    assert snap(Workbench(), size, steps)


@SIZES
def test_text_with_a_syntax_error(snap: Snap, size: Size) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        screen = await on_config(pilot)
        screen.show_tab("toml")
        await settle(pilot)  # the editor scrolls to its cursor once it is in sight
        screen.query_one(TomlEditor).move_cursor((6, 7))
        await pilot.press("equals_sign")

    assert snap(Workbench(), size, steps)


@SIZES
def test_search(snap: Snap, size: Size) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        await on_config(pilot)
        await pilot.press("ctrl+l", *"learning rate")

    assert snap(Workbench(), size, steps)


@SIZES
def test_save(snap: Snap, size: Size) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        screen = await on_config(pilot)
        screen.document.lay_over({"trainer.max_steps": 5000, "optimization.peak_lr": 3e-4})
        screen.refresh_document()
        await pilot.press("f7")

    assert snap(Workbench(), size, steps)


@SIZES
def test_long(snap: Snap, size: Size) -> None:
    """Every section open, at the end of the form."""

    async def steps(pilot: Pilot[Any]) -> None:
        screen = await on_config(pilot)
        screen.document.set_value("samples", True)
        screen.document.type("samples.prompts", '["O Romeo, Romeo, wherefore art thou Romeo?"]')
        screen.refresh_document()
        await screen.action_unfold_all()
        await settle(pilot)
        await screen.go_to("samples.prompts")

    assert snap(Workbench(), size, steps)


def test_in_a_light_theme(snap: Snap) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        pilot.app.theme = "paper"
        screen = await on_config(pilot)
        screen.document.type("model.n_layer", "6")
        screen.refresh_document()
        await screen.go_to("model.n_layer")

    assert snap(Workbench(), LARGE, steps)


def test_text_in_a_light_theme(snap: Snap) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        pilot.app.theme = "paper"
        screen = await on_config(pilot)
        screen.show_tab("toml")

    assert snap(Workbench(), SMALL, steps)
