"""What the config would cost on this machine, beside the form."""

import textwrap

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.reactive import var
from textual.widgets import Static

from simplegpt.progress import format_bytes, format_count, format_duration
from tui.config.estimate import Estimate
from tui.config.fields import ConfigState

NAME_WIDTH, FIGURE_WIDTH = 15, 19
TIGHT, FULL = 0.8, 1.0  # shares of the memory above which it is a warning, an error
MUTED = "$footer-description-foreground"


class EstimatePanel(VerticalScroll):
    """A column of figures where there is room, and two lines where there is not."""

    HELP = """\
## Estimate

What this config would cost, computed while you type. **Memory** is the estimated peak of a training
step on each device: a warning from 80% of what this machine has, and advice where it does not fit.
**FLOPs** count forward and backward (PaLM, appendix B). **Time** is known after a first run on this
machine: it is scaled from the earlier run that is nearest in size. Before that, a GPU is assumed to
reach 40% of its peak. *Time on another GPU*, in the palette, adds that of a GPU of your choice;
`--plan --gpu NAME --price X` on the command line also shows the cost.
"""

    state: var[ConfigState | None] = var(None, init=False)
    estimate: var[Estimate | None] = var(None, init=False)
    """While the config has errors: that of the last valid one."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, can_focus=False)
        self.border_title = "Estimate"
        self._shown: dict[str, Content] = {}

    def compose(self) -> ComposeResult:
        yield Static(id="figures", markup=False)
        yield Static(id="strip", markup=False)

    def watch_state(self, state: ConfigState | None) -> None:
        has_errors = state is not None and state.config is None
        if has_errors != self.has_class("-outdated"):
            self.set_class(has_errors, "-outdated")
            self._update()

    def watch_estimate(self) -> None:
        self._update()

    def _update(self) -> None:
        outdated = self.has_class("-outdated")
        self.border_subtitle = "last valid config" if outdated and self.estimate else ""
        if self.estimate is not None:
            column, strip = figures_column(self.estimate), figures_strip(self.estimate)
        else:
            waiting = "Fix the errors to see the estimate." if outdated else ""
            column = strip = Content.styled(waiting, MUTED)
        for name, content in (("#figures", column), ("#strip", strip)):
            old = self._shown.get(name)
            if old is None or not content.is_same(old):
                self._shown[name] = content
                # A new layout, only where the number of lines changes, costs each key 5 ms.
                layout = old is None or old.plain.count("\n") != content.plain.count("\n")
                self.query_one(name, Static).update(content, layout=layout)


def figures_column(estimate: Estimate) -> Content:
    plan, memory = estimate.plan, estimate.plan.memory
    layers = plan.parameters - plan.embedding_parameters
    lines = [
        _line("parameters", format_count(plan.parameters)),
        _part("layers", format_count(layers)),
        _part("embeddings", format_count(plan.embedding_parameters)),
        _line("tokens/step", format_count(plan.tokens_per_step)),
        _line("total tokens", format_count(plan.total_tokens)),
        _line("epochs", _format_epochs(plan.epochs)),
        _line("FLOPs/step", f"{plan.flops_per_step:.2e}"),
        _line("total FLOPs", f"{plan.total_flops:.2e}"),
        Content(""),
        _line("memory", format_bytes(memory.total), _memory_style(estimate)),
        _memory_bar(estimate),
        _detail(f"of {format_bytes(estimate.available_memory)}, {estimate.device_name}"),
        _part("weights", format_bytes(memory.weights)),
        _part("gradients", format_bytes(memory.gradients)),
        _part("optimizer", format_bytes(memory.optimizer)),
        _part("activations", format_bytes(memory.activations)),
        _part("logits", format_bytes(memory.logits)),
        _part("libraries", format_bytes(memory.libraries)),
        *_memory_warning(estimate),
        Content(""),
        _line("checkpoint", format_bytes(plan.checkpoint_bytes)),
        _line("time", _format_time(plan.seconds)),
        _detail(plan.speed.basis if plan.speed else "known after a first run here"),
    ]
    if (on_gpu := estimate.gpu_plan) is not None and on_gpu.speed is not None:
        lines.append(
            _line(f"{on_gpu.devices.count} × {estimate.gpu}", _format_time(on_gpu.seconds))
        )
        lines.append(_detail(on_gpu.speed.basis))
    return Content("\n").join(lines)


def figures_strip(estimate: Estimate) -> Content:
    plan = estimate.plan
    epochs = f" ({_format_epochs(plan.epochs)} epochs)" if plan.epochs is not None else ""
    time = f" · {_format_time(plan.seconds)}" if plan.seconds is not None else ""
    if estimate.gpu_plan is not None:
        time += f" · {estimate.gpu} {_format_time(estimate.gpu_plan.seconds)}"
    memory = f"{format_bytes(plan.memory.total)} of {format_bytes(estimate.available_memory)}"
    does_not_fit = (": does not fit", "$text-error") if estimate.memory_share > FULL else ""
    first = (
        f"{format_count(plan.parameters)} parameters · {format_count(plan.tokens_per_step)} "
        f"tokens/step, {format_count(plan.total_tokens)} in total{epochs}"
    )
    second = Content.assemble(
        f"{plan.total_flops:.2e} FLOPs{time} · memory ",
        (memory, _memory_style(estimate)),
        does_not_fit,
    )
    return Content("\n").join([Content(first), second])


def _line(name: str, figure: str, style: str = "bold") -> Content:
    return Content.assemble((f"{name:{NAME_WIDTH}}", MUTED), (f"{figure:>{FIGURE_WIDTH}}", style))


def _part(name: str, figure: str) -> Content:
    return _detail(f"{name:{NAME_WIDTH - 2}}{figure:>{FIGURE_WIDTH}}")


def _detail(text: str) -> Content:
    return Content.styled(f"  {text}", MUTED)


def _memory_bar(estimate: Estimate) -> Content:
    width = NAME_WIDTH + FIGURE_WIDTH - 2
    filled = min(width, max(1, round(estimate.memory_share * width)))
    style = _memory_style(estimate).removeprefix("bold ")
    return Content.assemble("  ", ("━" * filled, style), ("━" * (width - filled), "$border"))


def _memory_style(estimate: Estimate) -> str:
    if estimate.memory_share > FULL:
        return "bold $text-error"
    return "bold $text-warning" if estimate.memory_share > TIGHT else "bold $primary"


def _memory_warning(estimate: Estimate) -> list[Content]:
    if estimate.advice:
        lines = textwrap.wrap(f"Does not fit. {estimate.advice}", NAME_WIDTH + FIGURE_WIDTH - 2)
        return [Content.styled(f"  {line}", "$text-error") for line in lines]
    if estimate.memory_share > TIGHT:
        return [Content.styled("  Close to the limit.", "$text-warning")]
    return []


def _format_epochs(epochs: float | None) -> str:
    if epochs is None:
        return "–"
    return f"{epochs:,.0f}" if epochs >= 100 else f"{epochs:.3g}"


def _format_time(seconds: float | None) -> str:
    return "–" if seconds is None else f"≈ {format_duration(seconds)}"
