"""What the workbench costs: ``python -m tests.benchmarks.dashboard``.

Prints, of this machine: the first paint of a new process in a real terminal; joining a run of
500,000 steps; the memory after an hour's worth of events; and a key's time to its effect (the
95th percentile) while both cores are busy and a run writes events.
"""

import asyncio
import multiprocessing
import os
import pty
import select
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
from textual.app import App
from textual.screen import Screen

from simplegpt import run as core
from tests.tui.runs import Shape, make_run

HOUR_OF_EVENTS = 12_000
"""Of a run with 30 ms a step and one event for ten steps; the system is told each second."""


def first_paint(folder: Path) -> float:
    """Seconds from the start of the process to its first picture on a terminal."""
    parent, child = pty.openpty()
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "tui"], stdin=child, stdout=child, stderr=child, cwd=folder
    )
    seen = b""
    while b"Runs" not in seen:  # the header's first tab
        if not select.select([parent], [], [], 20)[0]:
            raise TimeoutError("nothing was painted in 20 s")
        seen += os.read(parent, 65_536)
    seconds = time.perf_counter() - start
    process.kill()
    process.wait()
    os.close(parent)
    os.close(child)
    return seconds


async def dashboard(folder: Path) -> None:
    from tests.tui.conftest import settle
    from tui import messages
    from tui.app import Workbench
    from tui.screens.training import TrainingScreen

    def resident() -> float:
        return psutil.Process().memory_info().rss / 1e6

    long = make_run(folder / "long", Shape(steps=500_000, max_steps=600_000, every=1, samples=0))
    app = Workbench(messages.OpenData())
    async with app.run_test(size=(140, 45)) as pilot:
        await settle(pilot)
        await pilot.press("f5")
        screen = app.visited["train"]
        assert isinstance(screen, TrainingScreen)
        await settle(pilot)
        start, cpu = time.perf_counter(), time.process_time()
        screen.join(long.path)
        while screen.view is None or screen.view.history.last is None:
            await asyncio.sleep(0.005)
        await painted(screen)
        seconds, own = time.perf_counter() - start, time.process_time() - cpu
        print(f"join a run of 500,000 steps: pictured in {seconds:.2f} s ({own:.2f} s of CPU time)")
        while not screen.view.whole:
            await asyncio.sleep(0.05)
        print(f"  the whole of it in {time.perf_counter() - start:.1f} s, {resident():.0f} MB")

        live = make_run(folder / "live", Shape(steps=100))
        screen.join(live.path)
        await settle(pilot)
        before = resident()
        lines = [
            core.TrainStep(step=101 + i, tokens=i, loss=2.0, lr=1e-3, step_seconds=0.03)
            for i in range(HOUR_OF_EVENTS)
        ]
        with live.events.open("a") as events:
            events.writelines(line.model_dump_json() + "\n" for line in lines)
        del lines
        while screen.view is None or screen.view.step < 100 + HOUR_OF_EVENTS:
            await asyncio.sleep(0.05)
        print(f"an hour's worth of events: {before:.0f} MB before, {resident():.0f} MB after")
        await keys(app, live)


async def painted(screen: Screen[Any]) -> None:
    """Wait for the next picture."""
    done = asyncio.Event()
    screen.call_after_refresh(done.set)
    await done.wait()


async def keys(app: App[Any], live: core.RunDirectory) -> None:
    """Seconds from a key to the picture that shows it, on two busy cores."""
    burners = [multiprocessing.Process(target=_burn, daemon=True) for _ in range(2)]
    for burner in burners:
        burner.start()
        psutil.Process(burner.pid).nice(5)  # as a trainer started here is
    times: list[float] = []
    cpu = time.process_time()
    try:
        for i in range(80):
            live.append_event(
                core.TrainStep(step=20_000 + i, tokens=i, loss=2.0, lr=1e-3, step_seconds=0.03)
            )
            await asyncio.sleep(0.05)
            start = time.perf_counter()
            wanted = "panel-samples" if i % 2 else "main"
            app.simulate_key("2" if i % 2 else "1")
            while app.screen.focused is None or app.screen.focused.id != wanted:
                await asyncio.sleep(0)
            await painted(app.screen)
            times.append(time.perf_counter() - start)
    finally:
        for burner in burners:
            burner.kill()
    times.sort()
    p95 = times[int(0.95 * len(times))]
    median = statistics.median(times)
    print(f"a key to its effect, both cores busy: median {median:.3f} s, 95% within {p95:.3f} s")
    print(f"  CPU time of a key and of showing its run: {(time.process_time() - cpu) / 80:.3f} s")


def _burn() -> None:
    while True:
        sum(range(100_000))


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["SIMPLEGPT_TUI_HOME"] = str(folder / "settings")
        os.environ["PYTHONPATH"] = str(Path.cwd())
        os.chdir(folder)
        paints = sorted(first_paint(folder) for _ in range(5))
        print(f"first paint: {paints[0]:.2f} s at best, {paints[2]:.2f} s in the middle")
        asyncio.run(dashboard(folder))


if __name__ == "__main__":
    main()
