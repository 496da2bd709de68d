"""Several processes of one run: how they start, stop, fail and end. Real ones, over gloo."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import torch

from simplegpt.run.directory import RunDirectory
from simplegpt.run.events import RunEnded, TrainStep, Validation
from simplegpt.run.state import Status
from tests.waiting import wait_until

COMMAND = str(Path(sys.executable).with_name("simplegpt"))
SPELLINGS = {
    "installed": [COMMAND, "train"],
    "package": [sys.executable, "-m", "simplegpt", "train"],
    "module": [sys.executable, "-m", "simplegpt.train"],
}
TWO = ["tiny.toml", "--trainer.devices", "2"]  # an event every 2 steps

CALLBACKS = """
import json
import os
import resource
import signal
import time
from collections import Counter
from pathlib import Path

from torch.utils._python_dispatch import TorchDispatchMode

from lightning.pytorch.callbacks import Callback

IS_SECOND = os.environ.get("RANK") == "1"


class AtStepFive(Callback):
    def on_train_batch_end(self, trainer, *arguments):
        if trainer.global_step == 5 and IS_SECOND:
            self.act()


class Raises(AtStepFive):
    def act(self):
        raise ValueError("the second one\\x1b[31m cannot")


class Hangs(AtStepFive):
    def act(self):
        os.kill(os.getpid(), signal.SIGSTOP)


class CannotBeMade(Callback):
    def __init__(self):
        if IS_SECOND:
            raise ValueError("not on this machine")


class Slow(Callback):
    def on_train_batch_end(self, trainer, *arguments):
        time.sleep(0.1)


class FullDisk(Callback):
    def on_train_batch_end(self, trainer, *arguments):
        if trainer.global_step == 6 and not IS_SECOND:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))


class Counting(TorchDispatchMode):
    counts = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = str(function).split(".")[1]
        if str(function).startswith("c10d") or name == "_local_scalar_dense":
            self.counts[name] += 1
        return function(*args, **(kwargs or {}))


class Count(Callback):
    def on_train_batch_start(self, trainer, *arguments):
        if trainer.global_step == 20:
            self.mode, self.start = Counting(), time.monotonic()
            self.mode.__enter__()

    def on_train_batch_end(self, trainer, *arguments):
        if trainer.global_step == 120:
            self.mode.__exit__(None, None, None)
            counts = {**self.mode.counts, "seconds": time.monotonic() - self.start}
            Path(f"counts-{trainer.global_rank}.json").write_text(json.dumps(counts))
"""


@pytest.fixture
def folder(folder: Path) -> Path:
    Path("callbacks.py").write_text(CALLBACKS)
    return folder


@contextmanager
def started(spelling: str, *words: str) -> Iterator["subprocess.Popen[str]"]:
    """A training by two processes, which are gone at the end of the test."""
    command = [*SPELLINGS[spelling], *TWO, *words]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with subprocess.Popen(command, text=True, start_new_session=True, **pipes) as process:
        try:
            yield process
        finally:
            for one in [process, *ranks(process.pid)]:
                one.kill()


def ranks(launcher: int) -> list[psutil.Process]:
    """The processes that the training with this process ID has started."""
    mark = str(launcher)
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("SIMPLEGPT_LAUNCHER") == mark and process.pid != launcher:
                found.append(process)
        except psutil.Error:
            continue
    return found


def train_in_two(spelling: str, *words: str) -> tuple[int, str]:
    """Return the exit code and the output."""
    with started(spelling, *words) as process:
        output, _ = process.communicate(timeout=180)
        return process.returncode, output


def last_event(run: str = "run") -> RunEnded:
    event = RunDirectory(run).read_events()[-1]
    assert isinstance(event, RunEnded)
    return event


def running(run: str = "run") -> Status:
    """The status of a run that has trained for some steps."""
    wait_until(lambda: any(isinstance(e, TrainStep) for e in RunDirectory(run).read_events()))
    status = RunDirectory(run).status()
    assert status is not None
    return status


def callback(name: str) -> Sequence[str]:
    return ["--trainer.callbacks", f'["callbacks.{name}"]']


def test_error_of_another_rank_ends_the_run_by_its_name(folder: Path) -> None:
    code, output = train_in_two("package", *callback("Raises"))
    assert code == 1
    assert "second one" in output
    error = last_event().error
    assert error is not None
    assert error.startswith("rank 1 on ")
    assert error.endswith(": ValueError: the second one␛[31m cannot")
    status = RunDirectory("run").status()
    assert status is not None
    assert (status.state, status.failure and status.failure.message) == ("failed", error)


def test_rank_that_cannot_start_ends_the_others_and_leaves_nothing(folder: Path) -> None:
    code, output = train_in_two("module", *callback("CannotBeMade"))
    assert code == 2
    assert output.count("not on this machine") == 1
    assert "error: rank 1 on " in output
    assert not Path("run").exists()


def test_run_of_two_processes_stops_and_is_resumed(folder: Path) -> None:
    slow = ["--trainer.max_steps", "400", *callback("Slow")]
    with started("installed", *slow) as process:
        status = running()
        assert status.pid == process.pid  # the one that a user sees, and ends
        own = ranks(process.pid)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 128 + signal.SIGTERM
        assert len(own) == 2
        assert psutil.wait_procs(own, timeout=10)[1] == []
    assert last_event().error == "stopped by SIGTERM"
    saved = RunDirectory("run").status()
    assert saved is not None
    code, output = train_in_two(
        "module", "--resume", "--trainer.max_steps", str(saved.step + 2), *callback("Slow")
    )
    assert code == 0
    assert f"resumed from step {saved.step}" in output


def test_ranks_end_with_a_launcher_that_is_killed(folder: Path) -> None:
    with started("module", "--trainer.max_steps", "400", *callback("Slow")) as process:
        running()
        own = ranks(process.pid)
        process.kill()
        assert psutil.wait_procs(own, timeout=30)[1] == []
    assert last_event().reason == "stopped"
    assert RunDirectory("run").last_checkpoint.exists()


def test_rank_that_does_not_answer_is_waited_for_only_so_long(folder: Path) -> None:
    limit = ["--trainer.timeout_seconds", "10", "--trainer.max_steps", "400"]
    with started("module", *limit, *callback("Hangs")) as process:
        running()
        run = RunDirectory("run")
        wait_until(lambda: (status := run.status()) and "waiting" in status.activity)
        wait_until(lambda: (status := run.status()) and status.state == "failed")
        for one in ranks(process.pid):
            os.kill(one.pid, signal.SIGKILL)  # what torchrun does half a minute later
        assert process.wait(timeout=60) == 1
    assert "did not answer" in (last_event().error or "")


def test_steps_wait_for_the_device_only_where_they_are_logged(folder: Path) -> None:
    quiet = ["--trainer.max_steps", "125", "--trainer.val_check_interval", "1000"]
    quiet += ["--trainer.log_every_n_steps", "50", *callback("Count")]
    assert train_in_two("module", *quiet)[0] == 0
    counts = json.loads(Path("counts-0.json").read_text())
    # one exchange of gradients a step, and the mean loss of each logged step
    assert counts["allreduce_"] == 100 + 2
    assert "broadcast_" not in counts
    # commands are gathered in two parts about once a second, and sooner at first
    assert counts["allgather_"] <= 2 * (counts["seconds"] + 8)
    # loss and gradient norm of a logged step; what is gathered is on the CPU
    assert counts["_local_scalar_dense"] <= 2 * 2 + 2 * counts["allgather_"]


def test_checkpoint_that_cannot_be_written_ends_all_ranks_only_at_the_end(folder: Path) -> None:
    code, output = train_in_two("module", *callback("FullDisk"))
    assert code == 1
    assert output.count("warning: cannot save a checkpoint at step 8") == 1
    assert output.count("error: cannot save the last checkpoint") == 1
    assert "Traceback" not in output
    assert "cannot save the last checkpoint" in (last_event().error or "")
    saved = torch.load(RunDirectory("run").last_checkpoint, weights_only=True)
    assert saved["global_step"] == 4


def test_machine_without_the_runs_directory_resumes_from_that_of_the_first(folder: Path) -> None:
    """Two torchruns as on two machines that share no files; the losses are those of one machine."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    nodes = [Path(name) for name in ("first", "second")]
    for node in nodes:
        node.mkdir()
        for name in ("tiny.toml", "train.bin", "val.bin"):
            shutil.copy(name, node)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2"]
    torchrun += ["--nproc_per_node", "1", "--rdzv_backend", "c10d", "-m", "simplegpt.train"]
    place = torchrun.index("-m", 3)
    for words in (["tiny.toml", "--trainer.max_steps", "5"], ["--resume", "run"]):
        end = [] if words[0] == "tiny.toml" else ["--trainer.max_steps", "12"]
        where = ["--rdzv_endpoint", f"localhost:{port}", "--rdzv_id", words[0].lstrip("-")]
        command = [*torchrun[:place], *where, *torchrun[place:], *words, *end]
        running = [subprocess.Popen(command, cwd=node) for node in nodes]
        assert [process.wait(120) for process in running] == [0, 0]
    assert not Path("second/run").exists()
    assert train_in_two("module")[0] == 0
    validations = [
        {e.step: e.val_loss for e in RunDirectory(run).read_events() if isinstance(e, Validation)}
        for run in ("run", "first/run")
    ]
    assert validations[0].items() <= validations[1].items()
