"""The trainer as a process of its own: the command that a person would type, detached.

It outlives the workbench. What it says before it has claimed its run's directory (a mistake in the
config, say) lands in a temporary file and is shown; afterwards its own `train.log` has it all.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from simplegpt.run.directory import RunDirectory
from tui.shared.child_process import child_environment, lower_priority

MODULE = "simplegpt.train"
NICENESS = 10
"""Behind whatever a person is typing into, before anything in the background."""
OUTPUT_SHOWN = 20_000
"""Bytes of the early output's end that are shown."""


class TrainerProcess:
    """A training that was started here."""

    def __init__(self, arguments: tuple[str, ...], run: RunDirectory, cwd: Path) -> None:
        """Start ``python -m simplegpt.train`` with `arguments`; `run` is where it will write.

        Raises OSError where no process can be started.
        """
        self.arguments = arguments
        self.run = run
        descriptor, name = tempfile.mkstemp(prefix="simplegpt-", suffix=".log")
        self.output = Path(name)
        command = [sys.executable, "-m", MODULE, *arguments]
        try:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=descriptor,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                env=child_environment(PYTHONUNBUFFERED="1"),
                start_new_session=True,  # neither Ctrl-C nor the terminal's end reaches it
            )
        finally:
            os.close(descriptor)
        lower_priority(self.process.pid, NICENESS)

    @classmethod
    def start(cls, config: Path, overrides: tuple[str, ...], run: RunDirectory) -> "TrainerProcess":
        return cls((str(config), *overrides), run, Path.cwd())

    @classmethod
    def resume(cls, run: RunDirectory, overrides: tuple[str, ...]) -> "TrainerProcess":
        return cls(("--resume", str(run.path), *overrides), run, Path.cwd())

    def command_line(self) -> str:
        """The command as a person would type it."""
        return " ".join(["python -m", MODULE, *self.arguments])

    def exit_code(self) -> int | None:
        """None while it runs. Asking also lays a dead child to rest."""
        return self.process.poll()

    def has_claimed(self) -> bool:
        """Whether the run's directory is this process's, and speaks for it from now on."""
        status = self.run.status()
        return status is not None and status.pid == self.process.pid

    def cancel(self) -> None:
        """End it before it has begun; it saves nothing, for there is nothing yet."""
        self.process.terminate()

    def said(self) -> str:
        """The end of what it has printed so far."""
        try:
            with self.output.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(size - OUTPUT_SHOWN, 0))
                return file.read().decode("utf-8", "replace")
        except OSError:
            return ""

    def forget_output(self) -> None:
        """The run's own log has it all: the early one is not needed any more."""
        self.output.unlink(missing_ok=True)


def output_directory(config: Path, overrides: tuple[str, ...]) -> Path:
    """Where a run of `config` will write. Raises UserError where config or overrides are wrong.

    Token files are not looked at: the trainer does that, and says what is wrong with them.
    """
    from simplegpt.config import load as config_file
    from simplegpt.config.options import CommandParser, add_config_options

    parser = CommandParser(prog="python -m simplegpt.train", add_help=False)
    add_config_options(parser)
    given = parser.parse_args(list(overrides)).overrides
    return config_file.load(config, given).output_dir.absolute()
