"""The config's name, with how many unsaved changes and errors it has."""

from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from tui.config.fields import ConfigState


class ConfigTitle(Widget):
    """One line; the counts lose their words where they would not fit."""

    DEFAULT_CSS = """
    ConfigTitle {
        height: 1;
        link-color: $text-error;
        link-style: none;
        link-background-hover: $error 30%;
        link-style-hover: none;
    }
    """

    state: reactive[ConfigState | None] = reactive(None)

    def render(self) -> Content:
        if self.state is None:
            return Content()
        long, short = _title(self.state, words=True), _title(self.state, words=False)
        return long if long.cell_length <= self.size.width else short


def _title(state: ConfigState, *, words: bool) -> Content:
    parts = [Content.styled(state.name, "bold")]
    if state.is_changed:
        n = state.n_changes
        text = f"● {n} change{'s' * (n > 1)}" if n else "● text changed"
        parts.append(Content.styled(text if words else f"● {n or ''}", "$text-warning"))
    if n := len(state.errors):
        text = f"✗ {n} error{'s' * (n > 1)}" if words else f"✗ {n}"
        parts.append(Content.from_markup(f"[@click=screen.list_errors]{text}[/]"))
    return Content("  ").join(parts)
