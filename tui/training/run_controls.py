"""The buttons that control a run, and the status line."""

from collections.abc import Mapping
from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.reactive import var
from textual.widgets import Button, Static

from simplegpt.cli import one_line
from tui.training.view import StatusLine

# (id, action of the screen, what `possible` calls it, label, tooltip)
_BUTTONS: tuple[tuple[str, str, str, str, str], ...] = (
    ("pause", "pause", "pause", "Pause", "Pause the training; its memory stays allocated (F7)"),
    ("resume", "resume", "resume", "Resume", "Resume the training (F7)"),
    ("stop", "stop", "stop", "Stop", "Save a checkpoint and stop; it can be resumed (F8)"),
    ("save", "send('save')", "send", "Save", "Save a checkpoint now (s)"),
    ("validate", "send('validate')", "send", "Validate", "Measure the validation loss now (v)"),
    ("sample", "send('sample')", "send", "Sample", "Generate a sample now (w)"),
    ("lr", "lr_factor", "lr_factor", "LR", "Multiply the learning rate by a factor (f)"),
    ("chat", "chat", "chat", "Chat", "Chat with the newest checkpoint (F9)"),
    ("edit", "edit", "edit", "Config", "Edit the run's config (e)"),
)
_SIGNS: Mapping[str, tuple[str, str]] = {
    "state": ("", ""),
    "pending": ("… ", "$text-warning"),
    "done": ("✓ ", "$text-success"),
    "failed": ("✗ ", "$text-error"),
    "expired": ("✗ ", "$text-warning"),
}


class RunControls(Vertical):
    """Buttons, and a status line with the results of the commands."""

    HELP: ClassVar[str] = """\
## Controls
Each button sends a command to the run; the line below shows its result once the current step,
validation or checkpoint is done. **Stop** saves a checkpoint first, so a stopped run can be
resumed. **Pause** keeps the memory allocated; stop the run to free it.
"""
    DEFAULT_CSS: ClassVar[str] = """
    RunControls {
        height: 2;
        padding: 0 1;
        background: $surface;
        Horizontal { height: 1; }
        #status { height: 1; text-wrap: nowrap; text-overflow: ellipsis; }
    }
    """

    possible: var[frozenset[str]] = var(frozenset(), init=False)
    """The actions that are possible now."""
    status: var[StatusLine] = var(StatusLine(), init=False)

    def compose(self) -> ComposeResult:
        with Horizontal():
            for id, action, _, label, tooltip in _BUTTONS:
                yield Button(label, id=id, action=f"screen.{action}", tooltip=tooltip)
        yield Static(id="status")

    def on_mount(self) -> None:
        self.watch_possible()

    def watch_possible(self) -> None:
        is_live = not self.possible.isdisjoint({"send", "stop"})
        for id, _, name, *_ in _BUTTONS:
            button = self.query_one(f"#{id}")
            button.disabled = name not in self.possible
            button.display = is_live or not button.disabled  # else it will never be possible
        self.query_one("#resume").display = "resume" in self.possible
        self.query_one("#pause").display = is_live and "resume" not in self.possible

    def watch_status(self, status: StatusLine) -> None:
        sign, colour = _SIGNS[status.kind]
        line = Content.styled(f"{sign}{one_line(status.text)}", colour)
        self.query_one("#status", Static).update(line, layout=False)
