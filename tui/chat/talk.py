"""The chat's talk: send, stop, go on, another answer, edit, branch, and typed commands."""

import inspect
from dataclasses import dataclass

from pydantic import ValidationError
from textual import on
from textual.widgets import Input, TextArea

from simplegpt.cli import UserError
from tui.chat import slash_commands
from tui.chat.base import ChatBase
from tui.chat.chat_pane import ChatPane
from tui.chat.conversations import Conversation, Turn
from tui.chat.prompt_area import PromptArea
from tui.chat.sampling_form import GenerationSettings, SamplingForm, from_text, in_words


@dataclass(frozen=True)
class Editing:
    """A turn of the person's whose text is in the prompt to be sent again."""

    pane: str
    turn: Turn


class TalkActions(ChatBase):
    """What generates, and what moves in the tree of turns."""

    editing: Editing | None = None
    repeated: Turn | None = None
    """The answer that is being repeated, to be compared with."""

    # Sending

    @on(PromptArea.Submitted)
    async def _submitted(self, event: PromptArea.Submitted) -> None:
        event.stop()
        await self.action_send()

    @on(Input.Submitted, "#prefill")
    async def _prefill_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        await self.action_send()

    @on(TextArea.Changed, "#prompt")
    def _typed(self) -> None:
        self.describe_prompt()

    def describe_prompt(self) -> None:
        """The line under the prompt: what Enter does, or the command that is being typed."""
        box = self.query_one("#prompt-box")
        text = self.prompt.text
        if slash_commands.is_command(text):
            box.border_subtitle = slash_commands.hint(text).replace("[", r"\[")
        elif self.editing is not None:
            box.border_subtitle = "Enter sends it in the old text's place · Esc leaves it"
        else:
            box.border_subtitle = "Enter sends · Ctrl+N new line · / commands"
        box.border_title = "Prompt" if self.editing is None else "Edit your text"

    async def action_send(self) -> None:
        text = self.prompt.text
        if slash_commands.is_command(text):
            await self._obey(text)
            return
        if self.is_busy:
            self.complain("Wait for the answer, or stop it with Esc: the prompt stays here.")
            return
        if not self.can_generate:
            await self.run_action("model")
            return
        editing, self.editing = self.editing, None
        text, prefill = slash_commands.prompt_of(self.prompt.take()), self.prefill.value
        if text:
            self.run_worker(lambda: self.keeper.keep_prompt(text), thread=True, group="keep-prompt")
        self.prefill.value = ""
        self.prefill.display = False
        self.describe_prompt()
        if editing is not None and (pane := self._pane(editing.pane)) is not None:
            pane.send(text, prefill, editing.turn.parent)
            return
        self.same_seed()
        for pane in self.panes:
            pane.send(text, prefill, pane.conversation.leaf)

    def _pane(self, pane_id: str) -> ChatPane | None:
        return next((pane for pane in self.panes if pane.id == pane_id), None)

    def same_seed(self) -> None:
        """While comparing, both sides draw from the left one's seed."""
        seed = self.left.settings.sampling.seed
        for pane in self.panes:
            sampling = pane.settings.sampling.model_copy(update={"seed": seed})
            pane.settings = pane.settings.model_copy(update={"sampling": sampling})

    def action_stop(self) -> None:
        """Stop what is under way; what has come stays."""
        for pane in self.panes:
            pane.stop()

    def action_to_prompt(self) -> None:
        """Leave the text, the settings or an edit."""
        if self.editing is not None and self.prompt.has_focus:
            self.editing = None
            self.prompt.text = ""
            self.describe_prompt()
        if self.has_class("-narrow"):
            self.show_side(False)
        self.prompt.focus()

    def action_go_on(self) -> None:
        self.same_seed()
        for pane in self.panes:
            pane.go_on()

    def action_again(self) -> None:
        for pane in self.panes:
            pane.again()

    def action_repeat(self) -> None:
        self.repeated = self.active.repeat()

    def tell_repetition(self, pane: ChatPane, turn: Turn) -> None:
        """After a repetition: whether it came out the same."""
        before, self.repeated = self.repeated, None
        if before is None or before.parent != turn.parent or turn.reason == "cancelled":
            return
        if before.ids == turn.ids:
            self.tell("The same seed gave the same answer, token for token.")
            return
        pairs = zip(before.ids, turn.ids, strict=False)
        same = next((i for i, (a, b) in enumerate(pairs) if a != b), len(turn.ids))
        self.complain(f"It differs from token {same + 1} on: another model, device or precision.")

    # The tree

    def action_edit(self) -> None:
        turn = self.active.own_turn()
        if turn is None:
            return
        assert self.active.id is not None
        self.editing = Editing(self.active.id, turn)
        self.prompt.put(turn.text)
        self.prompt.focus()
        self.describe_prompt()

    def action_branch(self) -> None:
        if self.active.branch():
            self.keep(self.active)
            self.prompt.focus()
            self.tell("The text ends here now. What followed is kept: ] brings it back.")

    def action_sibling(self, offset: int) -> None:
        if self.active.show_sibling(offset):
            self.keep(self.active)

    def action_undo(self) -> None:
        taken = None
        for pane in self.panes:
            taken = pane.undo() or taken
            self.keep(pane)
        if taken is not None:
            self.prompt.put(taken.text)
            self.prefill.value = taken.prefill
            self.prefill.display = bool(taken.prefill)
            self.prompt.focus()

    def action_new(self) -> None:
        for pane in self.panes:
            pane.open(Conversation())
        self.editing = None
        self.describe_prompt()
        self.prompt.focus()

    def action_prefill(self, text: str = "") -> None:
        """Show the field in which the answer's beginning is written, or hide it."""
        self.prefill.display = bool(text) or not self.prefill.display
        if not self.prefill.display:
            self.prefill.value = ""
            self.prompt.focus()
        elif text:
            self.prefill.value = text
            self.prompt.focus()
        else:
            self.prefill.focus()

    def action_sampling(self) -> None:
        """Show the sampling settings, or hide them."""
        side = self.side
        wide = self.has_class("-wide") and not side.has_class("-hidden")
        self.show_side(not (wide or side.has_class("-shown")))
        if side.has_class("-shown"):
            self.form.query(Input).first().focus()
        else:
            self.prompt.focus()

    @on(SamplingForm.Changed)
    def _sampling_changed(self, event: SamplingForm.Changed) -> None:
        event.stop()
        self.active.settings = event.settings

    # Typed commands

    async def _obey(self, text: str) -> None:
        try:
            parsed = slash_commands.parse(text)
            allowed = self.check_action(parsed.command.action, ())
            if parsed.command.action == "set":
                self._set(parsed.setting, parsed.argument)
            elif allowed is not True:
                raise UserError(f"/{parsed.command.name} is not possible now")
        except UserError as error:
            self.complain(str(error)[:1].upper() + str(error)[1:])
            return
        self.prompt.take()
        self.describe_prompt()
        if parsed.command.action == "set":
            return
        action = getattr(self, f"action_{parsed.command.action}")
        result = action(parsed.argument) if parsed.command.argument else action()
        if inspect.iscoroutine(result):
            await result

    def _set(self, name: str, value: str) -> None:
        """Change one setting of the active side. Raises UserError."""
        values = self.active.settings.values() | {name: from_text(name, value)}
        try:
            changed = GenerationSettings.of(values)
        except ValidationError as error:
            raise UserError(
                f"'{name}' {in_words(error.errors()[0]['msg'])}, not {value}"
            ) from error
        self.active.settings = changed
        self.form.show(changed)
        self.tell(f"{name} is {value} from the next answer on.")
