"""A command of SimpleGPT in a child process, with its progress as typed objects.

A separate process keeps the workbench responsive. Cancelling terminates it; the commands then
remove their partial files.
"""

import asyncio
import contextlib
import sys
from collections.abc import AsyncGenerator, Callable, Sequence

from simplegpt.progress import PROGRESS_VARIABLE
from tui.shared.child_process import child_environment

GRACE_SECONDS = 5.0
"""A terminated process that runs for longer is killed."""


class CommandError(Exception):
    """The command failed; the message is its own."""


def module(name: str) -> tuple[str, ...]:
    """Return the command that runs a module of ours."""
    return (sys.executable, "-m", name)


async def run_command(
    command: Sequence[str],
    grace_seconds: float = GRACE_SECONDS,
    on_kill: Callable[[], None] = lambda: None,
) -> AsyncGenerator[bytes]:
    """Start `command` and yield the lines of its standard output: JSON, its progress included.

    If it is cancelled or closed early, the process is terminated; where it has to be killed,
    `on_kill` removes what it left. Raises `CommandError` if the command cannot start or fails.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,  # a Ctrl-C in the terminal is for the workbench
            env=child_environment(**{PROGRESS_VARIABLE: "json"}),
        )
    except OSError as error:
        raise CommandError(f"cannot start {command[0]}: {error.strerror}") from error
    assert process.stdout is not None
    assert process.stderr is not None
    # Read all the time: the process would block on a full pipe.
    errors = asyncio.create_task(process.stderr.read())
    try:
        async for line in process.stdout:
            yield line
        exit_code = await process.wait()
        if exit_code != 0:
            raise CommandError(_error_message(await errors, exit_code))
    finally:
        await asyncio.shield(_end(process, grace_seconds, on_kill))
        errors.cancel()


async def _end(
    process: asyncio.subprocess.Process, grace_seconds: float, on_kill: Callable[[], None]
) -> None:
    """Terminate the process if it still runs; kill it if it does not end."""
    if process.returncode is not None:
        return
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), grace_seconds)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        on_kill()


def _error_message(errors: bytes, exit_code: int) -> str:
    """Return the command's error message, or what its exit code means."""
    text = errors.decode(errors="replace").strip()
    _, marker, message = text.rpartition("error: ")
    if marker:
        return message
    if exit_code < 0:
        return f"the process was killed by signal {-exit_code}"
    last = text.splitlines()[-1] if text else f"exit code {exit_code}"
    return f"the process failed: {last}"
