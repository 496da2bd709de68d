"""One field of the config form: its name, its editor, where its value comes from, its mistake."""

from dataclasses import dataclass
from typing import Any

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.events import DescendantBlur, DescendantFocus
from textual.message import Message
from textual.suggester import SuggestFromList
from textual.widgets import Input, Select, Static, Switch

from simplegpt.config_text import literal, literal_for
from simplegpt.schema import Setting
from tui.config_states import FieldState, help_of

OFF = "off"
TOKENIZERS = ("char", "byte", "gpt2", "cl100k_base", "o200k_base")


class FormField(Vertical):
    """A setting in a row. `show` sets it; what a person does comes as a message."""

    @dataclass
    class Typed(Message):
        """Text was typed into the field."""

        key: str
        text: str

    @dataclass
    class Chosen(Message):
        """A value was chosen by a switch or from a list."""

        key: str
        value: Any

    @dataclass
    class Entered(Message):
        """The field has the focus."""

        key: str

    @dataclass
    class Left(Message):
        """The field lost the focus."""

        key: str

    def __init__(self, setting: Setting, state: FieldState) -> None:
        super().__init__(id=field_id(setting.key))
        self.setting = setting
        self.state = state
        # Kept, since a query for each of 75 fields at each key stroke is felt.
        self._label = Static(classes="name")
        self._origin = Static(classes="origin", markup=False)
        self._problem: Static | None = None
        """The message; made with the first mistake."""
        self._editor = self._make_editor()

    def compose(self) -> ComposeResult:
        default = literal(self.setting.default)
        tip = Content(f"{self.setting.description}\n\nMust be {self.setting.allowed}.\n"
                      f"Default: {default}")  # fmt: skip
        with Horizontal(classes="line"):
            yield self._label.with_tooltip(tip)
            if isinstance(self._editor, Switch):
                with Horizontal(classes="holder"):
                    yield self._editor.with_tooltip(tip)
            else:
                yield self._editor.with_tooltip(tip)
            yield self._origin

    def _make_editor(self) -> Switch | Select[Any] | Input:
        if self.setting.kind == "switch":
            return Switch(self.state.value is True, animate=False)
        if self.setting.kind == "choice":
            return Select[Any](
                self._options(), value=self._choice(), allow_blank=False, compact=True
            )
        names = TOKENIZERS if self.setting.key == "tokenizer_name" else ()
        return Input(
            self.state.shown,
            placeholder=OFF if self.setting.optional else "",
            compact=True,
            suggester=SuggestFromList(names) if names else None,
            select_on_focus=False,
        )

    def on_mount(self) -> None:
        self._paint()

    def show(self, state: FieldState) -> None:
        """Bring the row to `state`; what has been typed stays as it is where it means the same."""
        if state == self.state:
            return
        old, self.state = self.state, state
        if not self.is_mounted:
            return
        editor = self._editor
        with self.prevent(Input.Changed, Select.Changed, Switch.Changed):
            if isinstance(editor, Switch):
                editor.value = state.value is True
            elif isinstance(editor, Input):
                if not self._means_the_same(editor.value):
                    editor.value = state.shown
            elif not _same(old.value, state.value):
                editor.set_options(self._options())
                editor.value = self._choice()
        self._paint()

    def _means_the_same(self, typed: str) -> bool:
        if not typed.strip() or not self.state.shown:
            return typed == self.state.shown
        return literal_for(self.setting, typed) == literal_for(self.setting, self.state.shown)

    def _paint(self) -> None:
        state = self.state
        mark = ("● ", "$warning") if state.changed else "  "
        self._label.update(Content.assemble(mark, self.setting.name), layout=False)
        self._origin.update(state.origin, layout=False)
        if state.problem and self._problem is None:
            self._problem = Static(state.problem, classes="problem", markup=False)
            self.mount(self._problem)
        elif self._problem is not None and state.problem != self._told:
            self._problem.display = bool(state.problem)
            self._problem.update(state.problem)
        self._told = state.problem
        self.set_class(bool(state.problem), "-wrong")
        self.set_class(state.own, "-own")
        self._editor.disabled = not state.enabled

    _told = ""
    """The problem that is shown."""

    def _options(self) -> list[tuple[str, Any]]:
        """The choices; also a value that is none of them, so that it stays to be seen."""
        options = [(_in_words(choice), choice) for choice in self.setting.choices]
        if self.setting.optional and False not in self.setting.choices:
            options.append((OFF, False))
        if not any(_same(self.state.value, choice) for _, choice in options):
            options.append((f"{self.state.value} ✗", literal(self.state.value)))
        return options

    def _choice(self) -> Any:
        for _, choice in self._options():
            if _same(self.state.value, choice):
                return choice
        return literal(self.state.value)

    def focus_editor(self) -> None:
        """Put the cursor into the field and bring it into sight."""
        self._editor.focus()
        self.scroll_visible(animate=False)

    def help_text(self) -> str:
        return help_of(self.setting)

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        if not self._means_the_same(event.value):  # an Input also tells of its first value
            self.post_message(self.Typed(self.setting.key, event.value))

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.screen.focus_next()

    @on(Select.Changed)
    def _selected(self, event: Select.Changed) -> None:
        event.stop()
        if not _same(event.value, self._choice()):
            self.post_message(self.Chosen(self.setting.key, event.value))

    @on(Switch.Changed)
    def _switched(self, event: Switch.Changed) -> None:
        event.stop()
        self.post_message(self.Chosen(self.setting.key, event.value))

    def on_descendant_focus(self, event: DescendantFocus) -> None:
        self.post_message(self.Entered(self.setting.key))

    def on_descendant_blur(self, event: DescendantBlur) -> None:
        self.post_message(self.Left(self.setting.key))


def field_id(key: str) -> str:
    return f"field-{key.replace('.', '-')}"


def _in_words(choice: Any) -> str:
    return {True: "on", False: OFF}[choice] if isinstance(choice, bool) else str(choice)


def _same(one: Any, other: Any) -> bool:
    """Equal and of one type: 1 is not True."""
    return type(one) is type(other) and bool(one == other)
