"""What a person does in the config editor: type, undo, search, go from mistake to mistake."""

from textual import on
from textual.widgets import Button, ContentSwitcher, Input, TextArea

from simplegpt.config.load import Problem
from simplegpt.config.schema import settings, tables
from tui.config.files import ConfigFiles
from tui.config.form import ConfigForm
from tui.config.form_field import FormField
from tui.config.form_section import FormSection
from tui.config.states import View, loose_problems, visible_keys
from tui.config.toml_editor import TomlEditor

VIEWS: dict[View, tuple[str, str]] = {
    "all": ("All", "Every setting"),
    "file": ("This file", "Only what this file sets itself"),
    "unsaved": ("Unsaved", "Only what differs from the saved file"),
}


class ConfigActions(ConfigFiles):
    """The part of the Config screen that acts; what it shows is in `tui.config.screen`."""

    view: View = "all"

    @property
    def problems(self) -> list[Problem]:
        """All mistakes that are known."""
        raise NotImplementedError

    def show_about(self, key: str | None) -> None:
        """Describe a setting below the form."""
        raise NotImplementedError

    def show_bar(self) -> None:
        """Show file, counts and which tab and view are on."""
        raise NotImplementedError

    @property
    def form(self) -> ConfigForm:
        return self.query_one(ConfigForm)

    # Editing

    @on(FormField.Typed)
    def _typed(self, event: FormField.Typed) -> None:
        if event.is_stale():  # a later letter is on its way: showing this one would undo it
            return
        self.document.type(event.key, event.text)
        self.refresh_document()

    @on(FormField.Chosen)
    def _chosen(self, event: FormField.Chosen) -> None:
        self.document.set_value(event.key, event.value)
        self.refresh_document()

    @on(FormSection.Switched)
    async def _switched(self, event: FormSection.Switched) -> None:
        self.document.set_value(event.table, event.on)
        self.refresh_document()
        if event.on:
            await self.form.unfold(event.table)

    @on(TextArea.Changed)
    def _toml_typed(self, event: TextArea.Changed) -> None:
        self.document.set_text(event.text_area.text, what="text")
        self.refresh_document(typed_toml=True)

    @on(FormField.Entered)
    def _entered(self, event: FormField.Entered) -> None:
        self.show_about(event.key)
        self.refresh_actions()

    @on(FormField.Left)
    def _left(self, event: FormField.Left) -> None:
        self.document.end_step()

    @on(FormSection.MistakeAsked)
    async def _mistake_asked(self, event: FormSection.MistakeAsked) -> None:
        keys = [key for problem in self.problems for key in problem.keys[:1]]
        wanted = [key for key in keys if key.rpartition(".")[0] == event.table]
        await self.go_to(wanted[0] if wanted else keys[0])

    # Actions

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        document = self.document
        possible = {
            "undo": document.can_undo,
            "redo": document.can_redo,
            "reset_all": document.is_changed,
        }
        if action in ("reset", "unset") and self.is_mounted:
            key = self.form.focused_key()
            keys = document.changed_keys() if action == "reset" else document.keys_in_file()
            return key in keys and not document.has_syntax_error
        if action == "next_mistake":  # left out of the footer: there is little room at 80 columns
            return bool(self.problems)
        return True if possible.get(action, True) else None

    def refresh_actions(self) -> None:
        """Refresh the footer where what can be done has changed: it is made anew each time."""
        names = ("undo", "redo", "reset", "unset", "reset_all", "next_mistake")
        possible = tuple(self.check_action(name, ()) for name in names)
        if possible != self._possible:
            self._possible = possible
            self.refresh_bindings()

    _possible: tuple[bool | None, ...] = ()

    def action_undo(self) -> None:
        if self.document.undo():
            self.refresh_document()

    def action_redo(self) -> None:
        if self.document.redo():
            self.refresh_document()

    def action_reset(self) -> None:
        key = self.form.focused_key()
        if key is not None:
            self.document.reset(key)
            self.refresh_document()

    def action_unset(self) -> None:
        key = self.form.focused_key()
        if key is not None:
            self.document.unset(key)
            self.refresh_document()

    def action_reset_all(self) -> None:
        self.document.reset_all()
        self.refresh_document()

    async def action_next_mistake(self) -> None:
        keys = [key for problem in self.problems for key in problem.keys[:1] if key in settings()]
        loose = loose_problems(self.problems)
        if not keys:
            if loose:
                self.show_tab("toml")
                self.query_one(TomlEditor).go_to_line(loose[0].origin.line or 1)
            return
        here = self.form.focused_key()
        after = keys.index(here) + 1 if here in keys else 0
        await self.go_to(keys[after % len(keys)])

    async def go_to(self, key: str) -> None:
        """Put the cursor into the field of `key`."""
        self.show_tab("form")
        if key in settings() or key in tables():
            await self.form.go_to(key)

    def action_other_tab(self) -> None:
        self.show_tab("toml" if self.query_one(ContentSwitcher).current == "form" else "form")

    def show_tab(self, tab: str) -> None:
        switcher = self.query_one(ContentSwitcher)
        if switcher.current == tab:
            return
        key = self.form.focused_key()
        switcher.current = tab
        self.refresh_document()
        if tab == "toml":
            editor = self.query_one(TomlEditor)
            line = self.document.origin(key).line if key in self.document.keys_in_file() else None
            editor.go_to_line(line or editor.cursor_location[0] + 1)
        else:
            self.query_one("SectionTitle").focus()

    @on(Button.Pressed, "#tab-form, #tab-toml")
    def _tab_pressed(self, event: Button.Pressed) -> None:
        self.show_tab(str(event.button.id).removeprefix("tab-"))

    def action_search(self) -> None:
        self.show_tab("form")
        self.set_focus(self.query_one("#search"))  # at once: letters may be waiting already

    @on(Input.Changed, "#search")
    async def _searched(self, event: Input.Changed) -> None:
        await self._filter()

    @on(Input.Submitted, "#search")
    def _search_done(self) -> None:
        fields = [one for one in self.query(FormField) if one.display and one.region.height]
        word = self.query_one("#search", Input).value.strip().lower()
        named = [one for one in fields if word in one.setting.name]
        for field in [*named, *fields][:1]:
            field.focus_editor()

    async def action_next_view(self) -> None:
        views = list(VIEWS)
        self.view = views[(views.index(self.view) + 1) % len(views)]
        await self._filter()

    @on(Button.Pressed)
    async def _view_pressed(self, event: Button.Pressed) -> None:
        for view in VIEWS:
            if event.button.id == f"view-{view}":
                self.view = view
                await self._filter()

    @on(Button.Pressed, "#open, #new, #save_as, #train")
    async def _file_pressed(self, event: Button.Pressed) -> None:
        await self.run_action(f"screen.{event.button.id}")

    async def _filter(self) -> None:
        search = self.query_one("#search", Input).value
        is_filtered = bool(search.strip()) or self.view != "all"
        visible = visible_keys(self.form.fields, search, self.view) if is_filtered else None
        await self.form.show_only(visible)
        self.show_bar()

    async def action_leave_field(self) -> None:
        search = self.query_one("#search", Input)
        if search.has_focus and search.value:
            search.value = ""
            return
        if isinstance(self.focused, Input | TextArea):
            key = self.form.focused_key()
            self.form.focus_title(key)

    async def action_unfold_all(self) -> None:
        await self.form.fold_all(folded=False)

    async def action_fold_all(self) -> None:
        await self.form.fold_all(folded=True)
