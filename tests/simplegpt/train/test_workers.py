"""Loader's workers under each start method: they train, and outlive the signal that stops a run."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from simplegpt.run.directory import RunDirectory
from simplegpt.run.events import RunEnded, TrainStep, Validation
from tests.waiting import wait_until

# What macOS (spawn) and Python 3.14 (forkserver) do by default; read by every Python that starts.
START_METHOD = """
import multiprocessing
multiprocessing.set_start_method({method!r})
"""


def start(method: str) -> tuple["subprocess.Popen[bytes]", list[psutil.Process]]:
    """Start a training with two workers; return it and its workers, once it has validated."""
    Path("site").mkdir()
    Path("site/sitecustomize.py").write_text(START_METHOD.format(method=method))
    words = ["tiny.toml", "--data.num_workers", "2", "--trainer.max_steps", "100000"]
    words += ["--trainer.log_every_n_steps", "1", "--trainer.val_check_interval", "20"]
    process = subprocess.Popen(
        [sys.executable, "-m", "simplegpt.train", *words],
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": "site"},
    )
    run = RunDirectory("run")
    wait_until(lambda: any(isinstance(event, Validation) for event in run.read_events()))
    steps = sum(isinstance(event, TrainStep) for event in run.read_events())
    wait_until(lambda: sum(isinstance(e, TrainStep) for e in run.read_events()) > steps)
    children = psutil.Process(process.pid).children(recursive=True)
    assert len(children) >= 2
    return process, children


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_signal_to_all_processes_saves_a_checkpoint(folder: Path, method: str) -> None:
    process, children = start(method)
    os.killpg(process.pid, signal.SIGTERM)
    assert process.wait(60) == 128 + signal.SIGTERM
    assert psutil.wait_procs(children, timeout=10)[1] == []
    run = RunDirectory("run")
    ended = run.read_events()[-1]
    assert isinstance(ended, RunEnded)
    assert (ended.reason, ended.error) == ("stopped", "stopped by SIGTERM")
    assert run.last_checkpoint.exists()


def test_workers_of_a_killed_training_end(folder: Path) -> None:
    process, children = start("forkserver")
    process.kill()
    assert psutil.wait_procs(children, timeout=10)[1] == []


def test_what_a_worker_imports_has_no_lightning() -> None:
    program = (
        "import sys, simplegpt.train.__main__, simplegpt.train.batches\n"
        "assert 'torch' in sys.modules and 'lightning' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
