"""The footer: the keys of what has the focus."""

from itertools import groupby
from typing import ClassVar, NamedTuple

from textual import events
from textual.binding import ActiveBinding
from textual.content import Content
from textual.screen import Screen
from textual.widget import Widget

_APART = 1
"""Columns between two keys."""


class Key(NamedTuple):
    """One key as it stands in the footer."""

    key: str
    shown: str
    what: str
    """What it does; empty within a group, which says so for all of its keys."""
    tooltip: str
    enabled: bool

    @property
    def width(self) -> int:
        return Content(self.shown).cell_length + (1 + len(self.what) if self.what else 0)


class KeyFooter(Widget):
    """One line, drawn by one widget.

    Textual's own has a widget for each key and remakes them when the keys change, with a layout of
    the whole screen: 40 ms for a keystroke that makes *Undo* possible, in the line "any of them"
    (key times) of `tests/benchmarks/dashboard.py`.
    """

    DEFAULT_CSS: ClassVar[str] = """
    KeyFooter {
        dock: bottom;
        height: 1;
        color: $footer-foreground;
        background: $footer-background;
        text-wrap: nowrap;
    }
    """
    ALLOW_SELECT = False

    def __init__(self) -> None:
        super().__init__()
        self._keys: list[Key | str] = []
        """From the left; a text is the name of the group before it."""
        self._palette: Key | None = None
        """At the right end."""
        self._places: list[tuple[range, Key]] = []
        """Where the keys were drawn."""
        self._pointed: Key | None = None

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, self.bindings_changed)

    def on_unmount(self) -> None:
        self.screen.bindings_updated_signal.unsubscribe(self)

    def bindings_changed(self, screen: Screen[object]) -> None:
        if not self.app.app_focus or screen is not self.screen:
            return
        keys, palette = self._keys_of(screen)
        if (keys, palette) != (self._keys, self._palette):
            self._keys, self._palette = keys, palette
            self.refresh()

    def _keys_of(self, screen: Screen[object]) -> tuple[list[Key | str], Key | None]:
        active = screen.active_bindings
        first_of_action: dict[str, ActiveBinding] = {}
        for one in active.values():
            if one.binding.show:
                first_of_action.setdefault(one.binding.action, one)
        keys: list[Key | str] = []
        for group, members in groupby(first_of_action.values(), lambda one: one.binding.group):
            several = list(members)
            is_named = group is not None and len(several) > 1
            if is_named:
                keys.append("")  # a little more room before a group
            for _, binding, enabled, tooltip in several:
                keys.append(
                    Key(
                        binding.key,
                        self.app.get_key_display(binding),
                        "" if is_named else binding.description,
                        tooltip or binding.description,
                        enabled,
                    )
                )
            if is_named and group is not None:
                keys.append(group.description)
        found = active.get(self.app.COMMAND_PALETTE_BINDING)
        if found is None or not self.app.ENABLE_COMMAND_PALETTE:
            return keys, None
        binding = found.binding
        display = self.app.get_key_display(binding)
        tooltip = binding.tooltip or binding.description
        return keys, Key(binding.key, display, binding.description, tooltip, found.enabled)

    def render(self) -> Content:
        """As many keys as there is room for, each whole."""
        self._places = []
        palette = self._palette
        room = self.size.width - (palette.width + 2 if palette is not None else 0)
        parts: list[Content | str] = []
        x = 0
        for key in self._keys:
            width = len(key) if isinstance(key, str) else key.width
            if x + width > room:
                break
            if isinstance(key, str):
                parts.append(Content.styled(key, "$footer-description-foreground"))
            else:
                parts.append(self._drawn(key, x))
            parts.append(" " * _APART)
            x += width + _APART
        if palette is not None:
            parts.append(" " * (room - x))
            parts.append(Content.styled("│", "$foreground 20%"))
            parts.append(self._drawn(palette, room + 1))
        return Content.assemble(*parts)

    def _drawn(self, key: Key, x: int) -> Content:
        self._places.append((range(x, x + key.width), key))
        what = f" {key.what}" if key.what else ""
        drawn = Content.assemble(
            (key.shown, "$footer-key-foreground bold"), (what, "$footer-description-foreground")
        )
        if not key.enabled:
            return drawn.stylize("dim")
        return drawn.stylize("on $block-hover-background") if key is self._pointed else drawn

    def _key_at(self, x: int) -> Key | None:
        return next((key for place, key in self._places if x in place), None)

    def on_mouse_move(self, event: events.MouseMove) -> None:
        self._point(self._key_at(event.x))

    def on_leave(self) -> None:
        self._point(None)

    def _point(self, key: Key | None) -> None:
        if key is not self._pointed:
            self._pointed = key
            self.tooltip = key.tooltip if key is not None else None
            self.refresh()

    def on_click(self, event: events.Click) -> None:
        key = self._key_at(event.x)
        if key is None:
            return
        if key.enabled:
            self.app.simulate_key(key.key)
        else:
            self.app.bell()
