"""The Chat screen's parts and what all its actions need."""

from pathlib import Path

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widgets import Input

from tui.chat.chat_pane import ChatPane
from tui.chat.keeping import Keeper
from tui.chat.model_facts import ModelFacts
from tui.chat.prompt_area import PromptArea
from tui.chat.sampling_form import SamplingForm
from tui.shell import settings
from tui.shell.screen import WorkbenchScreen


class ChatBase(WorkbenchScreen):
    """Layout: one or two panes above the prompt, the sampling settings at the right."""

    def __init__(self) -> None:
        super().__init__()
        self.keeper = Keeper(settings.data_folder(), self.complain)
        self.active_id = "left"
        """Which side the settings and the cursor belong to."""

    def compose_body(self) -> ComposeResult:
        with Horizontal(id="chat"):
            with Vertical(id="talk"):
                with Horizontal(id="panes"):
                    yield ChatPane(engine_log("left"), id="left")
                with Vertical(id="prompt-box"):
                    yield Input(
                        id="prefill",
                        placeholder="The answer begins with …",
                        compact=True,
                        tooltip="Your words, from which the answer goes on",
                    )
                    yield PromptArea(id="prompt")
            with Vertical(id="side"):
                yield SamplingForm(id="sampling")
                yield ModelFacts(id="facts")

    @property
    def panes(self) -> list[ChatPane]:
        """One side, or two."""
        return list(self.query(ChatPane))

    @property
    def left(self) -> ChatPane:
        return self.query_one("#left", ChatPane)

    @property
    def right(self) -> ChatPane | None:
        """The other side, while comparing."""
        return next((pane for pane in self.panes if pane.id == "right"), None)

    @property
    def active(self) -> ChatPane:
        """The side that the settings and the cursor are on."""
        return next((pane for pane in self.panes if pane.id == self.active_id), self.left)

    @property
    def prompt(self) -> PromptArea:
        return self.query_one(PromptArea)

    @property
    def prefill(self) -> Input:
        return self.query_one("#prefill", Input)

    @property
    def form(self) -> SamplingForm:
        return self.query_one(SamplingForm)

    @property
    def side(self) -> Vertical:
        """The settings beside the text, or over it where there is no room."""
        return self.query_one("#side", Vertical)

    def show_side(self, wanted: bool) -> None:
        self.side.set_class(wanted, "-shown")
        self.side.set_class(not wanted, "-hidden")

    @property
    def is_busy(self) -> bool:
        return any(pane.is_busy for pane in self.panes)

    @property
    def can_generate(self) -> bool:
        return all(pane.can_generate for pane in self.panes)

    def complain(self, sentence: str) -> None:
        """Tell what did not work."""
        self.notify(sentence, severity="warning", markup=False)

    def tell(self, sentence: str) -> None:
        """Tell what was done."""
        self.notify(sentence, markup=False, timeout=3)

    def keep(self, pane: ChatPane) -> None:
        """Write a side's conversation to disk."""
        if self.keeper.add(pane.conversation):
            self.run_worker(self.keeper.write(), group="keep")

    def load_model(
        self, pane: ChatPane, model: str, device: str = "auto", precision: str = "float32"
    ) -> None:
        """Load a model into a side, at the ordinary priority."""
        pane.keep_what_came()
        if pane.shares_engine or pane.engine.niceness:
            pane.use_engine(0)
        pane.note = ""
        pane.load(model, device, precision)


def engine_log(side: str) -> Path:
    """Where a side's engine prints to."""
    return settings.data_folder() / f"engine-{side}.log"
