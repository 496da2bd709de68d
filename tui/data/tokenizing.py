"""Tokenizing in a child process: ``python -m simplegpt.data``, its progress as typed objects.

A separate process keeps the workbench responsive, and cancelling is ending it: it then removes its
partial files.
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
GRACE_SECONDS = 5.0
"""A terminated process that runs for longer is killed."""


class TokenizingError(Exception):
    """Why there are no token files."""


@dataclass(frozen=True)
class Job:
    """A text to tokenize, how, and where to."""

    text: Path
    tokenizer: str
    output_dir: Path
    val_fraction: float = 0.1
    """Held-out fraction of the lines, from the end."""
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
        return [path for path in self.outputs if path.exists()]

    def is_done(self) -> bool:
        """Whether all output files are there with their sidecars, which complete files have."""
        from simplegpt.data.tokens import sidecar_path

        return all(path.exists() and sidecar_path(path).exists() for path in self.outputs)

    def arguments(self) -> list[str]:
        """Return the command's arguments, as a person would type them."""
        return [
            *("--text_file", str(self.text)),
            *("--tokenizer_name", self.tokenizer),
            *("--output_dir", str(self.output_dir)),
            *("--val_fraction", f"{self.val_fraction:g}"),
            "--json_progress",
            *(["--overwrite"] if self.overwrite else []),
        ]


async def tokenize(
    job: Job, command: Sequence[str] = COMMAND, grace_seconds: float = GRACE_SECONDS
) -> AsyncGenerator["ProgressReport | Done", None]:
    """Start the command and yield its progress, and a `Done` at the end.

    Cancelled or closed early, it ends the process, and no partial file stays. Raises
    `TokenizingError` with the command's own message.
    """
    # It imports numpy and tiktoken: 0.2 seconds, in a thread.
    module = await asyncio.to_thread(importlib.import_module, "simplegpt.data.__main__")
    adapter: TypeAdapter[ProgressReport | Done] = TypeAdapter(ProgressReport | module.Done)
    output_dir = job.output_dir.absolute()
    new_folders = [path for path in (output_dir, *output_dir.parents) if not path.exists()]
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
        return f"the process was ended by signal {-exit_code}; nothing was kept"
    last = text.splitlines()[-1] if text else f"exit code {exit_code}"
    return f"the process failed: {last}"
