"""The dashboard's header: state, progress, loss and throughput of the run, in four lines."""

from typing import ClassVar

from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from simplegpt.cli import one_line
from simplegpt.progress import format_duration, format_loss, format_rate, format_scientific
from tui.shared.curves import reduce_columns
from tui.shared.run_signs import MUTED, SIGNS
from tui.shared.small_curve import block_curve
from tui.training.hardware_panel import hardware_summary
from tui.training.view import RunView


class RunHead(Widget):
    """State and name, progress, the loss, the throughput."""

    HELP: ClassVar[str] = """\
## The run at a glance
- **State**: running, paused (its memory stays allocated), stopping, finished, stopped, failed, or
  *crashed* when its process exited unexpectedly. Beside it, what the training is doing now.
- **Loss**: each block is the mean over an equal share of the whole history. In brackets beside the
  val loss: the loss on training data, measured in the same way; the gap shows overfitting.
- **MFU**: model FLOPs utilization, the fraction of the GPU's peak arithmetic throughput that the
  training reaches; shown for GPUs whose peak is published.
- **LR**: the learning rate of the last step, with its factor where one was set.
"""
    DEFAULT_CSS: ClassVar[str] = """
    RunHead {
        height: 4;
        padding: 0 1;
        background: $surface;
        &.-finished { height: 3; }
    }
    """

    view: reactive[RunView | None] = reactive(None)
    is_frozen: reactive[bool] = reactive(False)

    def watch_view(self) -> None:
        # the throughput is on the card of a finished run
        self.set_class(self.view is not None and self.view.state == "finished", "-finished")

    def render(self) -> Content:
        if self.view is None:
            return Content()
        view, width = self.view, self.content_size.width
        lines = [
            title_line(view, self.is_frozen, width),
            progress_line(view, width),
            loss_line(view, width),
            throughput_line(view, width),
        ]
        return Content("\n").join(lines)


def title_line(view: RunView, is_frozen: bool, width: int) -> Content:
    """State, name and activity; the device at the right."""
    sign, colour = SIGNS[view.state]
    name = shorten(one_line(view.path.name), max(width - len(view.state) - 30, 16))
    parts: list[str | tuple[str, str]] = [
        (f"{sign} {view.state}", f"{colour} bold"),
        "  ",
        (name, "bold"),
    ]
    if view.state == "paused":
        parts.append(("  memory stays allocated", "$text-warning"))
    elif view.activity:
        parts.append((f"  {view.activity}", MUTED))
    if view.status is not None and view.status.attempt > 1:
        parts.append((f"  attempt {view.status.attempt}", MUTED))
    if is_frozen:
        parts.append(("  display frozen", "$text-accent"))
    elif not view.is_whole and view.history.last is not None:
        parts.append(("  loading the history …", MUTED))
    device = view.history.started.device if view.history.started is not None else ""
    return both_ends(Content.assemble(*parts), Content.styled(one_line(device), MUTED), width)


def progress_line(view: RunView, width: int) -> Content:
    """A bar, steps, elapsed time, ETA."""
    step, end = view.step, view.max_steps
    if not end:
        return Content.styled(f"step {step:,}" if step else "no step yet", MUTED)
    share = min(step / end, 1.0)
    text = f" {share:4.0%}  step {step:,} of {end:,}"
    if view.history.elapsed_seconds:
        text += f"  {format_duration(view.history.elapsed_seconds)} elapsed"
    if view.eta_seconds is not None:
        text += f"  ETA {format_duration(view.eta_seconds)}"
    room = max(width - len(text), 8)
    done = round(share * room)
    return Content.assemble(("━" * done, "$primary"), ("─" * (room - done), "$panel"), text)


def loss_line(view: RunView, width: int) -> Content:
    """The loss as a sparkline of means, and its values."""
    history = view.history
    values: list[tuple[str, str]] = []
    if history.last is not None:
        values.append((f" {format_loss(history.last.loss)}", "$primary bold"))
    if history.last_validation is not None:
        values.append((f"  val {format_loss(history.last_validation.val_loss)}", "$accent"))
        if history.last_validation.train_loss is not None:
            values.append((f" (train {format_loss(history.last_validation.train_loss)})", MUTED))
    if history.best is not None:
        best = f"  best {format_loss(history.best.val_loss)} at {history.best.step:,}"
        values.append((best, MUTED))
    text = Content.assemble(*values)
    room = max(width - text.cell_length - 5, 8)
    step, loss = history.train["step"], history.train["loss"]
    last_step = float(step[-1]) if len(step) else 0.0
    means = reduce_columns(step, loss, loss, loss, 0.0, last_step, room).mean[-room:]
    line = block_curve(means.tolist(), room) if len(means) > 1 else "·" * room
    return Content.assemble(("loss ", MUTED), (line.ljust(room), "$primary 70%"), text)


def throughput_line(view: RunView, width: int) -> Content:
    """Tokens per second, step time, LR, MFU; the hardware at the right.

    Of a run that has ended: the mean throughput.
    """
    last, mean = view.history.last, view.history.mean_tokens_per_second
    parts: list[str] = []
    if last is not None and view.is_live:
        parts = [format_rate(last.tokens_per_second), f"{format_step_time(last.step_seconds)}/step"]
        factor = "" if view.lr_factor == 1 else f" (×{view.lr_factor:g})"
        parts.append(f"lr {format_scientific(last.lr)}{factor}")
        if view.mfu is not None:
            parts.append(f"MFU {view.mfu:.0%}")
    elif mean is not None:
        parts = [f"mean {format_rate(mean)}"]
    left = Content.styled(" · ", MUTED).join([Content(part) for part in parts])
    systems = view.history.systems
    machine = hardware_summary(systems[-1]) if systems and view.is_live else ""
    return both_ends(left, Content.styled(machine, MUTED), width)


def format_step_time(seconds: float) -> str:
    return f"{seconds * 1_000:.0f} ms" if seconds < 10 else f"{seconds:.1f} s"


def shorten(name: str, room: int) -> str:
    """Keep the beginning and the end, where names of runs differ."""
    if len(name) <= room:
        return name
    return f"{name[: room // 2]}…{name[-(room - room // 2 - 1) :]}"


def both_ends(left: Content, right: Content, width: int) -> Content:
    """`right` at the right edge where both fit; `left` alone where they do not."""
    gap = width - left.cell_length - right.cell_length
    if gap < 2:
        return left.truncate(width, ellipsis=True)
    return Content.assemble(left, " " * gap, right)
