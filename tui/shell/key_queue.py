"""Handles keys in the order typed, also across dialogs and screens.

Textual posts a key to the focused widget and takes the next one at once. When keys arrive in one
burst (over a slow connection, or pasted), the second is then handled before the first has moved the
focus or opened a dialog, and reaches the wrong widget.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Collection
from typing import Any, Literal, TypeAlias

from textual.app import App
from textual.dom import DOMNode
from textual.events import Key, Paste
from textual.screen import ModalScreen
from textual.worker import Worker

PATIENCE_SECONDS = 2.0
"""Until the next key is handled although the last one has not taken effect."""
WORKER_SECONDS = 0.2
"""For an action that is a worker: it may be about to open a dialog, or run for minutes."""
POLL_SECONDS = 0.005
MOVING = frozenset(
    {"up", "down", "left", "right", "j", "k", "tab", "shift+tab"}
    | {"home", "end", "pageup", "pagedown"}
)
"""Keys that may be held down, and open nothing."""
ERASING = frozenset({"backspace", "delete"})

Typed: TypeAlias = Key | Paste
Kind = Literal["text", "moving", "other"]


class KeyQueue:
    """Holds keys back until the one before them has taken effect."""

    def __init__(self, app: App[Any], handle: Callable[[Typed], Awaitable[None]]) -> None:
        """`handle` is called in the app's message loop."""
        self._app, self._handle = app, handle
        self._waiting: deque[Typed] = deque()
        self._last: Kind | None = None
        """The kind of the last key, until it is known to have taken effect."""
        self._settling: asyncio.Task[None] | None = None

    async def put(self, event: Typed) -> None:
        """Handle a key now, or when those before it have taken effect."""
        self._waiting.append(event)
        if self._settling is None:
            await self._handle_waiting()

    async def _handle_waiting(self) -> None:
        """Handle keys until one has to take effect before the next is handled.

        Text that follows text, and a move that follows a move, do not wait: a widget's queue keeps
        their order. So only the key after them is held back, if it comes so soon. Backspace in a
        text field passes through that queue too, but erases only when it has gone up to the app.
        """
        while self._waiting and self._settling is None:
            kind = self._kind(self._waiting[0])
            if self._last not in (None, kind) and not self._erases_text(self._waiting[0]):
                self._settling = asyncio.create_task(self._settle(self._processed()))
                return
            before, workers = self._state(), frozenset(self._app.workers)
            await self._handle(self._waiting.popleft())
            self._last = kind
            if kind == "other":
                effect = self._took_effect(before, workers)
                self._settling = asyncio.create_task(self._settle(effect))

    def _kind(self, event: Typed) -> Kind:
        """Whether a key is text for the focused widget, moves a cursor, or may do anything."""
        focused = self._app.focused
        if isinstance(event, Paste):
            return "other"
        if focused is not None and focused.check_consume_key(event.key, event.character):
            return "text"
        return "moving" if event.key in MOVING else "other"

    def _erases_text(self, event: Typed) -> bool:
        """Whether a key erases in the text field into which the last one was typed."""
        focused = self._app.focused
        is_typing = self._last == "text" and focused is not None
        return is_typing and isinstance(event, Key) and event.key in ERASING

    async def _settle(self, effect: Awaitable[None]) -> None:
        """Wait until the last key has taken effect, then handle the next one."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_SECONDS):
                await effect
        self._app.call_later(self._settled)

    async def _settled(self) -> None:
        self._last = self._settling = None
        await self._handle_waiting()

    async def _processed(self) -> None:
        """Wait until a key's messages have gone up from the focused widget, and theirs too."""
        await self._went_up()  # the key itself, up to the app, which runs its action
        state: object = None
        while state != (state := self._state()):
            await self._went_up()  # what the action posted; again where it moved the focus

    async def _went_up(self) -> None:
        focused = self._app.focused or self._app.screen
        for node in (*focused.ancestors_with_self, self._app):
            await _handled_all(node)

    def _state(self) -> object:
        return self._app.screen, self._app.focused

    async def _took_effect(self, before: object, workers: Collection[Worker[Any]]) -> None:
        """Wait until a key that may do anything has done it, or has taken too long.

        An action that is itself a worker, or a worker of a dialog, may still open or close a dialog
        after the key's messages have been handled.
        """
        await self._processed()
        actions = [
            worker
            for worker in self._app.workers
            if worker not in workers
            and (worker.name.startswith("action_") or isinstance(worker.node, ModalScreen))
        ]
        loop = asyncio.get_running_loop()
        deadline = loop.time() + WORKER_SECONDS
        while self._state() == before and not all(worker.is_finished for worker in actions):
            if loop.time() > deadline:
                break
            await asyncio.sleep(POLL_SECONDS)
        if actions:
            await self._processed()


async def _handled_all(node: DOMNode) -> None:
    """Wait until a node has handled the messages that it has now."""
    done = asyncio.Event()
    if node.call_later(done.set):
        await done.wait()
