"""The Lightning callback: training -> events, and commands -> training.

All that happens between two optimizer steps happens here, in one order: record, validate, sample,
save, obey. So a checkpoint always lies at a step's end, and a stop never waits for anything else.
"""

import math
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Literal

import lightning
import torch
import torch.distributed
from lightning.pytorch.callbacks import Callback

from simplegpt.cli import DONE, INTERRUPTED, TERMINATED
from simplegpt.config.schema import Config
from simplegpt.progress import format_duration
from simplegpt.run.checkpoints import CheckpointFiles, CheckpointInfo
from simplegpt.run.directory import RunDirectory
from simplegpt.run.events import (
    CheckpointSaved,
    Command,
    CommandDone,
    Event,
    LineReader,
    Paused,
    Resumed,
    RunEnded,
    RunStarted,
    Sample,
    TrainStep,
    Validation,
    Warned,
)
from simplegpt.train.console import Console
from simplegpt.train.heartbeat import Heartbeat
from simplegpt.train.module import GPTModule, TokenData
from simplegpt.train.samples import SampleWriter
from simplegpt.train.throughput import Throughput

PAUSE_POLL_SECONDS = 0.2
PLAIN_LINE_SECONDS = 10.0  # between two lines of progress where no terminal shows the live one


@dataclass(frozen=True)
class Ending:
    """Why a run ends before or at max_steps, and the process's exit code."""

    reason: Literal["finished", "stopped"]
    exit_code: int = DONE
    message: str | None = None


class Recorder(Callback):
    """Runs a training from step to step; rank 0 writes the run's directory."""

    def __init__(
        self,
        run: RunDirectory,
        config: Config,
        data: TokenData,
        console: Console,
        heartbeat: Heartbeat,
        samples: SampleWriter,
    ) -> None:
        self.run = run
        self.config = config
        self.data = data
        self.console = console
        self.heartbeat = heartbeat
        self.samples = samples
        self.files = CheckpointFiles(run, config.checkpointing)
        self.ending = Ending("finished")
        self.paused = False
        self.compiles = False
        """Whether the first step compiles the network, which takes a while."""
        self.throughput = Throughput(config)
        self.val_loss: float | None = None
        self.best_loss: float | None = None
        self.validations_without_improvement = 0
        self._learning_rate_scale = 1.0
        # from here on: a stop that was sent to an earlier attempt must not stop this one
        self._commands = LineReader.from_end(run.commands)
        self._signals: list[int] = []
        self._previous_handlers: dict[int, Any] = {}
        self.step = 0
        """Optimizer steps done."""
        self._validated_at = self._saved_at = -1
        self._last_plain_line = 0.0
        self._warned_of_nan = False
        self._train_loss = float("nan")
        """Mean since the last `train_step` event, at the last step that needed it."""

    # Lightning's hooks

    def state_dict(self) -> dict[str, Any]:
        return {
            "samples_seen": self.data.samples_seen,
            "tokens": self.throughput.tokens,
            "val_loss": self.val_loss,
            "best_loss": self.best_loss,
            "validations_without_improvement": self.validations_without_improvement,
            "learning_rate_scale": self._learning_rate_scale,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.data.samples_seen = state_dict["samples_seen"]
        self.throughput.tokens = state_dict["tokens"]
        self.val_loss = state_dict["val_loss"]
        self.best_loss = state_dict["best_loss"]
        self.validations_without_improvement = state_dict["validations_without_improvement"]
        self._learning_rate_scale = state_dict["learning_rate_scale"]

    def on_save_checkpoint(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, checkpoint: Any
    ) -> None:
        checkpoint["simplegpt"] = {
            "format": 1,
            "step": trainer.global_step,
            "tokens": self.throughput.tokens,
            "val_loss": self.val_loss,
        }

    def on_train_start(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        self.step = trainer.global_step
        pl_module.learning_rate_scale = self._learning_rate_scale
        self._group = None
        if trainer.world_size > 1:
            # a group of its own on the CPUs: what ranks tell each other must not stop the GPUs
            self._group = torch.distributed.new_group(backend="gloo")
        self.take_signals()
        self.throughput.start(trainer)
        if not trainer.is_global_zero:
            return
        device = self.throughput.device_name
        self._record(
            RunStarted(
                attempt=self.heartbeat.attempt,
                resumed_from_step=trainer.global_step,
                max_steps=self.config.trainer.max_steps,
                device=device,
            )
        )
        self.heartbeat.best_loss = self.best_loss
        self.heartbeat.progress(trainer.global_step)
        self.heartbeat.set("running", "compiling" if self.compiles else "training")
        first = (
            f"resumed at step {trainer.global_step:,}" if self.heartbeat.attempt > 1 else "training"
        )
        print(f"{first} on {device}: {self.run.path}", flush=True)
        if self.config.trainer.precision == "16-mixed" and pl_module.device.type == "cpu":
            self._warn("on a CPU, 16-mixed is computed as bf16-mixed")

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        assert isinstance(pl_module, GPTModule)
        n_windows = self.config.data.train_batch_size * trainer.world_size
        self.data.samples_seen += n_windows
        self.throughput.tokens += n_windows * self.config.data.seq_len
        if trainer.global_step == self.step:
            return  # in the middle of an accumulation
        self.step = trainer.global_step
        self.heartbeat.activity = "training"
        self.throughput.steps += 1
        self.heartbeat.progress(self.step)
        if self.step % self.config.trainer.log_every_n_steps == 0:
            self._log_step(trainer, pl_module)
        if self._validation_is_due(batch_idx + 1):
            self._validate(trainer, pl_module)
            self._save(trainer)
        every = self.config.checkpointing.every_n_steps
        if every is not None and self.step % every == 0:
            self._save(trainer)
        samples = self.config.samples
        if samples is not None and self.step % samples.every_n_steps == 0:
            self._sample(trainer, pl_module)
        self._obey_all(trainer, pl_module)

    def _validation_is_due(self, n_batches: int) -> bool:
        """Whether the last optimizer step's batches passed a multiple of the interval."""
        settings = self.config.trainer
        before = n_batches - settings.accumulate_grad_batches
        return n_batches // settings.val_check_interval > before // settings.val_check_interval

    def on_train_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """The last figures, and a checkpoint of the last step whatever the intervals."""
        if self.ending.reason == "finished" and self._validated_at != self.step:
            self._validate(trainer, pl_module)
        self._save(trainer)

    # What happens at a step's end

    def _log_step(self, trainer: lightning.Trainer, module: GPTModule) -> None:
        loss = self._mean_loss(trainer, module)
        module.forget_losses()
        figures = torch.stack([loss, self._grad_norm(module)])
        self._train_loss, grad_norm = figures.tolist()  # the one place that waits for the device
        speed = self.throughput.measure()
        if not trainer.is_global_zero:
            return
        event = TrainStep(
            step=self.step,
            tokens=self.throughput.tokens,
            loss=self._train_loss,
            lr=module.learning_rate,
            grad_norm=grad_norm,
            tokens_per_second=speed.tokens_per_second,
            step_seconds=speed.step_seconds,
            mfu=speed.mfu,
        )
        self._record(event)
        for logger in trainer.loggers:
            metrics = {"train_loss": event.loss, "lr": event.lr, "grad_norm": grad_norm}
            metrics["tokens_per_second"] = event.tokens_per_second
            logger.log_metrics(metrics, self.step)
        if self._train_loss != self._train_loss and not self._warned_of_nan:
            self._warned_of_nan = True
            self._warn(f"the loss is not a number at step {self.step}: try a lower peak_lr")
        self._show_progress(event)

    def _mean_loss(self, trainer: lightning.Trainer, module: GPTModule) -> torch.Tensor:
        return module.all_reduce_sum(module.mean_loss() / trainer.world_size)

    def _grad_norm(self, module: GPTModule) -> torch.Tensor:
        norm = module.grad_norm
        return torch.zeros((), device=module.device) if norm is None else norm.float()

    def _show_progress(self, event: TrainStep) -> None:
        left = (self.config.trainer.max_steps - self.step) * self.throughput.average_step_seconds()
        val = "" if self.val_loss is None else f" · val {self.val_loss:.4f}"
        line = (
            f"step {self.step:,}/{self.config.trainer.max_steps:,} · loss {event.loss:.4f}{val} · "
            f"{event.tokens_per_second:,.0f} tokens/s · {format_duration(left)} left"
        )
        self.console.live(line)
        now = time.monotonic()
        plain_due = now - self._last_plain_line > PLAIN_LINE_SECONDS
        if not self.console.is_terminal and plain_due:
            self._last_plain_line = now
            print(line, flush=True)

    def _validate(self, trainer: lightning.Trainer, module: GPTModule) -> None:
        with self._aside("validating"):
            loss = float(module.validation_loss(self.data.validation_loader()))
        again, self._validated_at = self._validated_at == self.step, self.step
        self.val_loss = loss
        if self.config.checkpointing.monitor == "train_loss":
            if self.step % self.config.trainer.log_every_n_steps:
                self._train_loss = float(self._mean_loss(trainer, module))
            loss = self._train_loss
        early = self.config.early_stopping
        least = early.min_delta if early is not None else 0.0
        # infinity and NaN are never the best
        if loss < (math.inf if self.best_loss is None else self.best_loss - least):
            self.best_loss, self.validations_without_improvement = loss, 0
        elif not again:  # an observer may ask for the same one twice
            self.validations_without_improvement += 1
        self.heartbeat.best_loss = self.best_loss
        if early is not None and self.validations_without_improvement >= early.patience:
            message = f"no improvement in {early.patience} validations"
            self._end(trainer, Ending("finished", message=message))
        if not trainer.is_global_zero:
            return
        self._record(
            Validation(step=self.step, tokens=self.throughput.tokens, val_loss=self.val_loss)
        )
        for logger in trainer.loggers:
            logger.log_metrics({"val_loss": self.val_loss}, self.step)
        print(f"step {self.step:,}: validation loss {self.val_loss:.4f}", flush=True)

    def _save(self, trainer: lightning.Trainer) -> None:
        """Write a checkpoint of this step, unless it is written already.

        Where that fails, a full disk say, the run goes on and tries again at the next one: what
        is in memory is worth more than an early end. Only the last one must succeed.
        """
        if self._saved_at == self.step or self.step <= 0:
            return
        with self._aside("saving"):
            temporary = self.files.temporary()
            try:
                trainer.save_checkpoint(temporary)  # on all ranks: a strategy may gather
                saved = self._keep(temporary) if trainer.is_global_zero else []
            except (OSError, RuntimeError) as error:
                temporary.unlink(missing_ok=True)
                if trainer.should_stop or self.step >= self.config.trainer.max_steps:
                    raise
                self._warn(f"no checkpoint at step {self.step}: {error}")
                return
        self._saved_at = self.step
        for name in saved:
            self._record(CheckpointSaved(step=self.step, path=name, val_loss=self.val_loss))

    def _keep(self, written: Path) -> list[str]:
        """Give the file its names; returns them, relative to the run's directory."""
        score = None
        if self._validated_at == self.step:
            monitors_val = self.config.checkpointing.monitor == "val_loss"
            score = self.val_loss if monitors_val else self._train_loss
        info = CheckpointInfo(
            step=self.step, tokens=self.throughput.tokens, val_loss=self.val_loss, score=score
        )
        paths = self.files.keep(written, info)
        return [str(path.relative_to(self.run.path)) for path in paths]

    def _sample(self, trainer: lightning.Trainer, module: GPTModule) -> None:
        samples = self.config.samples
        if samples is None or not trainer.is_global_zero:
            return
        with self._aside("sampling"):
            for prompt in samples.prompts:
                text = self.samples.write(module, prompt)
                self._record(Sample(step=self.step, prompt=prompt, text=text))
                print(f"step {self.step:,}: {prompt}{text}\n", flush=True)

    @contextmanager
    def _aside(self, activity: str) -> Iterator[None]:
        """Something other than a step: told in the status, and left out of the speed."""
        start = time.perf_counter()
        with self.heartbeat.doing(activity):
            yield
        self.throughput.leave_out(time.perf_counter() - start)

    # Commands and signals

    def _obey_all(self, trainer: lightning.Trainer, module: GPTModule) -> None:
        """Do what was asked; while paused, wait here for what is asked next."""
        while True:
            signals, commands = self._asked(trainer)
            for number in signals:
                self._obey_signal(trainer, number)
            for command in commands:
                self._obey(trainer, module, command)
            if not self.paused or trainer.should_stop:
                return
            time.sleep(PAUSE_POLL_SECONDS)
            self.throughput.leave_out(PAUSE_POLL_SECONDS)

    def _asked(self, trainer: lightning.Trainer) -> tuple[list[int], list[Command]]:
        """Signals that any rank received and commands that rank 0 read, the same on all ranks."""
        signals, self._signals = self._signals, []
        commands = self._commands.read_commands() if trainer.is_global_zero else []
        if self._group is None:
            return signals, commands
        told: list[Any] = [None] * trainer.world_size
        torch.distributed.all_gather_object(told, (signals, commands), group=self._group)
        return [number for numbers, _ in told for number in numbers], told[0][1]

    def _obey(self, trainer: lightning.Trainer, module: GPTModule, command: Command) -> None:
        message, ok = "", True
        match command.command:
            case "stop":
                self._end(trainer, Ending("stopped", message="asked to stop"))
                message = f"stopping at step {self.step}, with a checkpoint"
            case "save":
                self._save(trainer)
                message = f"saved step {self.step}"
            case "validate":
                self._validate(trainer, module)
                message = f"validation loss {self.val_loss:.4f}"
            case "sample":
                ok = self.config.samples is not None
                message = f"at step {self.step}" if ok else "the config has no [samples]"
                self._sample(trainer, module)
            case "pause":
                self._set_paused(trainer, True)
                message = "paused; its memory stays allocated"
            case "resume":
                self._set_paused(trainer, False)
            case "set_lr_factor":
                ok = command.factor is not None
                if command.factor is not None:
                    self._learning_rate_scale = module.learning_rate_scale = command.factor
                    message = f"the learning rate is {command.factor:g} times its schedule"
        if trainer.is_global_zero:
            done = CommandDone(id=command.id, command=command.command, ok=ok, message=message)
            self._record(done)

    def _set_paused(self, trainer: lightning.Trainer, paused: bool) -> None:
        if paused == self.paused:
            return
        self.paused = paused
        self.heartbeat.set("paused" if paused else "running", "" if paused else "training")
        if trainer.is_global_zero:
            self._record(Paused(step=self.step) if paused else Resumed(step=self.step))

    def _obey_signal(self, trainer: lightning.Trainer, number: int) -> None:
        name = signal.Signals(number).name
        code = TERMINATED if number == signal.SIGTERM else DONE
        self._end(trainer, Ending("stopped", code, f"stopped by {name}"))

    def _end(self, trainer: lightning.Trainer, ending: Ending) -> None:
        self.ending = ending
        self.heartbeat.set("stopping", "saving")
        trainer.should_stop = True

    def take_signals(self) -> None:
        """Replace Lightning's handlers, which leave with code 0 and without a checkpoint."""
        interrupted = False

        def handle(number: int, frame: FrameType | None) -> None:
            nonlocal interrupted
            if number == signal.SIGINT and interrupted:
                self._abort()
            interrupted = interrupted or number == signal.SIGINT
            self.heartbeat.note("stopping")
            self._signals.append(number)
            # not print(): it may be what was interrupted
            os.write(2, b"\nstopping at the next step, with a checkpoint (Ctrl-C again: at once)\n")

        for number in (signal.SIGINT, signal.SIGTERM):
            previous = signal.signal(number, handle)
            self._previous_handlers.setdefault(number, previous)

    def release_signals(self) -> None:
        for number, handler in self._previous_handlers.items():
            signal.signal(number, handler)

    def _abort(self) -> None:
        """Leave at once: steps after the last checkpoint are lost."""
        if self.heartbeat.is_writing:
            message = f"interrupted twice at step {self.step}, without a checkpoint"
            self._record(RunEnded(reason="stopped", error=message))
            self.heartbeat.end("stopped")
        os._exit(INTERRUPTED)

    # The record

    def _record(self, event: Event) -> None:
        try:
            self.run.append_event(event)
        except OSError as error:  # the story has a gap; the run goes on
            print(f"warning: {self.run.events}: {error.strerror}", flush=True)

    def _warn(self, message: str) -> None:
        self._record(Warned(message=message))
        print(f"warning: {message}", flush=True)
