"""The config editor's own dialogs: what a save would write, and which config to open."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Button, Input, Static

from tui.config.files import ConfigFile, short_path
from tui.shell.dialogs import Dialog, Entry, ListDialog

DIFF_STYLES = {"+": "$text-success", "-": "$text-error", "@": "$footer-description-foreground"}


class SaveDialog(Dialog[Path]):
    """Shows the changes and where they will be saved; returns the path."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("f7", "accept", "Save", show=False)]
    DEFAULT_CSS: ClassVar[str] = """
    SaveDialog {
        #dialog { width: 84; }
        #diff {
            height: auto;
            max-height: 50vh;
            margin-top: 1;
            padding: 0 1;
            background: $background;
        }
        #note { height: auto; color: $text-warning; }
    }
    """

    def __init__(
        self, diff: Sequence[str], path: Path, *, accept: str = "Save", ask_path: bool = False
    ) -> None:
        super().__init__(
            f"{accept} as" if ask_path else accept,
            buttons=[Button(accept, id="accept", variant="primary", action="screen.accept")],
        )
        self.diff, self.path, self.ask_path = diff, path, ask_path

    def compose_body(self) -> ComposeResult:
        if self.ask_path:
            yield Input(str(self.path), id="path", compact=True, select_on_focus=False)
        else:
            yield Static(str(self.path), id="path", markup=False)
        with VerticalScroll(id="diff", can_focus=False):
            yield Static(diff_content(self.diff))
        yield Static(id="note", markup=False)

    def on_mount(self) -> None:
        self.query_one("#path" if self.ask_path else "#accept").focus()

    @property
    def target(self) -> Path | None:
        """The path as typed, with the suffix; None where there is no name yet."""
        if not self.ask_path:
            return self.path
        typed = self.query_one("#path", Input).value.strip()
        if not typed or typed.endswith("/"):
            return None
        path = Path(typed)
        return path if path.suffix == ".toml" else path.with_name(f"{path.name}.toml")

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        self._note_target()

    @work(group="note", exclusive=True)
    async def _note_target(self) -> None:
        target, note = self.target, ""
        if target is not None and await asyncio.to_thread(target.exists):
            note = f"{short_path(target)} already exists and will be overwritten."
        self.query_one("#note", Static).update(note)

    @on(Input.Submitted)
    @work(group="accept", exclusive=True)
    async def action_accept(self) -> None:
        target = self.target
        if target is None:
            self.query_one("#note", Static).update("Enter a file name.")
        elif await asyncio.to_thread(target.is_dir):
            self.query_one("#note", Static).update(f"{short_path(target)} is a directory.")
        else:
            self.dismiss(target)


def diff_content(diff: Sequence[str]) -> Content:
    """Colour a unified diff."""
    if not diff:
        return Content.styled("No changes.", "$footer-description-foreground")
    lines = [Content.styled(line or " ", DIFF_STYLES.get(line[:1], "")) for line in diff]
    return Content("\n").join(lines)


def open_dialog(title: str, configs: Sequence[ConfigFile]) -> ListDialog[ConfigFile]:
    """List configs to choose from; the path of another one can be typed."""

    def parse(text: str) -> ConfigFile | None:
        path = Path(text).expanduser()
        return ConfigFile(path, "") if path.is_file() else None

    entries = [
        Entry(
            config,
            config.path.stem if config.is_template else str(short_path(config.path)),
            detail=config.comment,
            group="Templates" if config.is_template else "Configs here",
        )
        for config in configs
    ]
    return ListDialog(title, entries, placeholder="Filter, or type a path", parse=parse)
