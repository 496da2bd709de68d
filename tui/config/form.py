"""The config form: every setting of the schema, in sections."""

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.reactive import var
from textual.widgets import Static

from simplegpt.config.schema import settings, tables
from tui.config.fields import ConfigState, table_of
from tui.config.form_section import FormSection, SectionTitle

N_AT_ONCE = 2  # the other open sections lie below the edge of most terminals: made a moment later


class ConfigForm(VerticalScroll):
    """Shows a state; edits are posted by its fields and sections."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "app.focus_next", "Next field", show=False),
        Binding("up", "app.focus_previous", "Previous field", show=False),
    ]

    state: var[ConfigState | None] = var(None, init=False)

    def __init__(self, open_sections: Sequence[str], *, id: str | None = None) -> None:
        """`open_sections` are unfolded at first."""
        super().__init__(id=id, can_focus=False)
        self.open_sections = open_sections
        self.sections: dict[str, FormSection] = {}

    def compose(self) -> ComposeResult:
        yield Static("No matching settings. Esc to clear the search.", id="nothing", markup=False)

    def watch_state(self, state: ConfigState | None) -> None:
        if state is None:
            return
        for section in self.sections.values():
            section.show(state)
        if not self.sections:
            at_once = self.open_sections[:N_AT_ONCE]
            self.sections = {
                name: FormSection(table, state, folded=name not in at_once)
                for name, table in tables().items()
            }
            self.run_worker(self._mount_sections(state), group="sections")

    async def _mount_sections(self, state: ConfigState) -> None:
        await self.mount_all(self.sections.values(), before=0)
        if self.screen.focused is None:
            self.focus_title("")
        for name, section in self.sections.items():
            if name in self.open_sections or state.sections[name].n_errors:
                await section.set_folded(False)

    async def show_only(self, keys: frozenset[str] | None) -> None:
        """Show only the fields with these keys; None shows all."""
        for section in self.sections.values():
            await section.show_only(keys)
        self.set_class(keys is not None and not keys, "-nothing")

    async def fold_all(self, folded: bool) -> None:
        for section in self.sections.values():
            await section.set_folded(folded)

    def focus_title(self, table: str) -> None:
        self.sections[table].query_one(SectionTitle).focus()

    async def go_to(self, key: str) -> None:
        """Unfold the section of a field and focus it; of a table, its title."""
        section = self.sections[table_of(key)]
        section.display = True
        if key not in settings():
            self.focus_title(key)
            return
        await section.set_folded(False)
        field = next(one for one in section.fields if one.setting.key == key)
        field.display = True
        if field.state.enabled:
            field.focus_editor()
        else:
            self.focus_title(section.table.name)
