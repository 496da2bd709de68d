"""The chat's comparing: two models or settings side by side, and a run's checkpoints in a row."""

from pathlib import Path

from textual import on, work
from textual.containers import Horizontal
from textual.events import DescendantFocus

from tui.chat.base import ChatBase, engine_log
from tui.chat.chat_pane import ChatPane
from tui.chat.model_facts import ModelFacts
from tui.chat.models import Choice, ModelChooser
from tui.chat.time_machine import TimeMachine
from tui.shared.text import one_line
from tui.shell.dialogs import Answer, Question


class ComparingActions(ChatBase):
    """The second side, and which of the two the settings belong to."""

    @work(group="compare", exclusive=True)
    async def action_compare(self, model: str = "") -> None:
        """Put a second side beside the text, or take it away."""
        if self.right is not None:
            await self._end_comparison()
            return
        choice: Choice | None = Choice(model) if model else None
        if not model:
            how = await self.app.push_screen_wait(
                Question(
                    "Compare",
                    "Both sides answer the same text from the same seed. What differs?",
                    [
                        Answer("settings", "The settings", "primary"),
                        Answer("model", "The model"),
                    ],
                )
            )
            if how not in ("settings", "model"):
                return
            if how == "model":
                choice = await self.app.push_screen_wait(ModelChooser(Path.cwd()))
                if choice is None:
                    return
        await self._compare_with(choice)

    async def _compare_with(self, choice: Choice | None) -> None:
        right = ChatPane(engine_log("right"), id="right")
        await self.query_one("#panes", Horizontal).mount(right)
        right.settings = self.left.settings
        right.open(self.left.conversation.copy_of_path())
        right.transcript.probabilities = self.left.transcript.probabilities
        if choice is None:
            right.adopt(self.left)
            self.activate(right)
            self.show_side(True)
            self.tell("Change the right side's settings, then send a prompt to both.")
        else:
            self.load_model(right, choice.model, choice.device, choice.precision)
            self.activate(self.left)
        self.add_class("-comparing")
        self.refresh_bindings()

    async def _end_comparison(self) -> None:
        right = self.right
        if right is None:
            return
        right.keep_what_came()
        self.keep(right)
        if not right.shares_engine:
            await right.engine.close()
        self.activate(self.left)
        await right.remove()
        self.remove_class("-comparing")
        self.refresh_bindings()
        self.prompt.focus()

    def follow(self, pane: ChatPane) -> None:
        """A side's model or state has changed: a side that shares its engine follows."""
        right = self.right
        if pane is self.left and right is not None and right.shares_engine:
            right.adopt(self.left)

    def activate(self, pane: ChatPane) -> None:
        """Give the settings form and the cursor's actions to a side."""
        assert pane.id is not None
        if self.active_id != pane.id or self.right is not None:
            self.active_id = pane.id
            self.form.show(pane.settings)
            self.query_one(ModelFacts).show(pane.loaded)
        side = f" · {pane.id} side (^l)" if self.right is not None else ""
        self.form.border_title = f"Sampling{side}"
        for each in self.panes:
            each.set_class(self.right is not None and each is pane, "-active")

    def action_other_side(self) -> None:
        right = self.right
        if right is not None:
            self.activate(right if self.active is self.left else self.left)

    @on(DescendantFocus)
    def _focus_moved(self, event: DescendantFocus) -> None:
        for pane in self.panes:
            if pane in event.widget.ancestors and pane.id != self.active_id:
                self.activate(pane)

    # The time machine

    @work(group="time-machine", exclusive=True)
    async def action_time_machine(self, run: str = "") -> None:
        """The prompt through all checkpoints of a run."""
        prompt = self.prompt.text or self._first_text()
        if not prompt:
            self.complain("Write a prompt first: it is put to each checkpoint.")
            return
        folder = self._run_of(run)
        if folder is None:
            choice = await self.app.push_screen_wait(ModelChooser(Path.cwd(), runs_only=True))
            if choice is None:
                return
            folder = Path(choice.model)
        if folder.suffix == ".ckpt":
            folder = folder.parent.parent
        window = TimeMachine(folder, prompt, self.active.settings, engine_log("time-machine"))
        await self.app.push_screen_wait(window)

    def _first_text(self) -> str:
        """What the person began the text with."""
        path = self.active.conversation.path()
        return path[0].text if path and path[0].role == "you" else ""

    def _run_of(self, run: str) -> Path | None:
        """The run that was named, or that the model comes from."""
        if run:
            if not Path(run).is_dir():
                self.complain(f"There is no run at {one_line(run)}.")
                return None
            return Path(run)
        loaded = self.active.loaded
        source = Path(loaded.source) if loaded is not None else None
        if source is not None and source.suffix == ".ckpt" and source.parent.name == "ckpts":
            return source.parent.parent
        return None
