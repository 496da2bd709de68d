"""The run under the cursor in a few lines, below the table of runs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Static

from simplegpt.cli import one_line
from simplegpt.progress import format_bytes, format_loss
from simplegpt.run.evaluations import EvaluationRecord
from tui.runs.summary import PARAMETERS, RunSummary, differences
from tui.runs.table import format_setting, format_value
from tui.shared.run_signs import MUTED, SIGNS
from tui.shared.small_curve import SmallCurve

_SEPARATOR = Content.styled(" · ", MUTED)
_Labels = tuple[tuple[str, str], ...]
_MODEL: _Labels = (
    (PARAMETERS, "{} parameters"),
    ("model.n_layer", "{} layers"),
    ("model.n_head", "{} heads"),
    ("model.n_embd", "width {}"),
    ("model.n_ctx", "context {}"),
)
_DATA: _Labels = (
    ("tokenizer_name", "{}"),
    ("data.train_fpath", "{}"),
    ("data.train_batch_size", "batch {}"),
    ("data.seq_len", "seq_len {}"),
)
_TRAINING: _Labels = (
    ("optimization.optimizer", "{}"),
    ("optimization.peak_lr", "peak_lr {}"),
    ("optimization.dropout_p", "dropout {}"),
    ("trainer.precision", "{}"),
)


class RunDetails(Horizontal):
    """State, model, data, training, differences and files; the loss curve beside them."""

    DEFAULT_CSS = """
    RunDetails {
        #facts { width: 1fr; height: 1fr; }
        SmallCurve { width: 34%; max-width: 60; height: 1fr; margin-left: 2; }
    }
    """

    def compose(self) -> ComposeResult:
        yield Static(id="facts", markup=False)
        yield SmallCurve()

    def show(self, run: RunSummary | None, baseline: RunSummary | None) -> None:
        """Describe `run`, and in which settings it differs from the `baseline`."""
        self.border_title = Content(one_line(run.name)) if run else None
        self.query_one(SmallCurve).show(run.curve.losses if run else ())
        facts = describe(run, baseline) if run else Content()
        self.query_one("#facts", Static).update(facts, layout=False)


def describe(run: RunSummary, baseline: RunSummary | None) -> Content:
    """Return a line for each fact that is known."""
    lines = [_state(run)]
    if run.error:
        lines.append(Content.styled(one_line(run.error), "$text-error"))
    elif run.state == "crashed" and run.status is not None:
        text = f"The process exited unexpectedly {run.status.place}; see its log."
        lines.append(Content.styled(text, "$text-warning"))
    if str(run.notes):
        lines.append(Content.styled(one_line(str(run.notes)), "$text-accent"))
    if run.evaluations:
        lines.append(_evaluation(run.evaluations[-1]))
    if run.settings:
        lines += [_settings(run.settings, labels) for labels in (_MODEL, _DATA, _TRAINING)]
    else:
        lines.append(Content.styled("Its config cannot be read.", "$text-warning"))
    if baseline is not None and baseline is not run and run.settings and baseline.settings:
        lines.append(_differences(run, baseline))
    checkpoint = run.checkpoint.name if run.checkpoint else "no checkpoint"
    lines.append(_joined([one_line(checkpoint), format_bytes(run.size)]))
    return Content("\n").join(lines)


def _state(run: RunSummary) -> Content:
    sign, style = SIGNS[run.state]
    parts = [Content.assemble((sign, style), f" {run.state}")]
    status = run.status
    if status is not None and run.is_live and status.activity not in ("", run.state):
        parts.append(Content(one_line(status.activity)))
    if run.state == "queued" and status is not None:
        names = ", ".join(Path(path).name for path in status.waits_for)
        parts.append(Content(one_line(f"after {names}")))
    elif status is not None and status.max_steps:
        parts.append(Content(f"step {status.step:,} of {status.max_steps:,}"))
    return _SEPARATOR.join(parts)


def _evaluation(record: EvaluationRecord) -> Content:
    """``evaluated: loss 1.4697 · 2.12 bits per byte · val-char.bin · best.ckpt, step 250``."""
    return Content.assemble(("evaluated: ", MUTED), _joined(figures(record)))


def figures(record: EvaluationRecord) -> list[str]:
    """Return what was measured, on what, and of which checkpoint."""
    step = "" if record.step is None else f", step {record.step:,}"
    parts = [] if record.loss is None else [f"loss {format_loss(record.loss)}"]
    if record.bits_per_byte is not None:
        parts.append(f"{record.bits_per_byte:.2f} bits per byte")
    if record.accuracy_normalized is not None:
        parts.append(f"{record.accuracy_normalized:.2%} right")
    return [*parts, one_line(record.data), f"{one_line(record.checkpoint)}{step}"]


def _settings(settings: Mapping[str, Any], labels: _Labels) -> Content:
    return _joined(
        [
            label.format(format_value(key, settings[key]))
            for key, label in labels
            if settings.get(key) is not None
        ]
    )


def _differences(run: RunSummary, baseline: RunSummary) -> Content:
    found = differences(run.settings, baseline.settings)
    if not found:
        return Content.styled("same config as the baseline", MUTED)
    parts = [
        Content.assemble(
            (f"{key.rpartition('.')[2]} ", "$text-accent"),
            format_setting(own),
            (f" (not {format_setting(other)})", MUTED),
        )
        for key, (own, other) in found.items()
    ]
    return Content.assemble(("differs from the baseline: ", MUTED), _SEPARATOR.join(parts))


def _joined(parts: list[str]) -> Content:
    return _SEPARATOR.join([Content(part) for part in parts])
