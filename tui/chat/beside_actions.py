"""The chat beside a live run: the newest checkpoint, and a share of the machine that is free."""

from dataclasses import dataclass
from pathlib import Path

from textual import on, work
from textual.message import Message
from textual.timer import Timer

from tui.chat.base import ChatBase
from tui.chat.beside import (
    Checkpoint,
    Share,
    checkpoint_at,
    measure_share,
    newest_checkpoint,
)
from tui.shared.text import one_line

WATCH_SECONDS = 2.0


@dataclass
class ShareMeasured(Message):
    """A worker's news: the run's newest checkpoint, and what the engine may take."""

    run: Path
    chosen: Checkpoint | None
    """The one to load: the newest, or the one that was asked for."""
    newest: Checkpoint | None
    share: Share


@dataclass
class CheckpointSeen(Message):
    """A worker's news: the run's newest checkpoint."""

    run: Path
    newest: Checkpoint | None


class BesideActions(ChatBase):
    """Keeps the left side with a run that goes on."""

    run: Path | None = None
    """The live run that one talks beside."""
    loaded_checkpoint: Checkpoint | None = None
    newest: Checkpoint | None = None
    _share: Share | None = None
    _watch: Timer | None = None

    def talk_beside(self, run: Path, checkpoint: Path | None = None) -> None:
        """Load a checkpoint of a run that goes on; None: its newest."""
        self.run, self.newest, self.loaded_checkpoint = run, None, None
        self.left.keep_what_came()
        self.left.note = f"Beside the live run “{one_line(run.name)}”: looking what is free …"
        self.left.describe()
        self._measure(run, checkpoint)

    def leave_run(self) -> None:
        """Talk to a model that belongs to no live run."""
        self.run = self.newest = self.loaded_checkpoint = None
        self.keep_watch(False)

    @work(thread=True, group="measure", exclusive=True)
    def _measure(self, run: Path, checkpoint: Path | None = None) -> None:
        newest = newest_checkpoint(run)
        chosen = newest if checkpoint is None else checkpoint_at(checkpoint) or newest
        share = measure_share(chosen.path if chosen is not None else run)
        self.post_message(ShareMeasured(run, chosen, newest, share))

    @on(ShareMeasured)
    def _measured(self, event: ShareMeasured) -> None:
        if event.run != self.run:
            return
        self.newest = event.newest
        self.keep_watch(True)
        if event.chosen is None:
            self.left.note = (
                f"{one_line(event.run.name)} has no checkpoint yet; it is loaded when there is."
            )
            self.left.describe()
            return
        self._share = event.share
        self.loaded_checkpoint = event.chosen
        self.left.use_engine(event.share.niceness)
        self._describe_run()
        self.left.load(str(event.chosen.path), event.share.device, threads=event.share.threads)

    def keep_watch(self, wanted: bool) -> None:
        """Look for newer checkpoints, or leave it."""
        if self._watch is not None:
            self._watch.stop()
            self._watch = None
        if wanted and self.run is not None:
            self._watch = self.set_interval(WATCH_SECONDS, self.look_for_checkpoint)

    def look_for_checkpoint(self) -> None:
        if self.run is not None:
            self._look(self.run)

    @work(thread=True, group="look", exclusive=True, exit_on_error=False)
    def _look(self, run: Path) -> None:
        self.post_message(CheckpointSeen(run, newest_checkpoint(run)))

    @on(CheckpointSeen)
    def _seen(self, event: CheckpointSeen) -> None:
        if event.run != self.run or event.newest is None or event.newest == self.newest:
            return
        first, self.newest = self.newest is None, event.newest
        if first:
            self._measure(event.run)
        else:
            self._describe_run()
            self.refresh_bindings()

    @property
    def has_newer(self) -> bool:
        """Whether the run has saved a newer checkpoint than the one that is loaded."""
        loaded, newest = self.loaded_checkpoint, self.newest
        return loaded is not None and newest is not None and newest.step > loaded.step

    def _describe_run(self) -> None:
        if self.run is None or self._share is None or self.loaded_checkpoint is None:
            return
        words = f"Beside the live run “{one_line(self.run.name)}” · {self._share.words}"
        if self.has_newer and self.newest is not None:
            words += f" · a newer checkpoint, step {self.newest.step:,}: /refresh takes it"
        else:
            words += f" · newest checkpoint, step {self.loaded_checkpoint.step:,}"
        self.left.note = words
        self.left.describe()

    def action_refresh(self) -> None:
        """Load the run's newest checkpoint; the text stays."""
        if self.run is not None:
            self.talk_beside(self.run)
