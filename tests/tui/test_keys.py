"""A key has one meaning in the whole workbench: every binding is in the table below."""

import importlib
import pkgutil
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from textual.actions import parse
from textual.binding import Binding
from textual.dom import DOMNode

import tui

MOVING = {"up", "down", "left", "right", "home", "end", "pageup", "pagedown", "tab"}
"""Move the cursor or the focus, or complete a path, in any widget."""
OWN = {"f7", "f8", "f9"}
"""The three main actions of each screen, which its footer names."""

MEANINGS: Mapping[str, tuple[str, set[str]]] = {
    # Everywhere
    "f1": ("help", {"help"}),
    "question_mark": ("help", {"help"}),
    **{f"f{i}": ("go to a screen", {"visit"}) for i in range(2, 7)},
    "f10": ("quit", {"quit"}),
    "ctrl+q": ("quit", {"quit"}),
    "ctrl+z": ("undo", {"undo", "restore"}),
    "ctrl+y": ("redo", {"redo"}),
    "ctrl+shift+z": ("redo", {"redo"}),
    "escape": (
        "cancel, leave or clear",
        {"cancel", "dismiss", "stop", "leave", "leave_field", "clear", "end_filter"}
        | {"close_message"},
    ),
    "slash": ("find or filter", {"search", "filter", "filter_log", "pick_file"}),
    "ctrl+f": ("find or filter", {"search", "filter", "filter_log", "pick_file"}),
    "j": ("down", {"press", "move", "move_cursor", "move_line", "cursor_down"}),
    "k": ("up", {"press", "move", "move_cursor", "move_line", "cursor_up"}),
    "enter": (
        "open or accept",
        {"accept", "submit", "select", "select_cursor", "show_overlay", "fold"},
    ),
    "space": ("toggle", {"mark", "fold", "select", "show_overlay", "toggle_wrap"}),
    "d": ("delete", {"delete"}),
    "delete": ("delete", {"delete"}),
    # Letters, where no text field has the focus
    "b": ("branch here", {"branch"}),
    "B": ("baseline", {"toggle_baseline"}),
    "c": ("plot cursor", {"toggle_cursor"}),
    "C": ("choose columns", {"choose_columns"}),
    "D": ("discard all changes", {"discard"}),
    "e": ("edit", {"edit"}),
    "E": ("export", {"export"}),
    "f": ("LR factor", {"lr_factor"}),
    "F": ("freeze the display", {"freeze"}),
    "g": ("gradient norm or LR in the lower plot", {"next_lower_plot"}),
    "h": ("horizontal axis", {"next_axis"}),
    "i": ("insert the answer's beginning", {"prefill"}),
    "I": ("invert the sort order", {"invert_order"}),
    "L": ("evaluate: the loss on other data", {"evaluate"}),
    "l": ("log scale", {"toggle_log_scale"}),
    "m": ("Markdown", {"markdown"}),
    "n": ("new", {"new", "new_config"}),
    "N": ("notes", {"edit_notes"}),
    "o": ("open", {"open", "open_folder"}),
    "p": ("token probabilities", {"probabilities"}),
    "Q": ("queue", {"queue"}),
    "r": ("resume", {"resume"}),
    "R": ("rename", {"rename"}),
    "s": ("save", {"save", "export"}),
    "S": ("save as", {"save_as"}),
    "t": ("the loss that is shown", {"toggle_raw", "switch_loss"}),
    "T": ("trash", {"show_trash"}),
    "u": ("update to the newest on disk", {"reload", "load_newest"}),
    "v": ("validate", {"validate"}),
    "V": ("next view", {"next_view"}),
    "w": ("write a sample", {"sample"}),
    "W": ("sweep", {"sweep"}),
    "x": ("compare", {"compare", "overlay"}),
    "X": ("compare checkpoints", {"compare_checkpoints"}),
    "y": ("copy", {"copy"}),
    "Y": ("copy all", {"copy"}),
    "z": ("zoom a panel to the whole screen", {"zoom_panel"}),
    "equals_sign": ("repeat with the same seed", {"repeat"}),
    "left_square_bracket": ("previous answer", {"show_answer"}),
    "right_square_bracket": ("next answer", {"show_answer"}),
    "less_than_sign": ("sort by the previous column", {"sort"}),
    "greater_than_sign": ("sort by the next column", {"sort"}),
    "plus": ("zoom in, unfold all", {"zoom_in", "fold_all"}),
    "minus": ("zoom out, fold all", {"zoom_out", "fold_all"}),
    "0": ("reset the zoom", {"reset_zoom"}),
    **{str(i): ("show a panel", {"show_panel"}) for i in range(1, 6)},
    # Control keys
    "ctrl+d": ("unset", {"unset"}),
    "ctrl+e": ("next error", {"next_error"}),
    "ctrl+g": ("continue", {"continue"}),
    "ctrl+l": ("other side", {"switch_side"}),
    "ctrl+o": ("original value", {"reset"}),
    "ctrl+r": ("regenerate", {"regenerate"}),
    "ctrl+t": ("sampling", {"sampling"}),
    "ctrl+j": ("new line", {"newline"}),
    "ctrl+n": ("new line", {"newline"}),
    "alt+enter": ("new line", {"newline"}),
}
"""What each key means, and the actions that do this somewhere."""


def bindings() -> Iterator[tuple[type[DOMNode], Binding]]:
    """The bindings of the workbench's own classes, each with its class."""
    for module in pkgutil.walk_packages(tui.__path__, "tui."):
        for value in vars(importlib.import_module(module.name)).values():
            is_node = isinstance(value, type) and issubclass(value, DOMNode)
            if not is_node or value.__module__ != module.name:
                continue
            inherited = [b for base in value.__mro__[1:] for b in vars(base).get("BINDINGS", ())]
            own = [b for b in vars(value).get("BINDINGS", ()) if b not in inherited]
            for binding in Binding.make_bindings(own):
                yield value, binding


def part_of(node: type[DOMNode]) -> str:
    """The folder of the class: runs, data, config, training, chat, shared or shell."""
    return node.__module__.split(".")[1]


def test_every_key_has_one_meaning() -> None:
    others = []
    for node, binding in bindings():
        _, action, parameters = parse(binding.action)
        # `explain` says why a screen's action cannot be run now.
        meant = {"explain"} | MEANINGS.get(binding.key, ("", set()))[1]
        if binding.key not in MOVING | OWN and meant.isdisjoint({action, *map(str, parameters)}):
            others.append(f"{node.__name__}: {binding.key} is {binding.action}")
    assert not others


SIGNS = {
    "/": "slash",
    "?": "question_mark",
    "+": "plus",
    "-": "minus",
    "=": "equals_sign",
    "[": "left_square_bracket",
    "]": "right_square_bracket",
    "<": "less_than_sign",
    ">": "greater_than_sign",
    "Esc": "escape",
}
SECTIONS = {"Data": "data", "Config": "config", "Train": "training", "Chat": "chat", "Runs": "runs"}


@pytest.mark.parametrize("title", SECTIONS)
def test_guide_to_the_workbench_has_every_letter_and_no_unbound_key(title: str) -> None:
    guide = (Path(__file__).parents[2] / "docs/workbench.md").read_text(encoding="utf-8")
    section = guide.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
    keys = re.findall("`([^`]+)`", " ".join(cells))
    documented = {SIGNS.get(key, key if len(key) == 1 else key.lower()) for key in keys}
    part = SECTIONS[title]
    bound = {binding.key for node, binding in bindings() if part_of(node) in (part, "shared")}
    assert documented <= bound
    letters = {key for key in bound if len(key) == 1 and key.isalpha()}
    assert letters <= documented | {"c", "j", "k"}  # as everywhere


def test_prefix_of_tmux_is_free() -> None:
    assert "ctrl+b" not in {binding.key for _, binding in bindings()}
