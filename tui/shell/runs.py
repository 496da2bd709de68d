"""The runs that the workbench knows of, as of the last look at their status files.

The app looks about every two seconds and hands the result to all screens (`WorkbenchScreen.runs`).
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
class SeenRun:
    """A run at one look."""

    path: Path
    status: Status | None
    """None where it cannot be read."""
    modified: int = 0
    """When its status file was, in nanoseconds."""

    @property
    def is_live(self) -> bool:
        """Whether a process is training."""
        return self.status is not None and self.status.is_live

    @property
    def progress(self) -> float | None:
        """Fraction done, 0 to 1; None where the end is not known."""
        status = self.status
        if status is None or not status.max_steps:
            return None
        return min(status.step / status.max_steps, 1.0)


SeenRuns: TypeAlias = tuple[SeenRun, ...]


def look_for_runs(
    root: Path, elsewhere: Iterable[Path] = (), before: Sequence[SeenRun] = ()
) -> SeenRuns:
    """Find all runs below `root`, and see how they and those `elsewhere` are. Reads files."""
    found = [run.path for run in find_runs(root)]
    return look_at_runs(dict.fromkeys([*found, *elsewhere]), before)


def look_at_runs(paths: Iterable[Path], before: Sequence[SeenRun] = ()) -> SeenRuns:
    """See how runs are; of those `before`, one that has ended is only read if it changed."""
    known = {seen.path: seen for seen in before if seen.status is not None and not seen.is_live}
    looked = (look_at_run(path, known.get(path)) for path in paths)
    return tuple(seen for seen in looked if seen is not None)


def look_at_run(path: Path, before: SeenRun | None = None) -> SeenRun | None:
    """See how one run is; None where there is none. Reads its status file if it changed."""
    run = RunDirectory(path)
    try:
        modified = os.stat(run.status_file).st_mtime_ns  # noqa: PTH116 - of every run, often
    except OSError:
        return None
    if before is not None and before.modified == modified:
        return before
    return SeenRun(run.path, run.status(), modified)


def newest_live(runs: Iterable[SeenRun]) -> SeenRun | None:
    """The live run whose process was started last."""
    started = [(run.status.pid_created, run) for run in runs if run.status and run.status.is_live]
    return max(started, key=lambda item: item[0], default=(0.0, None))[1]


def end_sentence(run: SeenRun) -> str:
    """How a run that was live has ended, for a notification."""
    status, name = run.status, run.path.name
    if status is None:
        return f"{name}: its status can no longer be read"
    match status.state:
        case "finished":
            return f"{name} finished: {format_count(status.step)} steps"
        case "stopped":
            return f"{name} stopped at step {format_count(status.step)}; checkpoint saved"
        case "failed":
            return f"{name} failed: {status.failure.message if status.failure else 'see its log'}"
        case _:
            return f"{name} crashed at step {format_count(status.step)}: its process is gone"
