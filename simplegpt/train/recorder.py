"""The callback that records a run: events, status, progress line and Lightning's loggers."""

import math
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Literal

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from simplegpt.cli import DONE, INTERRUPTED, one_line, show
from simplegpt.config.load import resolved
from simplegpt.config.schema import Config
from simplegpt.files import write_atomically
from simplegpt.progress import PLAIN_SECONDS, format_duration, format_loss, format_rate
from simplegpt.run import hardware
from simplegpt.run.directory import RunDirectory
from simplegpt.run.events import Event, RunEnded, RunStarted, TrainStep, Validation, Warned
from simplegpt.run.state import RunState, Status
from simplegpt.train.console import Console
from simplegpt.train.devices import windows_per_step
from simplegpt.train.divergence import LossWatch
from simplegpt.train.module import GPTModule
from simplegpt.train.plan import flops_per_token
from simplegpt.train.state import TrainingState

STATUS_SECONDS = 1.0
SYSTEM_SECONDS = 2.0
LEAST_WAIT_SECONDS = 5.0  # without a step, before a run waits for other ranks
INTERRUPT_SECONDS = 2.0  # that an interrupted run waits for a write in progress


@dataclass(frozen=True)
class Ending:
    """The end of a training that does not fail, and the process's exit code."""

    reason: Literal["finished", "stopped"]
    exit_code: int = DONE
    message: str | None = None


def ends_step(trainer: Trainer, batch_idx: int) -> bool:
    """Whether an optimizer step ended with this batch: gradients may accumulate over several."""
    return (batch_idx + 1) % trainer.accumulate_grad_batches == 0


class Recorder(Callback):
    """Writes what happens in a run, on rank 0, from `start` to `end`.

    A thread writes the status about once a second, so that a long compilation or validation does
    not look like a crash, and a `system` event every other second. A file that cannot be written
    (a full disk) is a warning and never ends a run, but a run whose end cannot be written has not
    finished. Files that are removed under the run are created again.
    """

    def __init__(self, run: RunDirectory, config: Config, previous: Status | None = None) -> None:
        """`previous`: the status of the run that is resumed."""
        self.run = run
        self.config = config
        self.console = Console()
        self.throughput = Throughput()
        self.ending = Ending("finished")
        self.state: RunState = "starting"
        self.step = previous.step if previous else 0
        """Optimizer steps done."""
        self.attempt = previous.attempt + 1 if previous else 1
        self._best_loss = previous.best_loss if previous else None
        self._training_state: TrainingState | None = None
        self._activity = ""
        self._progress_time: float | None = None
        self._eta_seconds: float | None = None
        self._n_ranks = 1
        self._loss_sum: Tensor | None = None
        self._n_steps = 0  # in _loss_sum
        self._peak_flops: float | None = None
        self._last_plain_line = 0.0
        self._watch = LossWatch(config.model.n_vocab)
        self._problems: dict[str, str] = {}
        """The last error of each file that could not be written, and of reading the hardware."""
        # of the fields that a status holds, and of what is written
        self._lock = threading.RLock()
        # its put() is the one way to wake a thread that is safe in a signal handler
        self._requests: SimpleQueue[RunEnded | None] = SimpleQueue()
        """To the thread: end, and with an event also end the process."""
        self._is_interrupted = False
        self._thread: threading.Thread | None = None

    # From the claimed directory to the last event

    def start(self, measured: hardware.Hardware, seconds: float = SYSTEM_SECONDS) -> None:
        """Write the log, the status and events from now on, and `measured` every few `seconds`."""
        self.run.clean()
        self.console.copy_to(self.run.log)
        self.run.events.touch()
        arguments = (measured, seconds)
        self._thread = threading.Thread(target=self._write_repeatedly, args=arguments, daemon=True)
        self.write_status()
        self._thread.start()

    def end(self, event: RunEnded, summary: str = "") -> bool:
        """Write `event` and the final status, print `summary`, and close the log.

        Return whether that was written: otherwise the run has not ended as `event` says.
        """
        if self._thread is None:
            return True
        self._requests.put(None)
        self._thread.join(timeout=2)
        is_written = self._write_end(event)
        if is_written and summary:
            show(summary)
        self.console.close()
        return is_written

    def interrupt(self) -> None:
        """End the process at once. For a signal handler: waits for no lock and no thread."""
        if self._is_interrupted or self._thread is None:
            os._exit(INTERRUPTED)
        self._is_interrupted = True
        message = f"interrupted twice at step {self.step:,}, without a checkpoint"
        self._requests.put(RunEnded(reason="stopped", error=message))

    def _write_end(self, event: RunEnded) -> bool:
        with self._lock:
            self._attempt(self.run.path, self._restore)
            is_recorded = self.record(event)
            self.state, self._activity = event.reason, ""
            return self.write_status(failure=event.failure) and is_recorded

    def stop(self, trainer: Trainer, ending: Ending) -> None:
        """End the run at this step, once its checkpoint is saved."""
        self.ending = ending
        self.set_state("stopping", "saving")
        trainer.should_stop = True

    def set_state(self, state: RunState, activity: str = "") -> None:
        with self._lock:
            self.state, self._activity = state, activity
            self.write_status()

    @contextmanager
    def activity(self, name: str) -> Iterator[None]:
        """Show what the run does instead of steps, and leave its time out of the throughput."""
        start, before = time.perf_counter(), self._activity
        self._set_activity(name)
        try:
            yield
        finally:
            self._set_activity(before)
            self.throughput.leave_out(time.perf_counter() - start)

    def _set_activity(self, name: str) -> None:
        with self._lock:
            self._activity = name
            self.write_status()

    def record(self, event: Event) -> bool:
        """Append `event`; return whether it was written."""
        return self._attempt(self.run.events, lambda: self.run.append_event(event))

    def warn(self, message: str) -> None:
        self.record(Warned(message=message))
        self.print(f"warning: {message}")

    def print(self, text: str) -> None:
        if self._thread is not None:
            show(text)

    def write_status(self, **changes: Any) -> bool:
        """Write the status with `changes`; return whether it was written."""
        return self._attempt(self.run.status_file, lambda: self._write_status(**changes))

    def _write_status(self, **changes: Any) -> None:
        state, waiting = self._training_state, self._seconds_without_step()
        status = Status.of_this_process(
            self.state,
            activity=self._activity if waiting is None else "waiting for other ranks",
            step=self.step,
            max_steps=self.config.trainer.max_steps,
            attempt=self.attempt,
            progress_time=self._progress_time,
            best_loss=state.best_loss if state else self._best_loss,
            eta_seconds=self._eta_seconds if self.state in ("running", "paused") else None,
            lr_factor=state.lr_factor if state else 1.0,
            **changes,
        )
        self.run.write_status(status)

    def _seconds_without_step(self) -> float | None:
        """Return the time since the last step if several ranks train and one is much too late."""
        if self._n_ranks == 1 or self._activity != "training" or self._progress_time is None:
            return None
        seconds = time.time() - self._progress_time
        usual = self.throughput.average_step_seconds()
        return seconds if seconds > max(LEAST_WAIT_SECONDS, 10 * usual) else None

    def _attempt(self, path: Path, write: Callable[[], None]) -> bool:
        """Write to `path`, on rank 0, and return whether it succeeded; say why not, once."""
        if self._thread is None:
            return True
        with self._lock:
            try:
                try:
                    write()
                except FileNotFoundError:
                    self._restore()
                    write()
            except OSError as error:
                self._report(str(path), f"cannot be written: {error.strerror or error}")
                return False
            self._problems.pop(str(path), None)
            return True

    def _restore(self) -> None:
        """Restore files that were removed or renamed during the run, with a warning."""
        run = self.run
        missing = [path for path in (*run.files, run.checkpoints) if not os.path.lexists(path)]
        if not missing:
            return
        if not run.path.exists():
            missing = [run.path]
        run.create()
        run.events.touch()
        if not run.config.exists():
            write_atomically(run.config, resolved(self.config))
        if not run.log.exists():
            self.console.copy_to(run.log)
        names = one_line(", ".join(map(str, missing)))
        self.warn(f"{names}: removed or renamed under the run, and created again")

    def _report(self, what: str, problem: str) -> None:
        """Print a problem, unless it is the same as the last time."""
        if self._problems.get(what) != problem:
            self._problems[what] = problem
            show(f"warning: {one_line(what)}: {problem}")

    # The thread

    def _write_repeatedly(self, measured: hardware.Hardware, seconds: float) -> None:
        next_system = 0.0
        while True:
            self.write_status()
            self._attempt(self.run.path, self._restore)
            if time.monotonic() >= next_system:
                next_system = time.monotonic() + seconds
                self._record_hardware(measured)
            try:
                request = self._requests.get(timeout=STATUS_SECONDS)
            except Empty:
                continue
            if request is not None:
                self._end_process(request)
            return

    def _record_hardware(self, measured: hardware.Hardware) -> None:
        try:
            event = measured.read()
        except Exception as error:  # of any driver: no figure is worth the status of a run
            self._report("hardware", f"cannot be read: {error}")
        else:
            self.record(event)

    def _end_process(self, event: RunEnded) -> None:
        """Write `event`, unless the training's thread is stuck in a write, and exit."""
        if self._lock.acquire(timeout=INTERRUPT_SECONDS):
            self._write_end(event)
            self.console.close()
        os._exit(INTERRUPTED)

    # Lightning's hooks

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, GPTModule)
        self._training_state, self.step = pl_module.state, trainer.global_step
        self._n_ranks = trainer.world_size
        precision = self.config.trainer.precision
        device, self._peak_flops = describe_devices(trainer, precision)
        self.throughput.start()
        self.record(
            RunStarted(
                attempt=self.attempt,
                resumed_from_step=self.step,
                max_steps=self.config.trainer.max_steps,
                device=device,
            )
        )
        self.set_state("running", "compiling" if pl_module.is_compiled else "training")
        how = f"resumed from step {self.step:,}" if self.step else "training"
        self.print(f"{how} on {device}: {self.run.path}")
        if precision == "16-mixed" and pl_module.device.type == "cpu":
            self.warn("16-mixed is computed as bf16-mixed on a CPU")
        state, before = pl_module.state, pl_module.state.threads
        state.threads = torch.get_num_threads() if pl_module.device.type == "cpu" else None
        if before and state.threads and before != state.threads:
            self.warn(
                f"resumed with {state.threads} CPU threads instead of {before}: the rounding "
                "differs from that of an uninterrupted run"
            )

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        # Summed on the device: reading a number at each step would make the CPU wait for it.
        # Lightning divided the loss by accumulate_grad_batches.
        loss = outputs["loss"]
        self._loss_sum = loss if self._loss_sum is None else self._loss_sum + loss
        if not ends_step(trainer, batch_idx):
            return
        self._n_steps += 1
        self.step, self._progress_time = trainer.global_step, time.time()
        if self._activity == "compiling":
            self._set_activity("training")
        if self.step % self.config.trainer.log_every_n_steps == 0:
            assert isinstance(pl_module, GPTModule)
            self._record_step(trainer, pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, GPTModule)
        state = pl_module.state
        assert state.val_loss is not None
        assert state.train_loss is not None
        losses = {"val_loss": state.val_loss, "train_loss": state.train_loss}
        self.record(Validation(step=self.step, tokens=state.tokens, **losses))
        # "train_loss" is that of the steps
        metrics = {"val_loss": state.val_loss, "train_eval_loss": state.train_loss}
        self.log_metrics(trainer, metrics)
        self.print(f"step {self.step:,}: {describe_losses(state)}")

    # A step's figures

    def _record_step(self, trainer: Trainer, module: GPTModule) -> None:
        assert self._loss_sum is not None
        mean = trainer.strategy.reduce(self._loss_sum / self._n_steps, reduce_op="mean")
        loss = float(mean)  # the one place that waits for the device
        state, step_seconds = module.state, self.throughput.measure(self._n_steps)
        self._loss_sum, self._n_steps = None, 0
        data, grad_norm = self.config.data, module.grad_norm
        windows = windows_per_step(self.config, trainer.world_size)
        rate = windows * data.seq_len / step_seconds
        flops = rate * flops_per_token(self.config)
        warning = self._watch.judge(self.step, loss)
        event = TrainStep(
            step=self.step,
            tokens=state.tokens,
            loss=loss,
            lr=trainer.optimizers[0].param_groups[0]["lr"],
            grad_norm=None if grad_norm is None else float(grad_norm),
            tokens_per_second=rate,
            step_seconds=step_seconds,
            mfu=flops / self._peak_flops if self._peak_flops else None,
            diverging=self._watch.is_diverging,
        )
        self.record(event)
        names = {"loss": "train_loss", "lr": "lr", "grad_norm": "grad_norm"}
        names["tokens_per_second"] = "tokens_per_second"
        values = {names[key]: value for key, value in event.model_dump().items() if key in names}
        self.log_metrics(trainer, values)
        self._show_progress(event, state)
        if warning:
            self.warn(warning)
        if self.config.stop_when_diverged:
            self._watch.check()  # the same loss, hence the same end, on all ranks

    def log_metrics(self, trainer: Trainer, metrics: Mapping[str, float]) -> None:
        """Give `metrics` to the loggers and to other callbacks.

        Lightning's `self.log` writes only at its own steps, which would drop validations.
        """
        for logger in trainer.loggers:
            logger.log_metrics(dict(metrics), self.step)
        values = {name: torch.tensor(value) for name, value in metrics.items()}
        trainer.callback_metrics.update(values)

    def _show_progress(self, event: TrainStep, state: TrainingState) -> None:
        max_steps = self.config.trainer.max_steps
        self._eta_seconds = eta = self.throughput.average_step_seconds() * (max_steps - self.step)
        val = "" if state.val_loss is None else f" · val loss {format_loss(state.val_loss)}"
        line = (
            f"step {self.step:,}/{max_steps:,} · loss {format_loss(event.loss)}{val} · "
            f"{format_rate(event.tokens_per_second)} · ETA {format_duration(eta)}"
        )
        if self._thread is None:
            return
        if self.console.line is not None:
            self.console.line.show(line)
        elif time.monotonic() - self._last_plain_line > PLAIN_SECONDS:
            self._last_plain_line = time.monotonic()
            show(line)


class Throughput:
    """The time of a step, without the time spent on anything but steps."""

    # Long enough for a steady ETA, short enough to follow a change of the machine's load.
    MEMORY_SECONDS = 60.0

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._mark = clock()
        self._recent_seconds = 0.0
        self._recent_steps = 0.0

    def start(self) -> None:
        self._mark = self._clock()

    def leave_out(self, seconds: float) -> None:
        """Do not count `seconds` that a validation, a checkpoint or a pause took."""
        self._mark += seconds

    def measure(self, n_steps: int) -> float:
        """Return the seconds per step of the `n_steps` since the last call."""
        now = self._clock()
        seconds, self._mark = max(now - self._mark, 1e-9), now
        # both decay at the same rate, so that slow first steps weigh no more than others
        decay = math.exp(-seconds / self.MEMORY_SECONDS)
        self._recent_seconds = self._recent_seconds * decay + seconds
        self._recent_steps = self._recent_steps * decay + n_steps
        return seconds / n_steps

    def average_step_seconds(self) -> float:
        """Return the mean of about the last minute; 0 before the first measurement."""
        return self._recent_seconds / self._recent_steps if self._recent_steps else 0.0


def describe_losses(state: TrainingState) -> str:
    """Return the losses of the last validation: ``train loss 1.4321 · val loss 1.5678``."""
    return f"train loss {format_loss(state.train_loss)} · val loss {format_loss(state.val_loss)}"


def describe_devices(trainer: Trainer, precision: str) -> tuple[str, float | None]:
    """Return the name of the devices, and their peak in FLOP/s or None if unknown."""
    device, n, n_nodes = trainer.strategy.root_device, trainer.world_size, trainer.num_nodes
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
        peak = hardware.peak_flops(name, precision)
        return name if n == 1 else f"{n} x {name}", None if peak is None else n * peak
    if device.type != "cpu":
        return device.type, None
    cores = hardware.cpu_count()  # which the processes of a machine share
    used = min(torch.get_num_threads() * n // n_nodes, cores)
    name = f"{used} of " * (used < cores) + f"{cores} CPU core{'s' * (cores > 1)}"
    name = name if n_nodes == 1 else f"{n_nodes} x {name}"
    return name if n == 1 else f"{n} processes on {name}", None
