"""The config editor's own questions: what a save would write, and which config to open."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Input, OptionList, Static
from textual.widgets.option_list import Option

from simplegpt.cli import UserError
from simplegpt.config.load import config_folder
from tui.config.document import read_text, short_path


class SaveQuestion(ModalScreen[Path | None]):
    """Shows what would be written, and where; returns the path, or None for Escape."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss", "Cancel"),
        Binding("f7", "accept", "Save", show=False),
    ]

    def __init__(
        self, diff: Sequence[str], path: Path, *, accept: str = "Save", ask_path: bool = False
    ) -> None:
        super().__init__()
        self.diff = diff
        self.path = path
        self.accept = accept
        self.ask_path = ask_path

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog") as dialog:
            dialog.border_title = f"{self.accept} as" if self.ask_path else self.accept
            if self.ask_path:
                yield Input(short_path(self.path), id="path", compact=True, select_on_focus=False)
            else:
                yield Static(short_path(self.path), id="where", markup=False)
            with VerticalScroll(id="diff"):
                yield Static(coloured(self.diff, is_new=self.ask_path))
            yield Static(id="problem", markup=False)
            with Horizontal(id="answers"):
                yield Button(self.accept, id="accept", variant="primary")
                yield Button("Cancel", id="cancel")

    def on_mount(self) -> None:
        first = self.query_one("#path", Input) if self.ask_path else self.query_one("#accept")
        first.focus()
        self._judge()

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        self._judge()

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.action_accept()

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        event.stop()
        if event.button.id == "accept":
            self.action_accept()
        else:
            self.dismiss(None)

    def action_accept(self) -> None:
        if not self._judge():
            self.dismiss(self._target())

    def _target(self) -> Path:
        if not self.ask_path:
            return self.path
        path = Path(self.query_one("#path", Input).value.strip())
        return path if path.suffix == ".toml" else path.with_name(f"{path.name}.toml")

    def _judge(self) -> str:
        """What is wrong with the path, also shown."""
        problem, note = "", ""
        if self.ask_path:
            typed = self.query_one("#path", Input).value.strip()
            if not typed or typed.endswith("/"):
                problem = "A name is needed."
            elif self._target().is_dir():
                problem = f"{self._target()} is a folder."
            elif self._target().exists():
                note = f"{self._target()} is there already and will be replaced."
        self.query_one("#problem", Static).update(problem or note, layout=False)
        self.query_one("#problem").set_class(bool(note), "-note")
        return problem


def coloured(diff: Sequence[str], *, is_new: bool) -> Content:
    """A unified diff in colours."""
    if not diff:
        other = "A copy: nothing differs." if is_new else "Nothing differs from the file."
        return Content.styled(other, "$footer-description-foreground")
    styles = {"+": "$text-success", "-": "$text-error", "@": "$footer-description-foreground"}
    lines = [Content.styled(line or " ", styles.get(line[:1], "")) for line in diff]
    return Content("\n").join(lines)


@dataclass(frozen=True)
class Chosen:
    """A config to open; `is_template`: as the start of a new one."""

    path: Path
    is_template: bool


class OpenQuestion(ModalScreen[Chosen | None]):
    """Lists the configs here and the templates; a path can be typed too."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss", "Cancel"),
        Binding("down", "down", "Down", show=False),
    ]

    def __init__(self, configs: Sequence[Path], *, templates_first: bool) -> None:
        super().__init__()
        self.configs = configs
        self.templates = sorted(config_folder().glob("*.toml"))
        self.templates_first = templates_first
        self.choices: list[Chosen] = []

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog") as dialog:
            dialog.border_title = "New from a template" if self.templates_first else "Open a config"
            placeholder = "filter, or type a path" if not self.templates_first else "filter"
            yield Input(placeholder=placeholder, id="path", compact=True)
            yield OptionList(id="list")
            yield Static(id="problem", markup=False)

    def on_mount(self) -> None:
        self._fill("")
        self.query_one(Input).focus()

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        self._fill(event.value)

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        typed = Path(event.value.strip())
        if event.value.strip() and typed.is_file():
            self.dismiss(Chosen(typed, is_template=False))
        elif self.choices:
            index = self.query_one(OptionList).highlighted or 0
            self.dismiss(self.choices[index])
        else:
            self.query_one("#problem", Static).update(f"There is no {event.value}.")

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.dismiss(self.choices[event.option_index])

    def action_down(self) -> None:
        self.query_one(OptionList).focus()

    def _fill(self, text: str) -> None:
        here = [Chosen(path, is_template=False) for path in self.configs]
        new = [Chosen(path, is_template=True) for path in self.templates]
        wanted = new if self.templates_first else here + new
        self.choices = [one for one in wanted if text.lower() in str(one.path).lower()]
        options = self.query_one(OptionList)
        options.clear_options()
        options.add_options([Option(self._described(one)) for one in self.choices])
        if self.choices:
            options.highlighted = 0

    def _described(self, choice: Chosen) -> Content:
        name = choice.path.stem if choice.is_template else short_path(choice.path)
        kind = "new from " if choice.is_template and not self.templates_first else ""
        return Content.assemble(
            (kind, "$footer-description-foreground"),
            (name, "bold"),
            "\n  ",
            (first_comment(choice.path), "$footer-description-foreground"),
        )


def first_comment(path: Path) -> str:
    """What a config says of itself in its first line."""
    try:
        first = read_text(path).split("\n", 1)[0]
    except UserError:
        return ""
    return first.removeprefix("#").strip() if first.startswith("#") else ""
