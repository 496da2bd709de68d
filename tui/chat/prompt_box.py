"""The prompt box: the prompt, the prefill and the commands that match."""

import asyncio
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.reactive import reactive
from textual.widgets import Input, OptionList, TextArea

from tui.chat import slash_commands
from tui.chat.command_popup import CommandPopup
from tui.chat.prompt import PromptArea
from tui.chat.prompt_history import PromptHistory


class PromptBox(Vertical):
    """The next prompt, the beginning of its answer, and the history of prompts."""

    BORDER_TITLE: ClassVar[str] = "Prompt"

    is_edit: reactive[bool] = reactive(False)
    """Whether an earlier text is being edited."""

    def __init__(self, history: PromptHistory, *, id: str) -> None:
        super().__init__(id=id)
        self.history = history
        self.can_save = True
        """Whether prompts can be saved; False after the first error, which is shown."""

    def compose(self) -> ComposeResult:
        popup = CommandPopup(id="commands")
        yield popup
        yield Input(
            id="prefill",
            placeholder="The answer begins with …",
            compact=True,
            tooltip="The beginning of the answer, written by you",
        )
        yield PromptArea(self.history, popup, id="prompt")

    def on_mount(self) -> None:
        self.prefill.display = False
        self._describe()
        self._read_history()

    @property
    def prompt(self) -> PromptArea:
        return self.query_one(PromptArea)

    @property
    def prefill(self) -> Input:
        return self.query_one("#prefill", Input)

    def take(self) -> str:
        """Empty the editor and remember its text; return it."""
        text, self.prompt.text = self.prompt.text, ""
        self.history.add(text)
        if text and not slash_commands.is_command(text):
            self._store(text)
        return text

    def take_prefill(self) -> str:
        """Close the field for the answer's beginning; return what was written there."""
        text = self.prefill.value
        self.show_prefill("")
        return text

    def show_prefill(self, text: str) -> None:
        """Show `text` as the answer's beginning; without one, hide the field."""
        self.prefill.value = text
        self.prefill.display = bool(text)

    @work(group="history")
    async def _read_history(self) -> None:
        self.history.insert_earlier(await asyncio.to_thread(self.history.read))

    @work(group="history")
    async def _store(self, text: str) -> None:
        try:
            await asyncio.to_thread(self.history.write, text)
        except OSError as error:
            if self.can_save:
                self.can_save = False
                message = f"Prompts cannot be saved: {error}."
                self.notify(message, severity="warning", markup=False)

    @on(TextArea.Changed)
    def _describe(self) -> None:
        """Show the commands that match, and the keys."""
        text = self.prompt.text
        found = slash_commands.suggestions(text)
        self.query_one(CommandPopup).show(found)
        if len(found) > 1:
            keys = "↑↓ to choose · Tab to complete · Esc to clear"
        elif found:
            keys = "Enter to run · Esc to clear"
        elif self.is_edit:
            keys = "Enter to resend · Esc to cancel"
        else:
            keys = "Enter to send · Ctrl+N new line · / commands"
        title = "Edit & resend" if self.is_edit else "Prompt"
        if (title, keys) != (self.border_title, self.border_subtitle):  # both draw the box again
            self.border_title, self.border_subtitle = title, keys

    def watch_is_edit(self) -> None:
        if self.is_mounted:
            self._describe()

    @on(OptionList.OptionSelected)
    def _command_clicked(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.prompt.action_complete()
