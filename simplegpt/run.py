"""A run's directory: what passes between a training process and whoever watches it.

The trainer (rank 0) appends events and replaces the status; any process of the same user
appends commands; everyone else reads. Nothing here imports torch.
"""

import os
import socket
import tempfile
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

import psutil
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

EVENTS_VERSION = 1
State = Literal["starting", "running", "paused", "stopping", "finished", "stopped", "failed"]
LIVE_STATES: tuple[State, ...] = ("starting", "running", "paused", "stopping")
# A status is written about once a second; on another host one that has stood still longer is lost.
STALE_AFTER_SECONDS = 30.0

M = TypeVar("M", bound=BaseModel)


class Record(BaseModel):
    """Read leniently (unknown fields are skipped), written with NaN and infinity as strings."""

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
    """What it trains on, in words."""


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
    """Before clipping."""
    tokens_per_second: float = 0.0
    step_seconds: float = 0.0
    mfu: float | None = None
    """Fraction of the device's peak FLOP/s; None where the peak is not known."""


class Validation(BaseEvent):
    type: Literal["validation"] = "validation"
    step: int
    tokens: int
    val_loss: float


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
    """Of all cores together: 100 is the whole machine."""
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


class RunEnded(BaseEvent):
    type: Literal["run_ended"] = "run_ended"
    reason: Literal["finished", "stopped", "failed"]
    error: str | None = None
    """The cause in a sentence, of a failed run; why it ended early, of another."""


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
    """What an observer asks of a run. Each is answered by a `CommandDone` with the same id."""

    id: str = Field(default_factory=lambda: uuid.uuid4().hex[:12])
    time: float = Field(default_factory=time.time)
    command: CommandName
    factor: float | None = Field(default=None, gt=0)
    """For set_lr_factor: multiplies the schedule's learning rate."""


class Status(Record):
    """Where a run stands, replaced about once a second."""

    state: State
    activity: str = ""
    """What it is busy with: compiling, training, validating, saving, sampling …"""
    pid: int
    pid_created: float
    """The process's creation time: a pid alone may have been given to another."""
    host: str
    step: int = 0
    max_steps: int = 0
    attempt: int = 1
    time: float = Field(default_factory=time.time)
    progress_time: float | None = None
    """When the last step ended."""
    best_loss: float | None = None
    error: str | None = None

    @classmethod
    def of_this_process(cls, state: State, **fields: Any) -> "Status":
        process = psutil.Process()
        return cls(
            state=state,
            pid=process.pid,
            pid_created=process.create_time(),
            host=socket.gethostname(),
            **fields,
        )

    def is_alive(self) -> bool:
        """Whether the process behind a live state is there.

        On this host: that pid with that creation time, and no zombie (a killed child that its
        parent has not reaped still has its pid). On another: a status that still changes.
        """
        if self.state not in LIVE_STATES:
            return False
        if self.host != socket.gethostname():
            return time.time() - self.time < STALE_AFTER_SECONDS
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.pid_created) < 1.0
            return same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False


class RunDirectory:
    """The files of one run, by name."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path).absolute()

    @property
    def config(self) -> Path:
        return self.path / "config.toml"

    @property
    def events(self) -> Path:
        return self.path / "events.jsonl"

    @property
    def commands(self) -> Path:
        return self.path / "commands.jsonl"

    @property
    def status_file(self) -> Path:
        return self.path / "status.json"

    @property
    def log(self) -> Path:
        return self.path / "train.log"

    @property
    def checkpoints(self) -> Path:
        return self.path / "ckpts"

    @property
    def last_checkpoint(self) -> Path:
        return self.checkpoints / "last.ckpt"

    def exists(self) -> bool:
        """Whether a run was ever started here."""
        return self.status_file.exists() or self.events.exists() or self.config.exists()

    def create(self) -> None:
        self.checkpoints.mkdir(parents=True, exist_ok=True)
        self.commands.touch(mode=0o600)

    def discard(self) -> None:
        """Take back what `create` and a start that came to nothing left here."""
        files = (self.config, self.events, self.commands, self.status_file, self.log)
        for file in files:
            file.unlink(missing_ok=True)
        for folder in (self.checkpoints, self.path):
            with suppress(OSError):  # something else lies there
                folder.rmdir()

    # Status

    def write_status(self, status: Status) -> None:
        write_atomically(self.status_file, status.model_dump_json())

    def status(self) -> Status | None:
        """The run's status, or None where there is none or it cannot be read."""
        try:
            return Status.model_validate_json(self.status_file.read_bytes())
        except (OSError, ValidationError):
            return None

    def is_lost(self) -> bool:
        """Whether the process died without a word: a live state and nobody behind it."""
        status = self.status()
        return status is not None and status.state in LIVE_STATES and not status.is_alive()

    # Commands

    def send(self, command: CommandName, *, factor: float | None = None) -> str:
        """Ask something of the run; returns the id that its answer will carry."""
        request = Command(command=command, factor=factor)
        append_line(self.commands, request.model_dump_json(), mode=0o600)
        return request.id

    # Events

    def append_event(self, event: Event) -> None:
        append_line(self.events, event.model_dump_json())

    def read_events(self) -> list[Event]:
        """All events that count, oldest first (see `surviving`)."""
        return surviving(LineReader(self.events).read_events())


class LineReader:
    """Reads what was appended to a JSON-lines file since the last read.

    A half-written last line waits for its end. A file that shrank (a new run under the same
    name) is read again from its start, and `restarted` says so.
    """

    def __init__(self, path: Path, offset: int = 0) -> None:
        self.path = path
        self.offset = offset
        self.restarted = False

    @classmethod
    def from_end(cls, path: Path) -> "LineReader":
        return cls(path, path.stat().st_size if path.exists() else 0)

    def read_lines(self, limit: int | None = None) -> list[bytes]:
        """Whole lines not yet read; at most about `limit` bytes of them."""
        try:
            with self.path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                self.restarted = size < self.offset
                if self.restarted:
                    self.offset = 0
                if size == self.offset:
                    return []
                file.seek(self.offset)
                data = file.read(size - self.offset if limit is None else limit)
                if b"\n" not in data:
                    data += file.readline()
        except FileNotFoundError:
            return []
        end = data.rfind(b"\n") + 1
        self.offset += end
        return data[:end].splitlines()

    def read_events(self, limit: int | None = None) -> list[Event]:
        return parse_events(self.read_lines(limit))

    def read_commands(self) -> list[Command]:
        return [c for c in (_parse(Command, line) for line in self.read_lines()) if c is not None]


def parse_events(lines: Iterable[bytes]) -> list[Event]:
    """The events in `lines`; types that this version does not know are skipped."""
    return [event for event in map(parse_event, lines) if event is not None]


def parse_event(line: bytes | str) -> Event | None:
    try:
        return _EVENTS.validate_json(line)
    except ValidationError:
        return None


def _parse(kind: type[M], line: bytes) -> M | None:
    try:
        return kind.model_validate_json(line)
    except ValidationError:
        return None


def surviving(events: Iterable[Event]) -> list[Event]:
    """Drops what earlier attempts wrote beyond the step that a later one resumed from."""
    kept: list[Event] = []
    for event in events:
        if isinstance(event, RunStarted) and event.attempt > 1:
            start = event.resumed_from_step
            kept = [e for e in kept if getattr(e, "step", 0) <= start]
        kept.append(event)
    return kept


def skim(path: Path, tail_bytes: int = 256_000, samples: int = 400) -> list[Event]:
    """A first picture of a long history without reading it: its head, samples, and its tail.

    Half a million steps are 150 MB of lines; this reads well under 1 MB of them.
    """
    return surviving(parse_events(_skim_lines(path, tail_bytes, samples)))


def _skim_lines(path: Path, tail_bytes: int, samples: int) -> Iterator[bytes]:
    head_bytes = 16_000
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        size = os.fstat(file.fileno()).st_size
        if size <= head_bytes + tail_bytes + samples * 1_000:
            yield from file.read().splitlines()
            return
        yield from file.read(head_bytes).splitlines()[:-1]
        tail = size - tail_bytes
        for i in range(samples):
            file.seek(head_bytes + (tail - head_bytes) * i // samples)
            file.readline()  # the rest of a line cut in half
            yield file.readline()
        file.seek(tail)
        file.readline()
        yield from file.read().splitlines()


def find_runs(root: Path, depth: int = 4) -> Iterator[RunDirectory]:
    """Runs at or below `root`, found by their status.json; hidden folders are left out."""
    try:
        entries = list(os.scandir(root))
    except OSError:
        return
    if any(entry.name == "status.json" for entry in entries):
        yield RunDirectory(root)
        return
    if depth > 0:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False):
                yield from find_runs(Path(entry.path), depth - 1)


def append_line(path: Path, line: str, mode: int = 0o644) -> None:
    """Append one line in a single write, so that lines of several processes do not mix.

    If the last writer was killed in the middle of a line, that half line is closed first.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, mode)
    try:
        size = os.fstat(descriptor).st_size
        torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        os.write(descriptor, (b"\n" if torn else b"") + line.encode() + b"\n")
    finally:
        os.close(descriptor)


def write_atomically(path: Path, text: str) -> None:
    """Replace a file's whole content: a reader sees the old text or the new, never half."""
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
