"""The Data screen: choose a text, see it, choose the tokenizer, write the token files."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

from simplegpt.progress import format_bytes
from tui.data.choices import Choice, find_choices, of_file
from tui.data.file_picker import FilePicker
from tui.data.looking import TokenizersListed
from tui.data.text_preview import TextPreview
from tui.data.write_panel import WritePanel
from tui.data.writing import DataWriting
from tui.shared.text import one_line

# Those that need no network, with what a token is in each.
TOKENIZERS = (
    ("char", "one character"),
    ("byte", "one byte of UTF-8"),
    ("gpt2", "a piece of a word"),
)
ANOTHER_FILE = "another file"


@dataclass
class ChoicesFound(Message):
    """The texts there are."""

    choices: list[Choice]
    chosen: Path | None


class DataScreen(DataWriting):
    """Three steps down the left side, what they lead to at the right; Enter goes on."""

    MODE = "data"
    CSS_PATH = "screen.tcss"
    HELP = """\
A model is trained on a text that was cut into **tokens**. Choose a text, see how a tokenizer cuts
it, and write the token files: **Enter** goes from step to step, and after the last one on to the
config. A text marked ↓ is not on this machine yet: Enter fetches it.

- **char** makes every character a token: small, quick to train, and what a newcomer wants.
- **byte** takes any text at all, a byte a token.
- **gpt2** makes pieces of words: fewer tokens, a vocabulary of 50,257; for larger models.

*data* names the folder for the token files. Existing ones are replaced only after a question.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f9", "prepare", "Prepare", tooltip="Write the token files"),
        Binding("f9", "open_config", "Config", tooltip="On to the config, fitted to the data"),
        Binding("f7", "pick_file", "File", tooltip="Choose a text file from any folder"),
        Binding("f8,t", "switch_sample", "Tokens", key_display="F8", tooltip="Text or tokens"),
        Binding("escape", "cancel", "Cancel", tooltip="Stop; nothing half done stays"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.picked: list[Path] = []
        """Files that were picked in this session."""

    def compose_body(self) -> ComposeResult:
        with Horizontal():
            with Vertical(id="steps"):
                yield OptionList(id="corpora", markup=False)
                yield OptionList(
                    *(_tokenizer_option(*one) for one in TOKENIZERS), id="tokenizers", markup=False
                )
                yield WritePanel(id="write")
            yield TextPreview(id="preview")

    def on_mount(self) -> None:
        self.query_one("#corpora").border_title = "1 Text"
        self.query_one("#tokenizers").border_title = "2 Tokenizer"
        self.query_one("#write").border_title = "3 Token files"
        self.query_one("#corpora").focus()
        self.query_one("#tokenizers", OptionList).highlighted = 0
        self.find_choices()
        self.list_tokenizers()

    @on(events.Resize)
    def _room_changed(self) -> None:
        if self.choices:
            self.find_choices()

    def show_corpora(self) -> None:
        """Begin at the first step."""
        if self.panel.phase == "done":
            self.panel.phase = "choosing"
        self.query_one("#corpora").focus()
        self.find_choices()

    # 1: the text

    def find_choices(self, chosen: Path | None = None) -> None:
        """Look for texts in a worker; `chosen` is the one to choose then."""
        self._find_choices(chosen)

    @work(thread=True, group="find-choices", exclusive=True)
    def _find_choices(self, chosen: Path | None) -> None:
        self.post_message(ChoicesFound(find_choices(self.root, self.picked), chosen))

    @on(ChoicesFound)
    def _choices_found(self, event: ChoicesFound) -> None:
        corpora = self.query_one("#corpora", OptionList)
        before = event.chosen or (self.choice.path if self.choice else None)
        self.choices = event.choices
        corpora.clear_options()
        room = corpora.scrollable_content_region.width
        options = [_corpus_option(choice, room) for choice in self.choices]
        corpora.add_options([*options, _another_option()])
        paths = [choice.path for choice in self.choices]
        corpora.highlighted = paths.index(before) if before in paths else 0

    @on(OptionList.OptionHighlighted, "#corpora")
    def _corpus_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        if event.option_index < len(self.choices) and self.panel.phase != "working":
            self.look_at(self.choices[event.option_index])

    @on(OptionList.OptionSelected, "#corpora")
    async def _corpus_selected(self, event: OptionList.OptionSelected) -> None:
        if event.option_index >= len(self.choices):
            await self.run_action("pick_file")  # where it can be done now
            return
        if self.panel.phase == "working":
            self.notify("One text at a time: wait for this one, or cancel it with Esc.")
            return
        choice = self.choices[event.option_index]
        self.look_at(choice)
        if not choice.is_here:
            self.fetch_begun()
            self.fetch(choice)
        else:
            self.set_focus(self.query_one("#tokenizers"))  # at once: an Enter may be waiting

    @work(group="pick-file", exclusive=True)
    async def action_pick_file(self) -> None:
        """Choose a text file from any folder."""
        path = await self.app.push_screen_wait(FilePicker(self.root))
        if path is None:
            return
        self.picked = [path, *(one for one in self.picked if one != path)]
        self.query_one("#tokenizers").focus()
        self.look_at(of_file(path, self.root))
        self.find_choices(path)

    # 2: the tokenizer

    @on(TokenizersListed)
    def _tokenizers_listed(self, event: TokenizersListed) -> None:
        tokenizers = self.query_one("#tokenizers", OptionList)
        known = {name for name, _ in TOKENIZERS}
        tokenizers.add_options(
            _tokenizer_option(name, "tiktoken's") for name in event.names if name not in known
        )

    @on(OptionList.OptionHighlighted, "#tokenizers")
    def _tokenizer_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        if event.option_list.has_focus:
            self.proposed = False
        if self.panel.phase != "working" and event.option.id is not None:
            self.choose_tokenizer(event.option.id)

    @on(OptionList.OptionSelected, "#tokenizers")
    def _tokenizer_selected(self, event: OptionList.OptionSelected) -> None:
        self.set_focus(self.query_one("#write #next"))

    def tokenizer_proposed(self, name: str) -> None:
        tokenizers = self.query_one("#tokenizers", OptionList)
        tokenizers.highlighted = tokenizers.get_option_index(name)

    # 3: the token files

    @on(WritePanel.Pressed)
    def _button_pressed(self, event: WritePanel.Pressed) -> None:
        if event.phase == "working":
            self.action_cancel()
        elif event.phase == "done":
            self.action_open_config()
        else:
            self.action_prepare()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if not self.is_mounted:
            return True
        if action == "pick_file":
            return self.panel.phase != "working"
        needed = {"prepare": "choosing", "open_config": "done", "cancel": "working"}.get(action)
        return needed is None or self.panel.phase == needed

    def action_switch_sample(self) -> None:
        """Show the text or its tokens, where there is room for only one."""
        self.query_one(TextPreview).toggle_class("-tokens")

    def on_descendant_focus(self) -> None:
        """Show of the text what the step in hand is about."""
        focused = self.focused
        if focused is None or isinstance(focused, Input):
            return
        step = next((w.id for w in focused.ancestors_with_self if w.id in _SHOWS_TOKENS), None)
        if step is not None:
            self.query_one(TextPreview).set_class(_SHOWS_TOKENS[step], "-tokens")


# Whether a step is about the text's tokens.
_SHOWS_TOKENS = {"corpora": False, "tokenizers": True, "write": True}


def _corpus_option(choice: Choice, room: int) -> Option:
    """The name, cut in its middle where it is too long, and the size."""
    arrow = "" if choice.is_here else "↓ "
    size = f"  {arrow}{format_bytes(choice.size)}"
    name, rest = one_line(choice.name), max(room - len(size), 8)
    if len(name) > rest:
        head = rest // 3
        name = f"{name[:head]}…{name[len(name) - (rest - head - 1) :]}"
    return Option(Content.assemble(name, (size, "dim")))


def _another_option() -> Option:
    return Option(Content.assemble(("+ ", "$text-accent"), f"{ANOTHER_FILE} …"))


def _tokenizer_option(name: str, about: str) -> Option:
    return Option(Content.assemble(name, (f"  {about}", "dim")), id=name)
