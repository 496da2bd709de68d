"""Read a run's history from its events: a sample at once, or all of it.

``python -m tui.shared.history_reader RUN`` reads all of it in a separate process. Half a million
events take seconds to parse, which in a thread would hold the interpreter's lock against the
screen. The result comes back as a pickle, which is safe between a process and its own child.
"""

import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from simplegpt.run.directory import RunDirectory
from simplegpt.run.events import LineReader, skim
from tui.shared.child_process import child_environment
from tui.shared.history import CAPACITY, History

CHUNK_BYTES = 2_000_000
"""Read at once: some 6,000 events, and a few MB of memory."""
SMALL_BYTES = 600_000
"""A history up to this size is read in full at once."""
NICENESS = 10
POLL_SECONDS = 0.2


def first_picture(run: RunDirectory, tail_bytes: int = 256_000, samples: int = 400) -> History:
    """Read the head, samples and the tail of a long history, in well under a second."""
    history = History()
    history.extend(skim(run.events, tail_bytes, samples))
    return history


def read_all(
    run: RunDirectory, cancelled: Callable[[], bool], capacity: int = CAPACITY
) -> tuple[History, int] | None:
    """The whole history and how far it was read; None where it was cancelled.

    `capacity`: the rows of a series, of which neighbours are merged beyond it.
    """
    history, reader = History(capacity), LineReader(run.events)
    end = size_of(run.events)
    while reader.offset < end:
        if cancelled():
            return None
        before = reader.offset
        history.extend(reader.read_events(CHUNK_BYTES))
        if reader.offset == before:
            break  # a half-written last line
    return history, reader.offset


def read_in_child(run: RunDirectory, cancelled: Callable[[], bool]) -> tuple[History, int] | None:
    """Do as `read_all`, in a separate process.

    Raises RuntimeError where the child fails, with the end of what it printed.
    """
    child = subprocess.Popen(
        [sys.executable, "-m", __name__, str(run.path)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=child_environment(),
    )
    while True:
        try:
            out, err = child.communicate(timeout=POLL_SECONDS)
            break
        except subprocess.TimeoutExpired:
            if cancelled():
                child.kill()
                child.communicate()
                return None
    if child.returncode != 0:
        raise RuntimeError(err.decode("utf-8", "replace").strip().rpartition("\n")[2])
    history, offset = pickle.loads(out)
    assert isinstance(history, History)
    return history, int(offset)


def size_of(path: Path) -> int:
    """Bytes; 0 where there is no such file."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def main() -> None:
    os.nice(NICENESS)
    found = read_all(RunDirectory(sys.argv[1]), lambda: False)
    pickle.dump(found, sys.stdout.buffer)


if __name__ == "__main__":
    main()
