"""The data command as a child process: its progress, its errors, its end."""

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path

import psutil
import pytest

from simplegpt.data.tokens import open_tokens
from simplegpt.progress import ProgressReport
from tui.data.tokenizing import Job, tokenize
from tui.shared.command import CommandError


@pytest.fixture
def text(workplace: Path) -> Path:
    path = workplace / "text.txt"
    path.write_text("To be, or not to be, that is the question.\n" * 100)
    return path


async def test_token_files_are_written_and_counted(text: Path, workplace: Path) -> None:
    job = Job(text, "gpt2", Path("data"), val_fraction=0.25)
    reports = [report async for report in tokenize(job)]
    done = reports[-1]
    assert not isinstance(done, ProgressReport)
    assert [Path(file.path).name for file in done.files] == ["train-gpt2.bin", "val-gpt2.bin"]
    tokens = open_tokens(workplace / "data" / "train-gpt2.bin")
    assert (len(tokens), tokens.tokenizer) == (done.files[0].tokens, "gpt2")
    assert all(isinstance(report, ProgressReport) for report in reports[:-1])
    assert job.outputs == (Path("data/train-gpt2.bin"), Path("data/val-gpt2.bin"))


async def test_without_validation_there_is_one_file(text: Path, workplace: Path) -> None:
    job = Job(text, "char", Path("data"), val_fraction=0)
    async for _ in tokenize(job):
        pass
    names = {path.name for path in (workplace / "data").iterdir()}
    assert names == {"train-char.bin", "train-char.bin.json"}
    assert job.outputs == (Path("data/train-char.bin"),)


async def test_the_commands_own_message_is_the_error(text: Path) -> None:
    text.write_text("語\n" * 20)
    with pytest.raises(CommandError, match="the character '語'"):
        async for _ in tokenize(Job(text, "char", Path("data"))):
            pass


def children() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def large(text: Path) -> Path:
    """Long enough that the command is still at it after its first report."""
    text.write_text("To be, or not to be, that is the question.\n" * 1_000_000)
    return text


async def first_report(job: Job) -> asyncio.Task[None]:
    """A task that tokenizes, after its first report."""
    began = asyncio.Event()

    async def run() -> None:
        async with contextlib.aclosing(tokenize(job)) as reports:
            async for _ in reports:
                began.set()

    task = asyncio.create_task(run())
    async with asyncio.timeout(60):
        await began.wait()
    return task


async def test_cancel_ends_the_process_and_leaves_nothing(text: Path, workplace: Path) -> None:
    before = set(children())
    task = await first_report(Job(large(text), "gpt2", Path("data")))
    assert {path.suffix for path in (workplace / "data").iterdir()} == {".partial"}
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not (workplace / "data").exists()
    assert set(children()) <= before


async def test_process_that_ignores_the_signal_is_killed_and_leaves_nothing(
    text: Path, workplace: Path
) -> None:
    (workplace / "data").mkdir()
    report = ProgressReport(label="x", unit="B", done=0, total=1, rate=0, eta=None)
    ignoring = (
        "import pathlib, signal, sys\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "pathlib.Path('data/train-char.bin.partial').write_text('half')\n"
        f"print({report.model_dump_json()!r}, flush=True)\n"
        "signal.pause()\n"
    )
    before = set(children())
    async with contextlib.aclosing(
        tokenize(
            Job(text, "char", Path("data")), (sys.executable, "-c", ignoring), grace_seconds=0.1
        )
    ) as reports:
        async for _ in reports:
            break
    assert list((workplace / "data").iterdir()) == []
    assert set(children()) <= before


async def test_killed_process_is_an_error(text: Path, workplace: Path) -> None:
    before = set(children())
    task = await first_report(Job(large(text), "gpt2", Path("data")))
    (child,) = [one for one in children() if one not in before]
    os.kill(child.pid, signal.SIGKILL)
    with pytest.raises(CommandError, match="killed by signal 9"):
        await task


async def test_missing_command_is_an_error(text: Path) -> None:
    with pytest.raises(CommandError, match="cannot start /nowhere/python: No such file"):
        async for _ in tokenize(Job(text, "char", Path("data")), ("/nowhere/python",)):
            pass


async def test_a_traceback_becomes_its_last_line(text: Path) -> None:
    command = (sys.executable, "-c", "raise RuntimeError('no luck')")
    with pytest.raises(CommandError, match="the process failed: RuntimeError: no luck"):
        async for _ in tokenize(Job(text, "char", Path("data")), command):
            pass
