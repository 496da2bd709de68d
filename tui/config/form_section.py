"""One section of the config form: a title that folds it, its switch, its counts, its fields."""

from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.reactive import var
from textual.widget import Widget
from textual.widgets import Static, Switch

from simplegpt.config.schema import Table
from tui.config.fields import COMMON, ConfigState
from tui.config.form_field import FormField

MUTED = "$footer-description-foreground"


class SectionTitle(Static, can_focus=True):
    """Folds and unfolds its section."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,space", "fold", "Fold", show=False),
        Binding("right", "fold(False)", "Unfold", show=False),
        Binding("left", "fold(True)", "Fold", show=False),
    ]
    ALLOW_SELECT = False

    @dataclass
    class Folded(Message):
        """Asks to fold (True), unfold (False) or toggle (None) the section."""

        folded: bool | None

    def action_fold(self, folded: bool | None = None) -> None:
        self.post_message(self.Folded(folded))

    def on_click(self) -> None:
        self.action_fold()


class FormSection(Vertical):
    """A table's title and fields. The fields are made when it is first unfolded."""

    folded: var[bool] = var(True, init=False)

    @dataclass
    class Switched(Message):
        """An optional table was switched on or off."""

        table: str
        on: bool

    def __init__(self, table: Table, state: ConfigState, *, folded: bool) -> None:
        super().__init__(id=section_id(table.name))
        self.table = table
        self.state = state
        self.fields: list[FormField] = []
        """Empty until it is first unfolded."""
        self.folded_unfiltered = folded
        """As the person left it, whatever a search unfolds."""
        self.set_reactive(FormSection.folded, folded)

    def compose(self) -> ComposeResult:
        name = self.table.name
        with Horizontal(classes="head"):
            yield SectionTitle(classes="title")
            yield Static(classes="errors").with_tooltip("Go to the first error")
            if self.table.optional:
                yield Switch(self.state.sections[name].on, animate=False).with_tooltip(
                    f"Switch [{name}] on or off as a whole"
                )
        with Vertical(classes="fields"):
            if not self.folded:
                yield from self._make_fields()

    def _make_fields(self) -> list[FormField]:
        is_common = self.table.name == COMMON
        self.fields = [
            FormField(one, self.state.fields[key], one.key if is_common else one.name)
            for key, one in self.table.settings.items()
        ]
        return self.fields

    def on_mount(self) -> None:
        self.watch_folded()
        self._show_errors()

    def show(self, state: ConfigState) -> None:
        """Show another state."""
        old, self.state = self.state, state
        for field in self.fields:
            field.state = state.fields[field.setting.key]
        name = self.table.name
        if self.is_mounted and state.sections[name] != old.sections[name]:
            if self.table.optional:
                with self.prevent(Switch.Changed):
                    self.query_one(".head Switch", Switch).value = state.sections[name].on
            self._show_head()
            if state.sections[name].n_errors != old.sections[name].n_errors:
                self._show_errors()  # only then: it costs a layout

    def watch_folded(self) -> None:
        self.query_one(".fields").display = not self.folded
        self._show_head()

    def _show_head(self) -> None:
        name, state = self.table.name, self.state.sections[self.table.name]
        is_off = self.table.optional and not state.on
        self.set_class(is_off, "-off")
        title = Content.assemble(
            f"{'▸' if self.folded else '▾'} ",
            (name or "run", "bold"),
            (f"  ● {state.n_changes}", "$warning") if state.n_changes else "",
            ("  off", MUTED) if is_off else "",
            (f"  {self.table.description}", MUTED),
        )
        self.query_one(SectionTitle).update(title, layout=False)

    def _show_errors(self) -> None:
        name, state = self.table.name, self.state.sections[self.table.name]
        errors = self.query_one(".errors", Static)
        errors.display = bool(state.n_errors)
        errors.update(
            Content.from_markup(f"[@click=screen.first_error({name!r})]✗ {state.n_errors}[/]")
        )

    async def show_only(self, keys: frozenset[str] | None) -> None:
        """Show only these fields and unfold; None shows all, folded as before."""
        self.display = keys is None or not keys.isdisjoint(self.table.settings)
        folded = self.folded_unfiltered if keys is None else False
        if self.display and not folded:
            await self.ensure_fields()
        self.folded = folded
        for field in self.fields:
            field.display = keys is None or field.setting.key in keys

    async def ensure_fields(self) -> None:
        """Make the fields where they are not there yet."""
        if not self.fields:
            await self.query_one(".fields").mount_all(self._make_fields())

    async def set_folded(self, folded: bool) -> None:
        """Fold or unfold it, and keep it so after a search."""
        self.folded_unfiltered = folded
        if not folded:
            await self.ensure_fields()
        self.folded = folded

    @on(SectionTitle.Folded)
    async def _fold(self, event: SectionTitle.Folded) -> None:
        event.stop()
        await self.set_folded(not self.folded if event.folded is None else event.folded)

    @on(Switch.Changed)
    def _switch(self, event: Switch.Changed) -> None:
        event.stop()
        self.post_message(self.Switched(self.table.name, event.value))

    def help_text(self) -> str:
        off = "\n\nThe switch turns the whole table on or off (`false` in the file)."
        name, optional = self.table.name or "The run", self.table.optional
        description = self.table.description + (off if optional else "")
        return f"## {name}\n\n{description}\n\n**Enter** folds and unfolds it."


def section_around(widget: Widget | None) -> FormSection | None:
    """Return the section that a widget belongs to."""
    ancestors = widget.ancestors_with_self if widget is not None else ()
    return next((node for node in ancestors if isinstance(node, FormSection)), None)


def section_id(table: str) -> str:
    return f"section-{table or 'run'}"
