"""Tokenizing as a child process: ``python -m simplegpt.data``, its progress as typed objects.

A process of its own, so that the workbench stays quick and a cancel is the end of a process, which
removes what it had half written.
"""

import asyncio
import contextlib
import importlib
import sys
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from simplegpt.progress import ProgressReport
from tui.shared.child_process import child_environment

if TYPE_CHECKING:
    from simplegpt.data.__main__ import Done

COMMAND = (sys.executable, "-m", "simplegpt.data")
# A process that was asked to stop removes its files and leaves within this, or is killed.
LEAVE_SECONDS = 5.0


class TokenizingError(Exception):
    """Why there are no token files, in a sentence."""


@dataclass(frozen=True)
class Work:
    """What to tokenize, how, and where to."""

    text: Path
    tokenizer: str
    output_dir: Path
    val_fraction: float = 0.1
    """The part of the lines, the last ones, that is for validation."""
    overwrite: bool = False

    @property
    def train_file(self) -> Path:
        return self.output_dir / f"train-{self.tokenizer}.bin"

    @property
    def val_file(self) -> Path:
        return self.output_dir / f"val-{self.tokenizer}.bin"

    @property
    def outputs(self) -> tuple[Path, ...]:
        return (self.train_file, self.val_file) if self.val_fraction else (self.train_file,)

    def arguments(self) -> list[str]:
        """The command's, as a person would type them."""
        return [
            "--text_file",
            str(self.text),
            "--tokenizer_name",
            self.tokenizer,
            "--output_dir",
            str(self.output_dir),
            "--val_fraction",
            f"{self.val_fraction:g}",
            "--json_progress",
            *(["--overwrite"] if self.overwrite else []),
        ]


async def tokenize(
    work: Work, command: Sequence[str] = COMMAND
) -> AsyncGenerator["ProgressReport | Done", None]:
    """Start the command and yield its progress, at last a `Done`.

    Cancelled or left early, it ends the process and nothing half written stays. Raises
    `TokenizingError` with the command's own sentence.
    """
    # With the tokenizers and numpy behind it: 0.2 s, which the screen must not wait for.
    data = await asyncio.to_thread(importlib.import_module, "simplegpt.data")
    parsed: TypeAdapter[ProgressReport | Done] = TypeAdapter(ProgressReport | data.Done)
    folder = work.output_dir.absolute()
    made = [one for one in (folder, *folder.parents) if not one.exists()]
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            *work.arguments(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,  # a Ctrl-C in the terminal is the workbench's
            env=child_environment(),
        )
    except OSError as error:
        raise TokenizingError(f"The command could not be started: {error.strerror}.") from error
    assert process.stdout is not None
    assert process.stderr is not None
    # Read beside the progress: a pipe that nobody empties would stop the process.
    complaint = asyncio.create_task(process.stderr.read())
    done = False
    try:
        async for line in process.stdout:
            with contextlib.suppress(ValidationError):
                progress = parsed.validate_json(line)
                done = progress.type == "done"
                yield progress
        code = await process.wait()
        if code != 0 or not done:
            raise TokenizingError(_cause(await complaint, code))
    finally:
        await asyncio.shield(_end(process, work, [] if done else made))
        complaint.cancel()


async def _end(process: asyncio.subprocess.Process, work: Work, made: Sequence[Path]) -> None:
    """Let the process unwind, which removes its partial files; kill it where it does not.

    Of the folders in `made`, those that are empty then are removed too.
    """
    if process.returncode is None:
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), LEAVE_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()
            for path in work.outputs:
                path.with_name(f"{path.name}.partial").unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # not there, or in use by now
        for folder in made:
            folder.rmdir()


def _cause(complaint: bytes, code: int) -> str:
    """The command's message, or what its exit code says where there is none."""
    text = complaint.decode(errors="replace").strip()
    marked = text.rpartition("error: ")
    if marked[1]:
        return marked[2]
    if code < 0:
        return f"The process was ended by signal {-code}; nothing was kept."
    last = text.splitlines()[-1] if text else f"exit code {code}"
    return f"The process failed: {last}"
