"""Reads a long history in a process of its own: ``python -m tui.shared.history_reader RUN``.

Half a million events take seconds to parse. In a thread that would hold the interpreter's lock
against the screen; here it costs the screen nothing. The result comes back as a pickle, which is
safe between a process and the child it started itself.
"""

import os
import pickle
import subprocess
import sys
from collections.abc import Callable

from simplegpt.run.directory import RunDirectory
from tui.shared.child_process import child_environment
from tui.shared.follower import read_all
from tui.shared.history import History

NICENESS = 10
POLL_SECONDS = 0.2


def read_in_child(run: RunDirectory, cancelled: Callable[[], bool]) -> tuple[History, int] | None:
    """As `follower.read_all`; None where it was cancelled. For a thread.

    Raises RuntimeError where the child fails, with the end of what it said.
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


def main() -> None:
    os.nice(NICENESS)
    found = read_all(RunDirectory(sys.argv[1]), lambda: False)
    pickle.dump(found, sys.stdout.buffer)


if __name__ == "__main__":
    main()
