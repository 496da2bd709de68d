"""One field of the config form: its name, its editor, where its value comes from, its mistake."""

import textwrap
from dataclasses import dataclass
from typing import Any

from textual import on
from textual.app import ComposeResult
from textual.content import Content
from textual.events import DescendantBlur, DescendantFocus
from textual.geometry import Size
from textual.message import Message
from textual.reactive import Reactive
from textual.suggester import SuggestFromList
from textual.widget import Widget
from textual.widgets import Input, Select, Switch

from simplegpt.config.edit import literal, literal_for
from simplegpt.config.schema import Setting
from tui.config.states import FieldState, help_of

OFF = "off"
NAME_WIDTH, EDITOR_WIDTH, ORIGIN_WIDTH = 27, 44, 20  # the stylesheet places the editor by these
MUTED = "$footer-description-foreground"
TOKENIZERS = ("char", "byte", "gpt2", "cl100k_base", "o200k_base")


class FieldInput(Input):
    """An `Input` whose text may grow without a new layout of the whole form."""

    virtual_size = Reactive(Size(0, 0), layout=False)


class FormField(Widget):
    """A setting in a row. `show` sets it; what a person does comes as a message.

    It draws everything but the editor itself: three widgets more for each of 75 fields would be
    felt at every key stroke.
    """

    @dataclass
    class Typed(Message):
        """Text was typed into the field."""

        key: str
        text: str
        editor: Input

        def is_stale(self) -> bool:
            """Whether more was typed since."""
            return self.editor.value != self.text

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
        self._editor = self._make_editor()
        self.tip = Content(
            f"{setting.description}\n\nMust be {setting.allowed}.\n"
            f"Default: {literal(setting.default)}"
        )
        self.tooltip = self.tip

    def compose(self) -> ComposeResult:
        yield self._editor.with_tooltip(self.tip)

    def render(self) -> Content:
        state, width = self.state, self.size.width
        mark = ("● ", "$text-warning") if state.changed else "  "
        style = "$text-error" if state.problem else ""
        name = Content.assemble(mark, (self.setting.name, style)).pad_right(NAME_WIDTH)[:NAME_WIDTH]
        room = max(0, min(EDITOR_WIDTH, width - NAME_WIDTH - ORIGIN_WIDTH))
        origin = Content.styled(state.origin, "$text-secondary" if state.own else MUTED)
        first = Content.assemble(name, " " * (room + 2), origin)[:width]
        problem = [Content.styled(f"  {line}", "$text-error") for line in self._problem_lines()]
        return Content("\n").join([first, *problem])

    def _problem_lines(self) -> list[str]:
        width = max(20, self.size.width - 4)
        return textwrap.wrap(self.state.problem, width, break_on_hyphens=False)

    def _fit(self) -> None:
        """As high as its message needs."""
        height = 1 + len(self._problem_lines())
        if self.styles.height is None or self.styles.height.value != height:
            self.styles.height = height

    def on_resize(self) -> None:
        self._fit()

    def _make_editor(self) -> Switch | Select[Any] | Input:
        if self.setting.kind == "switch":
            return Switch(self.state.value is True, animate=False)
        if self.setting.kind == "choice":
            return Select[Any](
                self._options(), value=self._choice(), allow_blank=False, compact=True
            )
        names = TOKENIZERS if self.setting.key == "tokenizer_name" else ()
        return FieldInput(
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
        self._fit()
        self.set_class(bool(self.state.problem), "-wrong")
        self._editor.disabled = not self.state.enabled
        self.refresh()

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
        self.screen.set_focus(self._editor)
        if isinstance(self._editor, Input):
            self._editor.select_all()  # what is typed now takes the old value's place
        self.scroll_visible(animate=False)

    def help_text(self) -> str:
        return help_of(self.setting)

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        if not self._means_the_same(event.value):  # an Input also tells of its first value
            self.post_message(self.Typed(self.setting.key, event.value, event.input))

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
