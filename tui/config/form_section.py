"""One table of the config form: a title that folds it, its switch, its counts, its fields."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widgets import Static, Switch

from simplegpt.config.schema import Table
from tui.config.form_field import FormField
from tui.config.states import FieldState, SectionState


class SectionTitle(Static, can_focus=True):
    """Folds and unfolds its section."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,space", "fold", "Fold", show=False),
        Binding("right", "fold(False)", "Unfold", show=False),
        Binding("left", "fold(True)", "Fold", show=False),
    ]
    ALLOW_SELECT = False

    @dataclass
    class Fold(Message):
        """Asks to fold (True), unfold (False) or toggle (None)."""

        folded: bool | None

    def action_fold(self, folded: bool | None = None) -> None:
        self.post_message(self.Fold(folded))

    def on_click(self) -> None:
        self.post_message(self.Fold(None))


class MistakeCount(Static):
    """How many mistakes a section has; a click goes to the first."""

    ALLOW_SELECT = False

    class Clicked(Message):
        """Asks to be taken to the first mistake."""

    def on_click(self) -> None:
        self.post_message(self.Clicked())


class FormSection(Vertical):
    """A table's title and fields. The fields are made when it is first unfolded."""

    folded: reactive[bool] = reactive(True, init=False)

    @dataclass
    class Switched(Message):
        """An optional table was switched on or off."""

        table: str
        on: bool

    @dataclass
    class MistakeAsked(Message):
        """The first mistake of the section is to be shown."""

        table: str

    def __init__(
        self,
        table: Table,
        state: SectionState,
        fields: Mapping[str, FieldState],
        *,
        folded: bool,
    ) -> None:
        super().__init__(id=section_id(table.name))
        self.table = table
        self.state = state
        self.fields = fields
        self.rows: list[FormField] = []
        """The fields, once they are made."""
        self.kept_folded = folded
        """As the person left it, whatever a search unfolds."""
        self.set_reactive(FormSection.folded, folded)

    def compose(self) -> ComposeResult:
        with Horizontal(classes="head"):
            yield SectionTitle()
            yield MistakeCount(markup=False).with_tooltip("Go to the first mistake")
            if self.table.optional:
                yield Switch(self.state.on, animate=False).with_tooltip(
                    f"Switch [{self.table.name}] on or off as a whole"
                )
        with Vertical(classes="fields"):
            if not self.folded:
                yield from self._make_fields()

    def _make_fields(self) -> list[FormField]:
        self.rows = [FormField(one, self.fields[key]) for key, one in self.table.settings.items()]
        return self.rows

    def on_mount(self) -> None:
        self._paint()

    def show(self, state: SectionState, fields: Mapping[str, FieldState]) -> None:
        self.fields = fields
        for field in self.rows:
            field.show(fields[field.setting.key])
        if state != self.state:
            self.state = state
            if self.table.optional:
                with self.prevent(Switch.Changed):
                    self.query_one(".head Switch", Switch).value = state.on
            self._paint()

    async def show_only(self, visible: frozenset[str] | None) -> None:
        """Show only these keys and unfold; None shows all, folded as before."""
        self.display = visible is None or not visible.isdisjoint(self.table.settings)
        self.folded = self.kept_folded if visible is None else False
        if self.display and not self.folded:
            await self.ensure_fields()
        for field in self.rows:
            field.display = visible is None or field.setting.key in visible

    async def ensure_fields(self) -> None:
        """Make the fields if they are not there yet."""
        if not self.rows:
            await self.query_one(".fields").mount_all(self._make_fields())

    async def unfold(self) -> None:
        self.kept_folded = False
        await self.ensure_fields()
        self.folded = False

    @on(SectionTitle.Fold)
    async def _fold(self, event: SectionTitle.Fold) -> None:
        event.stop()
        folded = not self.folded if event.folded is None else event.folded
        if folded:
            self.kept_folded = self.folded = True
        else:
            await self.unfold()

    @on(MistakeCount.Clicked)
    def _mistake_asked(self, event: MistakeCount.Clicked) -> None:
        event.stop()
        self.post_message(self.MistakeAsked(self.table.name))

    @on(Switch.Changed)
    def _switched(self, event: Switch.Changed) -> None:
        event.stop()
        self.post_message(self.Switched(self.table.name, event.value))

    def watch_folded(self) -> None:
        self._paint()

    def _paint(self) -> None:
        if not self.query(SectionTitle):
            return
        state = self.state
        self.query_one(".fields").display = not self.folded
        self.set_class(state.optional and not state.on, "-off")
        symbol = "▸" if self.folded else "▾"
        changed = (f"  ● {state.changed}", "$warning") if state.changed else ""
        off = ("  off", "$footer-description-foreground") if state.optional and not state.on else ""
        name = (self.table.name or "run", "bold")
        about = (f"  {self.table.description}", "$footer-description-foreground")
        self.query_one(SectionTitle).update(
            Content.assemble(f"{symbol} ", name, changed, off, about), layout=False
        )
        count = self.query_one(MistakeCount)
        if state.mistakes != self._counted:
            self._counted = state.mistakes
            count.display = bool(state.mistakes)
            count.update(f"✗ {state.mistakes}" if state.mistakes else "")

    _counted = 0
    """The mistakes that are shown."""

    def help_text(self) -> str:
        switch = (
            "\n\nThe switch turns the whole table on or off (`false` in the file)."
            if self.table.optional
            else ""
        )
        name = self.table.name or "The run"
        return f"## {name}\n\n{self.table.description}{switch}\n\n**Enter** folds and unfolds it."


def section_id(table: str) -> str:
    return f"section-{table or 'run'}"
