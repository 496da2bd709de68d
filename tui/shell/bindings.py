"""Key bindings: those that every screen and dialog has, and what to show of a node's own ones."""

from collections.abc import Iterable
from typing import NamedTuple

from textual.app import App
from textual.binding import Binding, BindingType
from textual.dom import DOMNode

EVERYWHERE: tuple[BindingType, ...] = (
    Binding("f1,question_mark", "app.help", "Help", tooltip="Explain the focused widget; keys"),
    Binding("j", "app.press('down')", "Down", show=False, tooltip="In a list: down"),
    Binding("k", "app.press('up')", "Up", show=False, tooltip="In a list: up"),
)
"""For the app and for dialogs, which Textual cuts off from the app's bindings. Letters and ``?``
reach them only where no text field has the focus."""


class Shortcut(NamedTuple):
    """An action with all its keys."""

    action: str
    keys: tuple[str, ...]
    """As displayed."""
    title: str
    explanation: str


def shortcuts_of(node_type: type[DOMNode], app: App[object]) -> list[Shortcut]:
    """The described bindings of a class and its bases, without Textual's, each action once."""
    found: dict[str, Shortcut] = {}
    for binding in _own_bindings(node_type):
        if binding.description:
            before = found.get(binding.action)
            keys = (*(before.keys if before else ()), app.get_key_display(binding))
            title = before.title if before else binding.description
            explanation = before.explanation if before else binding.tooltip or binding.description
            keys = tuple(dict.fromkeys(keys))
            found[binding.action] = Shortcut(binding.action, keys, title, explanation)
    return list(found.values())


def _own_bindings(node_type: type[DOMNode]) -> Iterable[Binding]:
    for each in node_type.__mro__:
        if not each.__module__.startswith("textual."):
            yield from Binding.make_bindings(vars(each).get("BINDINGS", ()))
