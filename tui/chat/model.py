"""A model in an engine process: loaded, replaced, and loaded again after a crash."""

from collections.abc import Callable
from typing import Literal

from simplegpt.inference.protocol import Loaded, Loading, LoadRequest
from tui.chat.engine import EngineError, EngineProcess

State = Literal["none", "loading", "ready", "failed", "crashed"]


class ChatModel:
    """One engine and its model. Two sessions share it if only their settings differ."""

    def __init__(
        self, name: str, engine: EngineProcess, on_change: Callable[["ChatModel"], None]
    ) -> None:
        """`name` identifies the model; `on_change` is called after each change of its state."""
        self.name = name
        self.engine = engine
        self.on_change = on_change
        self.state: State = "none"
        self.request: LoadRequest | None = None
        """The last load request, repeated after a crash."""
        self.progress: Loading | None = None
        self.loaded: Loaded | None = None
        self.error = ""
        """Why the model failed to load, or had to be reloaded."""
        engine.on_crash = self._engine_crashed

    def begin_load(self, request: LoadRequest, reason: str = "") -> None:
        """Drop the current model; `finish_load` loads the requested one.

        `reason` is shown as `error`: why the model is reloaded.
        """
        if self.state == "loading":
            self.engine.kill()  # a load cannot be cancelled otherwise
        self.request, self.loaded, self.error = request, None, reason
        self.progress = Loading(id=request.id, progress=0, message="starting the engine")
        self._set_state("loading")

    async def finish_load(self, niceness: int) -> None:
        """Load the model in a process of the given priority."""
        assert self.request is not None
        try:
            if niceness != self.engine.niceness:
                await self.engine.close()
                self.engine.niceness = niceness
            async for answer in self.engine.load(self.request):
                if isinstance(answer, Loaded):
                    self.loaded = answer
                    self._set_state("ready")
                else:
                    self.progress = answer
                    self.on_change(self)
        except EngineError as error:
            self.error = "Loading was cancelled." if self.engine.is_closing else str(error)
            self._set_state("failed")

    def cancel_load(self) -> None:
        """Cancel a load: it ends in the state `failed`."""
        if self.state == "loading":
            self.engine.kill()

    def _engine_crashed(self, cause: str) -> None:
        if self.state == "ready":  # a failed load reports the cause itself
            self.loaded, self.error = None, cause
            self._set_state("crashed")

    def _set_state(self, state: State) -> None:
        self.state = state
        self.on_change(self)
