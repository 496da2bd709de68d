"""All runs below a folder, found again and again at little cost, sorted and filtered.

`RunFinder.look` is for a thread worker. It keeps what it read, and reads a history, a config or
the sizes of a run's files again only when a file changed; what can change without a file changing
(whether the process lives) is asked every time.
"""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from simplegpt.run.directory import RunDirectory, find_runs
from simplegpt.run.state import LIVE_STATES
from tui.runs.run_files import folder_size
from tui.runs.run_summary import History, RunSummary, read_history, read_settings, summarize

DEPTH = 4
SortKey = Literal["age", "name", "state", "progress", "loss", "size"]
SORT_KEYS: tuple[SortKey, ...] = get_args(SortKey)
Signature = tuple[tuple[int, int], ...]
"""(modification time in ns, size) of each file that something was read from."""


@dataclass
class _Kept:
    """What was read of one run, and of which files."""

    history: History
    history_of: Signature
    settings: Mapping[str, Any]
    settings_of: Signature
    size: int
    size_of: Signature


class RunFinder:
    """Looks for runs at or below `root`."""

    def __init__(self, root: Path, depth: int = DEPTH) -> None:
        self.root = root.absolute()
        self.depth = depth
        self._kept: dict[Path, _Kept] = {}

    def look(self) -> list[RunSummary]:
        """Every run there is now, in no particular order."""
        runs = list(find_runs(self.root, self.depth))
        self._kept = {run.path: self._read(run) for run in runs}
        return [self._summary(run) for run in runs]

    def _summary(self, run: RunDirectory) -> RunSummary:
        kept = self._kept[run.path]
        return summarize(
            run, self.root, history=kept.history, settings=kept.settings, size=kept.size
        )

    def _read(self, run: RunDirectory) -> _Kept:
        events, config = _signature(run.events), _signature(run.config)
        files = _signature(run.path, run.checkpoints, run.events, run.log)
        kept = self._kept.get(run.path)
        if kept is None:
            return _Kept(
                read_history(run), events, read_settings(run), config, folder_size(run.path), files
            )
        if kept.history_of != events:
            kept.history, kept.history_of = read_history(run), events
        if kept.settings_of != config:
            kept.settings, kept.settings_of = read_settings(run), config
        if kept.size_of != files:
            kept.size, kept.size_of = folder_size(run.path), files
        return kept


def _signature(*paths: Path) -> Signature:
    """Changes when one of `paths` does."""
    found = []
    for path in paths:
        try:
            stat = os.stat(path)  # noqa: PTH116 - once for every file of every run
            found.append((stat.st_mtime_ns, stat.st_size))
        except OSError:
            found.append((0, 0))
    return tuple(found)


def arrange(
    runs: Iterable[RunSummary],
    sort: SortKey = "age",
    *,
    reverse: bool = False,
    filter_text: str = "",
) -> list[RunSummary]:
    """The runs that match, live ones first, then by `sort`: newest, least loss, largest first.

    A run that has no figure to sort by stands behind those that have one, either way round.
    """
    words = filter_text.lower().split()
    chosen = [run for run in runs if all(matches(run, word) for word in words)]
    chosen.sort(key=lambda run: run.name)
    have = [run for run in chosen if _VALUE[sort](run) is not None]
    rest = [run for run in chosen if _VALUE[sort](run) is None]
    have.sort(key=_VALUE[sort], reverse=reverse)
    ordered = have + rest
    return [run for run in ordered if run.alive] + [run for run in ordered if not run.alive]


_STATE_ORDER: Sequence[str] = (
    *LIVE_STATES,
    "crashed",
    "failed",
    "unreadable",
    "stopped",
    "finished",
)
_VALUE: Mapping[SortKey, Callable[[RunSummary], Any]] = {
    "age": lambda run: -run.started,
    "name": lambda run: run.name.lower(),
    "state": lambda run: _STATE_ORDER.index(run.state),
    "progress": lambda run: None if run.progress is None else -run.progress,
    "loss": lambda run: run.best_loss,
    "size": lambda run: -run.size,
}


def matches(run: RunSummary, word: str) -> bool:
    """Whether a (lower-case) word of the filter fits: in the name, the state or the error, or as
    ``n_layer=4`` in the config."""
    name, equals, value = word.partition("=")
    if equals:
        return any(
            key.lower().endswith(name) and str(held).lower().startswith(value)
            for key, held in run.settings.items()
        )
    return word in f"{run.name} {run.state} {run.activity} {run.error}".lower()
