"""The Config screen: a form and the TOML behind it, in step, with what it would cost beside it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Button, ContentSwitcher, Input, Static, TextArea

from simplegpt.config.load import Problem
from simplegpt.config.schema import settings
from tui.config.actions import VIEWS, ConfigActions
from tui.config.estimate import ConsequencesPanel
from tui.config.facts import (
    Consequences,
    DataFacts,
    Machine,
    consequences,
    look_at_data,
    look_at_machine,
)
from tui.config.files import usual_config
from tui.config.form import ConfigForm
from tui.config.states import (
    field_states,
    loose_problems,
    section_states,
)
from tui.config.title import ConfigTitle
from tui.config.toml_editor import TomlEditor

MUTED = "$footer-description-foreground"


class DataSeen(Message):
    """The token files were looked at."""

    def __init__(self, facts: DataFacts) -> None:
        super().__init__()
        self.facts = facts


class MachineSeen(Message):
    """The machine and the earlier runs were looked at."""

    def __init__(self, machine: Machine) -> None:
        super().__init__()
        self.machine = machine


class ConfigScreen(ConfigActions):
    """The config editor."""

    MODE = "config"
    CSS_PATH = "screen.tcss"
    AUTO_FOCUS = ""  # a section's title takes it, not the first button
    HELP = """\
Each field is a key of the TOML file. **●** marks what differs from the file on disk, and at the
right stands where a value comes from: this file, an include, or the default. An empty optional
field is *off*. **Ctrl+R** puts a field back to what the file says; **Ctrl+T** takes it out of the
file, so that the include or the default holds. **Esc** leaves a field; then the single letters act:
**o**pen, **n**ew from a template, save **a**s, re**l**oad, **v**iew, **R**eset all, **+** and **-**
unfold and fold.

Mistakes are told under their field while you type, and **Ctrl+G** goes from one to the next.
**F8** turns to the TOML itself and back. **F7** shows what a save would change, and saves; **F9**
starts the training.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f7", "save", "Save", tooltip="Show what would be written, and write it"),
        Binding("f8", "other_tab", "TOML", tooltip="Turn to the TOML itself, and back"),
        Binding("f9", "train", "Train", tooltip="Start a training of this config"),
        # At once, before the letters that follow it are given to what had the focus.
        Binding("ctrl+l", "search", "Find", priority=True, tooltip="Search names and descriptions"),
        Binding("ctrl+g", "next_mistake", "Mistake", tooltip="Go to the next mistake"),
        Binding("ctrl+b", "undo", "Undo", tooltip="Take the last change back"),
        Binding("ctrl+n", "redo", "Redo", show=False, tooltip="Make it again"),
        Binding("ctrl+r", "reset", "Reset", tooltip="Put this field back to what the file says"),
        Binding("ctrl+t", "unset", "Unset", show=False, tooltip="Take the field out of this file"),
        Binding("v", "next_view", "View", show=False, tooltip="All, this file, unsaved"),
        Binding("slash", "search", "Find", show=False),
        Binding("R", "reset_all", "Reset all", show=False, tooltip="Back to the saved file"),
        Binding("o", "open", "Open", show=False, tooltip="Open another config"),
        Binding("n", "new", "New", show=False, tooltip="A new config from a template"),
        Binding("a", "save_as", "Save as", show=False, tooltip="Save under another name"),
        Binding("l", "reload", "Reload", show=False, tooltip="Read the file again"),
        Binding("plus", "unfold_all", "Unfold all", show=False, tooltip="Open every section"),
        Binding("minus", "fold_all", "Fold all", show=False, tooltip="Close every section"),
        Binding("escape", "leave_field", "Leave the field", show=False),
    ]

    # Beside the consequences there is room for the files' buttons only on a wide terminal.
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide"), (130, "-roomy")]  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__()
        self.document = usual_config()
        self.machine: Machine | None = None
        self.data: DataFacts | None = None
        self.costs: Consequences | None = None
        self._said: dict[str, str] = {}
        self._about: str | None = None
        """The setting that is described."""
        self._looking = False
        self._disk_timer: Timer | None = None

    def compose_body(self) -> ComposeResult:
        states = field_states(self.document, self.problems)
        sections = section_states(self.document, self.problems)
        with Horizontal(id="columns"):
            with Vertical(id="editor"):
                with Horizontal(id="bar"):
                    yield ConfigTitle(id="where")
                    yield Button("Form", id="tab-form", tooltip="The form (F8)")
                    yield Button("TOML", id="tab-toml", tooltip="The file itself (F8)")
                    yield Button("Train", id="train", tooltip="Start a training of this (F9)")
                with Horizontal(id="tools"):
                    yield Input(
                        placeholder="find a setting (Ctrl+L)",
                        id="search",
                        compact=True,
                        tooltip="Words of a name or a description",
                    )
                    for view, (name, tip) in VIEWS.items():
                        yield Button(name, id=f"view-{view}", tooltip=tip)
                    for name, action in (("Open", "open"), ("New", "new"), ("Save as", "save_as")):
                        yield Button(f"{name} …", id=action, classes="file")
                yield Static(id="banner", markup=False)
                with ContentSwitcher(id="tabs", initial="form"):
                    yield ConfigForm(states, sections, id="form")
                    with Vertical(id="toml"):
                        yield TomlEditor(self.document.text, id="text")
                        yield Static(id="text-problem", markup=False)
                yield Static(id="about", markup=False)
            yield ConsequencesPanel(id="consequences")

    def on_mount(self) -> None:
        self._focus_first_title()
        self.refresh_document()

    def _focus_first_title(self) -> None:
        if self.focused is not None:
            return  # a key has been faster: what it chose stays
        if titles := self.query("SectionTitle"):
            self.set_focus(titles.first())
        else:  # the sections have not made their titles yet
            self.call_after_refresh(self._focus_first_title)

    def on_screen_resume(self) -> None:
        self._look_at_machine()
        self.look_at_data(again=True)
        self._disk_timer = self._disk_timer or self.set_interval(2.0, self.look_at_disk)
        self._disk_timer.resume()
        self.look_at_disk()

    def on_screen_suspend(self) -> None:
        if self._disk_timer is not None:
            self._disk_timer.pause()

    # What is known

    @property
    def problems(self) -> list[Problem]:
        """All mistakes: those of the text, and those that the token files showed."""
        own = list(self.document.inspection.problems)
        wrong = {key for problem in own for key in problem.keys}
        if self.data is None or self.document.has_syntax_error:
            return own
        return own + [one for one in self.data.problems if wrong.isdisjoint(one.keys)]

    def refresh_document(self, *, typed_toml: bool = False) -> None:
        """Show the document as it is now, everywhere."""
        document, problems = self.document, self.problems
        self.query_one(ConfigForm).show(
            field_states(document, problems), section_states(document, problems)
        )
        if self.query_one(ContentSwitcher).current == "toml":  # out of sight it costs each key 5 ms
            editor = self.query_one(TomlEditor)
            if not typed_toml:
                editor.show(document.text)
            editor.mark(problems)
        self.show_bar()
        self._show_banner(problems)
        self._show_text_problem()
        self._show_costs()
        self.show_about(self.query_one(ConfigForm).focused_key())
        self.refresh_actions()
        self.look_at_data()

    def show_bar(self) -> None:
        self.query_one(ConfigTitle).show(self.document, len(self.problems))
        form = self.query_one(ContentSwitcher).current == "form"
        self.query_one("#tab-form").set_class(form, "-on")
        self.query_one("#tab-toml").set_class(not form, "-on")
        self.query_one("#tools").display = form
        self.query_one("#about").display = form
        for view in VIEWS:
            self.query_one(f"#view-{view}").set_class(view == self.view, "-on")

    def _show_banner(self, problems: list[Problem]) -> None:
        loose = loose_problems(problems)
        said = ""
        if loose and self.query_one(ContentSwitcher).current == "form":
            place = f"line {loose[0].origin.line}: " if loose[0].origin.kind == "file" else ""
            named = f"{', '.join(loose[0].keys)}: " if loose[0].keys else ""
            where = place or f"{loose[0].origin}: "
            more = f" (and {len(loose) - 1} more)" if len(loose) > 1 else ""
            way = ". F8: mend it in the TOML" if self.document.has_syntax_error else ""
            said = f"✗ {where}{named}{loose[0].message}{more}{way}"
        self._say("#banner", said)

    def _say(self, name: str, said: str) -> None:
        """Show a message, and its line only while there is one."""
        if said != self._said.get(name, ""):
            self._said[name] = said
            self.query_one(name, Static).update(said)
            self.query_one(name).display = bool(said)

    @on(TextArea.SelectionChanged)
    def _show_text_problem(self) -> None:
        self._say("#text-problem", self.query_one(TomlEditor).problem_here())

    def _show_costs(self) -> None:
        config = self.document.inspection.config
        if config is not None and self.machine is not None:
            self.costs = consequences(config, self.data, self.machine)
        panel = self.query_one(ConsequencesPanel)
        panel.show(self.costs, outdated=config is None)

    def show_about(self, key: str | None) -> None:
        if key == self._about:
            return
        self._about = key
        about = Content()
        if key is not None:
            setting = settings()[key]
            about = Content.assemble(
                (setting.description, ""),
                " ",
                (f"Must be {setting.allowed}.", "$footer-description-foreground"),
            )
        self.query_one("#about", Static).update(about, layout=False)

    # Looking, in workers

    def look_at_data(self, *, again: bool = False) -> None:
        """Judge the text by its token files, one look at a time."""
        now = (self.document.text, self.document.path)
        seen = self.data is not None and (self.data.text, self.data.path) == now
        if not self._looking and (again or not seen):
            self._looking = True
            self._look(*now)

    @work(thread=True, group="look-at-data")
    def _look(self, text: str, path: Path) -> None:
        self.post_message(DataSeen(look_at_data(text, path)))

    @on(DataSeen)
    def _data_seen(self, event: DataSeen) -> None:
        self._looking = False
        old, self.data = self.data, event.facts
        if old is None or old.says() != event.facts.says():
            self.refresh_document(typed_toml=True)
        else:
            self.look_at_data()  # at what was typed meanwhile

    @work(thread=True, group="look-at-machine", exclusive=True)
    def _look_at_machine(self) -> None:
        self.post_message(MachineSeen(look_at_machine(Path.cwd())))

    @on(MachineSeen)
    def _machine_seen(self, event: MachineSeen) -> None:
        self.machine = event.machine
        self._show_costs()

    def open(self, path: Path | None, values: Mapping[str, Any]) -> None:
        """Edit the config at `path`, with `values` (dotted key -> value) laid over as if typed."""
        self.open_asking(path, values)

    def unsaved(self) -> str | None:
        return f"changes of {self.document.name}" if self.has_work() else None
