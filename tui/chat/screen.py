"""The Chat screen: a text, a model that goes on with it, and how it samples."""

from pathlib import Path
from typing import ClassVar

from textual import on, work
from textual.binding import Binding, BindingType

from tui.chat import slash_commands
from tui.chat.beside_actions import BesideActions
from tui.chat.chat_pane import ChatPane
from tui.chat.compare import ComparingActions
from tui.chat.inside import InsideActions
from tui.chat.keep import KeepActions
from tui.chat.model_facts import ModelFacts
from tui.chat.models import Choice, ModelChooser
from tui.chat.talk import TalkActions
from tui.shell.modes import Mode

# What each action needs before it can be taken.
NEED_IDLE = {"go_on", "again", "repeat", "undo", "new", "compare", "branch", "sibling", "edit"}
NEED_MODEL = {"go_on", "again", "repeat"}
NEED_TEXT = {"again", "repeat", "undo", "branch", "sibling", "edit", "copy", "save", "new", "title"}


class ChatScreen(TalkActions, InsideActions, KeepActions, ComparingActions, BesideActions):
    """Talk to a model."""

    MODE: ClassVar[Mode] = "chat"
    CSS_PATH = "screen.tcss"
    HELP = """\
A base model goes on with a text: write a beginning, press **Enter**, and its words follow yours.
**Ctrl+G** lets it go on, **Ctrl+R** asks for another answer (both are kept: `[` and `]` go from
one to the other), **Esc** stops it and keeps what is there.

The title of the text names the model; below the text stand the seed, how much of the context is
used, the speed and the time to the first token. When the context is full, its older half is
dropped, the newer half is read again, and the text goes on.

With the text in focus (**Shift+Tab**, or a click): **p** colours tokens by their probability,
**Enter** on a token shows what else could have come, before and after the sampling settings, and
goes on from another choice. **e** edits your text and sends it again, **b** branches from the turn
under the cursor, **m** shows Markdown, **c** copies the answer (over SSH too, by OSC 52; in tmux,
`set -g set-clipboard on`), **x** compares two models or settings from the same seed, **t** runs
this prompt through all checkpoints of a run.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f7", "model", "Model", tooltip="Choose a model"),
        Binding("f8", "conversations", "Talks", tooltip="Find an earlier conversation"),
        Binding("f9", "send", "Send", tooltip="Send the prompt"),
        Binding("escape", "stop", "Stop", key_display="Esc", tooltip="Stop generating or loading"),
        Binding("escape", "to_prompt", "To the prompt", show=False, tooltip="Leave the text"),
        Binding("ctrl+g", "go_on", "More", tooltip="Let the model go on"),
        Binding("ctrl+r", "again", "Again", tooltip="Another answer, from the next seed"),
        Binding("ctrl+t", "sampling", "Tune", tooltip="The sampling settings"),
        Binding("ctrl+l", "other_side", "Other side", show=False, tooltip="Its settings"),
        Binding("R", "repeat", "Repeat", show=False, tooltip="The same seed again, compared"),
        Binding("e", "edit", "Edit and send again", show=False, tooltip="Edit your text"),
        Binding("b", "branch", "Branch from here", show=False, tooltip="End the text here"),
        Binding("left_square_bracket", "sibling(-1)", "Answer before", show=False),
        Binding("right_square_bracket", "sibling(1)", "Answer after", show=False),
        Binding("u", "undo", "Undo", show=False, tooltip="Take the last exchange back"),
        Binding("n", "new", "New conversation", show=False, tooltip="Begin a new text"),
        Binding("a", "prefill", "Begin the answer", show=False, tooltip="Prefill the answer"),
        Binding("m", "markdown", "Markdown or raw", show=False, tooltip="Change the view"),
        Binding("p", "probabilities", "Probabilities", show=False, tooltip="Colour the tokens"),
        Binding("c", "copy", "Copy the answer", show=False, tooltip="To the clipboard"),
        Binding("C", "copy('all')", "Copy all", show=False, tooltip="To the clipboard"),
        Binding("s", "save", "Export", show=False, tooltip="As Markdown or JSONL"),
        Binding("T", "title", "Name the conversation", show=False, tooltip="Its title"),
        Binding("x", "compare", "Compare", show=False, tooltip="Two models or settings"),
        Binding("t", "time_machine", "Time machine", show=False, tooltip="All checkpoints"),
        Binding("f", "refresh", "Newest checkpoint", show=False, tooltip="Of the run beside"),
    ]

    def on_mount(self) -> None:
        self.prefill.display = False
        self.form.border_title = "Sampling"
        self.describe_prompt()
        self.prompt.focus()
        self.read_kept()

    # For the shell

    def open_model(self, model: str, beside_run: Path | None = None) -> None:
        """Talk to `model`; the engine must not slow down the live run `beside_run`."""
        if beside_run is None:
            self.leave_run()
            self.load_model(self.left, model)
        else:
            self.talk_beside(Path(beside_run))

    def on_screen_resume(self) -> None:
        self.keep_watch(True)

    def on_screen_suspend(self) -> None:
        self.keep_watch(False)

    def leave(self) -> None:
        self.keep_watch(False)
        for pane in self.panes:
            pane.leave()
            self.keeper.add(pane.conversation)
        self.keeper.write_now()

    # The model

    @work(group="choose-model", exclusive=True)
    async def action_model(self, model: str = "") -> None:
        """Choose the active side's model, or load the one that is named."""
        choice: Choice | None = Choice(model)
        if not model:
            choice = await self.app.push_screen_wait(ModelChooser(Path.cwd()))
        if choice is None:
            return
        self.prompt.focus()
        if self.active is not self.left:
            self.load_model(self.active, choice.model, choice.device, choice.precision)
        elif choice.beside_run is not None:
            is_checkpoint = choice.model.endswith(".ckpt")
            self.talk_beside(choice.beside_run, Path(choice.model) if is_checkpoint else None)
        else:
            self.leave_run()
            self.load_model(self.left, choice.model, choice.device, choice.precision)

    @on(ChatPane.StateChanged)
    def _state_changed(self, event: ChatPane.StateChanged) -> None:
        event.stop()
        assert isinstance(event.pane, ChatPane)
        self.follow(event.pane)
        self.query_one(ModelFacts).show(self.active.loaded)
        self.refresh_bindings()

    @on(ChatPane.AnswerEnded)
    def _answer_ended(self, event: ChatPane.AnswerEnded) -> None:
        event.stop()
        assert isinstance(event.pane, ChatPane)
        self.keep(event.pane)
        self.tell_repetition(event.pane, event.turn)

    # What can be done now

    def action_commands(self) -> None:
        from tui.shell.help import HelpDialog

        self.app.push_screen(HelpDialog(f"## Commands\n\n{slash_commands.table()}"))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if not self.is_mounted:
            return True
        if action in ("stop", "send"):  # in the footer, one stands in the other's place
            return self.is_busy == (action == "stop")
        if action == "other_side":
            return self.right is not None
        if action == "refresh":
            return True if self.has_newer else None
        impossible = (
            (action in NEED_IDLE and self.is_busy)
            or (action in NEED_MODEL and not self.can_generate)
            or (action in NEED_TEXT and not self.active.conversation.turns)
        )
        return None if impossible else True
