"""What screens ask of the shell. Post one from a screen or a widget: it bubbles to the app.

A screen never reaches into another one: it posts a message, and the shell (`tui.app`) brings the
other screen to the front and calls its public method.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from textual.message import Message


@dataclass
class OpenConfig(Message):
    """Show a config in the editor."""

    path: Path | None = None
    """The TOML file; None stays with the one that is open, or opens the usual one."""
    values: Mapping[str, Any] = field(default_factory=dict)
    """Edits to lay over it, as if typed: dotted key -> value, such as what prepared data asks
    for (`data.train_fpath`, `tokenizer_name`, …) or what would fit after an out-of-memory."""


@dataclass
class OpenRun(Message):
    """Watch a run, live or ended, in the dashboard."""

    path: Path


@dataclass
class OpenChat(Message):
    """Talk to a model."""

    model: str
    """A checkpoint, a run's directory, or a name such as ``gpt2``."""
    beside_run: Path | None = None
    """The live run that the engine must not slow down."""


@dataclass
class OpenData(Message):
    """Choose and prepare a corpus."""


@dataclass
class StartTraining(Message):
    """Start a run of a config that is saved."""

    config: Path
    overrides: tuple[str, ...] = ()
    """As on the command line: ``("--trainer.max_steps", "100")``."""


@dataclass
class ResumeTraining(Message):
    """Resume a run that has ended from its last checkpoint."""

    run: Path


@dataclass
class RunsChanged(Message):
    """Runs were renamed, deleted or made: whoever lists them looks again."""
