"""The trainer in a separate process: the same command as on the command line, detached.

It continues when the workbench exits. Its output goes to a temporary file until it has claimed its
run's directory (an invalid config ends it before); `train.log` then contains all of it.
"""

import contextlib
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from simplegpt.run.directory import RunDirectory
from simplegpt.run.state import Status
from tui.shared.child_process import TRAINING_NICENESS, child_environment, lower_priority

TRAIN_COMMAND = (sys.executable, "-m", "simplegpt.train")
_OUTPUT_BYTES = 20_000
"""Read from the end of the early output."""


@dataclass(frozen=True)
class Launch:
    """The state of a trainer that is starting."""

    status: Status | None
    """Of the run, once the process has claimed its directory, whose files show the rest."""
    exit_code: int | None
    output: tuple[str, ...]
    """The last lines that it printed."""

    @property
    def has_claimed(self) -> bool:
        return self.status is not None


class TrainerProcess:
    """A training process that was started here."""

    def __init__(self, run: RunDirectory, command: Sequence[str]) -> None:
        """Start `command`, which will write to `run`. Raises OSError where that is impossible."""
        self.run = run
        self.command = tuple(command)
        self.is_cancelled = False
        descriptor, name = tempfile.mkstemp(prefix="simplegpt-", suffix=".log")
        self._output = Path(name)
        try:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=descriptor,
                stderr=subprocess.STDOUT,
                env=child_environment(PYTHONUNBUFFERED="1"),
                start_new_session=True,  # neither Ctrl-C nor the terminal's end reaches it
            )
        finally:
            os.close(descriptor)
        lower_priority(self.process.pid, TRAINING_NICENESS)

    @property
    def command_line(self) -> str:
        """The command as it would be typed."""
        module, *arguments = self.command[2:]  # of python -m
        return shlex.join((*module.split("."), *arguments))

    def exit_code(self) -> int | None:
        """None while it runs. Also reaps the process once it has exited."""
        return self.process.poll()

    def poll(self) -> Launch:
        """Read the state of the launch from its files."""
        exit_code = self.exit_code()  # before the claim: one that ends in between has claimed
        status = self.run.status()
        has_claimed = status is not None and status.pid == self.process.pid
        return Launch(status if has_claimed else None, exit_code, self._read_output())

    def cancel(self) -> None:
        """End it before it has claimed its directory, when there is nothing to save yet."""
        self.is_cancelled = True
        self.process.terminate()

    def discard_output(self) -> None:
        """Delete the early output: `train.log` has it too."""
        self._output.unlink(missing_ok=True)

    def _read_output(self) -> tuple[str, ...]:
        with contextlib.suppress(OSError), self._output.open("rb") as file:
            file.seek(max(file.seek(0, os.SEEK_END) - _OUTPUT_BYTES, 0))
            return tuple(file.read().decode("utf-8", "replace").splitlines())
        return ()


def output_directory(config: Path, overrides: Sequence[str]) -> Path:
    """Where a run of `config` will write. Raises UserError where config or overrides are invalid.

    Token files are not checked: the trainer checks them and reports their errors.
    """
    from simplegpt.cli import CommandParser
    from simplegpt.config import load as config_file
    from simplegpt.config.options import add_config_options

    parser = CommandParser("train", add_help=False)
    add_config_options(parser)
    given = parser.parse_args(list(overrides)).overrides
    return config_file.load(config, given).output_dir.absolute()
