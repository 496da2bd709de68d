"""The five screens: the app's modes, their titles and their keys."""

from typing import Literal, NamedTuple, TypeAlias

Mode: TypeAlias = Literal["runs", "data", "config", "train", "chat"]


class Tab(NamedTuple):
    """A screen as it stands in the header, the palette and the help."""

    mode: Mode
    title: str
    key: str


TABS = (
    Tab("runs", "Runs", "f2"),
    Tab("data", "Data", "f3"),
    Tab("config", "Config", "f4"),
    Tab("train", "Train", "f5"),
    Tab("chat", "Chat", "f6"),
)
"""In the order of the header."""


def title_of(mode: Mode) -> str:
    """The title of a screen."""
    return next(tab.title for tab in TABS if tab.mode == mode)
