"""The config form: every setting of the schema, in sections."""

import asyncio
from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.reactive import var
from textual.widgets import Static

from simplegpt.config.schema import settings
from tui.config.fields import COMMON, COMMON_SETTINGS, ConfigState, sections, table_of
from tui.config.form_section import FormSection, SectionTitle


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
        self._sections_mounted = asyncio.Event()

    def compose(self) -> ComposeResult:
        yield Static("No matching settings. Esc to clear the search.", id="nothing", markup=False)

    def watch_state(self, state: ConfigState | None) -> None:
        if state is None:
            return
        for section in self.sections.values():
            section.show(state)
        if not self.sections:
            self.sections = {
                name: FormSection(table, state, folded=name not in self.open_sections)
                for name, table in sections().items()
            }
            self.run_worker(self._mount_sections(state), group="sections")

    async def _mount_sections(self, state: ConfigState) -> None:
        await self.mount_all(self.sections.values(), before=0)
        self.call_after_refresh(self._sections_mounted.set)  # with what is in them
        if self.screen.focused is None:
            self.focus_title(COMMON)
        for section in self.sections.values():
            hidden = section.table.settings.keys() - set(COMMON_SETTINGS)
            if not hidden.isdisjoint(state.invalid_keys):
                await section.set_folded(False)

    async def show_only(self, keys: frozenset[str] | None) -> None:
        """Show only the fields with these keys, in their tables; None shows all."""
        for name, section in self.sections.items():
            await section.show_only(frozenset() if name == COMMON and keys is not None else keys)
        self.set_class(keys is not None and not keys, "-nothing")

    async def fold_all(self, folded: bool) -> None:
        for section in self.sections.values():
            await section.set_folded(folded)

    def focus_title(self, section: str) -> None:
        self.sections[section].query_one(SectionTitle).focus()

    async def go_to(self, key: str) -> None:
        """Focus the field of a setting, which unfolds its section; of a table, its title."""
        await self._sections_mounted.wait()
        if key not in settings():
            self.sections[key].display = True
            self.focus_title(key)
            return
        common = self.sections[COMMON]
        is_common = common.display and not common.folded and key in common.table.settings
        section = common if is_common else self.sections[table_of(key)]
        section.display = True
        await section.set_folded(False)
        field = next(one for one in section.fields if one.setting.key == key)
        field.display = True
        if field.state.enabled:
            field.focus_editor()
        else:
            self.focus_title(section.table.name)
