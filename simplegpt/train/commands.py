"""The callback that executes commands (commands.jsonl, signals, max_time) and pauses a run."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from simplegpt.cli import DONE
from simplegpt.config.schema import Config
from simplegpt.run.events import Command, CommandDone, LineReader, Paused, Resumed
from simplegpt.train.checkpoints import Checkpoints
from simplegpt.train.module import GPTModule
from simplegpt.train.ranks import gather
from simplegpt.train.recorder import Ending, Recorder, describe_losses, ends_step
from simplegpt.train.samples import Samples

PAUSE_POLL_SECONDS = 0.2
POLL_SECONDS = 1.0  # between two looks at the commands of several processes
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Those that end a run with a checkpoint."""


class Commands(Callback):
    """Executes commands at the end of an optimizer step, the same ones on all ranks.

    One process looks for them after each step. Several would wait for one another there, so they
    do it about once a second: each time, rank 0 says how many steps later they look again.
    """

    def __init__(
        self,
        config: Config,
        reader: LineReader | None,
        recorder: Recorder,
        checkpoints: Checkpoints,
        samples: Samples | None,
    ) -> None:
        """`reader`: of commands.jsonl; None on ranks other than 0."""
        self.reader = reader
        self.recorder = recorder
        self.checkpoints = checkpoints
        self.samples = samples
        self.paused = False
        self._max_steps = config.trainer.max_steps
        self._max_seconds = _seconds(config.trainer.max_time)
        self._deadline: float | None = None
        self._signal: signal.Signals | None = None
        self._n_steps = 0
        """Steps since the last look at the commands."""
        self._steps_to_look = 1
        """How many there are to be."""
        self._last_look = time.monotonic()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Lightning wrapped the handler for SIGTERM in one that exits without a checkpoint
        self._take_signals()
        assert isinstance(pl_module, GPTModule)
        if trainer.global_step >= self._max_steps:  # resumed only to complete its end
            self.recorder.stop(trainer, Ending("finished"))
        self._execute_all(trainer, pl_module)
        # instead of Lightning's Timer, which also counts the time of earlier attempts and stops
        # within an accumulation
        if self._max_seconds is not None:
            self._deadline = time.monotonic() + self._max_seconds

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if not ends_step(trainer, batch_idx):
            return
        assert isinstance(pl_module, GPTModule)
        self._n_steps += 1
        if trainer.world_size == 1 or self._n_steps >= self._steps_to_look:
            self._execute_all(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Refuse commands that came too late."""
        for command in self.reader.read_commands() if self.reader else ():
            done = CommandDone(
                id=command.id, command=command.command, ok=False, message="the run has ended"
            )
            self.recorder.record(done)

    def _execute_all(self, trainer: Trainer, module: GPTModule) -> None:
        """Execute and answer all new commands; while the run is paused, wait for more."""
        while True:
            ending, commands = self._received(trainer)
            if ending is not None:
                self.recorder.stop(trainer, ending)
            for command in commands:
                if isinstance(command, Command):
                    command = self._execute(trainer, module, command)
                self.recorder.record(command)
            if not self.paused or trainer.should_stop:
                return
            time.sleep(PAUSE_POLL_SECONDS)
            self.recorder.throughput.leave_out(PAUSE_POLL_SECONDS)

    def _received(self, trainer: Trainer) -> tuple[Ending | None, list[Command | CommandDone]]:
        """Return the ending of any rank and the commands of rank 0, the same on all ranks."""
        now, before = time.monotonic(), self._last_look
        step_seconds = max(now - before, 1e-6) / max(self._n_steps, 1)
        # at most twice as many as before: the first steps, which compile, tell nothing of the next
        n_steps = min(max(int(POLL_SECONDS / step_seconds), 1), 2 * self._n_steps + 1)
        commands = self.reader.read_commands() if self.reader else []
        gathered = gather((self._own_ending(), commands, n_steps))
        _, commands, n_steps = gathered[0]
        self._last_look, self._n_steps, self._steps_to_look = now, 0, n_steps
        return next((ending for ending, *_ in gathered if ending), None), commands

    def _own_ending(self) -> Ending | None:
        if self._signal is not None:
            code = DONE if self._signal == signal.SIGINT else 128 + self._signal
            return Ending("stopped", code, f"stopped by {self._signal.name}")
        if self._deadline is not None and time.monotonic() > self._deadline:
            return Ending("stopped", message="max_time reached")
        return None

    def _execute(self, trainer: Trainer, module: GPTModule, command: Command) -> CommandDone:
        step, message, refusal = trainer.global_step, "", None
        match command.command:
            case "stop":
                self.recorder.stop(trainer, Ending("stopped", message="stopped by a command"))
                message = f"stopping at step {step:,}"
            case "save":
                refusal = self.checkpoints.save(trainer, module, as_last=True)
                message = f"saved step {step:,}"
            case "validate":
                self.checkpoints.validate(trainer, module)
                message = describe_losses(module.state)
            case "sample":
                message = f"at step {step:,}"
                if self.samples is None:
                    refusal = "the config has no [samples]"
                else:
                    self.samples.generate(trainer, module)
            case "pause":
                self._set_paused(True)
                message = "paused; memory stays allocated"
            case "resume":
                self._set_paused(False)
            case "set_lr_factor":
                assert command.factor is not None
                module.state.lr_factor = command.factor
                message = f"LR factor {command.factor:g}"
        return CommandDone(
            id=command.id,
            command=command.command,
            ok=refusal is None,
            message=message if refusal is None else refusal,
        )

    def _set_paused(self, paused: bool) -> None:
        if paused == self.paused:
            return
        self.paused, step = paused, self.recorder.step
        self.recorder.set_state("paused" if paused else "running", "" if paused else "training")
        self.recorder.record(Paused(step=step) if paused else Resumed(step=step))

    # Signals

    @contextmanager
    def handle_signals(self) -> Iterator[None]:
        """Stop at the next step on Ctrl-C, SIGTERM and SIGHUP; exit at once on a second Ctrl-C.

        SIGHUP is what a lost connection sends; one that is ignored (nohup) stays so.
        """
        before = {number: signal.getsignal(number) for number in SIGNALS}
        self._take_signals()
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _take_signals(self) -> None:
        for number in SIGNALS:
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT == self._signal:
            message = b"\nstopping now, without a checkpoint\n"
            self.recorder.interrupt()
        else:
            message = b"\nstopping after this step, with a checkpoint (Ctrl-C again: stop now)\n"
            self._signal = signal.Signals(number)
            self.recorder.state = "stopping"
        # not print(), which may be what was interrupted; after a SIGHUP there is no terminal
        with suppress(OSError):
            os.write(2, message)


def _seconds(max_time: str | None) -> float | None:
    """Convert ``DD:HH:MM:SS`` to seconds."""
    if max_time is None:
        return None
    days, hours, minutes, seconds = (int(part) for part in max_time.split(":"))
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds
