"""The order of the list of runs, and its filter."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from simplegpt.run.state import LIVE_STATES
from tui.runs.summary import RunSummary

SORT_LABELS: Mapping[str, str] = {
    "state": "By state",
    "name": "By name",
    "progress": "Highest progress first",
    "loss": "Lowest loss first",
    "size": "Largest first",
    "age": "Newest first",
}
"""By the table's column, in its order; a column of settings is sorted too."""
_STATES: Sequence[str] = (*LIVE_STATES, "crashed", "failed", "unreadable", "stopped", "finished")
_VALUE: Mapping[str, Callable[[RunSummary], Any]] = {
    "age": lambda run: -run.started,
    "name": lambda run: run.name.lower(),
    "state": lambda run: _STATES.index(run.state),
    "progress": lambda run: None if run.progress is None else -run.progress,
    "loss": lambda run: run.best_loss,
    "size": lambda run: -run.size,
}


def sort_label(column: str, *, inverted: bool) -> str:
    """``"Newest first"``, ``"By peak_lr, inverted"``."""
    label = SORT_LABELS.get(column) or f"By {column.rpartition('.')[2]}"
    return f"{label}, inverted" if inverted else label


def arrange(
    runs: Iterable[RunSummary],
    column: str = "age",
    *,
    inverted: bool = False,
    filter_text: str = "",
) -> list[RunSummary]:
    """Return the runs that match the filter: live ones first, then queued ones; sorted by `column`.

    `column` is a key of `SORT_LABELS` or a setting. Runs without a value to sort by come last,
    also if `inverted`.
    """
    words = filter_text.lower().split()
    matching = [run for run in runs if all(matches(run, word) for word in words)]
    matching.sort(key=lambda run: run.name)

    def setting(run: RunSummary) -> Any:
        return _ordered(run.settings.get(column))

    value = _VALUE.get(column, setting)
    known = [run for run in matching if value(run) is not None]
    unknown = [run for run in matching if value(run) is None]
    ordered = [*sorted(known, key=value, reverse=inverted), *unknown]
    return sorted(ordered, key=lambda run: (not run.is_live, run.state == "queued"))


def _ordered(value: Any) -> tuple[bool, Any] | None:
    """A setting's value as a key to sort by: numbers before texts."""
    if value is None:
        return None
    return (False, value) if isinstance(value, int | float) else (True, str(value))


def matches(run: RunSummary, word: str) -> bool:
    """Whether a lower-case word of the filter occurs in a run's name, state, error or notes.

    ``#wide`` is a tag, and ``n_layer=4`` a setting.
    """
    if word.startswith("#"):
        return any(f"#{tag}".lower().startswith(word) for tag in run.notes.tags)
    name, equals, value = word.partition("=")
    if equals:
        return any(
            key.lower().endswith(name) and str(setting).lower().startswith(value)
            for key, setting in run.settings.items()
        )
    activity = run.status.activity if run.status is not None and run.is_live else ""
    return word in f"{run.name} {run.state} {activity} {run.error} {run.notes}".lower()
