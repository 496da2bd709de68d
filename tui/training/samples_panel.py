"""The samples that the model generates during training."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.reactive import var
from textual.widgets import Static

from simplegpt.cli import printable
from simplegpt.run.events import Sample
from tui.shared.run_signs import MUTED
from tui.training.view import RunView

_SHOWN = 12


class SamplesPanel(VerticalScroll):
    """The newest samples, newest first."""

    HELP: ClassVar[str] = """\
## Samples
Text generated during training, newest first; the prompt is highlighted. Set how often in
`[samples]` of the config. **w** generates a sample now.
"""
    ALLOW_MAXIMIZE = True
    DEFAULT_CSS: ClassVar[str] = "SamplesPanel { padding: 0 1; Static { height: auto; } }"

    view: var[RunView | None] = var(None, init=False)

    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self._shown: list[Sample] | None = None

    def compose(self) -> ComposeResult:
        yield Static()

    def watch_view(self, view: RunView | None) -> None:
        newest_first = list(reversed(view.history.samples))[:_SHOWN] if view is not None else []
        if newest_first == self._shown:
            return
        self._shown = newest_first
        nothing = Content.styled("no samples yet: press w, or add [samples] to the config", MUTED)
        texts = Content("\n\n").join([sample_text(sample) for sample in newest_first])
        self.query_one(Static).update(texts if newest_first else nothing)


def sample_text(sample: Sample) -> Content:
    prompt = printable(sample.prompt)
    return Content.assemble(
        (f"── step {sample.step:,} ", "$text-accent"),
        "\n",
        (prompt, "$primary bold") if prompt.strip() else "",
        printable(sample.text).rstrip() if prompt.strip() else printable(sample.text).strip(),
    )
