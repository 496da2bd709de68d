"""Stands in for `simplegpt.train` where a test needs many steps at once: a real process that writes
a run's directory through the core's own classes and answers commands, but trains nothing.

``python -m tests.tui.fake_trainer CONFIG`` or ``--resume RUN [--trainer.max_steps N]``, as the
trainer itself.
"""

import sys
import time
from pathlib import Path

from simplegpt.config import load as config_file
from simplegpt.run.directory import RunDirectory
from simplegpt.run.events import (
    CheckpointSaved,
    Command,
    CommandDone,
    LineReader,
    RunEnded,
    RunStarted,
    TrainStep,
)
from simplegpt.run.state import RunState, Status

COMMAND = (sys.executable, "-m", "tests.tui.fake_trainer")
STEP_SECONDS = 0.01


def main() -> int:
    if sys.argv[1] == "--resume":
        run = RunDirectory(sys.argv[2])
        before = run.status()
        assert before is not None
        max_steps = int(sys.argv[4]) if len(sys.argv) > 3 else before.max_steps
        return FakeTrainer(run, max_steps, before.attempt + 1, before.step).train()
    config = config_file.load(sys.argv[1])
    run = RunDirectory(config.output_dir)
    run.create()
    run.config.write_text(Path(sys.argv[1]).read_text())
    return FakeTrainer(run, config.trainer.max_steps, attempt=1, step=0).train()


class FakeTrainer:
    """Steps, losses and answers."""

    def __init__(self, run: RunDirectory, max_steps: int, attempt: int, step: int) -> None:
        self.run, self.max_steps, self.attempt, self.step = run, max_steps, attempt, step
        self.commands = LineReader.from_end(run.commands)
        self.state: RunState = "running"

    def train(self) -> int:
        self.write_status()
        started = RunStarted(
            attempt=self.attempt, resumed_from_step=self.step, max_steps=self.max_steps
        )
        self.run.append_event(started)
        while self.state in ("running", "paused") and self.step < self.max_steps:
            self.execute_commands()
            if self.state == "running":
                self.take_step()
            time.sleep(STEP_SECONDS)
        self.save()
        self.state = "stopped" if self.state == "stopping" else "finished"
        self.run.append_event(RunEnded(reason=self.state))
        self.write_status()
        return 0

    def take_step(self) -> None:
        self.step += 1
        loss = 4 / (1 + self.step / 100)
        event = TrainStep(
            step=self.step, tokens=self.step, loss=loss, lr=1e-3, step_seconds=STEP_SECONDS
        )
        self.run.append_event(event)
        self.write_status()

    def execute_commands(self) -> None:
        for command in self.commands.read_commands():
            if not isinstance(command, Command):
                self.run.append_event(command)
                continue
            message = ""
            match command.command:
                case "stop":
                    self.state = "stopping"
                case "pause":
                    self.state = "paused"
                case "resume":
                    self.state = "running"
                case "save":
                    self.save()
                    message = f"saved step {self.step}"
                case "set_lr_factor":
                    message = f"factor {command.factor:g}"
            self.write_status()
            done = CommandDone(id=command.id, command=command.command, message=message)
            self.run.append_event(done)

    def save(self) -> None:
        self.run.last_checkpoint.write_bytes(b"nothing")
        self.run.append_event(CheckpointSaved(step=self.step, path="ckpts/last.ckpt"))

    def write_status(self) -> None:
        status = Status.of_this_process(
            self.state, step=self.step, max_steps=self.max_steps, attempt=self.attempt
        )
        self.run.write_status(status)


if __name__ == "__main__":
    sys.exit(main())
