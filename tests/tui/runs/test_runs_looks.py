"""Pictures of the Runs screen and its windows, at both sizes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from textual.app import App
from textual.pilot import Pilot

from tests.tui import made_runs
from tests.tui.conftest import LARGE, SIZES, SMALL, settle
from tests.tui.made_runs import NOBODY, STARTED, Shape
from tui.app import Workbench
from tui.runs.screen import RunsScreen
from tui.runs.summary import folder_size
from tui.runs.table import RunTable

Snap = Callable[..., bool]
Size = tuple[int, int]


class Runs(Workbench):
    """At a fixed time."""

    MODES: ClassVar = {
        **Workbench.MODES,
        "runs": lambda: RunsScreen(clock=lambda: STARTED + 3 * 86_400),
    }


def make_run(path: Path, shape: Shape, *, pid: int | None = None) -> None:
    """A run of a fixed size, whatever the length of the paths in its files."""
    run = made_runs.make_run(path, shape, pid=pid)
    size = 1_000_000 + 73_000 * len(path.name)
    (path / "padding").write_bytes(bytes(size - folder_size(run.path)))


def few_runs(folder: Path) -> None:
    """One of every kind, and configs that differ."""
    models = folder / "models"
    make_run(models / "shakespeare-char", Shape(steps=1_200))
    make_run(models / "baby-muon", Shape(steps=2_000, state="finished", best_loss=1.51))
    error = "out of memory: 9.1 GiB asked for, 1.2 GiB free"
    make_run(models / "too-large", Shape(steps=40, state="failed", error=error, best_loss=None))
    make_run(models / "left-alone", Shape(steps=640), pid=NOBODY)
    make_run(models / "break", Shape(steps=900, state="paused"))
    make_run(models / "enough", Shape(steps=300, state="stopped", best_loss=2.31))
    for name, old, new in (
        ("baby-muon", "n_layer = 4", "n_layer = 6"),
        ("too-large", "n_embd = 128", "n_embd = 4096"),
    ):
        path = models / name / "config.toml"
        text = path.read_text().replace(old, new)
        path.write_text(text + '\n[optimization]\noptimizer = "muon"\npeak_lr = 3e-4\n')


def many_runs(folder: Path) -> None:
    for i in range(60):
        name = f"sweep/{i:02}-a-long-name-that-says-everything-about-the-experiment-lr-{i}e-5"
        make_run(folder / name, Shape(steps=10 * i + 10, max_steps=700, state="stopped", samples=0))


async def on_runs(pilot: Pilot[Any]) -> RunsScreen:
    assert isinstance(pilot.app, Workbench)
    screen = await pilot.app.visit("runs")
    assert isinstance(screen, RunsScreen)
    await settle(pilot)
    return screen


def runs_app() -> App[Any]:
    return Runs()


@SIZES
def test_runs_of_every_kind(snap: Snap, size: Size, workplace: Path) -> None:
    few_runs(workplace)

    async def steps(pilot: Pilot[Any]) -> None:
        await on_runs(pilot)
        await pilot.press("space")

    assert snap(runs_app(), size, steps)


def test_runs_in_a_light_theme(snap: Snap, workplace: Path) -> None:
    few_runs(workplace)

    async def steps(pilot: Pilot[Any]) -> None:
        pilot.app.theme = "paper"
        await on_runs(pilot)

    assert snap(runs_app(), LARGE, steps)


def test_many_runs_with_long_names(snap: Snap, workplace: Path) -> None:
    many_runs(workplace)

    async def steps(pilot: Pilot[Any]) -> None:
        await on_runs(pilot)
        await pilot.press("end")

    assert snap(runs_app(), SMALL, steps)


def test_failed_run(snap: Snap, workplace: Path) -> None:
    few_runs(workplace)

    async def steps(pilot: Pilot[Any]) -> None:
        screen = await on_runs(pilot)
        screen.query_one(RunTable).move_to(workplace / "models/too-large")

    assert snap(runs_app(), SMALL, steps)


def test_comparing(snap: Snap, workplace: Path) -> None:
    few_runs(workplace)

    async def steps(pilot: Pilot[Any]) -> None:
        screen = await on_runs(pilot)
        for name in ("baby-muon", "left-alone", "too-large"):
            screen.query_one(RunTable).move_to(workplace / "models" / name)
            await pilot.press("space")
        await pilot.press("x")

    assert snap(runs_app(), LARGE, steps)
