"""Stands in for `simplegpt.train` in tests: a real process that writes a run's directory through
the core's own classes and answers commands, and trains nothing.

``FAKE_TRAINER`` says how it behaves: "" trains until it is stopped, "mistake" ends with a message
before it claims its directory, "fail" fails at step 3, "short" finishes.
"""

import os
import sys
import time
from pathlib import Path

from simplegpt.config import load as config_file
from simplegpt.run.directory import RunDirectory
from simplegpt.run.events import (
    CheckpointSaved,
    CommandDone,
    Failure,
    LineReader,
    RunEnded,
    RunStarted,
    TrainStep,
)
from simplegpt.run.state import RunState, Status

STEP_SECONDS = 0.01
MAX_STEPS = {"short": 200}


def main() -> int:
    behaviour = os.environ.get("FAKE_TRAINER", "")
    if behaviour == "mistake":
        print("error: data.train_fpath: no such file: 'data/train.bin'\n  prepare it first")
        return 2
    resume = "--resume" in sys.argv
    if resume:
        run = RunDirectory(sys.argv[sys.argv.index("--resume") + 1])
    else:
        run = RunDirectory(config_file.load(sys.argv[1]).output_dir)
    run.create()
    return Fake(run, behaviour).train(resume)


class Fake:
    """Steps, figures and answers."""

    def __init__(self, run: RunDirectory, behaviour: str) -> None:
        self.run, self.behaviour = run, behaviour
        self.max_steps = MAX_STEPS.get(behaviour, 1_000_000)
        self.commands = LineReader.from_end(run.commands)
        self.state: RunState = "running"
        self.step = 0

    def train(self, resume: bool) -> int:
        before = self.run.status()
        attempt = before.attempt + 1 if resume and before is not None else 1
        self.step = before.step if resume and before is not None else 0
        if not resume:
            Path(self.run.config).write_text("[data]\ntrain_batch_size = 12\n")
        self.attempt = attempt
        self.status()
        self.run.append_event(
            RunStarted(
                attempt=attempt,
                resumed_from_step=self.step,
                max_steps=self.max_steps,
                device="nothing",
            )
        )
        while self.state in ("running", "paused") and self.step < self.max_steps:
            self.obey()
            if self.state == "running":
                self.one_step()
            if self.behaviour == "fail" and self.step >= 3:
                return self.end("failed", "out of memory: 9 GiB asked for, 1 GiB free")
            time.sleep(STEP_SECONDS)
        self.save()
        return self.end("stopped" if self.state == "stopping" else "finished", None)

    def one_step(self) -> None:
        self.step += 1
        self.run.append_event(
            TrainStep(
                step=self.step,
                tokens=self.step * 64,
                loss=4 / (1 + self.step / 100),
                lr=1e-3,
                step_seconds=STEP_SECONDS,
                tokens_per_second=64 / STEP_SECONDS,
            )
        )
        self.status()

    def obey(self) -> None:
        for command in self.commands.read_commands():
            message = ""
            if command.command == "stop":
                self.state, message = "stopping", "stopping, with a checkpoint"
            elif command.command == "pause":
                self.state, message = "paused", "paused; its memory stays allocated"
            elif command.command == "resume":
                self.state = "running"
            elif command.command == "save":
                self.save()
                message = f"saved step {self.step}"
            elif command.command == "set_lr_factor":
                message = f"the learning rate is {command.factor:g} times its schedule"
            self.status()
            done = CommandDone(id=command.id, command=command.command, message=message)
            self.run.append_event(done)

    def save(self) -> None:
        self.run.last_checkpoint.write_bytes(b"nothing")
        self.run.append_event(CheckpointSaved(step=self.step, path="ckpts/last.ckpt"))

    def status(self, state: RunState | None = None, failure: Failure | None = None) -> None:
        self.run.write_status(
            Status.of_this_process(
                state or self.state,
                step=self.step,
                max_steps=self.max_steps,
                attempt=self.attempt,
                activity="training",
                failure=failure,
            )
        )

    def end(self, reason: RunState, error: str | None) -> int:
        failure = Failure(kind="error", message=error or "") if reason == "failed" else None
        self.run.append_event(RunEnded(reason=reason, error=error, failure=failure))  # type: ignore[arg-type]
        self.status(reason, failure)
        return 1 if reason == "failed" else 0


if __name__ == "__main__":
    sys.exit(main())
