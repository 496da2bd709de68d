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
    """A key in the footer."""

    key: str
    display: str
    label: str
    """Empty in a group, whose name follows its keys."""
    tooltip: str

    @property
    def width(self) -> int:
        return Content(self.display).cell_length + (1 + len(self.label) if self.label else 0)


class KeyFooter(Widget):
    """The keys of the actions that can be run now: one line, drawn by one widget.

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
        """From the left; a text is the name of the group of the keys before it."""
        self._palette: Key | None = None
        """At the right end."""
        self._places: list[tuple[range, Key]] = []
        """Where the keys were drawn."""
        self._hovered: Key | None = None

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
            # after what changed above: a picture renders all that lies between its changes
            self.call_after_refresh(self.refresh)

    def _keys_of(self, screen: Screen[object]) -> tuple[list[Key | str], Key | None]:
        active = screen.active_bindings
        first_of_action: dict[str, ActiveBinding] = {}
        for one in active.values():
            if one.binding.show and one.enabled:
                first_of_action.setdefault(one.binding.action, one)
        keys: list[Key | str] = []
        for group, members in groupby(first_of_action.values(), lambda one: one.binding.group):
            several = list(members)
            is_named = group is not None and len(several) > 1
            if is_named:
                keys.append("")  # more space before a group
            for _, binding, _, tooltip in several:
                keys.append(
                    Key(
                        binding.key,
                        self.app.get_key_display(binding),
                        "" if is_named else binding.description,
                        tooltip or binding.description,
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
        return keys, Key(binding.key, display, binding.description, tooltip)

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
                parts.append(self._draw(key, x))
            parts.append(" " * _APART)
            x += width + _APART
        if palette is not None:
            parts.append(" " * (room - x))
            parts.append(Content.styled("│", "$foreground 20%"))
            parts.append(self._draw(palette, room + 1))
        return Content.assemble(*parts)

    def _draw(self, key: Key, x: int) -> Content:
        self._places.append((range(x, x + key.width), key))
        label = f" {key.label}" if key.label else ""
        content = Content.assemble(
            (key.display, "$footer-key-foreground bold"), (label, "$footer-description-foreground")
        )
        return content.stylize("on $block-hover-background") if key is self._hovered else content

    def _key_at(self, x: int) -> Key | None:
        return next((key for place, key in self._places if x in place), None)

    def on_mouse_move(self, event: events.MouseMove) -> None:
        self._hover(self._key_at(event.x))

    def on_leave(self) -> None:
        self._hover(None)

    def _hover(self, key: Key | None) -> None:
        if key is not self._hovered:
            self._hovered = key
            self.tooltip = key.tooltip if key is not None else None
            self.refresh()

    def on_click(self, event: events.Click) -> None:
        key = self._key_at(event.x)
        if key is not None:
            self.app.simulate_key(key.key)
