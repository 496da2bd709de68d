"""The Config screen: a form and the TOML behind it, in step, and an estimate of what it costs."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

from textual import on, work
from textual.app import ComposeResult, SystemCommand
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.reactive import var
from textual.widgets import Button, ContentSwitcher, Input, Static, TextArea

from simplegpt.cli import UserError, one_line
from simplegpt.config.load import Problem, read_includes
from simplegpt.config.schema import Setting, settings, tables
from simplegpt.files import first_free_path
from simplegpt.run.directory import RunDirectory
from tui.config.dialogs import SaveDialog, errors_dialog, gpu_dialog, open_dialog
from tui.config.document import ConfigDocument
from tui.config.estimate import (
    Estimate,
    Machine,
    TokenFiles,
    estimate,
    inspect_machine,
    inspect_token_files,
)
from tui.config.estimate_panel import EstimatePanel
from tui.config.fields import COMMON, ConfigState, View, sections
from tui.config.files import (
    ConfigFile,
    default_config,
    free_path,
    list_configs,
    list_templates,
    save_text,
)
from tui.config.form import ConfigForm
from tui.config.form_field import FormField, field_around
from tui.config.form_section import FormSection, section_around
from tui.config.title import ConfigTitle
from tui.config.toml_editor import TomlPane
from tui.shared.paths import short_path
from tui.shared.queueing import queue
from tui.shell import messages
from tui.shell.dialogs import Answer, Question
from tui.shell.runs import newest_live
from tui.shell.screen import WorkbenchScreen

Tab = Literal["form", "toml"]
MUTED = "$footer-description-foreground"
VIEWS: dict[View, tuple[str, str]] = {
    "all": ("All", "Every setting"),
    "file": ("This file", "Only what this file sets itself"),
    "unsaved": ("Unsaved", "Only what differs from the saved file"),
}
OPEN_SECTIONS = (COMMON,)
DISK_SECONDS = 2.0  # between looks at the file and its includes
TYPING_PAUSE_SECONDS = 0.1  # so that the token files are not checked for each letter


class ConfigScreen(WorkbenchScreen):
    """The config editor."""

    MODE = "config"
    CAN_SAVE = True
    CSS_PATH = "screen.tcss"
    AUTO_FOCUS = ""  # the form focuses a section's title, not the first button
    HELP = """\
Each field is a key of the TOML file. **●** marks values that differ from the saved file, and the
right column shows where a value comes from: this file, an include, or the default. An empty
optional field is *off*. The first section has what most runs change; the sections below have every
setting, by table.

Errors are shown under their field while you type. **Ctrl+E** goes to the next one, a click on their
number lists them. **Esc** leaves a field, and then the letters act.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f7", "save", "Save", tooltip="Show the changes and save them"),
        Binding("f8", "show_tab('toml')", "TOML", tooltip="Edit the TOML"),
        Binding("f8", "show_tab('form')", "Form", tooltip="Edit in the form"),
        Binding("f9", "train", "Train", tooltip="Start a training of this config"),
        Binding("ctrl+f,slash", "search", "Find", tooltip="Search names and descriptions"),
        Binding("ctrl+e", "next_error", "Next error", tooltip="Go to the next error"),
        Binding("ctrl+z", "undo", "Undo", tooltip="Undo the last change"),
        Binding("ctrl+y,ctrl+shift+z", "redo", "Redo", show=False, tooltip="Redo the last change"),
        Binding("ctrl+o", "reset", "Original", tooltip="Reset this field to its saved value"),
        Binding(
            "ctrl+d",
            "unset",
            "Unset",
            show=False,
            tooltip="Remove this field from the file: the include or the default applies",
        ),
        Binding("D", "discard", "Discard changes", show=False, tooltip="Discard all changes"),
        Binding("V", "next_view", "View", show=False, tooltip="Show all, this file's, unsaved"),
        Binding("o", "open", "Open", show=False, tooltip="Open another config"),
        Binding("n", "new", "New", show=False, tooltip="Start a new config from a template"),
        Binding("S", "save_as", "Save as", show=False, tooltip="Save under another name"),
        Binding("u", "reload", "Update", show=False, tooltip="Load changes from disk"),
        Binding("plus", "fold_all(False)", "Unfold all", show=False, tooltip="Unfold all sections"),
        Binding("minus", "fold_all(True)", "Fold all", show=False, tooltip="Fold all sections"),
        Binding("escape", "leave_field", "Leave field", show=False),
    ]

    # Beside the estimate there is room for the buttons of files only on a wide terminal.
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide"), (130, "-roomy")]  # noqa: RUF012

    state: var[ConfigState | None] = var(None, init=False)
    """What is shown; None until a first config is loaded."""
    machine: var[Machine | None] = var(None, init=False)
    token_files: var[TokenFiles] = var(TokenFiles(), init=False)
    """Those of the document, as of a moment ago."""
    estimate: var[Estimate | None] = var(None, init=False)
    tab: var[Tab] = var("form", init=False)
    view: var[View] = var("all", init=False)
    possible: var[frozenset[str]] = var(frozenset[str](), init=False, bindings=True)
    """The actions that `check_action` allows now, of those that depend on the state."""

    def __init__(
        self,
        *,
        inspect_machine: Callable[[Path], Machine] = inspect_machine,
        open_sections: Sequence[str] = OPEN_SECTIONS,
    ) -> None:
        super().__init__()
        self.inspect_machine = inspect_machine
        self.open_sections = open_sections
        self._document = ConfigDocument(Path("configs/new.toml"), "", is_new=True)
        self._last_typed: FormField.Typed | None = None
        """Not in the document yet."""
        self.gpu = ""
        """Model of another GPU, on which the time is estimated too."""
        self._new_name = ""
        """Proposed for the file of a config that was made for a text."""
        self._disk_lock = asyncio.Lock()
        """Held while the file is saved or compared, questions included."""

    def compose_body(self) -> ComposeResult:
        with Horizontal(id="columns"):
            with Vertical(id="editor"):
                with Horizontal(id="bar"):
                    yield ConfigTitle(id="title").data_bind(ConfigScreen.state)
                    for tab, label in (("form", "Form"), ("toml", "TOML")):
                        action = f"screen.show_tab({tab!r})"
                        yield Button(label, id=f"tab-{tab}", action=action, tooltip=f"{label} (F8)")
                    yield Button("Train", id="train", action="screen.train", tooltip="Train (F9)")
                with Horizontal(id="tools"):
                    yield Input(
                        placeholder="Find a setting (Ctrl+F)",
                        id="search",
                        compact=True,
                        tooltip="Words of a name or a description",
                    )
                    for view, (label, tip) in VIEWS.items():
                        action = f"screen.show_view({view!r})"
                        yield Button(label, id=f"view-{view}", action=action, tooltip=tip)
                    for label, name in (("Open", "open"), ("New", "new"), ("Save as", "save_as")):
                        action = f"screen.{name}"
                        yield Button(f"{label} …", id=name, action=action, classes="file")
                yield Static(id="general-error", classes="message", markup=False)
                with ContentSwitcher(id="tabs", initial="form"):
                    yield ConfigForm(self.open_sections, id="form").data_bind(ConfigScreen.state)
                    yield TomlPane(id="toml")
                yield Static(id="about", markup=False)
            yield EstimatePanel(id="estimate").data_bind(ConfigScreen.state, ConfigScreen.estimate)

    def on_mount(self) -> None:
        self.watch_tab()
        self.watch_view()
        self._disk_timer = self.set_interval(DISK_SECONDS, self.check_disk, pause=True)
        self._open_default()

    def on_screen_resume(self) -> None:
        self._inspect_machine()
        self._inspect_token_files()
        self._disk_timer.resume()
        self.check_disk()

    def on_screen_suspend(self) -> None:
        self._disk_timer.pause()

    def unsaved(self) -> str | None:
        return f"changes of {self.document.name}" if self.document.has_work else None

    @property
    def form(self) -> ConfigForm:
        return self.query_one(ConfigForm)

    @property
    def search(self) -> Input:
        return self.query_one("#search", Input)

    @property
    def focused_key(self) -> str | None:
        """The setting whose field has the focus."""
        field = field_around(self.focused)
        return field.setting.key if field is not None else None

    # What is shown

    def refresh_state(self) -> None:
        """Show the document as it is now, everywhere."""
        self.state = ConfigState.of(self.document, self.token_files.errors)

    def show_document(self, document: ConfigDocument) -> None:
        """Edit another document."""
        self._last_typed = None
        self._document, self._new_name = document, ""
        self.token_files = TokenFiles()
        self.estimate = None
        self.refresh_state()

    def watch_state(self, old: ConfigState | None, new: ConfigState) -> None:
        self._show_general_error()
        self._update_possible()
        if self.tab == "toml":
            self.query_one(TomlPane).state = new  # out of sight it would cost each key 5 ms
            self.call_after_refresh(self._update_estimate)  # the letter first
        else:
            self._update_estimate()
        if self._document.needs_includes:
            self._read_includes()
        if old is None or new.text != old.text or new.name != old.name:
            self._inspect_token_files()

    def watch_token_files(self) -> None:
        if self.state is not None:
            self.refresh_state()

    def watch_machine(self) -> None:
        self._update_estimate()

    def _update_estimate(self) -> None:
        config = self.state.config if self.state is not None else None
        if config is not None and self.machine is not None:
            self.estimate = estimate(config, self.token_files, self.machine, self.gpu)

    @work(group="gpu", exclusive=True)
    async def choose_gpu(self) -> None:
        """Ask for another GPU, and estimate the time on it too."""
        chosen = await self.app.push_screen_wait(gpu_dialog())
        if chosen is not None:
            self.gpu = chosen
            self._update_estimate()

    def _show_general_error(self) -> None:
        errors = self.state.general_errors if self.state is not None and self.tab == "form" else []
        message = self.query_one("#general-error", Static)
        message.display = bool(errors)
        if errors:
            message.update(_format_general_errors(errors))

    def watch_focused(self) -> None:
        self.document.end_step()
        # A picture renders all that lies between its changes: the field first, the bottom after it.
        self.call_after_refresh(self._show_about)
        self._update_possible()

    def _show_about(self) -> None:
        """Describe the focused field; in the search, what Enter does."""
        about = Content()
        if (key := self.focused_key) is not None:
            about = Content.assemble(
                settings()[key].description, (f" Must be {settings()[key].allowed}.", MUTED)
            )
        elif self.focused is self.search and (found := self._first_match()) is not None:
            is_on = self.state is not None and self.state.sections[found.table].on
            switch = "" if is_on else f" and switches [{found.table}] on"
            about = Content.styled(f"Enter goes to {found.key}{switch}.", MUTED)
        self.query_one("#about", Static).update(about, layout=False)

    def watch_tab(self) -> None:
        self.query_one(ContentSwitcher).current = self.tab
        for tab in get_args(Tab):
            self.query_one(f"#tab-{tab}").set_class(tab == self.tab, "-on")
        self.query_one("#tools").display = self.query_one("#about").display = self.tab == "form"
        if self.tab == "toml":
            self.query_one(TomlPane).state = self.state
        self._show_general_error()

    def watch_view(self) -> None:
        for view in VIEWS:
            self.query_one(f"#view-{view}").set_class(view == self.view, "-on")

    # Files and devices that the config is compared with

    @work(group="machine", exclusive=True)
    async def _inspect_machine(self) -> None:
        self.machine = await asyncio.to_thread(self.inspect_machine, Path.cwd())

    @work(group="includes", exclusive=True)
    async def _read_includes(self) -> None:
        document = self.document
        found = await asyncio.to_thread(document.read_disk)
        if document is self.document:
            document.take_includes(found.includes)
            self.refresh_state()

    @work(group="token-files", exclusive=True)
    async def _inspect_token_files(self) -> None:
        await asyncio.sleep(TYPING_PAUSE_SECONDS)
        inspection = self.document.inspection
        self.token_files = await asyncio.to_thread(inspect_token_files, inspection)

    # Editing

    @property
    def document(self) -> ConfigDocument:
        """The config, with all that was typed."""
        self._take_typed()
        return self._document

    @on(FormField.Typed)
    def _typed(self, event: FormField.Typed) -> None:
        self._take_typed()
        self._last_typed = event
        self.call_after_refresh(self._take_typed)  # the letter first

    def _take_typed(self) -> None:
        """Take what was typed last into the document, and show what follows of it."""
        event, self._last_typed = self._last_typed, None
        # A later letter may be on its way: to show this one would undo it.
        if event is not None and not event.is_stale:
            self._document.type(event.key, event.text)
            self.refresh_state()

    @on(FormField.Chosen)
    def _chosen(self, event: FormField.Chosen) -> None:
        self.document.set_value(event.key, event.value)
        self.refresh_state()

    @on(FormSection.Switched)
    async def _switched(self, event: FormSection.Switched) -> None:
        self.document.set_value(event.table, event.on)
        self.refresh_state()
        if event.on:
            await self.form.sections[event.table].set_folded(False)

    @on(TextArea.Changed)
    def _toml_typed(self, event: TextArea.Changed) -> None:
        area = event.text_area
        self.document.set_text(area.text, kind=f"line {area.cursor_location[0]}")
        self.refresh_state()

    def _update_possible(self) -> None:
        if (state := self.state) is None:
            return
        field = state.fields[key] if (key := self.focused_key) else None
        conditions = {
            "undo": state.can_undo,
            "redo": state.can_redo,
            "discard": state.is_changed,
            "next_error": bool(state.errors),
            "reload": not self._document.is_new,
            "reset": field is not None and field.changed and not state.has_syntax_error,
            "unset": field is not None and field.is_own and not state.has_syntax_error,
        }
        self.possible = frozenset(action for action, holds in conditions.items() if holds)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        self._take_typed()
        if action in ("undo", "redo", "discard", "reload"):
            return True if action in self.possible else None
        if action in ("next_error", "reset", "unset"):  # hidden: the footer has no room at 80
            return action in self.possible
        if action == "show_tab":
            return parameters[0] != self.tab
        return True

    def action_undo(self) -> None:
        self.document.undo()
        self.refresh_state()

    def action_redo(self) -> None:
        self.document.redo()
        self.refresh_state()

    def action_reset(self) -> None:
        if key := self.focused_key:
            self.document.reset(key)
            self.refresh_state()

    def action_unset(self) -> None:
        if key := self.focused_key:
            self.document.unset(key)
            self.refresh_state()

    def action_discard(self) -> None:
        self.document.discard()
        self.refresh_state()

    def commands(self) -> Iterable[SystemCommand]:
        yield from super().commands()
        if self.state is not None and self.state.errors:
            yield SystemCommand("Errors", "List the errors and go to one", self.action_list_errors)
        text = "Estimate the time on a GPU that is not here"
        yield SystemCommand("Time on another GPU", text, self.choose_gpu)

    # Moving

    async def action_next_error(self) -> None:
        if self.state is None:
            return
        editor = self.query_one(TomlPane).editor
        if self.tab == "toml" and editor.errors:
            editor.go_to_next_error()
        elif keys := self.state.invalid_keys:
            here = self.focused_key
            following = keys.index(here) + 1 if here in keys else 0
            await self.go_to(keys[following % len(keys)])
        elif errors := self.state.general_errors:
            await self._go_to_error(errors[0])

    async def action_first_error(self, section: str) -> None:
        """Go to the first error of a section."""
        keys = self.state.invalid_keys if self.state is not None else []
        if wanted := [key for key in keys if key in sections()[section].settings]:
            await self.go_to(wanted[0])
        else:  # an unknown key
            await self.action_next_error()

    @work(group="errors", exclusive=True)
    async def action_list_errors(self) -> None:
        await self._list_errors()

    async def _list_errors(self) -> None:
        """List all errors, and go to the one that is chosen."""
        errors = self.state.errors if self.state is not None else []
        title = "1 error" if len(errors) == 1 else f"{len(errors)} errors"
        chosen = await self.app.push_screen_wait(errors_dialog(title, errors))
        if chosen is not None:
            await self._go_to_error(chosen)

    async def _go_to_error(self, error: Problem) -> None:
        if keys := [key for key in error.keys if key in settings()]:
            await self.go_to(keys[0])
            return
        is_own = error.origin.kind == "file"
        origin = error.origin if is_own else self.document.parsed.origins["include"]
        self.tab = "toml"
        self.query_one(TomlPane).editor.go_to_line(origin.line or 1)

    async def go_to(self, key: str) -> None:
        """Put the cursor into the field of `key`."""
        self.tab = "form"
        if key in settings() or key in tables():
            await self.form.go_to(key)

    def action_show_tab(self, tab: Tab) -> None:
        if tab == self.tab:
            return
        key = self.focused_key
        self.tab = tab
        if tab == "form":
            self.form.focus_title(COMMON)
        else:
            editor = self.query_one(TomlPane).editor
            origin = self.document.parsed.origins[key] if key else None
            line = origin.line if origin is not None and origin.kind == "file" else None
            editor.go_to_line(line or editor.cursor_location[0] + 1)

    def action_search(self) -> None:
        self.tab = "form"
        self.search.focus()

    @on(Input.Changed, "#search")
    async def _searched(self) -> None:
        self._show_about()
        await self._filter()

    def _first_match(self) -> Setting | None:
        """The setting that Enter goes to in the search: by its name, or else its description."""
        word = self.search.value.strip().lower()
        if not word or self.state is None:
            return None
        keys = self.state.matching_keys(word, self.view)
        found = [setting for key, setting in settings().items() if key in keys]
        return min(found, key=lambda one: word not in one.name, default=None)

    @on(Input.Submitted, "#search")
    async def _search_done(self) -> None:
        found = self._first_match()
        if found is None or self.state is None or self.state.has_syntax_error:
            return
        if not self.state.sections[found.table].on:
            self.document.set_value(found.table, True)
            self.refresh_state()
        await self.go_to(found.key)

    async def action_next_view(self) -> None:
        views = list(VIEWS)
        await self.action_show_view(views[(views.index(self.view) + 1) % len(views)])

    async def action_show_view(self, view: View) -> None:
        self.view = view
        await self._filter()

    async def _filter(self) -> None:
        search = self.search.value
        is_filtered = bool(search.strip()) or self.view != "all"
        if self.state is not None:
            keys = self.state.matching_keys(search, self.view) if is_filtered else None
            await self.form.show_only(keys)

    def action_leave_field(self) -> None:
        if self.search.has_focus and self.search.value:
            self.search.value = ""
        elif isinstance(self.focused, TextArea):
            self.set_focus(self.query_one("#tab-toml"))
        elif isinstance(self.focused, Input):
            section = section_around(self.focused)
            self.form.focus_title(section.table.name if section is not None else COMMON)

    async def action_fold_all(self, folded: bool) -> None:
        await self.form.fold_all(folded)

    # Opening

    @work(group="open", exclusive=True)
    async def _open_default(self) -> None:
        await self._load(None)

    @work(group="open", exclusive=True)
    async def open(
        self, path: Path | None, values: Mapping[str, Any], key: str = "", new_name: str = ""
    ) -> None:
        """Edit the config at `path` (None: the open one) with `values` applied as if typed.

        The focus moves to the setting `key`, if one is given. With `new_name` the config is the
        start of a new one, and that file name is proposed when it is saved.
        """
        is_other = path is not None and path.absolute() != self.document.path.absolute()
        is_other = is_other or bool(new_name)
        loaded = True
        if path is not None and is_other:
            if not await self._may_leave():
                return
            loaded = await self._load(ConfigFile(path, "", is_template=bool(new_name)))
            self._new_name = new_name if loaded else ""
        if path is None and self.state is None:  # just mounted
            await self._load(None)
        if loaded and values and not self.document.has_syntax_error:
            self.document.apply(values)
            self.refresh_state()
            self.tab = "form"
            self.set_focus(self.query_one("#train"))  # Enter continues
        if key:
            await self.go_to(key)

    async def _load(self, config: ConfigFile | None) -> bool:
        """Edit another config, or the default one; False where it cannot be read."""
        if config is None:
            config = await asyncio.to_thread(default_config)
        try:
            document = await asyncio.to_thread(
                ConfigDocument.open, config.path, is_new=config.is_template
            )
        except UserError as error:
            self.notify(str(error), severity="error", title="Not opened", markup=False)
            if self.state is None:
                self.refresh_state()  # an empty config is better than none
            return False
        self.show_document(document)
        return True

    async def _may_leave(self) -> bool:
        """Ask about unsaved changes; True where they are saved or discarded, or there are none."""
        if not self.document.has_work:
            return True
        answers = [
            Answer("save", "Save", "primary"),
            Answer("discard", "Discard changes", "warning"),
        ]
        text = f"{self.document.name} has unsaved changes."
        answer = await self.app.push_screen_wait(Question("Unsaved changes", text, answers))
        return answer == "discard" or (answer == "save" and await self._save())

    @work(group="open", exclusive=True)
    async def action_open(self) -> None:
        configs = await asyncio.to_thread(list_configs, Path.cwd())
        templates = await asyncio.to_thread(list_templates)
        await self._choose("Open a config", [*configs, *templates])

    @work(group="open", exclusive=True)
    async def action_new(self) -> None:
        await self._choose("New from a template", await asyncio.to_thread(list_templates))

    async def _choose(self, title: str, configs: Sequence[ConfigFile]) -> None:
        chosen = await self.app.push_screen_wait(open_dialog(title, configs))
        if chosen is not None and await self._may_leave():
            await self._load(chosen)

    # Saving

    @work(group="save", exclusive=True)
    async def action_save(self) -> None:
        if self.document.is_changed or self.document.is_new:
            await self._save()
        else:
            self.notify(f"{self.document.name} has no unsaved changes.", markup=False)

    @work(group="save", exclusive=True)
    async def action_save_as(self) -> None:
        await self._save(ask_path=True)

    async def _save(
        self, accept: str = "Save", *, ask_path: bool = False, warning: str = ""
    ) -> bool:
        """Show the changes and save them; False where they were not saved."""
        async with self._disk_lock:
            if not await self._merge_from_disk():
                return False
            document = self.document
            ask_path = ask_path or document.is_new
            path = document.path
            if ask_path:
                named = path.with_name(self._new_name) if self._new_name else path
                path = await asyncio.to_thread(free_path, named)
            dialog = SaveDialog(
                document.diff(),
                path,
                accept=accept,
                ask_path=ask_path,
                is_folded=bool(self._new_name),
                warning=warning,
            )
            chosen = await self.app.push_screen_wait(dialog)
            if chosen is None:
                return False
            text = document.text
            replaces = None if ask_path else document.saved_text
            try:
                written = await asyncio.to_thread(
                    save_text, text, chosen, origin=document.path, replaces=replaces
                )
            except UserError as error:
                self.notify(str(error), severity="error", title="Not saved", markup=False)
                return False
            includes = await asyncio.to_thread(read_includes, written, short_path(chosen))
            document.mark_saved(chosen, written, text, includes)
            self.refresh_state()
            self._new_name = ""
            self.notify(f"Saved {document.name}.", markup=False)
            return True

    async def save_unsaved(self) -> bool:
        return await self._save("Save and quit")

    def check_disk(self) -> None:
        """Look whether the file or an include was changed by another program."""
        if self.is_current and not self._disk_lock.locked():
            self._reload(is_asked=False)

    def action_reload(self) -> None:
        self._reload(is_asked=True)

    @work(group="disk")
    async def _reload(self, *, is_asked: bool) -> None:
        async with self._disk_lock:
            if await self._merge_from_disk() and is_asked:
                self.notify(f"{self.document.name} is up to date with the disk.", markup=False)

    async def _merge_from_disk(self) -> bool:
        """Take over the file where it was changed on disk; False where a person cancelled it."""
        document = self.document
        found = await asyncio.to_thread(document.read_disk)
        if document is not self.document:
            return True
        if changed := document.take_includes(found.includes):
            names = ", ".join(str(short_path(path)) for path in changed)
            self.notify(f"Reloaded {names}: changed on disk.", markup=False)
            self.refresh_state()
        on_disk = found.text
        if on_disk is None or on_disk == document.saved_text:
            return True
        answer: str | None = "theirs"
        if document.is_changed:
            answers = [
                Answer("merge", "Merge", "primary"),
                Answer("ours", "Keep mine"),
                Answer("theirs", "Discard mine"),
            ]
            text = (
                f"{document.name} was changed on disk and here. Merge takes the file from disk and "
                "sets in it what was changed here."
            )
            answer = await self.app.push_screen_wait(Question("Changed on disk", text, answers))
        else:
            self.notify(f"Reloaded {document.name}: changed on disk.", markup=False)
        try:
            if answer == "ours":
                document.mark_on_disk(on_disk)
            elif answer is not None:
                document.take_from_disk(on_disk, merge=answer == "merge")
        except ValueError as error:
            self.notify(f"The file on disk is not TOML: {error}", severity="error", markup=False)
            return False
        self.refresh_state()
        return answer is not None

    # Training

    @work(group="train", exclusive=True)
    async def action_train(self) -> None:
        """Start a training of this config: without errors, saved, in a directory of its own."""
        document = self.document
        if document.needs_includes:
            document.take_includes((await asyncio.to_thread(document.read_disk)).includes)
        self.token_files = await asyncio.to_thread(inspect_token_files, document.inspection)
        self.refresh_state()
        if self.state is not None and self.state.errors:
            await self._list_errors()
            return
        self._update_estimate()
        warning = self.estimate.memory_warning if self.estimate is not None else ""
        if document.is_changed:
            if not await self._save("Save and train", warning=warning):
                return
        elif warning and not await self._may_exceed_memory(warning):
            return
        config = document.inspection.config
        if config is not None:
            await self._start_training(document.path, config.output_dir)

    async def _may_exceed_memory(self, warning: str) -> bool:
        answers = [Answer("train", "Train anyway", "error")]
        answer = await self.app.push_screen_wait(Question("Not enough memory", warning, answers))
        return answer == "train"

    async def _start_training(self, path: Path, output_dir: Path) -> None:
        run = RunDirectory(output_dir)
        if not await asyncio.to_thread(run.exists):
            await self._start_or_queue(path, output_dir)
            return
        free = short_path(await asyncio.to_thread(first_free_path, run.path))
        status = await asyncio.to_thread(run.status)
        answers = [Answer("new", f"Train in {free.name}", "primary")]
        if status is not None and status.state != "finished":
            answers.append(Answer("resume", "Resume it"))
        text = f"{short_path(output_dir)} already contains a run, which is never overwritten."
        title = "Output directory already exists"
        answer = await self.app.push_screen_wait(Question(title, text, answers))
        if answer == "new":
            await self._start_or_queue(path, free, ("--output_dir", str(free)))
        elif answer == "resume":
            self.post_message(messages.ResumeTraining(run.path))

    async def _start_or_queue(
        self, path: Path, output_dir: Path, overrides: tuple[str, ...] = ()
    ) -> None:
        """Start the training, or queue it behind the live run if there is one."""
        live = newest_live(self.runs or ())
        answer: str | None = "now"
        if live is not None:
            name = one_line(live.path.name)
            text = f"{name} is training. Two trainings at once slow each other down."
            answers = [
                Answer("after", f"Train after {name}", "primary"),
                Answer("now", "Train now"),
            ]
            answer = await self.app.push_screen_wait(Question("A run is live", text, answers))
        if answer == "now":
            self.post_message(messages.StartTraining(path, overrides))
        elif answer == "after" and live is not None:
            try:
                await asyncio.to_thread(queue, path, RunDirectory(output_dir), live.path)
            except (UserError, OSError) as error:
                self.notify(str(error), title="Not queued", severity="error", markup=False)
            else:
                self.post_message(messages.RunsChanged())
                self.post_message(messages.Visit("runs"))


def _format_general_errors(errors: Sequence[Problem]) -> str:
    """Return the first of the errors that belong to no field, and how many more there are."""
    first = errors[0]
    place = f"line {first.origin.line}" if first.origin.kind == "file" else str(first.origin)
    keys = f"{', '.join(first.keys)}: " if first.keys else ""
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    fix = "" if first.keys else ". F8: fix it in the TOML"
    return f"✗ {place}: {keys}{first.message}{more}{fix}"
