"""One-line descriptions of models, answers and tokens."""

import math
from collections.abc import Sequence

from simplegpt.cli import printable
from simplegpt.inference.protocol import Loaded, Loading
from simplegpt.progress import format_count, format_loss, format_rate, plural
from tui.chat.conversations import Turn
from tui.chat.sampling import describe_sampling
from tui.shared.text import show_token

BAR_CELLS = 14
METER_CELLS = 8
METER_MIN_WIDTH = 60
END_REASONS = {
    "length": "token limit",
    "stop": "stop string",
    "end_of_text": "end of text",
    "cancelled": "stopped",
    None: "interrupted",
}
MUTED = "$foreground 55%"
"""For `Content`, where $text-muted does not resolve to a readable colour."""


def describe_model(loaded: Loaded) -> str:
    """The model's name, size and device: the title of its pane."""
    parts = [short_name(loaded.model)]
    if loaded.chat_template is not None:
        parts.append(f"chat template {loaded.chat_template}")
    if loaded.step is not None:
        parts.append(f"step {loaded.step:,}")
    if loaded.val_loss is not None:
        parts.append(f"val loss {format_loss(loaded.val_loss)}")
    precision = "" if loaded.precision == "float32" else f" {loaded.precision}"
    parts.append(f"{format_count(loaded.n_parameters)} parameters")
    return " · ".join([*parts, loaded.device + precision])


def short_name(model: str) -> str:
    """A model's name; for a path, the parts that differ between runs."""
    parts = [part for part in model.replace("\\", "/").split("/") if part not in ("", "ckpts")]
    name = "/".join(parts[-2:]) if model.endswith(".ckpt") else parts[-1] if parts else model
    return printable(name.removesuffix(".ckpt"))


def describe_loading(loading: Loading, name: str) -> str:
    """The progress of a load, with a bar."""
    filled = round(loading.progress * BAR_CELLS)
    bar = "━" * filled + "─" * (BAR_CELLS - filled)
    activity = printable(loading.message)
    return f"Loading {name}  {bar} {loading.progress:.0%}  {activity} · Esc to cancel"


def describe_statistics(turn: Turn, width: int) -> str:
    """An answer's seed, context use and speed, as much of it as fits in `width`."""
    parts = []
    if turn.sampling is not None:
        parts.append(f"seed {turn.sampling.seed}")
    if turn.context_used and turn.n_ctx:
        filled = min(METER_CELLS, round(METER_CELLS * turn.context_used / turn.n_ctx))
        bar = "▰" * filled + "▱" * (METER_CELLS - filled) + " "
        meter = bar if width > METER_MIN_WIDTH else ""
        parts.append(f"context {meter}{turn.context_used:,}/{turn.n_ctx:,}")
    if turn.tokens_per_second is not None:
        parts.append(format_rate(turn.tokens_per_second))
    if turn.time_to_first_token is not None:
        parts.append(f"TTFT {turn.time_to_first_token:.2f} s")
    while len(" · ".join(parts)) > width and len(parts) > 1:
        parts.pop()
    return " · ".join(parts)


def describe_turn(turn: Turn, siblings: Sequence[Turn]) -> str:
    """Which answer this is, why it ended and how it was sampled."""
    name = {"you": "your text", "prefill": "prefill", "model": "answer"}[turn.role]
    parts = []
    if len(siblings) > 1:
        number = [sibling.id for sibling in siblings].index(turn.id) + 1
        parts.append(f"‹ {name} {number} of {len(siblings)} ›")
    elif turn.role != "model":
        parts.append(name)
    if turn.role == "model":
        parts.append(f"{len(turn.ids):,} tokens")
        if (mean := mean_logprob(turn)) is not None:
            parts.append(describe_mean_logprob(mean))
        parts.append(END_REASONS[turn.reason])
        if turn.context_slides:
            parts.append(f"context shifted {turn.context_slides}×")
        if turn.n_dropped:
            parts.append(f"context full: {plural(turn.n_dropped, 'oldest message')} dropped")
        if turn.sampling is not None:
            parts += describe_sampling(turn.sampling)
    return " · ".join(parts)


def mean_logprob(turn: Turn) -> float | None:
    """Mean natural log of its tokens' probabilities, before the sampling settings."""
    known = [each for each in turn.logprobs if not math.isnan(each)]
    return sum(known) / len(known) if known else None


def describe_mean_logprob(mean: float | None) -> str:
    """``mean logprob -1.234``: higher is more probable."""
    return "" if mean is None else f"mean logprob {mean:.3f}"


def describe_token(text: str, logprob: float | None, token_id: int) -> str:
    """A token, its probability before the sampling settings, and its ID."""
    token = f"“{show_token(text)}”"
    if logprob is not None:
        token += f" {format_probability(math.exp(logprob))} before sampling"
    return f"{token} · ID {token_id}"


def format_probability(probability: float) -> str:
    """A probability in a width of six: 12.3%, 0.04%."""
    if probability >= 0.0995:
        return f"{probability:.1%}"
    return f"{probability:.2%}" if probability >= 0.0001 else "<0.01%" if probability > 0 else "–"
