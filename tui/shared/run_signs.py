"""The sign and the colour of each state of a run, the same on every screen.

A state is shown by its sign and its name, never by its colour alone.
"""

from collections.abc import Mapping
from typing import Literal, TypeAlias

from simplegpt.run.state import RunState

MUTED = "$foreground 60%"
SignedState: TypeAlias = RunState | Literal["unreadable", "none"]

SIGNS: Mapping[SignedState, tuple[str, str]] = {
    "none": ("○", MUTED),
    "queued": ("…", MUTED),
    "starting": ("◌", "$secondary"),
    "running": ("●", "$success"),
    "paused": ("‖", "$warning"),
    "stopping": ("◍", "$warning"),
    "finished": ("✓", "$success"),
    "stopped": ("■", MUTED),
    "failed": ("✗", "$error"),
    "crashed": ("?", "$error"),
    "unreadable": ("?", "$error"),
}
