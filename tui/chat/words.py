"""What the chat says about models and answers, in a line each."""

import math
from collections.abc import Sequence

from simplegpt.config.schema import SamplingConfig
from simplegpt.inference.protocol import Loaded, Loading
from simplegpt.progress import format_count, format_loss
from tui.chat.conversations import Turn
from tui.shared.text import printable, show_token

BAR_WIDTH = 14
METER_WIDTH = 8
REASONS = {
    "length": "token limit",
    "stop": "stop text",
    "end_of_text": "the model ended it",
    "cancelled": "stopped",
    None: "the engine ended",
}
MUTED = "$foreground 55%"
"""For `Content`: there, $text-muted means the contrast to a background that it does not know."""


def model_in_words(loaded: Loaded) -> str:
    """The model's name, size and place: the title of its pane."""
    parts = [short_name(loaded.model)]
    if loaded.step is not None:
        parts.append(f"step {loaded.step:,}")
    if loaded.val_loss is not None:
        parts.append(f"val loss {format_loss(loaded.val_loss)}")
    place = (
        loaded.device if loaded.precision == "float32" else f"{loaded.device} {loaded.precision}"
    )
    return " · ".join([*parts, f"{format_count(loaded.n_parameters)} parameters", place])


def short_name(model: str) -> str:
    """A model's name: of a path, the parts that tell runs apart."""
    parts = [part for part in model.replace("\\", "/").split("/") if part not in ("", "ckpts")]
    name = "/".join(parts[-2:]) if model.endswith(".ckpt") else parts[-1] if parts else model
    return printable(name.removesuffix(".ckpt"))


def loading_in_words(loading: Loading, name: str) -> str:
    """How far the load of a model is, with a bar."""
    full = round(loading.progress * BAR_WIDTH)
    bar = "━" * full + "─" * (BAR_WIDTH - full)
    doing = printable(loading.message)
    return f"Loading {name}  {bar} {loading.progress:.0%}  {doing} · Esc stops"


def figures_in_words(turn: Turn, width: int) -> str:
    """An answer's seed, context and speed, as much of it as fits."""
    parts = []
    if turn.sampling is not None:
        parts.append(f"seed {turn.sampling.seed}")
    if turn.context_used and turn.n_ctx:
        full = min(METER_WIDTH, round(METER_WIDTH * turn.context_used / turn.n_ctx))
        meter = "▰" * full + "▱" * (METER_WIDTH - full) + " " if width > 60 else ""
        parts.append(f"context {meter}{turn.context_used:,}/{turn.n_ctx:,}")
    if turn.tokens_per_second is not None:
        parts.append(f"{turn.tokens_per_second:.1f} tokens/s")
    if turn.time_to_first_token is not None:
        parts.append(f"first token {turn.time_to_first_token:.2f} s")
    while len(" · ".join(parts)) > width and len(parts) > 1:
        parts.pop()
    return " · ".join(parts)


def turn_in_words(turn: Turn, siblings: Sequence[Turn]) -> str:
    """Which answer this is, how it was made and how it ended."""
    parts = []
    what = {"you": "your text", "prefill": "given beginning", "model": "answer"}[turn.role]
    if len(siblings) > 1:
        place = [sibling.id for sibling in siblings].index(turn.id) + 1
        parts.append(f"‹ {what} {place} of {len(siblings)} ›")
    elif turn.role != "model":
        parts.append(what)
    if turn.role == "model":
        parts.append(f"{len(turn.ids):,} tokens")
        if turn.context_slides:
            parts.append(f"context full, older half dropped {turn.context_slides}×")
        parts += settings_in_words(turn.sampling)
        parts.append(REASONS[turn.reason])
    return " · ".join(parts)


def settings_in_words(sampling: SamplingConfig | None) -> list[str]:
    """What differs from the default, the seed apart."""
    if sampling is None:
        return []
    changed = sampling.model_dump(exclude_defaults=True, exclude={"seed"})
    return [f"{name} {value}" for name, value in changed.items()]


def token_in_words(text: str, logprob: float | None, token_id: int) -> str:
    """A token, its probability and its id."""
    chance = f" {percent(math.exp(logprob))}" if logprob is not None else ""
    return f"“{show_token(text)}”{chance} · id {token_id}"


def percent(probability: float) -> str:
    """A probability in a width of five: 12.3%, 0.04%."""
    if probability >= 0.0995:
        return f"{probability:.1%}"
    return f"{probability:.2%}" if probability >= 0.0001 else "<0.01%" if probability > 0 else "–"
