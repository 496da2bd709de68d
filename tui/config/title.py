"""The config's name, with how many unsaved changes and errors it has."""

from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from tui.config.fields import ConfigState


class ConfigTitle(Widget):
    """One line; the counts lose their words where they would not fit."""

    DEFAULT_CSS = "ConfigTitle { height: 1; }"

    state: reactive[ConfigState | None] = reactive(None)

    def render(self) -> Content:
        if self.state is None:
            return Content()
        long, short = _title(self.state, words=True), _title(self.state, words=False)
        return long if long.cell_length <= self.size.width else short


def _title(state: ConfigState, *, words: bool) -> Content:
    counts: list[tuple[str, str]] = []
    if state.is_changed:
        n = state.n_changes
        text = f"● {n} change{'s' * (n > 1)}" if n else "● text changed"
        counts.append((text if words else f"● {n or ''}", "$text-warning"))
    if n := len(state.errors):
        counts.append((f"✗ {n} error{'s' * (n > 1)}" if words else f"✗ {n}", "$text-error"))
    styled = [Content.styled(f"  {text}", style) for text, style in counts]
    return Content.assemble((state.name, "bold"), *styled)
