"""Processes killed without warning, in a real terminal: none takes another one with it.

What the screens say then, and their buttons, is held by tests.tui.training and
tests.tui.chat, whose trainer and engine are made up; here all of them are the real ones.
"""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from simplegpt.config.schema import ModelConfig
from simplegpt.model import GPT
from simplegpt.run.directory import RunDirectory
from simplegpt.run.events import RunStarted
from simplegpt.run.state import Status
from tests.tui.configs import TINY_MODEL
from tests.tui.terminal import NEEDS_TMUX, SECONDS, Terminal

pytestmark = NEEDS_TMUX

ENDLESS = f"""
output_dir = "models/tiny"
tokenizer_name = "byte"
{TINY_MODEL}[data]
train_fpath = "train.bin"
val_fpath = "val.bin"
seq_len = 16
train_batch_size = 4
val_batch_size = 8
[optimization]
decay_steps = 1_000_000
[trainer]
accelerator = "cpu"
max_steps = 1_000_000
val_check_interval = 1_000_000
"""
SHAPE = ModelConfig(n_vocab=256, n_ctx=16, n_embd=16, n_head=2, n_layer=1)
SHOWN_STEP = re.compile(r"step ([\d,]+) of 1,000,000")


@pytest.fixture
def terminal(workplace: Path) -> Iterator[Terminal]:
    """A small terminal in a folder with token files and tiny.toml; all in it dies with the test."""
    numbers = np.random.default_rng(0)
    for name, n in (("train.bin", 3000), ("val.bin", 500)):
        (np.cumsum(numbers.integers(1, 9, n)) % 64).astype("<u2").tofile(workplace / name)
    (workplace / "tiny.toml").write_text(ENDLESS)
    own = {"SIMPLEGPT_CACHE": str(workplace.parent / "cache"), "TEXTUAL_ANIMATIONS": "none"}
    with Terminal(workplace, environment=own) as terminal:
        yield terminal


def status_of(run: RunDirectory) -> Status:
    status = run.status()
    assert status is not None
    return status


def shown_step(terminal: Terminal) -> int:
    """The step in the dashboard's head; -1 while there is none."""
    found = SHOWN_STEP.search(terminal.screen())
    return int(found[1].replace(",", "")) if found else -1


def kill(process: psutil.Process) -> None:
    """SIGKILL, and wait until it is gone."""
    process.kill()
    process.wait(SECONDS)


def test_run_outlives_a_killed_workbench_and_the_next_attaches_to_it(terminal: Terminal) -> None:
    run = RunDirectory(terminal.folder / "models" / "tiny")
    terminal.start("simplegpt-tui", "tiny.toml")
    terminal.wait_for("parameters")  # the form is there, with its estimate
    terminal.press("F9")
    terminal.wait_for(r"● running +tiny")
    terminal.until(lambda: shown_step(terminal) > 0, "the dashboard counts steps")
    kill(psutil.Process(terminal.pid()))

    left = status_of(run)
    assert left.is_live
    terminal.until(lambda: status_of(run).step > left.step, "the run continues")
    assert status_of(run).pid == left.pid
    assert status_of(run).is_live

    terminal.start("simplegpt-tui")
    terminal.wait_for(r"1 run · 1 live")
    terminal.press("F5")
    terminal.wait_for(r"● running +tiny")
    terminal.until(lambda: shown_step(terminal) > left.step, "the dashboard knows how far it is")
    step = shown_step(terminal)
    terminal.until(lambda: shown_step(terminal) > step, "the dashboard follows the run")
    terminal.press("F8")
    terminal.wait_for("Stop and save")
    terminal.press("Enter")
    terminal.wait_for(r"■ stopped +tiny")
    ended = status_of(run)
    assert (ended.state, ended.pid) == ("stopped", left.pid)
    assert ended.step > left.step
    assert run.last_checkpoint.exists()
    terminal.until(lambda: not terminal.processes("simplegpt.train"), "the trainer is gone")


def test_killed_trainer_has_crashed_and_resumes_where_it_saved(terminal: Terminal) -> None:
    run = RunDirectory(terminal.folder / "models" / "tiny")
    command = [sys.executable, "-m", "simplegpt.train", "tiny.toml"]
    trainer = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    terminal.start("sleep", "infinity")  # something to look at until the run is there
    terminal.until(lambda: run.status() is not None, "the run begins")
    terminal.start("simplegpt-tui", "models/tiny")
    terminal.wait_for(r"● running +tiny")
    terminal.until(lambda: shown_step(terminal) > 0, "the dashboard counts steps")
    terminal.press("s")
    found = re.search(r"saved step (\d+)", terminal.wait_for(r"saved step \d+"))
    assert found is not None
    trainer.kill()
    trainer.wait(SECONDS)

    terminal.wait_for("crashed at step")
    terminal.wait_for("Resume from the last checkpoint")
    assert not status_of(run).is_live
    terminal.press("F7")
    terminal.wait_for(r"● running +tiny .*attempt 2")
    began = [event for event in run.read_events() if isinstance(event, RunStarted)]
    assert [event.attempt for event in began] == [1, 2]
    assert began[1].resumed_from_step == int(found[1])
    terminal.until(lambda: status_of(run).step > int(found[1]), "the run continues")
    assert status_of(run).pid != trainer.pid


def test_engine_killed_in_an_answer_is_started_again_for_the_next(terminal: Terminal) -> None:
    torch.manual_seed(0)
    values = {
        "state_dict": {f"gpt.{name}": tensor for name, tensor in GPT(SHAPE).state_dict().items()},
        "hyper_parameters": {"model": SHAPE.model_dump(), "tokenizer_name": "byte"},
        "global_step": 3,
    }
    torch.save(values, terminal.folder / "tiny.ckpt")
    terminal.start("simplegpt-tui", "tiny.ckpt")
    terminal.wait_for(r"step 3 · .* parameters")
    terminal.type("/tokens 1000000")
    terminal.press("Enter")
    terminal.wait_for("max tokens set to 1000000")
    terminal.type("Once")
    terminal.press("Enter")
    terminal.wait_for(r"[1-9][\d,]* of 1,000,000 tokens")
    workbench = terminal.pid()
    [engine] = terminal.processes("simplegpt.inference.engine")
    kill(engine)

    terminal.wait_for("The engine was killed")
    terminal.wait_for(r"[1-9][\d,]* tokens · .*interrupted")
    terminal.wait_for(r"step 3 · .* parameters")  # loaded again
    terminal.type("/tokens 12")
    terminal.press("Enter")
    terminal.wait_for("max tokens set to 12")
    terminal.type("Twice")
    terminal.press("Enter")
    terminal.wait_for(r"12 tokens · .*token limit")
    assert terminal.pid() == workbench
    assert [process.pid for process in terminal.processes("simplegpt.inference.engine")] != [
        engine.pid
    ]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_workbench_that_is_told_to_end_saves_and_restores_the_terminal(
    terminal: Terminal, number: signal.Signals
) -> None:
    def flags() -> str:
        names = ("alternate_on", "mouse_any_flag", "cursor_flag")
        wanted = " ".join(f"#{{{name}}}" for name in names)
        return terminal._tmux("display-message", "-p", wanted).strip()

    shell = (
        "simplegpt-tui tiny.toml; echo ended with $?; stty -a | grep -ow -e -echo -e echo; sleep 99"
    )
    terminal.start("sh", "-c", shell)
    terminal.wait_for("parameters")
    assert flags() == "1 1 0"
    [workbench] = terminal.processes("bin/simplegpt-tui")
    workbench.send_signal(number)
    screen = terminal.wait_for(r"^echo")
    assert f"ended with {128 + number}" in screen
    assert flags() == "0 0 1"
