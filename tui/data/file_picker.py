"""A window to choose a file in: folders as a tree, a field that filters it or takes a path."""

from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

from rich.text import Text, TextType
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import DirectoryTree, Input, Static, Tree
from textual.widgets.directory_tree import DirEntry

from simplegpt.cli import UserError
from simplegpt.progress import format_bytes
from tui.data.text_look import check_file
from tui.shared.text import one_line


class FileTree(DirectoryTree):
    """Folders and files; hidden ones only where the filter begins with a dot."""

    ICON_NODE, ICON_NODE_EXPANDED, ICON_FILE = "▸ ", "▾ ", "  "

    filter_text = ""

    def filter_paths(self, paths: Iterable[Path]) -> Iterable[Path]:
        wanted = self.filter_text.lower()
        for path in paths:
            if path.name.startswith(".") and not wanted.startswith("."):
                continue
            if not wanted or wanted in path.name.lower() or path.is_dir():
                yield path

    def process_label(self, label: TextType) -> Text:
        plain = label if isinstance(label, str) else label.plain
        return Text(one_line(plain), no_wrap=True, overflow="ellipsis")


class FilePicker(ModalScreen[Path | None]):
    """Returns the file that was chosen, or None for Escape."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss", "Cancel"),
        Binding("backspace", "up", "Folder above"),
    ]
    DEFAULT_CSS = """
    FilePicker {
        align: center middle;
        background: $background 60%;
        #window {
            width: 84;
            max-width: 96%;
            height: 90%;
            padding: 0 1;
            background: $surface;
            border: round $primary;
            border-title-color: $accent;
            border-title-style: bold;
            border-subtitle-color: $text-muted;
        }
        #place { height: 1; color: $text-muted; text-wrap: nowrap; text-overflow: ellipsis; }
        FileTree {
            height: 1fr;
            margin: 1 0;
            overflow-x: hidden;
            background: $surface;
            scrollbar-background: $surface;
            scrollbar-size-vertical: 1;
        }
        #about { height: 2; color: $text-muted; &.-problem { color: $text-error; } }
    }
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder.absolute()

    def compose(self) -> ComposeResult:
        with Vertical(id="window") as window:
            window.border_title = "Choose a text file"
            window.border_subtitle = "Enter choose · Backspace folder above · Esc cancel"
            yield Static(id="place", markup=False)
            yield Input(placeholder="filter, or a path such as ~/texts/book.txt", compact=True)
            yield FileTree(self.folder)
            yield Static(id="about", markup=False)

    def on_mount(self) -> None:
        tree = self.query_one(FileTree)
        tree.show_root = False
        tree.guide_depth = 2
        self._show_place()
        tree.focus()

    def action_up(self) -> None:
        """Show the folder above."""
        self._open(self.folder.parent)

    @on(Input.Changed)
    async def _filter_changed(self, event: Input.Changed) -> None:
        self._say("")
        text = "" if _is_path(event.value) else event.value.strip()
        tree = self.query_one(FileTree)
        if text != tree.filter_text:
            tree.filter_text = text
            await tree.reload()

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        text = event.value.strip()
        if not _is_path(text):
            self.query_one(FileTree).focus()
            return
        path = self.folder / Path(text).expanduser()
        if path.is_dir():
            self.query_one(Input).value = ""
            self._open(path)
        else:
            self._choose(path)

    @on(DirectoryTree.FileSelected)
    def _file_selected(self, event: DirectoryTree.FileSelected) -> None:
        self._choose(event.path)

    @on(Tree.NodeHighlighted)
    def _highlighted(self, event: Tree.NodeHighlighted[DirEntry]) -> None:
        if event.node.data is None or event.node.is_root:
            return
        path = event.node.data.path
        try:
            about = "folder" if path.is_dir() else format_bytes(path.stat().st_size)
        except OSError as error:
            about = error.strerror or str(error)
        self._say(f"{one_line(path.name)} · {about}")

    def _choose(self, path: Path) -> None:
        try:
            check_file(path)
        except UserError as error:
            self._say(str(error), problem=True)
            return
        self.dismiss(path.absolute())

    def _open(self, folder: Path) -> None:
        self.folder = folder.resolve()
        tree = self.query_one(FileTree)
        tree.path = self.folder
        tree.focus()
        self._show_place()

    def _show_place(self) -> None:
        self.query_one("#place", Static).update(one_line(str(self.folder)))

    def _say(self, sentence: str, problem: bool = False) -> None:
        about = self.query_one("#about", Static)
        about.set_class(problem, "-problem")
        about.update(one_line(sentence))


def _is_path(text: str) -> bool:
    return "/" in text or text.startswith("~")
