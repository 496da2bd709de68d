"""The lines of events.jsonl and commands.jsonl."""

import json
import os
import time
import uuid
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, BinaryIO, Literal, Self, TypeAlias, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from simplegpt.cli import invalid_fields, nearest
from simplegpt.files import open_regular

EVENTS_VERSION = 1
COMPARED_BYTES = 4096  # more than most lines: each has its time, by which another file differs
MAX_QUOTED = 40  # characters of an invalid command that its answer repeats


class Record(BaseModel):
    """A line of JSON: unknown fields are ignored, NaN and infinity are written as strings."""

    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="strings")


class BaseEvent(Record):
    version: int = EVENTS_VERSION
    time: float = Field(default_factory=time.time)
    """Seconds since 1970."""


class RunStarted(BaseEvent):
    type: Literal["run_started"] = "run_started"
    attempt: int
    """1 for the first start, one more at each resume."""
    resumed_from_step: int = 0
    max_steps: int = 0
    device: str = ""
    """The device's name and number."""


class TrainStep(BaseEvent):
    type: Literal["train_step"] = "train_step"
    step: int
    """Optimizer steps done."""
    tokens: int
    """Tokens trained on so far, over all devices."""
    loss: float
    """Cross-entropy in nats, averaged over the steps since the last such event."""
    lr: float
    grad_norm: float | None = None
    """Gradient norm before clipping."""
    tokens_per_second: float = 0.0
    step_seconds: float = 0.0
    mfu: float | None = None
    """Fraction of the device's peak FLOP/s; None where the peak is not known."""
    diverging: bool = False
    """Whether the loss is NaN, infinite, or far above its best."""


class Validation(BaseEvent):
    type: Literal["validation"] = "validation"
    step: int
    tokens: int
    val_loss: float
    train_loss: float | None = None
    """On training data, measured in the same way: without dropout, with the same weights."""


class GPU(Record):
    name: str
    utilization: float | None = None
    """Percent."""
    memory_used: int | None = None
    """Bytes, like every memory figure."""
    memory_total: int | None = None
    temperature: float | None = None
    """Degrees Celsius."""
    power: float | None = None
    """Watts."""


class System(BaseEvent):
    type: Literal["system"] = "system"
    gpus: list[GPU] = []
    cpu_percent: float
    """Utilization of all cores together: 100 is the whole machine."""
    memory_used: int
    memory_total: int
    process_memory: int | None = None
    """Resident memory of the training process."""


class CheckpointSaved(BaseEvent):
    type: Literal["checkpoint_saved"] = "checkpoint_saved"
    step: int
    path: str
    """Relative to the run's directory."""
    val_loss: float | None = None


class Sample(BaseEvent):
    type: Literal["sample"] = "sample"
    step: int
    prompt: str
    text: str


class Paused(BaseEvent):
    type: Literal["paused"] = "paused"
    step: int


class Resumed(BaseEvent):
    type: Literal["resumed"] = "resumed"
    step: int


class CommandDone(BaseEvent):
    type: Literal["command_done"] = "command_done"
    id: str
    command: str
    ok: bool = True
    message: str = ""


class Warned(BaseEvent):
    type: Literal["warning"] = "warning"
    message: str


FailureKind: TypeAlias = Literal["out_of_memory", "disk_full", "diverged", "killed", "error"]


class Failure(Record):
    """The cause of a failure or crash, and edits that would help."""

    kind: FailureKind
    message: str
    """The cause in one line."""
    edits: dict[str, int | float] = {}
    """Settings that would help, by dotted key; empty if unknown."""


class RunEnded(BaseEvent):
    type: Literal["run_ended"] = "run_ended"
    reason: Literal["finished", "stopped", "failed"]
    error: str | None = None
    """The reason for ending before max_steps, in one line; None at max_steps."""
    failure: Failure | None = None
    """The failure of a failed run; its message is `error`."""


Event: TypeAlias = Annotated[
    RunStarted
    | TrainStep
    | Validation
    | System
    | CheckpointSaved
    | Sample
    | Paused
    | Resumed
    | CommandDone
    | Warned
    | RunEnded,
    Field(discriminator="type"),
]
_EVENTS: TypeAdapter[Event] = TypeAdapter(Event)

CommandName = Literal["stop", "save", "validate", "sample", "pause", "resume", "set_lr_factor"]


class Command(Record):
    """A command to a run. Each is answered by a `CommandDone` with the same id."""

    id: str = Field(default_factory=lambda: uuid.uuid4().hex[:12])
    time: float = Field(default_factory=time.time)
    command: CommandName
    factor: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Factor on the scheduled learning rate, for set_lr_factor."""

    @model_validator(mode="after")
    def _check_factor(self) -> Self:
        if self.command == "set_lr_factor" and self.factor is None:
            raise ValueError("set_lr_factor needs a factor")
        return self


class LineReader:
    """Reads what was appended to a JSON-lines file since the last read.

    An incomplete last line is left for the next read. A file that shrank or was replaced (a new run
    of the same name) is read again from its start, and `restarted` is True. An unreadable or not
    regular file has no lines.
    """

    def __init__(self, path: Path, offset: int = 0) -> None:
        self.path = path
        self.offset = offset
        self.restarted = False
        self._last_read: bytes | None = None
        """The bytes before `offset`: if they differ, the file was replaced."""
        self._read_at = time.time()

    @classmethod
    def from_end(cls, path: Path) -> "LineReader":
        return cls(path, path.stat().st_size if path.exists() else 0)

    def read_lines(self, limit: int | None = None) -> list[bytes]:
        """Return the complete lines not yet read, at most about `limit` bytes."""
        self.restarted = False
        try:
            with open_regular(self.path) as file:
                size = os.fstat(file.fileno()).st_size
                if size == self.offset:
                    return []
                is_another = self._last_read not in (None, self._bytes_before_offset(file))
                if size < self.offset or is_another:
                    self.offset, self.restarted = 0, True
                file.seek(self.offset)
                data = file.read(size - self.offset if limit is None else limit)
                if b"\n" not in data:
                    data += file.readline()
                lines = _whole_lines(data)
                self.offset += sum(map(len, lines)) + len(lines)
                self._last_read = self._bytes_before_offset(file)
                return lines
        except OSError:
            return []

    def _bytes_before_offset(self, file: BinaryIO) -> bytes:
        n = min(self.offset, COMPARED_BYTES)
        return os.pread(file.fileno(), n, self.offset - n)

    def read_events(self, limit: int | None = None) -> list[Event]:
        return parse_events(self.read_lines(limit))

    def read_commands(self) -> list[Command | CommandDone]:
        """Return the unread commands, and the answer to each invalid line.

        From a replaced file, return only the commands sent since the last read.
        """
        read = [parse_command(line) for line in self.read_lines() if line.strip()]
        if self.restarted:  # an editor writes the old ones again
            read = [c for c in read if isinstance(c, Command) and c.time >= self._read_at]
        self._read_at = time.time()
        return read


def _whole_lines(data: bytes) -> list[bytes]:
    """Return the complete lines of `data`. Unlike bytes.splitlines, do not split at \r."""
    return data.split(b"\n")[:-1]


def parse_events(lines: Iterable[bytes]) -> list[Event]:
    """Parse the events in `lines`; unknown types are skipped."""
    return [event for event in map(parse_event, lines) if event is not None]


def parse_event(line: bytes | str) -> Event | None:
    try:
        return _EVENTS.validate_json(line)
    except ValidationError:
        return None


def parse_command(line: bytes) -> Command | CommandDone:
    """Parse the command in `line`; return the answer with the error if it is invalid."""
    try:
        return Command.model_validate_json(line.removeprefix(BOM_UTF8))
    except ValidationError as error:
        return _refusal(line, error)


def _refusal(line: bytes, error: ValidationError) -> CommandDone:
    try:
        values = json.loads(line)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        message = 'expected a JSON object on one line, such as {"command": "save"}'
        return CommandDone(id="", command="", ok=False, message=message)
    name = str(values.get("command", ""))[:MAX_QUOTED]
    identity = str(values.get("id", ""))[:MAX_QUOTED]
    message = invalid_fields(error)
    if name not in get_args(CommandName):
        message += nearest(name, get_args(CommandName))
    return CommandDone(id=identity, command=name, ok=False, message=message)


def surviving(events: Iterable[Event]) -> list[Event]:
    """Drop events of earlier attempts beyond the step that a later one resumed from."""
    kept: list[Event] = []
    for event in events:
        if isinstance(event, RunStarted) and event.attempt > 1:
            start = event.resumed_from_step
            kept = [e for e in kept if getattr(e, "step", 0) <= start]
        kept.append(event)
    return kept


def skim(path: Path, tail_bytes: int = 256_000, samples: int = 400) -> list[Event]:
    """Read a part of a long history: its head, samples, and its tail.

    Half a million steps are 150 MB of lines; this reads well under 1 MB of them.
    """
    return surviving(parse_events(_skim_lines(path, tail_bytes, samples)))


def _skim_lines(path: Path, tail_bytes: int, samples: int) -> Iterator[bytes]:
    head_bytes = 16_000
    try:
        file = open_regular(path)
    except OSError:
        return
    with file:
        size = os.fstat(file.fileno()).st_size
        if size <= head_bytes + tail_bytes + samples * 1_000:
            yield from _whole_lines(file.read())
            return
        yield from _whole_lines(file.read(head_bytes))
        tail = size - tail_bytes
        for i in range(samples):
            file.seek(head_bytes + (tail - head_bytes) * i // samples)
            file.readline()  # the rest of a line cut in half
            yield file.readline()
        file.seek(tail)
        file.readline()
        yield from _whole_lines(file.read())
