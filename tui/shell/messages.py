"""Requests of the screens to the app. Post one from a screen or a widget: it bubbles to the app.

A screen never uses another one: it posts a message, and the app brings the other screen to the
front and calls its public method.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from textual.message import Message

from tui.shell.modes import Mode


@dataclass
class Visit(Message):
    """Bring a screen to the front as it is. Posted by Train, where no run is open."""

    mode: Mode


@dataclass
class OpenConfig(Message):
    """Show a config in the editor. Posted by Data, Runs and Train."""

    path: Path | None = None
    """The TOML file; None stays with the one that is open, or opens the usual one."""
    values: Mapping[str, Any] = field(default_factory=dict)
    """Edits to apply, as if typed: dotted key -> value, such as what prepared data needs
    (`data.train_fpath`, `tokenizer_name`, …) or what would fit after an out-of-memory error."""
    key: str = ""
    """The setting to focus. Posted by the palette."""
    new_name: str = ""
    """`path` is only the start of a new config, for which this file name is proposed, such as
    ``verse-char.toml``. Posted by Data."""


@dataclass
class OpenRun(Message):
    """Show a run, live or ended, in the dashboard. Posted by Runs and by the header."""

    path: Path


@dataclass
class OpenChat(Message):
    """Load a model in the chat. Posted by Runs and Train."""

    model: str
    """A checkpoint, a run's directory, or a name such as ``gpt2``."""
    beside_run: Path | None = None
    """The live run that the engine must not slow down."""


@dataclass
class OpenData(Message):
    """Choose and prepare a corpus. Posted by Runs, where there are none, and by the palette."""

    path: Path | None = None
    """The text or the token file to show, as the Data screen lists it."""


@dataclass
class StartTraining(Message):
    """Start a run of a saved config. Posted by Config."""

    config: Path
    overrides: tuple[str, ...] = ()
    """As on the command line: ``("--trainer.max_steps", "100")``."""


@dataclass
class ResumeTraining(Message):
    """Resume a run from its last checkpoint; for a finished one, the app asks for more steps.

    Posted by Config, Runs and Train.
    """

    run: Path


@dataclass
class WatchRun(Message):
    """Keep watching a run that may lie outside the working directory. Posted by Train."""

    path: Path


@dataclass
class RunsChanged(Message):
    """Runs were renamed, deleted or restored: scan for runs now. Posted by Runs."""
