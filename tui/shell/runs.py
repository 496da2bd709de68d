"""The known runs, with their status as it was last read.

The app refreshes them about every two seconds and passes them to all screens
(`WorkbenchScreen.runs`).
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from simplegpt.progress import format_count
from simplegpt.run.directory import RunDirectory, find_runs
from simplegpt.run.state import Status


@dataclass(frozen=True)
class KnownRun:
    """A run and its status when it was last read."""

    path: Path
    status: Status | None
    """None if it cannot be read."""
    modified: int = 0
    """Modification time of its status file, in nanoseconds."""

    @property
    def is_live(self) -> bool:
        """Whether a process is training."""
        return self.status is not None and self.status.is_live

    @property
    def progress(self) -> float | None:
        """Fraction done, 0 to 1; None if the number of steps is unknown."""
        status = self.status
        if status is None or not status.max_steps:
            return None
        return min(status.step / status.max_steps, 1.0)


KnownRuns: TypeAlias = tuple[KnownRun, ...]


def scan_runs(
    root: Path, elsewhere: Iterable[Path] = (), before: Sequence[KnownRun] = ()
) -> KnownRuns:
    """Find all runs below `root` and read their status and that of runs `elsewhere`. Blocks."""
    found = [run.path for run in find_runs(root)]
    return refresh_runs(dict.fromkeys([*found, *elsewhere]), before)


def refresh_runs(paths: Iterable[Path], before: Sequence[KnownRun] = ()) -> KnownRuns:
    """Read the status of runs; one that had ended `before` is read again only if it changed."""
    ended = {run.path: run for run in before if run.status is not None and not run.is_live}
    runs = (read_run(path, ended.get(path)) for path in paths)
    return tuple(run for run in runs if run is not None)


def read_run(path: Path, before: KnownRun | None = None) -> KnownRun | None:
    """Read a run's status, unless it is as `before`; None if there is no run."""
    run = RunDirectory(path)
    try:
        modified = os.stat(run.status_file).st_mtime_ns  # noqa: PTH116 - for every run, often
    except OSError:
        return None
    if before is not None and before.modified == modified:
        return before
    return KnownRun(run.path, run.status(), modified)


def newest_live(runs: Iterable[KnownRun]) -> KnownRun | None:
    """Return the live run whose process was started last, apart from queued ones."""
    live = [(run.status, run) for run in runs if run.status and run.status.is_live]
    started = [(s.pid_created, run) for s, run in live if s.state != "queued"]
    return max(started, key=lambda item: item[0], default=(0.0, None))[1]


def end_message(run: KnownRun) -> str:
    """Message for a notification that a live run has ended."""
    status, name = run.status, run.path.name
    if status is None:
        return f"{name}: its status cannot be read"
    match status.state:
        case "finished":
            return f"{name} finished: {format_count(status.step)} steps"
        case "stopped":
            return f"{name} stopped at step {format_count(status.step)}; checkpoint saved"
        case "failed":
            return f"{name} failed: {status.failure.message if status.failure else 'see its log'}"
        case _:
            return f"{name} crashed {status.place}: exited unexpectedly"
