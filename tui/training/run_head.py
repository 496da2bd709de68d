"""The dashboard's head: how the run stands, always in sight, in four lines."""

from typing import ClassVar

from textual.content import Content
from textual.widget import Widget

from tui.training import words as run_words
from tui.training.words import RunView


class RunHead(Widget):
    """State and name, progress, the loss, the speed."""

    HELP: ClassVar[str] = """\
## The run at a glance
- **State**: running, paused (its memory stays allocated), stopping, finished, stopped, failed;
  *crashed* when its process exited unexpectedly. Beside it, what the training is busy with.
- **Loss**: each block is the mean of an equal share of the whole history.
- **Peak**: the fraction of the device's greatest arithmetic speed that the training reaches (MFU);
  a dash where that speed is not known.
"""
    DEFAULT_CSS: ClassVar[str] = """
    RunHead { height: 4; padding: 0 1; background: $surface; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.view: RunView | None = None

    def show(self, view: RunView | None) -> None:
        self.view = view
        self.refresh()

    def render(self) -> Content:
        if self.view is None:
            return Content()
        width = self.content_size.width
        lines = (run_words.title, run_words.progress, run_words.losses, run_words.speed)
        return Content("\n").join([line(self.view, width) for line in lines])
