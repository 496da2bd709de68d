"""The config form: every setting of the schema, in sections."""

from collections.abc import Mapping
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import Static

from simplegpt.config.schema import settings, tables
from tui.config.form_field import FormField, field_id
from tui.config.form_section import FormSection, section_id
from tui.config.states import FieldState, SectionState

OPEN_AT_FIRST = ("", "model", "data", "optimization")
AT_ONCE = ("", "model")  # the rest of them is below the edge of most terminals: made a moment later


class ConfigForm(VerticalScroll):
    """Shows states; what a person does comes from its fields and sections as messages."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "app.focus_next", "Next field", show=False),
        Binding("up", "app.focus_previous", "Previous field", show=False),
    ]

    def __init__(
        self,
        fields: Mapping[str, FieldState],
        sections: Mapping[str, SectionState],
        *,
        id: str | None = None,
    ) -> None:
        super().__init__(id=id, can_focus=False)
        self.fields, self.sections = fields, sections
        self._made: list[FormSection] = []

    def compose(self) -> ComposeResult:
        self._made = []
        for name, table in tables().items():
            state = self.sections[name]
            folded = name not in AT_ONCE
            self._made.append(FormSection(table, state, self.fields, folded=folded))
        yield from self._made
        yield Static("Nothing here matches. Esc clears the search.", id="nothing", markup=False)

    def on_mount(self) -> None:
        self.run_worker(self._unfold_the_rest(), group="unfold")

    async def _unfold_the_rest(self) -> None:
        for section in self._made:
            name = section.table.name
            if name in OPEN_AT_FIRST or self.sections[name].mistakes:
                await section.unfold()

    def show(self, fields: Mapping[str, FieldState], sections: Mapping[str, SectionState]) -> None:
        self.fields, self.sections = fields, sections
        for section in self._made:
            section.show(sections[section.table.name], fields)

    async def show_only(self, visible: frozenset[str] | None) -> None:
        """Show only the fields with these keys; None shows all."""
        for section in self.query(FormSection):
            await section.show_only(visible)
        self.set_class(visible is not None and not visible, "-nothing")

    async def fold_all(self, *, folded: bool) -> None:
        for section in self.query(FormSection):
            if folded:
                section.kept_folded = section.folded = True
            else:
                await section.unfold()

    async def unfold(self, table: str) -> None:
        await self.query_one(f"#{section_id(table)}", FormSection).unfold()

    def focus_title(self, key: str | None) -> None:
        """Focus the title of a field's section, or the first."""
        table = settings()[key].table if key is not None else ""
        self.query_one(f"#{section_id(table)} SectionTitle").focus()

    async def go_to(self, key: str) -> None:
        """Unfold the section of a field and focus it; of a table, its title."""
        if key in tables() and key:
            section = self.query_one(f"#{section_id(key)}", FormSection)
            section.query_one("SectionTitle").focus()
            return
        section = self.query_one(f"#{section_id(settings()[key].table)}", FormSection)
        section.display = True
        await section.unfold()
        field = section.query_one(f"#{field_id(key)}", FormField)
        field.display = True
        if field.state.enabled:
            field.focus_editor()
        else:
            section.query_one("SectionTitle").focus()

    def focused_key(self) -> str | None:
        """The setting whose field has the focus."""
        focused = self.screen.focused
        for node in focused.ancestors_with_self if focused is not None else ():
            if isinstance(node, FormField):
                return node.setting.key
        return None
