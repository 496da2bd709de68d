"""Why a run failed, and what would help: pure functions of its last words and its config."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_OUT_OF_MEMORY = ("out of memory", "outofmemory", "cannot allocate memory", "can't allocate memory")


@dataclass(frozen=True)
class Failure:
    """What is shown of a run that failed."""

    cause: str
    """In a sentence."""
    edits: Mapping[str, Any] = field(default_factory=dict)
    """Dotted key -> value: edits that would help; empty where none are known."""
    advice: str = ""
    """What the edits do, or what else to try."""


def explain(error: str, log_end: str, config: Mapping[str, Any]) -> Failure:
    """`error` is what the run itself said (it may be empty), `log_end` its log's last lines."""
    cause = error.strip().split("\n")[0] or last_words(log_end) or "it ended without saying why"
    said = f"{error}\n{log_end}".lower()
    if any(sign in said for sign in _OUT_OF_MEMORY):
        edits = smaller_batches(config)
        return Failure(cause, edits, _told(edits) if edits else "a smaller model would fit")
    if "loss is not a number" in said or "nan" in cause.lower().split():
        peak = _number(config, "optimization", "peak_lr")
        edits = {"optimization.peak_lr": float(f"{peak / 3:.2g}")} if peak else {}
        return Failure(cause, edits, "a lower peak_lr usually helps")
    return Failure(cause)


def smaller_batches(config: Mapping[str, Any]) -> dict[str, Any]:
    """Edits that halve the memory of the activations and keep the tokens of a step."""
    batch = _number(config, "data", "train_batch_size")
    val_batch = _number(config, "data", "val_batch_size")
    accumulate = _number(config, "trainer", "accumulate_grad_batches") or 1
    edits: dict[str, Any] = {}
    if batch and batch > 1:
        edits["data.train_batch_size"] = int(batch) // 2
        edits["trainer.accumulate_grad_batches"] = int(accumulate) * 2
    if val_batch and val_batch > 1:
        edits["data.val_batch_size"] = int(val_batch) // 2
    if not batch or batch <= 1:
        sequence = _number(config, "data", "seq_len")
        if sequence and sequence > 16:
            edits["data.seq_len"] = int(sequence) // 2
    return edits


def _told(edits: Mapping[str, Any]) -> str:
    settings = ", ".join(f"{key} = {value}" for key, value in edits.items())
    return f"this would need about half the memory: {settings}"


def last_words(log_end: str) -> str:
    """The log's last line that says something: an exception's own line, where there is one."""
    lines = [line.strip() for line in log_end.splitlines() if line.strip()]
    for line in reversed(lines[-30:]):
        if line.lower().startswith("error:"):
            return line[len("error:") :].strip()
    return lines[-1] if lines else ""


def read_config(path: Path) -> dict[str, Any]:
    """A run's config as it lies there; empty where it cannot be read."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return {}


def _number(config: Mapping[str, Any], table: str, key: str) -> float | None:
    section = config.get(table)
    value = section.get(key) if isinstance(section, Mapping) else None
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
