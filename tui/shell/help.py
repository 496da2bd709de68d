"""The dialog that F1 opens: what the focused widget is, and all keys."""

from collections.abc import Iterator, Sequence
from typing import ClassVar, NamedTuple

from textual.app import App, ComposeResult
from textual.containers import VerticalScroll
from textual.dom import DOMNode
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Markdown

from tui.shell.bindings import shortcuts_of
from tui.shell.dialogs import Entry, ListDialog
from tui.shell.modes import title_of
from tui.shell.screen import WorkbenchScreen, widget_help


class Action(NamedTuple):
    """An action and the node that has it."""

    node: DOMNode
    name: str


class HelpDialog(ListDialog[Action]):
    """A text, and the keys one a line; returns the action whose key was chosen."""

    DEFAULT_CSS: ClassVar[str] = """
    HelpDialog {
        #text { height: auto; max-height: 40%; margin-bottom: 1; scrollbar-size-vertical: 1; }
        Markdown { padding: 0; margin: 0; background: transparent; }
        MarkdownH2 { margin: 0; padding: 0; }
        MarkdownBulletList { margin: 0 0 1 0; padding: 0; }
    }
    """

    def __init__(self, text: str, entries: Sequence[Entry[Action]]) -> None:
        super().__init__(
            "Help",
            entries,
            placeholder="Filter the keys",
            hint="Enter to run · Tab to scroll the text · Esc to cancel",
        )
        self.markdown = text

    def compose_body(self) -> ComposeResult:
        if self.markdown:
            with VerticalScroll(id="text"):
                yield Markdown(self.markdown)
        yield from super().compose_body()


def help_for(screen: Screen[object]) -> HelpDialog:
    """The help on a screen or a dialog, and on the widget that has the focus in it."""
    inner = [node for node in _focused_path(screen) if node is not screen]
    focused = next(filter(None, map(widget_help, inner)), None)
    text = "\n\n".join(filter(None, [focused, widget_help(screen)]))
    groups = [(screen, _title(screen)), *((node, _title(node)) for node in inner)]
    entries: dict[str, Entry[Action]] = {}
    for node, group in (*groups, (screen.app, "Everywhere")):
        for action, entry in _entries(screen.app, node, group):
            entries.setdefault(action, entry)
    return HelpDialog(text, list(entries.values()))


def _focused_path(screen: Screen[object]) -> Iterator[Widget]:
    """The focused widget and those around it."""
    nodes = screen.focused.ancestors_with_self if screen.focused is not None else ()
    return (node for node in nodes if isinstance(node, Widget))


def _entries(app: App[object], node: DOMNode, group: str) -> Iterator[tuple[str, Entry[Action]]]:
    if isinstance(node, WorkbenchScreen):
        shortcuts = node.shortcuts()
    else:
        shortcuts = shortcuts_of(type(node), app)
    for one in shortcuts:
        keys = "  ".join(one.keys)
        action = Action(node, one.action)
        yield one.action, Entry(action, keys, (one.explanation,), group=group)


def _title(node: DOMNode) -> str:
    """The heading of a node's keys: the heading of its help, where it has one."""
    if isinstance(node, WorkbenchScreen):
        return title_of(node.MODE)
    if isinstance(node, Screen):
        return node.title or ""
    help_text = widget_help(node) if isinstance(node, Widget) else None
    heading = (help_text or "").lstrip().partition("\n")[0]
    return heading.lstrip("# ") if heading.startswith("#") else "Here"
