"""The part of the Train screen that reads: joins a run, follows it, starts trainers.

Threads read and post messages; their handlers own the state. `TrainingScreen` shows it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from textual import on, work
from textual.message import Message
from textual.worker import get_current_worker

from simplegpt.cli import UserError
from simplegpt.run.directory import RunDirectory
from tui.shared.follower import (
    SMALL_BYTES,
    Follower,
    Update,
    first_picture,
    read_all,
    size_of,
)
from tui.shared.history import History
from tui.shared.history_reader import read_in_child
from tui.shell import messages
from tui.shell.screen import WorkbenchScreen
from tui.training.trainer_process import TrainerProcess, output_directory
from tui.training.words import RunView

TICK_SECONDS = 0.5
LIVE_TICKS = 3
"""A run under way is read every 1.5 seconds: what an open dashboard does costs the training."""
ENDED_TICKS = 4
"""A run that has ended is looked at only every so many ticks: it may be resumed elsewhere."""


@dataclass
class Read(Message):
    """A run's history was read: a first picture of it, or the whole."""

    generation: int
    history: History
    offset: int
    whole: bool


@dataclass
class Followed(Message):
    """What was new."""

    generation: int
    update: Update


@dataclass
class TrainerStarted(Message):
    """The process is there; it has not claimed its directory yet."""

    generation: int
    trainer: TrainerProcess
    config: Path | None


@dataclass
class TrainerSeen(Message):
    """How a trainer that has not claimed its directory stands."""

    generation: int
    claimed: bool
    exit_code: int | None
    said: str


@dataclass
class StartFailed(Message):
    """No process was started: the config has mistakes, or the system refused."""

    generation: int
    cause: str
    config: Path | None


class RunFollowing(WorkbenchScreen):
    """Joins, follows and starts runs. `view` is what is known of the one that is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.view: RunView | None = None
        self.starting: TrainerProcess | None = None
        """Started here, and still without a word in its run's directory."""
        self.trainers: dict[Path, TrainerProcess] = {}
        """Started here, by the run's directory: they are laid to rest when they end."""
        self.configs: dict[Path, Path] = {}
        """The config file that a run started here was made from."""
        self._generation = 0
        """Counts joins: what threads read for an earlier one is thrown away."""
        self._follower: Follower | None = None
        self._reading = False
        self._whole: Read | None = None
        """The whole history, waiting for a reading thread to come home."""
        self._ticks = 0

    # What the screen makes of it

    def run_changed(self) -> None:
        """Another run is shown, or none: clear what was of the old one."""
        raise NotImplementedError

    def view_changed(self, update: Update | None) -> None:
        """`view` holds something new; `update` says what, None after a join."""
        raise NotImplementedError

    def start_changed(self, said: str) -> None:
        """A trainer is starting and has said this so far."""
        raise NotImplementedError

    def start_failed(self, cause: str, said: str, config: Path | None) -> None:
        """A trainer could not be started, or ended before it claimed its directory."""
        raise NotImplementedError

    def starting_runs(self) -> Sequence[Path]:
        return () if self.starting is None else (self.starting.run.path,)

    def cancel_starting(self) -> None:
        if self.starting is not None:
            self.starting.cancel()

    def in_haste(self) -> bool:
        """Whether an answer is awaited: then the run is read at every tick."""
        return False

    # Joining

    def on_mount(self) -> None:
        self.set_interval(TICK_SECONDS, self._tick)

    def attach(self, path: Path) -> None:
        """Watch the run at `path`, live or ended."""
        run = RunDirectory(path)
        self._begin()
        self.view = RunView(run.path)
        self.post_message(messages.WatchRun(run.path))
        self.run_changed()
        self._read_history(run, self._generation)

    def _begin(self) -> None:
        self._generation += 1
        self.starting, self._follower, self._whole = None, None, None
        self._reading = False

    @work(thread=True, exclusive=True, group="join", exit_on_error=False)
    def _read_history(self, run: RunDirectory, generation: int) -> None:
        worker = get_current_worker()
        size = size_of(run.events)
        if size > SMALL_BYTES:
            self.post_message(Read(generation, first_picture(run), size, whole=False))
            try:
                found = read_in_child(run, lambda: worker.is_cancelled)
            except (OSError, RuntimeError):
                found = read_all(run, lambda: worker.is_cancelled)  # slower, and here
        else:
            found = read_all(run, lambda: worker.is_cancelled)
        if found is not None:
            self.post_message(Read(generation, *found, whole=True))

    @on(Read)
    def _history_read(self, event: Read) -> None:
        event.stop()
        if event.generation != self._generation or self.view is None:
            return
        if self._reading:
            self._whole = event
            return
        self._take(event)
        self._tick()

    def _take(self, event: Read) -> None:
        assert self.view is not None
        self.view.history, self.view.whole = event.history, event.whole
        if self._follower is None:
            self._follower = Follower(RunDirectory(self.view.path), event.offset)
        else:
            self._follower.go_to(event.offset)
        self.view_changed(None)

    # Following

    def _tick(self) -> None:
        self._ticks += 1
        if self.starting is not None:
            self._look_at_trainer(self.starting, self._generation)
            return
        if not self.is_current:
            return  # nobody looks; what was appended meanwhile is read when it is shown again
        if self._follower is None or self._reading or self.view is None:
            return
        if self.view.status is not None and not self.in_haste():
            every = LIVE_TICKS if self.view.alive else ENDED_TICKS
            if self._ticks % every:
                return
        self._reading = True
        self._follow(self._follower, self._generation)

    @work(thread=True, group="follow", exit_on_error=False)
    def _follow(self, follower: Follower, generation: int) -> None:
        self.post_message(Followed(generation, follower.read()))

    @on(Followed)
    def _followed(self, event: Followed) -> None:
        event.stop()
        if event.generation != self._generation or self.view is None:
            return
        self._reading = False
        update, view = event.update, self.view
        if update.restarted:
            self.attach(view.path)
            return
        view.history.extend(update.events)
        view.status, view.alive = update.status, update.alive
        if not update.alive and (trainer := self.trainers.get(view.path)) is not None:
            trainer.exit_code()
        if self._whole is not None:
            whole, self._whole = self._whole, None
            self._take(whole)
        self.view_changed(update)
        if update.more:
            self._tick()

    # Starting

    def start(self, config: Path, overrides: tuple[str, ...] = ()) -> None:
        """Start a run of a saved config, and watch it."""
        self._begin()
        self.view = None
        self.run_changed()
        self.start_changed("")
        self._start(config, overrides, self._generation)

    def resume(self, run: Path, overrides: tuple[str, ...] = ()) -> None:
        """Go on with an ended run from its last checkpoint, and watch it."""
        self._begin()
        self.view = RunView(RunDirectory(run).path, starting=True)
        self.run_changed()
        self.start_changed("")
        self._resume(RunDirectory(run), overrides, self._generation)

    @work(thread=True, group="start", exit_on_error=False)
    def _start(self, config: Path, overrides: tuple[str, ...], generation: int) -> None:
        try:
            run = RunDirectory(output_directory(config, overrides))
            trainer = TrainerProcess.start(config, overrides, run)
        except (UserError, OSError) as error:
            self.post_message(StartFailed(generation, str(error), config))
        else:
            self.post_message(TrainerStarted(generation, trainer, config))

    @work(thread=True, group="start", exit_on_error=False)
    def _resume(self, run: RunDirectory, overrides: tuple[str, ...], generation: int) -> None:
        try:
            trainer = TrainerProcess.resume(run, overrides)
        except OSError as error:
            self.post_message(StartFailed(generation, str(error), None))
        else:
            self.post_message(TrainerStarted(generation, trainer, None))

    @on(TrainerStarted)
    def _trainer_started(self, event: TrainerStarted) -> None:
        event.stop()
        path = event.trainer.run.path
        self.trainers[path] = event.trainer
        if event.config is not None:
            self.configs[path] = event.config
        self.post_message(messages.WatchRun(path))
        if event.generation == self._generation:
            self.starting = event.trainer
            self.view = RunView(path, starting=True)
            self.start_changed("")

    @work(thread=True, exclusive=True, group="trainer", exit_on_error=False)
    def _look_at_trainer(self, trainer: TrainerProcess, generation: int) -> None:
        code = trainer.exit_code()  # before the claim: one that ends in between has claimed
        claimed = trainer.has_claimed()
        self.post_message(TrainerSeen(generation, claimed, code, trainer.said()))

    @on(TrainerSeen)
    def _trainer_seen(self, event: TrainerSeen) -> None:
        event.stop()
        trainer = self.starting
        if event.generation != self._generation or trainer is None:
            return
        if event.claimed:
            trainer.forget_output()
            self.attach(trainer.run.path)
        elif event.exit_code is not None:
            self.starting = None
            self._not_started()
            trainer.forget_output()
            cause = f"the training ended with exit code {event.exit_code} before it began"
            self.start_failed(cause, event.said, self.configs.get(trainer.run.path))
        else:
            self.start_changed(event.said)

    def _not_started(self) -> None:
        if self.view is not None:
            self.view.starting = False

    @on(StartFailed)
    def _start_failed(self, event: StartFailed) -> None:
        event.stop()
        if event.generation == self._generation:
            self._not_started()
            self.start_failed("the training was not started", event.cause, event.config)
