"""Modal dialogs: a question, one line of text, a filtered list, and the base of all others.

Each is shown by ``await self.app.push_screen_wait(dialog)`` in a worker, and returns its result,
or None where it was cancelled. Escape and the Cancel button cancel every one of them.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Generic, Literal, TypeVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Input, OptionList, Static
from textual.widgets.option_list import Option
from textual.worker import Worker

from simplegpt.cli import one_line
from tui.shell.bindings import EVERYWHERE

Result = TypeVar("Result")
MUTED = "$footer-description-foreground"  # $text-muted is a colour of stylesheets only
Variant = Literal["default", "primary", "success", "warning", "error"]


class Dialog(ModalScreen[Result | None]):
    """A titled box around what `compose_body` yields, with a row of buttons below.

    Each button names its action (``Button("Save", action="screen.save")``); Cancel follows them.
    Style the box by its id: ``MyDialog { #dialog { width: 84; } }``.
    """

    BINDINGS: ClassVar[list[BindingType]] = [*EVERYWHERE, Binding("escape", "cancel", "Cancel")]
    DEFAULT_CSS: ClassVar[str] = """
    Dialog {
        align: center middle;
        background: $background 60%;

        #dialog {
            width: 64;
            max-width: 94%;
            height: auto;
            max-height: 90%;
            padding: 1 2;
            background: $surface;
            border: round $primary;
            border-title-color: $accent;
            border-title-style: bold;
            border-subtitle-color: $text-muted;
        }

        #buttons {
            height: 1;
            margin-top: 1;
            align-horizontal: right;

            Button { margin-left: 1; min-width: 10; }
        }

        .error { color: $text-error; }
    }
    """

    def __init__(self, title: str, *, hint: str = "", buttons: Sequence[Button] = ()) -> None:
        """`hint` is shown in the lower edge: the keys that are not on a button."""
        super().__init__()
        self.title, self.hint, self.buttons = title, hint, buttons

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog") as dialog:
            dialog.border_title = Content(one_line(self.title or ""))
            dialog.border_subtitle = Content(self.hint)
            yield from self.compose_body()
            if self.buttons:
                with Horizontal(id="buttons"):
                    yield from self.buttons
                    yield Button("Cancel", id="cancel", action="screen.cancel")

    def compose_body(self) -> ComposeResult:
        """The dialog's own widgets."""
        return []

    def action_cancel(self) -> None:
        self.dismiss(None)


@dataclass(frozen=True)
class Answer:
    """A button that answers a question."""

    name: str
    """The question's result."""
    label: str
    variant: Variant = "default"


class Question(Dialog[str]):
    """Ask something; returns the name of the answer.

    Enter chooses the first answer, or cancels if that answer has the variant "error", which is for
    answers that lose data.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,up", "app.focus_previous", "Previous", show=False),
        Binding("right,down", "app.focus_next", "Next", show=False),
    ]

    def __init__(self, title: str, text: str, answers: Sequence[Answer]) -> None:
        buttons = [
            Button(a.label, id=a.name, variant=a.variant, action=f"screen.answer({a.name!r})")
            for a in answers
        ]
        super().__init__(title, buttons=buttons)
        self.text, self.answers = text, answers

    def compose_body(self) -> ComposeResult:
        yield Static(self.text, markup=False)

    def on_mount(self) -> None:
        first = self.answers[0]
        self.query_one("#cancel" if first.variant == "error" else f"#{first.name}").focus()

    def action_answer(self, name: str) -> None:
        self.dismiss(name)


class TextDialog(Dialog[str]):
    """Ask for one line of text; returns it without white space around it.

    `error_in` returns the error in a text, None for a valid one; only a valid text is returned. It
    is called in a thread, as it may look at the disk.
    """

    DEFAULT_CSS: ClassVar[str] = """
    TextDialog {
        Input { margin-top: 1; }
        #error { height: auto; min-height: 2; max-height: 10; }
        #buttons { margin-top: 0; }
    }
    """

    def __init__(
        self,
        title: str,
        text: str,
        value: str = "",
        *,
        accept: str = "OK",
        error_in: Callable[[str], str | None] = lambda text: None,
    ) -> None:
        super().__init__(
            title, buttons=[Button(accept, id="accept", variant="primary", action="screen.accept")]
        )
        self.text, self.value, self.error_in = text, value, error_in

    def compose_body(self) -> ComposeResult:
        yield Static(self.text, markup=False)
        yield Input(self.value)
        yield Static(id="error", classes="error", markup=False)

    @on(Input.Changed)
    async def _typed(self, event: Input.Changed) -> None:
        event.stop()
        await self._show_error(event.value.strip())

    @on(Input.Submitted)
    async def action_accept(self) -> None:
        text = self.query_one(Input).value.strip()
        if await self._show_error(text) is None:
            self.dismiss(text)

    async def _show_error(self, text: str) -> str | None:
        """Show the error in a text, and return it."""
        error = await asyncio.to_thread(self.error_in, text)
        self.query_one("#error", Static).update(error or "")
        return error


@dataclass(frozen=True)
class Entry(Generic[Result]):
    """One entry of a list."""

    value: Result
    """The dialog's result if this entry is chosen."""
    label: str
    columns: Sequence[str] = ()
    """Shown after the label, each aligned over all entries."""
    detail: str = ""
    """A second line."""
    group: str = ""
    """The heading above; the entries of a group are adjacent."""
    keywords: str = ""
    """Searched by the filter, but not shown."""

    def matches(self, words: Sequence[str]) -> bool:
        """Whether all (casefolded) words occur in it."""
        texts = (self.label, *self.columns, self.detail, self.group, self.keywords)
        text = "\n".join(texts).casefold()
        return all(word in text for word in words)


class ListDialog(Dialog[Result]):
    """A list filtered as the user types; returns the value of the entry chosen.

    `search` returns the entries for a text if filtering `entries` is not enough. `parse` turns a
    typed text into a value of its own, such as the path of a file; it takes precedence over the
    list. It is called in a thread, as it may look at the disk.
    """

    AUTO_FOCUS = "#filter"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move('cursor_up')", "Up", show=False),
        Binding("down", "move('cursor_down')", "Down", show=False),
        Binding("pageup", "move('page_up')", "Page up", show=False),
        Binding("pagedown", "move('page_down')", "Page down", show=False),
    ]
    DEFAULT_CSS: ClassVar[str] = """
    ListDialog {
        #dialog { width: 84; height: 90%; padding: 0 1; }
        OptionList {
            height: 1fr;
            margin-top: 1;
            border: none;
            background: transparent;
            text-wrap: nowrap;
            text-overflow: ellipsis;
            scrollbar-size-vertical: 1;
            /* The filter has the focus, and the terminal's own colours have no blurred cursor. */
            &:ansi > .option-list--option-highlighted {
                background: ansi_blue;
                color: ansi_bright_white;
                text-style: bold underline;
            }
        }
        #error { height: auto; }
    }
    """

    def __init__(
        self,
        title: str,
        entries: Sequence[Entry[Result]] = (),
        *,
        text: str = "",
        placeholder: str = "Filter",
        empty: str = "Nothing found",
        hint: str = "Enter to choose · Esc to cancel",
        search: Callable[[str], Awaitable[Sequence[Entry[Result]]]] | None = None,
        parse: Callable[[str], Result | None] = lambda text: None,
    ) -> None:
        """`text` is the initial filter; `empty` is shown if there is no entry."""
        super().__init__(title, hint=hint)
        self.entries = entries
        self.text, self.placeholder, self.empty = text, placeholder, empty
        self.search, self.parse = search, parse
        self.shown: Sequence[Entry[Result]] = []
        """The entries in the list now."""
        self._searching: Worker[None] | None = None

    def compose_body(self) -> ComposeResult:
        yield Input(self.text, placeholder=self.placeholder, id="filter", compact=True)
        options = OptionList(id="list", compact=True)
        options.can_focus = False  # the filter keeps the focus, and the arrow keys move the cursor
        yield options
        yield Static(id="error", classes="error", markup=False)

    def on_mount(self) -> None:
        self.refresh_entries()
        if self.entries:  # a box of its size, which typing does not change
            lines = sum(2 if entry.detail else 1 for entry in self.entries)
            groups = len({entry.group for entry in self.entries if entry.group})
            self.query_one("#dialog").styles.height = max(lines + groups, 4) + 5

    @property
    def highlighted(self) -> Entry[Result] | None:
        """The entry under the cursor."""
        option = self.query_one(OptionList).highlighted_option
        return self.shown[int(option.id)] if option is not None and option.id else None

    def show_entries(self, entries: Sequence[Entry[Result]]) -> None:
        """Replace the entries that are filtered."""
        self.entries = entries
        self.query_one("#dialog").styles.height = None
        self.refresh_entries()

    def refresh_entries(self) -> None:
        """Search or filter again; the cursor keeps its place."""
        text = self.query_one("#filter", Input).value
        if self.search is not None:
            self._searching = self._search(text)
        else:
            words = text.casefold().split()
            self._show([entry for entry in self.entries if entry.matches(words)])

    @work(group="search", exclusive=True)
    async def _search(self, text: str) -> None:
        assert self.search is not None
        self._show(await self.search(text))

    def _show(self, entries: Sequence[Entry[Result]]) -> None:
        options = self.query_one(OptionList)
        place = options.highlighted or 0
        self.shown = entries
        widths = column_widths(entries)
        options.clear_options()
        group = ""
        for index, entry in enumerate(entries):
            if entry.group != group:
                group = entry.group
                options.add_option(Option(Content.styled(group, "$accent bold"), disabled=True))
            options.add_option(Option(entry_content(entry, widths), id=str(index)))
        if entries:
            options.highlighted = min(place, options.option_count - 1)
            if options.highlighted_option is None or options.highlighted_option.disabled:
                options.action_cursor_down()
        else:
            options.add_option(Option(Content.styled(self.empty, MUTED), disabled=True))

    @on(Input.Changed, "#filter")
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        self.show_error("")
        self.query_one(OptionList).highlighted = None
        self.refresh_entries()

    def show_error(self, error: str) -> None:
        """Show an error below the list; an empty one clears it."""
        self.query_one("#error", Static).update(error)

    async def action_move(self, action: str) -> None:
        await self.query_one(OptionList).run_action(action)

    @on(Input.Submitted, "#filter")
    async def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if self._searching is not None:  # Enter may follow the last letter at once
            await self._searching.wait()
        text = event.value.strip()
        value = await asyncio.to_thread(self.parse, text) if text else None
        if value is not None:
            self.choose(value)
        elif (entry := self.highlighted) is not None:
            self.choose(entry.value)
        else:
            self.show_error(f"Not found: {one_line(event.value)}")

    @on(OptionList.OptionSelected)
    def _clicked(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.choose(self.shown[int(event.option.id or 0)].value)

    def choose(self, value: Result) -> None:
        """End the dialog with `value`."""
        self.dismiss(value)


_LABEL_CELLS = 40
"""Maximum width of the labels' column; a longer label is cut at its end."""


def column_widths(entries: Sequence[Entry[Result]]) -> list[int]:
    """Widths of the columns in cells, the label's first: each as wide as its widest text."""
    rows = [
        [Content(one_line(text)).cell_length for text in (e.label, *e.columns)] for e in entries
    ]
    count = max(map(len, rows), default=0)
    widths = [max(row[i] for row in rows if i < len(row)) for i in range(count)]
    return [min(widths[0], _LABEL_CELLS), *widths[1:]] if count > 1 else widths


def entry_content(entry: Entry[Result], widths: Sequence[int]) -> Content:
    """An entry's line, or two."""
    texts = (entry.label, *entry.columns)
    cells = [
        Content(one_line(text)).truncate(width, ellipsis=True, pad=i < len(texts) - 1)
        for i, (text, width) in enumerate(zip(texts, widths, strict=False))
    ]
    muted = [cell.stylize(MUTED) for cell in cells[1:]]
    line = Content("  ").join([cells[0], *muted])
    if entry.detail:
        detail = Content.styled(one_line(entry.detail), MUTED)
        line = Content.assemble(line, "\n  ", detail)
    return line
