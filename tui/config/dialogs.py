"""The config editor's own dialogs: what a save would write, which config to open, the errors."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Button, Collapsible, Input, Static

from simplegpt.cli import UserError
from simplegpt.config.load import Problem
from simplegpt.run import hardware
from tui.config.fields import format_origin
from tui.config.files import ConfigFile, save_path, typed_config
from tui.shared.paths import short_path
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
        Collapsible { margin-top: 1; padding: 0; border: none; background: transparent; }
        Collapsible Contents { padding: 0; }
        Collapsible #diff { margin-top: 0; }
        #note { height: auto; color: $text-warning; }
        #warning { height: auto; margin-top: 1; }
    }
    """

    def __init__(
        self,
        diff: Sequence[str],
        path: Path,
        *,
        accept: str = "Save",
        ask_path: bool = False,
        is_folded: bool = False,
        warning: str = "",
    ) -> None:
        """`is_folded`: show the changes only on request, because nobody has typed them.

        `warning`: what is wrong with the config although it is valid.
        """
        super().__init__(
            f"{accept} as" if ask_path else accept,
            buttons=[Button(accept, id="accept", variant="primary", action="screen.accept")],
        )
        self.diff, self.path, self.ask_path, self.warning = diff, path, ask_path, warning
        self.is_folded = is_folded

    def compose_body(self) -> ComposeResult:
        if self.ask_path:
            yield Input(str(self.path), id="path", compact=True, select_on_focus=False)
        else:
            yield Static(str(self.path), id="path", markup=False)
        changes = VerticalScroll(Static(diff_content(self.diff)), id="diff", can_focus=False)
        yield Collapsible(changes, title="Config changes") if self.is_folded else changes
        if self.warning:
            yield Static(self.warning, id="warning", classes="error", markup=False)
        yield Static(id="note", markup=False)

    def on_mount(self) -> None:
        self.query_one("#path" if self.ask_path else "#accept").focus()

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        self._check_path(event.value)

    @work(group="path", exclusive=True)
    async def _check_path(self, typed: str) -> None:
        try:
            path = await asyncio.to_thread(save_path, typed)
            exists = await asyncio.to_thread(path.exists)
            note = f"{short_path(path)} already exists and will be overwritten." if exists else ""
        except UserError as error:
            note = str(error)
        self._show_note(note)

    @on(Input.Submitted)
    @work(group="path", exclusive=True)
    async def action_accept(self) -> None:
        path = self.path
        if self.ask_path:
            try:
                typed = self.query_one("#path", Input).value
                path = await asyncio.to_thread(save_path, typed)
            except UserError as error:
                self._show_note(str(error))
                return
        self.dismiss(path)

    def _show_note(self, note: str) -> None:
        self.query_one("#note", Static).update(note)


def diff_content(diff: Sequence[str]) -> Content:
    """Colour a unified diff."""
    if not diff:
        return Content.styled("No changes.", "$footer-description-foreground")
    lines = [Content.styled(line or " ", DIFF_STYLES.get(line[:1], "")) for line in diff]
    return Content("\n").join(lines)


def open_dialog(title: str, configs: Sequence[ConfigFile]) -> ListDialog[ConfigFile]:
    """List configs to choose from; the path of another one can be typed."""
    entries = [
        Entry(
            config,
            config.path.stem if config.is_template else str(short_path(config.path)),
            detail=config.comment,
            group="Templates" if config.is_template else "Configs here",
        )
        for config in configs
    ]

    async def search(text: str) -> Sequence[Entry[ConfigFile]]:
        typed = await asyncio.to_thread(typed_config, text)
        if typed is not None:
            return [Entry(typed, text, detail=typed.comment)]
        words = text.casefold().split()
        return [entry for entry in entries if entry.matches(words)]

    return ListDialog(title, placeholder="Filter, or type a path", search=search)


def gpu_dialog() -> ListDialog[str]:
    """List the GPUs whose peak is known; returns the model, or "" for none."""
    entries = [Entry("", "none", columns=("only this machine",))]
    entries += [
        Entry(name, name, columns=(f"{half:,.0f} TFLOP/s",))
        for name, (half, _) in hardware.PEAK_TFLOPS.items()
    ]
    return ListDialog("Time on another GPU", entries)


def errors_dialog(title: str, errors: Sequence[Problem]) -> ListDialog[Problem]:
    """List errors; returns the one to go to."""
    entries = [
        Entry(
            error,
            ", ".join(error.keys) or "TOML",
            columns=(format_origin(error.origin),),
            detail=error.message,
        )
        for error in errors
    ]
    return ListDialog(title, entries, hint="Enter to go there · Esc to cancel")
