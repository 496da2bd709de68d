"""What the workbench costs: ``python -m tests.benchmarks.dashboard``.

Prints, of this machine: the first paint of a new process in a real terminal; joining a run of
500,000 steps; the memory after an hour's worth of events; a key's time to its effect while a real
training has all cores busy; and what an open dashboard costs that training.
"""

import asyncio
import contextlib
import fcntl
import os
import pty
import select
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from textual.app import App
from textual.screen import Screen
from textual.widgets import Input

from simplegpt.run import directory as core
from simplegpt.run.directory import RunDirectory
from simplegpt.run.events import TrainStep
from tests.tui.conftest import settle
from tests.tui.made_runs import Shape, make_run
from tui.app import Workbench
from tui.chat.prompt import PromptArea
from tui.config.screen import ConfigScreen
from tui.config.toml_editor import TomlEditor
from tui.runs.table import RunTable
from tui.shared.plot import CurvePlot
from tui.shell import messages
from tui.training.screen import TrainingScreen
from tui.training.trainer_process import TRAIN_COMMAND, TrainerProcess

HOUR_OF_EVENTS = 12_000
"""Of a run with 30 ms a step and one event for ten steps; the system is recorded each second."""
PRESSES = 60
PAIRS, WINDOW = 12, 12.0
"""Times that the training is looked at with and without a dashboard, and seconds of each."""
CONFIG = Path(__file__).parents[2] / "configs/shakespeare_char_cpu.toml"


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
    def resident() -> float:
        return psutil.Process().memory_info().rss / 1e6

    long = make_run(folder / "long", Shape(steps=500_000, max_steps=600_000, every=1, samples=0))
    app = Workbench(messages.OpenData())
    async with app.run_test(size=(140, 45)) as pilot:
        await settle(pilot)
        app.collector.start()  # as it does in a terminal
        await pilot.press("f5")
        screen = app.visited["train"]
        assert isinstance(screen, TrainingScreen)
        await settle(pilot)
        start, cpu = time.perf_counter(), time.process_time()
        screen.attach(long.path)
        while screen.view is None or screen.view.history.last is None:
            await asyncio.sleep(0.005)
        await painted(screen)
        seconds, own = time.perf_counter() - start, time.process_time() - cpu
        print(f"join a run of 500,000 steps: pictured in {seconds:.2f} s ({own:.2f} s of CPU time)")
        while not screen.view.is_whole:
            await asyncio.sleep(0.05)
        print(f"  the whole of it in {time.perf_counter() - start:.1f} s, {resident():.0f} MB")

        live = make_run(folder / "live", Shape(steps=100))
        screen.attach(live.path)
        await settle(pilot)
        before = resident()
        lines = [
            TrainStep(step=101 + i, tokens=i, loss=2.0, lr=1e-3, step_seconds=0.03)
            for i in range(HOUR_OF_EVENTS)
        ]
        with live.events.open("a") as events:
            events.writelines(line.model_dump_json() + "\n" for line in lines)
        del lines
        while screen.view is None or screen.view.step < 100 + HOUR_OF_EVENTS:
            await asyncio.sleep(0.05)
        print(f"an hour's worth of events: {before:.0f} MB before, {resident():.0f} MB after")
        trainer = start_training(folder)
        try:
            await keys(app, trainer)
            app.exit()
            cost(trainer)
        finally:
            trainer.process.kill()


async def painted(screen: Screen[Any]) -> None:
    """Wait for the next picture."""
    done = asyncio.Event()
    screen.call_after_refresh(done.set)
    await done.wait()


@dataclass
class Key:
    """A key whose effect can be seen."""

    name: str
    keys: tuple[str, str]
    """Pressed in turn."""
    seen: Callable[[], object]
    """Changes with the effect."""


async def keys(app: App[Any], trainer: TrainerProcess) -> None:
    """Seconds from a key to the picture that shows it, while a real training runs."""
    while not trainer.poll().has_claimed:
        await asyncio.sleep(0.1)
    screen = app.screen
    assert isinstance(screen, TrainingScreen)
    screen.attach(trainer.run.path)
    while screen.view is None or screen.view.step < 50:
        await asyncio.sleep(0.1)
    every: list[float] = []
    every += await pressed(app, Key("Train, a panel", ("4", "1"), lambda: app.screen.focused))
    plot = screen.query_one("#main", CurvePlot)
    plot.focus()
    plot.action_toggle_cursor()
    every += await pressed(app, Key("Train, the cursor", ("left", "right"), lambda: plot.cursor))
    await app.run_action("visit('config')")
    config = app.screen
    assert isinstance(config, ConfigScreen)
    await asyncio.sleep(1.0)
    every += await pressed(app, Key("Config, a field", ("down", "up"), lambda: config.focused))
    await config.go_to("model.n_layer")
    app.simulate_key("end")  # the old value is selected
    await painted(config)
    field = config.focused
    assert isinstance(field, Input)
    every += await pressed(app, Key("Config, a digit", ("2", "backspace"), lambda: field.value))
    await pressed(app, Key(" its estimate", ("2", "backspace"), lambda: config.estimate))
    config.action_show_tab("toml")
    editor = config.query_one(TomlEditor)
    editor.move_cursor((0, 0))
    every += await pressed(app, Key("Config, the TOML", ("#", "delete"), lambda: editor.text))
    await app.run_action("visit('chat')")
    prompt = app.screen.query_one(PromptArea)
    prompt.focus()
    every += await pressed(app, Key("Chat, a letter", ("a", "backspace"), lambda: prompt.text))
    await app.run_action("visit('runs')")
    table = app.screen.query_one(RunTable)
    await asyncio.sleep(1.0)
    table.focus()
    every += await pressed(app, Key("Runs, a line", ("down", "up"), lambda: table.cursor_row))
    print(f"  any of them: {in_words(every)}")


async def pressed(app: App[Any], key: Key) -> list[float]:
    """Seconds from key to picture, of many presses."""
    times: list[float] = []
    for i in range(PRESSES):
        await asyncio.sleep(0.11)  # as fast as one types
        before, start = key.seen(), time.perf_counter()
        app.simulate_key(key.keys[i % 2])
        while key.seen() == before:
            if time.perf_counter() - start > 5:
                raise TimeoutError(f"{key.name}: nothing came of {key.keys[i % 2]}")
            await asyncio.sleep(0)
        await painted(app.screen)
        times.append(time.perf_counter() - start)
    print(f"  {key.name:<18} {in_words(times)}")
    return times


def cost(trainer: TrainerProcess) -> None:
    """The training's speed while a dashboard watches it, and while that is held by a signal."""
    parent, child = pty.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 45, 140, 0, 0))
    command = [sys.executable, "-m", "tui", str(trainer.run.path)]
    watching = psutil.Popen(command, stdin=child, stdout=child, stderr=child)
    drain = threading.Thread(target=_drain, args=(parent,), daemon=True)
    drain.start()
    time.sleep(WINDOW)  # it has joined
    windows: list[tuple[bool, float, float]] = []
    spent = 0.0
    for i in range(2 * PAIRS):
        is_open = i % 4 in (0, 3)  # in turns, so that no drift counts for either
        watching.send_signal(signal.SIGCONT if is_open else signal.SIGSTOP)
        time.sleep(0.5)
        start, cpu = time.time(), sum(watching.cpu_times()[:2])
        time.sleep(WINDOW)
        windows.append((is_open, start, time.time()))
        spent += is_open * (sum(watching.cpu_times()[:2]) - cpu)
    watching.kill()
    steps = [one for one in trainer.run.read_events() if isinstance(one, TrainStep)]
    times, numbers = [one.time for one in steps], [one.step for one in steps]
    speeds: dict[bool, list[float]] = {True: [], False: []}
    for is_open, start, end in windows:
        first, last = np.interp([start, end], times, numbers)
        speeds[is_open].append((last - first) / (end - start))
    ratios = [watched / alone for watched, alone in zip(speeds[True], speeds[False], strict=True)]
    error = statistics.stdev(ratios) / len(ratios) ** 0.5
    print(
        f"the training's speed beside an open dashboard: {statistics.mean(ratios):.3f} "
        f"± {error:.3f} of its own; the dashboard takes {spent / PAIRS / WINDOW:.3f} of a core"
    )


def _drain(terminal: int) -> None:
    with contextlib.suppress(OSError):  # the other end is gone
        while os.read(terminal, 65_536):
            pass


def in_words(times: list[float]) -> str:
    ordered = sorted(times)
    p95 = ordered[int(0.95 * len(ordered))]
    return f"median {1000 * statistics.median(times):.0f} ms, 95% within {1000 * p95:.0f} ms"


def start_training(folder: Path) -> TrainerProcess:
    """A character GPT on both cores, as the workbench starts it."""
    text = folder / "text.txt"
    text.write_text(Path(core.__file__).read_text(encoding="ascii", errors="ignore") * 40)
    parts = [str(folder / f"{part}.bin") for part in ("train", "val")]
    simplegpt = (sys.executable, "-m", "simplegpt", "data", "--tokenizer_name", "char")
    for part in parts:
        command = (*simplegpt, "--text_file", text, "--output_file", part)
        subprocess.run(command, check=True, capture_output=True)
    run = RunDirectory(folder / "training")
    wanted = {
        "output_dir": run.path,
        "data.train_fpath": parts[0],
        "data.val_fpath": parts[1],
        "trainer.max_steps": 100_000,
        "trainer.val_check_interval": 100_000,
    }
    overrides = [word for key, value in wanted.items() for word in (f"--{key}", str(value))]
    return TrainerProcess(run, (*TRAIN_COMMAND, str(CONFIG), *overrides))


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
