"""The slash commands that match what is being typed, with their descriptions."""

from collections.abc import Sequence

from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from tui.chat.labels import MUTED
from tui.chat.slash_commands import Command


class CommandPopup(OptionList, can_focus=False):
    """A list above the prompt, whose keys move it. Hidden while no command is typed."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, compact=True)
        self.commands: Sequence[Command] = ()

    def on_mount(self) -> None:
        self.display = False

    def show(self, commands: Sequence[Command]) -> None:
        """Show these commands, the first one highlighted."""
        if commands == self.commands:
            return
        self.commands = commands
        self.display = bool(commands)
        width = max((len(command.usage) for command in commands), default=0)
        self.set_options(
            Option(Content.assemble(f"{command.usage:<{width}}  ", (command.help, MUTED)))
            for command in commands
        )
        self.highlighted = 0 if commands else None

    def chosen(self, commands: Sequence[Command]) -> Command | None:
        """The highlighted one of `commands`, the first where they are not shown yet."""
        index = self.highlighted if commands == self.commands else 0
        return commands[index or 0] if commands else None
