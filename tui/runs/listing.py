"""The order of the list of runs, and its filter."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, get_args

from simplegpt.run.state import LIVE_STATES
from tui.runs.summary import RunSummary

SortKey = Literal["age", "name", "state", "progress", "loss", "size"]
SORT_KEYS: tuple[SortKey, ...] = get_args(SortKey)
SORT_LABELS: Mapping[SortKey, str] = {
    "age": "newest first",
    "name": "by name",
    "state": "by state",
    "progress": "highest progress first",
    "loss": "lowest loss first",
    "size": "largest first",
}
_STATES: Sequence[str] = (*LIVE_STATES, "crashed", "failed", "unreadable", "stopped", "finished")
_VALUE: Mapping[SortKey, Callable[[RunSummary], Any]] = {
    "age": lambda run: -run.started,
    "name": lambda run: run.name.lower(),
    "state": lambda run: _STATES.index(run.state),
    "progress": lambda run: None if run.progress is None else -run.progress,
    "loss": lambda run: run.best_loss,
    "size": lambda run: -run.size,
}


def arrange(
    runs: Iterable[RunSummary],
    sort: SortKey = "age",
    *,
    reverse: bool = False,
    filter_text: str = "",
) -> list[RunSummary]:
    """The runs that match the filter: live ones first, then by `sort`.

    Runs without a value to sort by come last, also in reverse.
    """
    words = filter_text.lower().split()
    matching = [run for run in runs if all(matches(run, word) for word in words)]
    matching.sort(key=lambda run: run.name)
    value = _VALUE[sort]
    known = [run for run in matching if value(run) is not None]
    unknown = [run for run in matching if value(run) is None]
    ordered = [*sorted(known, key=value, reverse=reverse), *unknown]
    return sorted(ordered, key=lambda run: not run.is_live)


def matches(run: RunSummary, word: str) -> bool:
    """Whether a lower-case word of the filter is in a run's name, state or error, or, written as
    ``n_layer=4``, in its config."""
    name, equals, value = word.partition("=")
    if equals:
        return any(
            key.lower().endswith(name) and str(setting).lower().startswith(value)
            for key, setting in run.settings.items()
        )
    activity = run.status.activity if run.status is not None and run.is_live else ""
    return word in f"{run.name} {run.state} {activity} {run.error}".lower()
