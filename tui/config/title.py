"""The config's name, with how much of it is unsaved and how much is wrong."""

from textual.content import Content
from textual.widget import Widget

from tui.config.document import ConfigDocument


class ConfigTitle(Widget):
    """One line; the counts lose their words where they would not fit."""

    DEFAULT_CSS = "ConfigTitle { height: 1; }"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._file = ""
        self._counts: list[tuple[str, str, str]] = []
        """Sign with its number, words, style."""

    def show(self, document: ConfigDocument, n_mistakes: int) -> None:
        counts: list[tuple[str, str, str]] = []
        if document.is_changed:
            n = 0 if document.has_syntax_error else len(document.changed_keys())
            words = f" change{'s' * (n != 1)}" if n else "text changed"
            counts.append((f"● {n}" if n else "● ", words, "$text-warning"))
        if n_mistakes:
            words = f" mistake{'s' * (n_mistakes > 1)}"
            counts.append((f"✗ {n_mistakes}", words, "$text-error"))
        if (document.name, counts) != (self._file, self._counts):
            self._file, self._counts = document.name, counts
            self.refresh()

    def render(self) -> Content:
        long, short = self._line(with_words=True), self._line(with_words=False)
        return long if long.cell_length <= self.size.width else short

    def _line(self, *, with_words: bool) -> Content:
        counts = [
            Content.styled(f"  {sign}{words if with_words else ''}", style)
            for sign, words, style in self._counts
        ]
        return Content.assemble(Content.styled(self._file, "bold"), *counts)
