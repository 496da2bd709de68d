"""How a run stands, in words: pure functions of what was read, for the dashboard's head."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from textual.content import Content

from simplegpt.progress import format_count, format_duration
from simplegpt.run.events import GPU, System
from simplegpt.run.state import RunState, Status
from tui.shared.curves import bucket_means
from tui.shared.history import History
from tui.shared.run_signs import MUTED as MUTED
from tui.shared.run_signs import SIGNS
from tui.shared.small_curve import block_curve
from tui.shared.text import one_line

ShownState: TypeAlias = RunState | Literal["none"]
GIB = 2**30


@dataclass
class RunView:
    """All that the dashboard knows of the run that it shows."""

    path: Path
    history: History = field(default_factory=History)
    status: Status | None = None
    alive: bool = False
    whole: bool = False
    """Whether the whole history was read, or a first picture of it."""
    frozen: bool = False
    """Whether the display stands still while the run goes on."""
    starting: bool = False
    """Whether its process was started here, and has not spoken yet."""

    @property
    def state(self) -> ShownState:
        return "starting" if self.starting else state_of(self.status, self.history)

    @property
    def step(self) -> int:
        return max(self.history.last_step, self.status.step if self.status else 0)

    @property
    def max_steps(self) -> int:
        return self.history.max_steps or (self.status.max_steps if self.status else 0)

    @property
    def error(self) -> str:
        """The cause of a failure in a sentence; empty where none is known."""
        ended = self.history.ended
        if ended is not None and ended.error:
            return ended.error
        failure = self.status.failure if self.status else None
        return failure.message if failure else ""


def state_of(status: Status | None, history: History) -> ShownState:
    """What a run is called, also without a status."""
    if status is None:
        return history.ended.reason if history.ended is not None else "none"
    return status.state


def title(view: RunView, width: int) -> Content:
    """State, name, what it does; the device at the right."""
    state, status = view.state, view.status
    sign, colour = SIGNS[state]
    name = shortened(one_line(view.path.name), max(width - len(state) - 30, 16))
    parts: list[str | Content | tuple[str, str]] = [
        (f"{sign} {state}", f"{colour} bold"),
        "  ",
        (name, "bold"),
    ]
    if state == "paused":
        parts.append(("  memory stays allocated", "$text-warning"))
    elif status is not None and status.activity and view.alive:
        parts.append((f"  {status.activity}", MUTED))
    if status is not None and status.attempt > 1:
        parts.append((f"  attempt {status.attempt}", MUTED))
    if view.frozen:
        parts.append(("  display paused", "$text-accent"))
    elif not view.whole and view.history.last is not None:
        parts.append(("  reading all of it …", MUTED))
    left = Content.assemble(*parts)
    device = view.history.started.device if view.history.started is not None else ""
    return _both_ends(left, Content.styled(one_line(device), MUTED), width)


def progress(view: RunView, width: int) -> Content:
    """A bar, steps, time left."""
    step, end = view.step, view.max_steps
    if not end:
        return Content.styled(f"step {step:,}" if step else "no step yet", MUTED)
    share = min(step / end, 1.0)
    words = f" {share:4.0%}  step {step:,} of {end:,}"
    left = time_left(view)
    if left is not None:
        words += f"  {format_duration(left)} left"
    room = max(width - len(words), 8)
    done = round(share * room)
    return Content.assemble(("━" * done, "$primary"), ("━" * (room - done), "$panel"), words)


def time_left(view: RunView) -> float | None:
    """Seconds to the last step at the speed of the last ones; None where nothing runs."""
    seconds = view.history.mean_step_seconds
    if view.state not in ("running", "paused") or seconds is None or not view.max_steps:
        return None
    return max(view.max_steps - view.step, 0) * seconds


def losses(view: RunView, width: int) -> Content:
    """The loss as a sparkline of means, and its figures."""
    history = view.history
    figures: list[tuple[str, str]] = []
    if history.last is not None:
        figures.append((f" {loss(history.last.loss)}", "$primary bold"))
    if history.last_validation is not None:
        figures.append((f"  val {loss(history.last_validation.val_loss)}", "$accent"))
    if history.best is not None:
        figures.append((f"  best {loss(history.best.val_loss)} at {history.best.step:,}", MUTED))
    words = Content.assemble(*figures)
    room = max(width - words.cell_length - 5, 8)
    means = bucket_means(history.train["loss"], room)
    line = block_curve(means.tolist(), room) if len(means) > 1 else "·" * room
    return Content.assemble(("loss ", MUTED), (line.ljust(room), "$primary 70%"), words)


def speed(view: RunView, width: int) -> Content:
    """Tokens a second, step time, fraction of the peak; the machine at the right."""
    last = view.history.last
    parts: list[str | tuple[str, str]] = []
    if last is not None:
        parts += [f"{format_count(last.tokens_per_second)} tokens/s", ("  ·  ", MUTED)]
        parts.append(f"{step_time(last.step_seconds)} a step")
        peak = "–" if last.mfu is None else f"{last.mfu:.0%}"
        parts += [("  ·  ", MUTED), f"{peak} of peak" if last.mfu is not None else "peak –"]
    return _both_ends(Content.assemble(*parts), machine_in_short(view), width)


def machine_in_short(view: RunView) -> Content:
    if not view.history.systems:
        return Content()
    system = view.history.systems[-1]
    if system.gpus:
        more = f" +{len(system.gpus) - 1}" if len(system.gpus) > 1 else ""
        return Content.styled(gpu_in_short(system.gpus[0]) + more, MUTED)
    return Content.styled(f"no GPU · {cpu_in_short(system)}", MUTED)


def gpu_in_short(gpu: GPU) -> str:
    parts = ["GPU" if gpu.utilization is None else f"GPU {gpu.utilization:.0f}%"]
    if gpu.memory_used is not None and gpu.memory_total is not None:
        parts.append(memory(gpu.memory_used, gpu.memory_total))
    if gpu.temperature is not None:
        parts.append(f"{gpu.temperature:.0f}°C")
    if gpu.power is not None:
        parts.append(f"{gpu.power:.0f} W")
    return " ".join(parts)


def cpu_in_short(system: System) -> str:
    return f"CPU {system.cpu_percent:.0f}% {memory(system.memory_used, system.memory_total)}"


def memory(used: int, total: int) -> str:
    """``6.2/24 GiB``."""
    return f"{used / GIB:.1f}/{total / GIB:.0f} GiB"


def loss(value: float) -> str:
    """Three places; what is no number by its name."""
    return f"{value:.3f}" if math.isfinite(value) else str(value)


def step_time(seconds: float) -> str:
    return f"{seconds * 1_000:.0f} ms" if seconds < 10 else f"{seconds:.1f} s"


def shortened(name: str, room: int) -> str:
    """Its beginning and its end, where names of runs differ."""
    if len(name) <= room:
        return name
    return f"{name[: room // 2]}…{name[-(room - room // 2 - 1) :]}"


def _both_ends(left: Content, right: Content, width: int) -> Content:
    """`right` at the right edge where both fit; `left` alone where they do not."""
    gap = width - left.cell_length - right.cell_length
    if gap < 2:
        return left.truncate(width, ellipsis=True)
    return Content.assemble(left, " " * gap, right)
