"""The dialog to choose runs whose curves are overlaid on the plot."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Button, OptionList

from simplegpt.cli import one_line
from tui.shell.dialogs import Dialog


class RunOptions(OptionList):
    """The runs, each with a box that is marked or empty."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "select", "Mark", show=False),
        Binding("enter", "screen.accept", "Overlay", show=False),
        Binding("j", "cursor_down", "Down", show=False),
        Binding("k", "cursor_up", "Up", show=False),
    ]


class OverlayDialog(Dialog[list[Path]]):
    """Space marks runs, Enter returns the marked ones."""

    DEFAULT_CSS: ClassVar[str] = """
    OverlayDialog RunOptions {
        height: auto;
        max-height: 14;
        background: transparent;
        text-wrap: nowrap;
        text-overflow: ellipsis;
    }
    """

    def __init__(self, runs: Sequence[Path], root: Path, selected: Collection[Path]) -> None:
        """`runs` are shown relative to `root`."""
        super().__init__(
            "Overlay runs",
            hint="Space to mark · Enter to overlay · Esc to cancel",
            buttons=[Button("Overlay", variant="primary", action="screen.accept")],
        )
        self.runs, self.root = runs, root
        self.marked = [path in selected for path in runs]

    def compose_body(self) -> ComposeResult:
        yield RunOptions(*map(self._label, range(len(self.runs))), compact=True)

    def _label(self, index: int) -> Content:
        box = "[x]" if self.marked[index] else "[ ]"
        return Content(f"{box} {one_line(str(self.runs[index].relative_to(self.root)))}")

    @on(OptionList.OptionSelected)
    def _toggle(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        index = event.option_index
        self.marked[index] = not self.marked[index]
        event.option_list.replace_option_prompt_at_index(index, self._label(index))

    def action_accept(self) -> None:
        chosen = zip(self.runs, self.marked, strict=True)
        self.dismiss([path for path, is_marked in chosen if is_marked])
