"""What the config would cost on this machine, while it is typed."""

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from simplegpt.train.plan import short, short_bytes, short_time
from tui.config.facts import Consequences

BAR_WIDTH = 22
TIGHT, FULL = 0.8, 1.0  # shares of the memory there is, from which it is a warning, an error
MUTED = "$footer-description-foreground"


class ConsequencesPanel(VerticalScroll):
    """A column of figures where there is room, and two lines where there is not."""

    HELP = """\
## Consequences

What this config would cost, worked out while you type. **Memory** is an estimate of the peak of a
training step, on each device, against what this machine has: it turns yellow from 80% on, red where
it cannot fit. **FLOPs** count forward and backward (PaLM, appendix B). **Time** is known once a run
was trained on this machine: it is scaled from the earlier run that is nearest in size.
"""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, can_focus=False)
        self.border_title = "Consequences"
        self._shown: dict[str, Content] = {}

    def compose(self) -> ComposeResult:
        yield Static(id="figures", markup=False)
        yield Static(id="strip", markup=False)

    def show(self, costs: Consequences | None, *, outdated: bool) -> None:
        """`outdated`: mistakes are in the way, and these are the figures from before them."""
        self.set_class(outdated, "-outdated")
        subtitle = "before the mistakes" if outdated and costs else ""
        if subtitle != self.border_subtitle:
            self.border_subtitle = subtitle
        if costs is None:
            waiting = Content.styled("Known once the mistakes are mended.", MUTED)
            self._put(*[waiting if outdated else Content()] * 2)
        else:
            self._put(in_a_column(costs), in_two_lines(costs))

    def _put(self, figures: Content, strip: Content) -> None:
        """Update what changed; the layout only where the number of lines did."""
        for name, content in (("#figures", figures), ("#strip", strip)):
            old = self._shown.get(name)
            if old is None or not content.is_same(old):
                self._shown[name] = content
                layout = old is None or old.plain.count("\n") != content.plain.count("\n")
                self.query_one(name, Static).update(content, layout=layout)


def in_a_column(costs: Consequences) -> Content:
    plan, memory = costs.plan, costs.plan.memory
    lines = [
        _line("parameters", short(plan.parameters)),
        _detail(f"{short(plan.parameters - plan.embedding_parameters)} layers, "
                f"{short(plan.embedding_parameters)} embeddings"),
        _line("tokens a step", f"{plan.tokens_per_step:,}"),
        _line("tokens in all", short(plan.total_tokens)),
        _line("epochs", _epochs(plan.epochs) or "–"),
        _line("FLOPs a step", short(plan.flops_per_step)),
        _line("FLOPs in all", short(plan.total_flops)),
        Content(""),
        _line("memory", f"{short_bytes(memory.total)}", _level(costs)),
        _bar(costs),
        _detail(f"of {short_bytes(costs.memory_there_is)}, {costs.device_name}"),
        *(_part(name, size) for name, size in (
            ("weights", memory.weights),
            ("gradients", memory.gradients),
            ("optimizer", memory.optimizer),
            ("activations", memory.activations),
            ("logits", memory.logits),
            ("libraries", memory.libraries),
        )),
        *_warning(costs),
        Content(""),
        _line("checkpoint", short_bytes(plan.checkpoint_bytes)),
        _line("time", "–" if plan.seconds is None else f"≈ {short_time(plan.seconds)}"),
        _detail(_about_time(costs)),
    ]  # fmt: skip
    return Content("\n").join(lines)


def in_two_lines(costs: Consequences) -> Content:
    plan = costs.plan
    epochs = f" ({_epochs(plan.epochs)} epochs)" if plan.epochs is not None else ""
    time = "" if plan.seconds is None else f" · ≈ {short_time(plan.seconds)}"
    first = (
        f"{short(plan.parameters)} parameters · {plan.tokens_per_step:,} tokens a step, "
        f"{short(plan.total_tokens)} in all{epochs}"
    )
    room = f"{short_bytes(plan.memory.total)} of {short_bytes(costs.memory_there_is)}"
    second = Content.assemble(
        f"{short(plan.total_flops)} FLOPs{time} · memory ", (room, _level(costs)), *_why(costs)
    )
    return Content("\n").join([Content(first), second])


def _why(costs: Consequences) -> list[tuple[str, str]]:
    return [(": it will not fit", "$text-error")] if costs.memory_share > FULL else []


def _line(name: str, figure: str, style: str = "bold") -> Content:
    return Content.assemble((f"{name:15}", MUTED), (f"{figure:>{BAR_WIDTH - 3}}", style))


def _part(name: str, size: int) -> Content:
    return Content.styled(f"  {name:13}{short_bytes(size):>{BAR_WIDTH - 3}}", MUTED)


def _detail(text: str) -> Content:
    return Content.styled(f"  {text}", MUTED)


def _bar(costs: Consequences) -> Content:
    width = BAR_WIDTH + 10
    filled = min(width, max(1, round(costs.memory_share * width)))
    style = _level(costs).removeprefix("bold ") or "$primary"
    return Content.assemble("  ", ("━" * filled, style), ("━" * (width - filled), "$border"))


def _level(costs: Consequences) -> str:
    if costs.memory_share > FULL:
        return "bold $text-error"
    return "bold $text-warning" if costs.memory_share > TIGHT else "bold $primary"


def _warning(costs: Consequences) -> list[Content]:
    if costs.memory_share > FULL:
        text = "More than there is: take a smaller\n  batch, or accumulate gradients."
        return [Content.styled(f"  {text}", "$text-error")]
    if costs.memory_share > TIGHT:
        return [Content.styled("  Close to all there is.", "$text-warning")]
    return []


def _epochs(epochs: float | None) -> str:
    if epochs is None:
        return ""
    return f"{epochs:,.0f}" if epochs >= 100 else f"{epochs:.3g}"


def _about_time(costs: Consequences) -> str:
    if costs.speed is None:
        return "known after a first run here"
    return f"at the speed of {costs.speed.run}"
