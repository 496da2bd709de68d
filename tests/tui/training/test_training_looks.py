"""Pictures of the dashboard. `--snapshot-update` takes them anew; look at them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from tests.tui.conftest import LARGE, SIZES, SMALL
from tests.tui.made_runs import Shape, make_run
from tui.app import Workbench
from tui.shell import messages

Snap = Callable[..., bool]
OUT_OF_MEMORY = (
    "CUDA out of memory: tried to allocate 2.00 GiB; GPU 0 has 79.1 GiB of which 1.2 GiB is free"
)
LONG = Shape(
    steps=30_000,
    max_steps=600_000,
    gpus=8,
    samples=6,
    tokens_a_step=491_520,
    seconds_a_step=0.42,
)


def on_run(folder: Path, name: str, shape: Shape) -> Workbench:
    return Workbench(messages.OpenRun(make_run(folder / "models" / name, shape).path))


@SIZES
def test_usual(snap: Snap, size: tuple[int, int], workplace: Path) -> None:
    assert snap(on_run(workplace, "shakespeare-char", Shape()), size)


def test_long_name_and_many_gpus(snap: Snap, workplace: Path) -> None:
    name = "a-very-long-name-of-a-run-that-somebody-gave-to-their-experiment-42"
    assert snap(on_run(workplace, name, LONG), LARGE)


def test_failed(snap: Snap, workplace: Path) -> None:
    shape = Shape(steps=40, state="failed", error=OUT_OF_MEMORY)
    assert snap(on_run(workplace, "too-large", shape), SMALL)


def test_paused_with_cursor_log_scale_and_learning_rate_in_a_light_theme(
    snap: Snap, workplace: Path
) -> None:
    async def go(pilot: Pilot[Any]) -> None:
        pilot.app.theme = "paper"
        await pilot.press("l", "g", "c", *["left"] * 20)

    assert snap(on_run(workplace, "paused", Shape(state="paused", gpus=1)), LARGE, go)
