"""One field of the config form: its name, its editor, where its value comes from, its error."""

import textwrap
from dataclasses import dataclass
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.reactive import Reactive, var
from textual.suggester import SuggestFromList
from textual.widget import Widget
from textual.widgets import Input, Select, Switch

from simplegpt.config.edit import literal, literal_for
from simplegpt.config.schema import Setting
from tui.config.fields import FieldState

OFF = "off"
NAME_WIDTH, EDITOR_WIDTH, ORIGIN_WIDTH = 27, 44, 20  # the stylesheet places the editor by these
TOKENIZERS = ("char", "byte", "gpt2", "cl100k_base", "o200k_base")


class FieldInput(Input):
    """An `Input` whose text may grow without a new layout of the whole form."""

    # These edit in an Input; here they are the screen's.
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+e", "screen.next_error", "Next error", tooltip="Go to the next error"),
        Binding("ctrl+d", "screen.unset", "Unset", show=False),
    ]

    virtual_size = Reactive(Size(0, 0), layout=False)


class FieldSelect(Select[Any], inherit_bindings=False):
    """A drop-down that the arrow keys move past: Enter or Space opens it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,space", "show_overlay", "Open", show=False),
    ]


class FormField(Widget):
    """A setting in a row; edits are posted as messages.

    It draws all but the editor itself: three more widgets for each of 75 fields would slow down
    every keystroke.
    """

    state: var[FieldState] = var(FieldState(), init=False)

    @dataclass
    class Typed(Message):
        """Text was typed into the field."""

        key: str
        text: str
        editor: Input

        @property
        def is_stale(self) -> bool:
            """Whether more was typed since."""
            return self.editor.value != self.text

    @dataclass
    class Chosen(Message):
        """A value was chosen by a switch or from a list."""

        key: str
        value: Any

    def __init__(self, setting: Setting, state: FieldState, label: str) -> None:
        super().__init__(id=field_id(setting.key))
        self.setting, self.label = setting, label
        self.set_reactive(FormField.state, state)
        self._editor = self._make_editor()
        self._tooltip_text = Content(
            f"{setting.description}\n\nMust be {setting.allowed}.\n"
            f"Default: {literal(setting.default)}"
        )
        self.tooltip = self._tooltip_text

    def compose(self) -> ComposeResult:
        yield self._editor.with_tooltip(self._tooltip_text)

    def _make_editor(self) -> Switch | FieldSelect | Input:
        if self.setting.kind == "switch":
            return Switch(self.state.value is True, animate=False)
        if self.setting.kind == "choice":
            options, value = self._options(), self._choice()
            return FieldSelect(options, value=value, allow_blank=False, compact=True)
        names = TOKENIZERS if self.setting.key == "tokenizer_name" else ()
        return FieldInput(
            self.state.shown,
            placeholder=OFF if self.setting.optional else "",
            compact=True,
            suggester=SuggestFromList(names) if names else None,
            select_on_focus=False,
        )

    def on_mount(self) -> None:
        self._update()

    def on_descendant_focus(self) -> None:
        self.refresh()

    def on_descendant_blur(self) -> None:
        self.refresh()

    def on_resize(self) -> None:
        self._fit_height()

    def watch_state(self, old: FieldState, new: FieldState) -> None:
        editor = self._editor
        with self.prevent(Input.Changed, Select.Changed, Switch.Changed):
            if isinstance(editor, Switch):
                editor.value = new.value is True
            elif isinstance(editor, Input):
                # Only another value may replace the text: what was typed since stays.
                if new.shown != old.shown and not self._is_same(editor.value):
                    editor.value = new.shown
            elif not _identical(old.value, new.value):
                editor.set_options(self._options())
                editor.value = self._choice()
        self._update()

    def _update(self) -> None:
        self._fit_height()
        self.set_class(bool(self.state.error), "-invalid")
        self._editor.disabled = not self.state.enabled
        self.refresh()

    def _fit_height(self) -> None:
        height = 1 + len(self._error_lines())
        if self.styles.height is None or self.styles.height.value != height:
            self.styles.height = height

    def _error_lines(self) -> list[str]:
        width = max(20, self.size.width - 4)
        return textwrap.wrap(self.state.error, width, break_on_hyphens=False)

    def render(self) -> Content:
        state, width = self.state, self.size.width
        mark = ("● ", "$text-warning") if state.changed else "  "
        style = "$text-error" if state.error else ""
        style += " bold" if self.has_focus_within else ""
        name = Content.assemble(mark, (self.label, style)).pad_right(NAME_WIDTH)[:NAME_WIDTH]
        editor = max(0, min(EDITOR_WIDTH, width - NAME_WIDTH - ORIGIN_WIDTH)) + 2
        beside = f"     {_format_choice(state.value)}" if isinstance(self._editor, Switch) else ""
        origin_style = "$text-secondary" if state.is_own else "$footer-description-foreground"
        first = Content.assemble(name, f"{beside:{editor}}", (state.origin, origin_style))[:width]
        error = [Content.styled(f"  {line}", "$text-error") for line in self._error_lines()]
        return Content("\n").join([first, *error])

    def _options(self) -> list[tuple[str, Any]]:
        """Return the choices, and the value also where it is not one of them."""
        options = [(_format_choice(choice), choice) for choice in self.setting.choices]
        if self.setting.optional and False not in self.setting.choices:
            options.append((OFF, False))
        if not any(_identical(self.state.value, choice) for _, choice in options):
            options.append((f"{self.state.value} ✗", literal(self.state.value)))
        return options

    def _choice(self) -> Any:
        """Return the option that is chosen."""
        choices = (choice for _, choice in self._options())
        value = self.state.value
        return next((one for one in choices if _identical(value, one)), literal(value))

    def _is_same(self, typed: str) -> bool:
        """Whether a text means what the field's state shows."""
        shown = self.state.shown
        if not typed.strip() or not shown:
            return typed == shown
        return literal_for(self.setting, typed) == literal_for(self.setting, shown)

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        if not self._is_same(event.value):  # an Input also announces its first value
            self.post_message(self.Typed(self.setting.key, event.value, event.input))

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.screen.focus_next()

    @on(Select.Changed)
    def _selected(self, event: Select.Changed) -> None:
        event.stop()
        if not _identical(event.value, self._choice()):
            self.post_message(self.Chosen(self.setting.key, event.value))

    @on(Switch.Changed)
    def _switched(self, event: Switch.Changed) -> None:
        event.stop()
        self.post_message(self.Chosen(self.setting.key, event.value))

    def focus_editor(self) -> None:
        """Put the cursor into the field and scroll to it; what is typed replaces the old value."""
        self.screen.set_focus(self._editor)
        if isinstance(self._editor, Input):
            self._editor.select_all()
        self.scroll_visible(animate=False)

    def help_text(self) -> str:
        setting = self.setting
        where = f"`[{setting.table}]`" if setting.table else "the top of the file"
        default = OFF if setting.default is False and setting.optional else setting.default
        off = "\n\nLeave it empty to switch it **off**." if setting.optional else ""
        return (
            f"## {setting.name}\n\n{setting.description}\n\n"
            f"Must be {setting.allowed}. Default: `{default!s}`. In {where}.{off}"
        )


def field_id(key: str) -> str:
    return f"field-{key.replace('.', '-')}"


def field_around(widget: Widget | None) -> FormField | None:
    """Return the field that a widget belongs to."""
    ancestors = widget.ancestors_with_self if widget is not None else ()
    return next((node for node in ancestors if isinstance(node, FormField)), None)


def _format_choice(choice: Any) -> str:
    return {True: "on", False: OFF}[choice] if isinstance(choice, bool) else str(choice)


def _identical(one: Any, other: Any) -> bool:
    """Whether both are equal and of one type: 1 is not True."""
    return type(one) is type(other) and bool(one == other)
