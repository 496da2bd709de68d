"""Tokenizing in a child process, ``python -m simplegpt.data``, with its progress as typed objects.

A separate process keeps the workbench responsive. Cancelling terminates it; it then removes its
partial files.
"""

import asyncio
import contextlib
import importlib
import os
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
    from simplegpt.data.tokens import TokenSet

COMMAND = (sys.executable, "-m", "simplegpt.data")
GRACE_SECONDS = 5.0
"""A terminated process that runs for longer is killed."""


class TokenizingError(Exception):
    """The token files could not be written."""


@dataclass(frozen=True)
class Job:
    """A text, how to tokenize it, and where to write the token files."""

    text: Path
    tokenizer: str
    output_dir: Path
    val_fraction: float = 0.1
    """Held-out fraction of the lines, from the end."""
    marker: str = ""
    """Ends a document in the text; empty for none."""
    separator: str = ""
    """The token between documents; empty for the tokenizer's own."""
    overwrite: bool = False

    @property
    def outputs(self) -> tuple[Path, ...]:
        """The training file, and the validation file if there is one."""
        from simplegpt.data.tokens import token_file_name  # numpy: not before the first paint

        train = self.output_dir / token_file_name("train", self.tokenizer)
        val = self.output_dir / token_file_name("val", self.tokenizer)
        return (train, val) if self.val_fraction else (train,)

    def existing_outputs(self) -> list[Path]:
        """The output files that exist."""
        return [path for path in self.outputs if os.path.lexists(path)]

    def written(self) -> "TokenSet | None":
        """Return the token files, if all are there and whole. Reads files."""
        from simplegpt.data.tokens import token_set

        found = token_set(*self.outputs)
        return found if found is not None and (found.val or not self.val_fraction) else None

    def arguments(self) -> list[str]:
        """Return the command's arguments, as they would be typed."""
        return [
            *("--text_file", str(self.text)),
            *("--tokenizer_name", self.tokenizer),
            *("--output_dir", str(self.output_dir)),
            *("--val_fraction", f"{self.val_fraction:g}"),
            *([f"--marker={self.marker}"] if self.marker else []),
            *([f"--separator={self.separator}"] if self.separator else []),
            "--json_progress",
            *(["--overwrite"] if self.overwrite else []),
        ]


async def tokenize(
    job: Job, command: Sequence[str] = COMMAND, grace_seconds: float = GRACE_SECONDS
) -> AsyncGenerator["ProgressReport | Done", None]:
    """Start the command and yield its progress, and a `Done` at the end.

    If it is cancelled or closed early, the process is terminated and no partial files remain.
    Raises `TokenizingError` with the command's own message.
    """
    # It imports numpy and tiktoken: 0.2 seconds, in a thread.
    module = await asyncio.to_thread(importlib.import_module, "simplegpt.data.__main__")
    adapter: TypeAdapter[ProgressReport | Done] = TypeAdapter(ProgressReport | module.Done)
    output_dir = job.output_dir.absolute()
    folders = (output_dir, *output_dir.parents)
    new_folders = [path for path in folders if not os.path.lexists(path)]
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            *job.arguments(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,  # a Ctrl-C in the terminal is for the workbench
            env=child_environment(),
        )
    except OSError as error:
        raise TokenizingError(f"cannot start {command[0]}: {error.strerror}") from error
    assert process.stdout is not None
    assert process.stderr is not None
    # Read all the time: the process would block on a full pipe.
    errors = asyncio.create_task(process.stderr.read())
    is_done = False
    try:
        async for line in process.stdout:
            with contextlib.suppress(ValidationError):
                report = adapter.validate_json(line)
                is_done = report.type == "done"
                yield report
        exit_code = await process.wait()
        if exit_code != 0 or not is_done:
            raise TokenizingError(_error_message(await errors, exit_code))
    finally:
        await asyncio.shield(_end(process, job, [] if is_done else new_folders, grace_seconds))
        errors.cancel()


async def _end(
    process: asyncio.subprocess.Process,
    job: Job,
    new_folders: Sequence[Path],
    grace_seconds: float,
) -> None:
    """Terminate the process, which removes its partial files; kill it if it does not end.

    Remove those of `new_folders` that are empty.
    """
    if process.returncode is None:
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), grace_seconds)
        except TimeoutError:
            process.kill()
            await process.wait()
            for path in job.outputs:
                path.with_name(f"{path.name}.partial").unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # not there, or in use by now
        for folder in new_folders:
            folder.rmdir()


def _error_message(errors: bytes, exit_code: int) -> str:
    """Return the command's error message, or what its exit code means."""
    text = errors.decode(errors="replace").strip()
    _, marker, message = text.rpartition("error: ")
    if marker:
        return message
    if exit_code < 0:
        return f"the process was killed by signal {-exit_code}; no files were written"
    last = text.splitlines()[-1] if text else f"exit code {exit_code}"
    return f"the process failed: {last}"
