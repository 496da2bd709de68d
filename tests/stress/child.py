"""Commands in forked children of this process, which has imported torch and lightning once.

A start of Python with them takes seconds, and hundreds are needed. The parent computes nothing
with torch, whose threads a fork would lose.
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

import simplegpt.inference.__main__
import simplegpt.train.__main__
import simplegpt.train.trainer  # noqa: F401 - imports torch and lightning before the forks
from simplegpt.cli import run_command
from tests.stress.outcome import HANG, HANG_SECONDS, OK, REFUSED, TRACEBACK, Tally


class Command:
    """One of our commands in a process of its own, its output in a file."""

    def __init__(
        self,
        main: Callable[[Sequence[str]], int | None],
        arguments: Sequence[str],
        folder: Path,
        prepare: Callable[[], None] = lambda: None,
    ) -> None:
        self.output_file = folder / "output.txt"
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
            out = os.open(self.output_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            for descriptor in (1, 2):
                os.dup2(out, descriptor)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
            sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
            tempfile.tempdir = str(folder)
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
        while self.code is None and time.monotonic() < deadline:
            ended, status = os.waitpid(self.pid, os.WNOHANG)
            if ended:
                self.code = os.waitstatus_to_exitcode(status)
            else:
                time.sleep(0.002)
        return self.code is not None

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        self.wait()

    def output(self) -> str:
        return self.output_file.read_text(errors="replace")

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
