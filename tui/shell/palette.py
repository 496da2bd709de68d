"""The command palette: every action, run, checkpoint, setting and file, found by its name."""

import asyncio
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from textual import on, work
from textual.app import SystemCommand
from textual.events import Mount
from textual.message import Message

from simplegpt.progress import format_loss
from simplegpt.run.checkpoints import list_checkpoints
from simplegpt.run.directory import RunDirectory
from tui.shared.paths import config_paths
from tui.shell import messages
from tui.shell.dialogs import Entry, ListDialog
from tui.shell.runs import KnownRuns

MAX_SHOWN = 20
"""Entries of a group of places in the list: typing finds the others."""
MAX_RECENT = 5
RECENT, ACTIONS = "Recent", "Actions"


@dataclass(frozen=True)
class Command:
    """What choosing an entry does: one of its fields is given."""

    run: Callable[[], Any] | None = None
    """An action to call."""
    request: Message | None = None
    """A message to post to the app."""


class Palette(ListDialog[Entry[Command]]):
    """Returns the entry that was chosen."""

    def __init__(
        self,
        commands: Iterable[SystemCommand],
        *,
        find_places: Callable[[], Iterable[Entry[Command]]],
        recent: Sequence[str] = (),
    ) -> None:
        """Offer `commands`, and what `find_places` finds, in a thread.

        `recent` holds the labels of the entries that were chosen last, newest first.
        """
        super().__init__(
            "Command palette",
            placeholder="Actions, runs, checkpoints, settings, files",
            hint="Enter to run · Esc to cancel",
            search=self._find,
        )
        self.find_places, self.recent = find_places, recent
        self._all = [
            Entry(Command(run=one.callback), one.title, (one.help,), group=ACTIONS)
            for one in commands
        ]

    @on(Mount)
    @work(group="places", exclusive=True)
    async def _find_places(self) -> None:
        self._all += await asyncio.to_thread(lambda: list(self.find_places()))
        self.refresh_entries()

    async def _find(self, text: str) -> Sequence[Entry[Entry[Command]]]:
        words = text.casefold().split()
        return arrange([e for e in self._all if e.matches(words)], self.recent)


def arrange(
    entries: Iterable[Entry[Command]], recent: Sequence[str]
) -> list[Entry[Entry[Command]]]:
    """Move the recent entries to the top; keep all actions and `MAX_SHOWN` of other groups."""
    groups: dict[str, list[Entry[Command]]] = defaultdict(list, {RECENT: []})
    for entry in entries:
        groups[RECENT if entry.label in recent else entry.group].append(entry)
    groups[RECENT].sort(key=lambda entry: recent.index(entry.label))
    return [
        Entry(entry, entry.label, entry.columns, group=group)
        for group, members in groups.items()
        for entry in members[: None if group == ACTIONS else MAX_SHOWN]
    ]


def find_places(runs: KnownRuns, root: Path) -> list[Entry[Command]]:
    """The runs, their checkpoints, the settings and the configs, newest first. Blocks."""
    return [
        *_runs(runs, root),
        *_checkpoints(runs, root),
        *_settings(),
        *_configs(root),
    ]


def _runs(runs: KnownRuns, root: Path) -> Iterator[Entry[Command]]:
    for run in sorted(runs, key=lambda run: -run.modified):
        state = "unreadable" if run.status is None else run.status.state
        command = Command(request=messages.OpenRun(run.path))
        yield Entry(command, os.path.relpath(run.path, root), (state,), group="Runs")


def _checkpoints(runs: KnownRuns, root: Path) -> Iterator[Entry[Command]]:
    found = [
        (checkpoint, run.path if run.is_live else None)
        for run in runs
        for checkpoint in list_checkpoints(RunDirectory(run.path))
    ]
    for checkpoint, live in sorted(found, key=lambda item: -item[0].info.time):
        info = checkpoint.info
        columns = (f"step {info.step:,} · val loss {format_loss(info.own_val_loss)}",)
        command = Command(request=messages.OpenChat(str(checkpoint.path), beside_run=live))
        label = os.path.relpath(checkpoint.path, root)
        yield Entry(command, label, columns, group="Checkpoints")


def _settings() -> Iterator[Entry[Command]]:
    from simplegpt.config.schema import settings  # describing them takes 50 ms

    for key, setting in settings().items():
        command = Command(request=messages.OpenConfig(key=key))
        yield Entry(command, key, (setting.description,), group="Settings")


def _configs(root: Path) -> Iterator[Entry[Command]]:
    for path in sorted(config_paths(root), key=modified, reverse=True):
        command = Command(request=messages.OpenConfig(path))
        yield Entry(command, str(path.relative_to(root)), ("config",), group="Files")


def modified(path: Path) -> float:
    """Modification time in seconds since 1970; 0 where there is no such file."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
