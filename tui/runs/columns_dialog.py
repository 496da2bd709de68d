"""The choice of the settings that have a column in the list of runs."""

from collections.abc import Mapping, Sequence
from typing import Any

from simplegpt.config.schema import settings
from tui.runs.summary import ACCURACY, EVALUATED_LOSS, PARAMETERS, differing_keys
from tui.shell.dialogs import Entry, ListDialog

_FIGURES = {
    PARAMETERS: "Of the model.",
    EVALUATED_LOSS: "Of the newest evaluation on a text.",
    ACCURACY: "Of the newest evaluation on multiple-choice questions.",
}


class ColumnsDialog(ListDialog[str]):
    """Enter adds or removes a column; `columns` are the chosen ones, in the order of choice.

    The columns at the opening come first, then the settings in which the runs differ.
    """

    def __init__(self, columns: Sequence[str], configs: Sequence[Mapping[str, Any]]) -> None:
        """`configs` are those of the listed runs."""
        self.columns = list(columns)
        differing = differing_keys([config for config in configs if config])
        self._groups = (
            ("Columns", tuple(columns)),
            ("Differ among these runs", (*_FIGURES, *differing)),
            ("All settings", tuple(settings())),
        )
        super().__init__(
            "Columns",
            placeholder="Filter settings",
            hint="Enter to add or remove · Esc to close",
        )

    def on_mount(self) -> None:
        self.show_entries(self._entries())

    def choose(self, value: str) -> None:
        if value in self.columns:
            self.columns.remove(value)
        else:
            self.columns.append(value)
        self.show_entries(self._entries())

    def _entries(self) -> list[Entry[str]]:
        entries: dict[str, Entry[str]] = {}
        for group, keys in self._groups:
            for key in keys:
                mark = "[x]" if key in self.columns else "[ ]"
                description = _FIGURES.get(key) or settings()[key].description
                entry = Entry(key, f"{mark} {key}", [description], group=group)
                entries.setdefault(key, entry)
        return list(entries.values())
