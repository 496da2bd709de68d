"""Commands in forked children of this process, which has imported torch and lightning once.

A start of Python with them takes seconds, and hundreds are needed.
"""

import os
import pickle
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import torch

import simplegpt.inference.__main__
import simplegpt.train.__main__
import simplegpt.train.trainer  # noqa: F401 - imports torch and lightning before the forks
from simplegpt.cli import run_command
from tests.stress.outcome import HANG, HANG_SECONDS, OK, REFUSED, TRACEBACK, Tally


class Command:
    """One of our commands in a process of its own, its output in a temporary file."""

    def __init__(
        self,
        main: Callable[[Sequence[str]], int | None],
        arguments: Sequence[str],
        folder: Path,
        prepare: Callable[[], None] = lambda: None,
    ) -> None:
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as this
        self.code: int | None = None
        """The exit code, negative for a signal; None while it runs."""
        self.pid = os.fork()
        if self.pid == 0:
            self._run(main, arguments, folder, prepare)

    def _run(
        self,
        main: Callable[[Sequence[str]], int | None],
        arguments: Sequence[str],
        folder: Path,
        prepare: Callable[[], None],
    ) -> None:
        code: object = 1
        try:
            os.setsid()
            os.chdir(folder)
            for descriptor in (1, 2):
                os.dup2(self._output.fileno(), descriptor)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
            sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
            tempfile.tempdir = str(folder)
            torch.set_num_threads(1)  # a fork loses the parent's others, and would wait for them
            prepare()
            run_command(lambda: main(arguments))
        except SystemExit as error:
            code = error.code
        except BaseException:
            with suppress(OSError):
                traceback.print_exc()
        finally:
            with suppress(OSError):  # of a limited file; nothing may escape into the parent's code
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code if isinstance(code, int) else 1)

    def wait(self, seconds: float = HANG_SECONDS) -> bool:
        """Wait for its end; return whether it came in time."""
        deadline = time.monotonic() + seconds
        while self.code is None:
            ended, status = os.waitpid(self.pid, os.WNOHANG)
            if ended:
                self.code = os.waitstatus_to_exitcode(status)
            elif time.monotonic() < deadline:
                time.sleep(0.002)
            else:
                break
        return self.code is not None

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        self.wait()

    def output(self) -> str:
        """What it has printed so far."""
        descriptor = self._output.fileno()
        return os.pread(descriptor, os.fstat(descriptor).st_size, 0).decode(errors="replace")

    def outcome(self) -> str:
        """What became of it, once it was waited for."""
        if self.code is None:
            self.kill()
            return HANG
        if "Traceback" in self.output() or self.code < 0:
            return TRACEBACK
        return {0: OK, 1: REFUSED, 2: REFUSED}.get(self.code, TRACEBACK)


def in_child(action: Callable[[Path], list[Tally]], folder: Path) -> list[Tally]:
    """Return what `action` returns in a forked child."""
    folder.mkdir()
    result = folder / "tally.pickle"

    def main(arguments: Sequence[str]) -> int:
        result.write_bytes(pickle.dumps(action(folder)))
        return 0

    command = Command(main, [], folder)
    if not command.wait(3600) or not result.exists():
        raise RuntimeError(command.output())
    tallies: list[Tally] = pickle.loads(result.read_bytes())
    return tallies
