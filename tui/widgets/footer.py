"""The footer: the keys of what has the focus."""

from textual.screen import Screen
from textual.widgets import Footer


class KeyFooter(Footer):
    """Textual's footer, made anew only when its keys change.

    Textual makes it anew at every change of focus, and lays out the whole screen for it: 40 ms of a
    large one, mostly for the same keys as before.
    """

    def __init__(self) -> None:
        super().__init__(compact=True)
        self._keys: list[tuple[str, str, bool]] | None = None

    def bindings_changed(self, screen: Screen[object]) -> None:
        keys = [
            (active.binding.key, active.binding.description, active.enabled)
            for active in screen.active_bindings.values()
            if active.binding.show
        ]
        if keys != self._keys:
            self._keys = keys
            super().bindings_changed(screen)
