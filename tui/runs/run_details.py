"""What there is to say of one run, in a few lines: beneath the table of runs."""

from collections.abc import Mapping
from typing import Any

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Static

from simplegpt.progress import format_bytes
from tui.runs.run_summary import RunSummary, differences
from tui.runs.run_table import value_in_words
from tui.shared.run_signs import MUTED, SIGNS
from tui.shared.small_curve import SmallCurve
from tui.shared.text import one_line

_SEPARATOR = Content.styled(" · ", MUTED)


class RunDetails(Horizontal):
    """The run under the cursor; its curve stands beside the words."""

    DEFAULT_CSS = """
    RunDetails {
        #facts { width: 1fr; height: 1fr; }
        SmallCurve { width: 34%; max-width: 60; height: 1fr; margin-left: 2; }
    }
    """

    def compose(self) -> ComposeResult:
        yield Static(id="facts", markup=False)
        yield SmallCurve()

    def show(self, run: RunSummary | None, after: RunSummary | None) -> None:
        """Describe `run`; `after` is the next one in the list, None behind the last."""
        self.border_title = Content(one_line(run.name)) if run else None
        self.query_one(SmallCurve).values = run.curve if run else ()
        facts = describe(run, after) if run else Content()
        self.query_one("#facts", Static).update(facts, layout=False)


def describe(run: RunSummary, after: RunSummary | None) -> Content:
    """State, shape, recipe, differences and files, one line each."""
    lines = [_state(run)]
    if run.error:
        lines.append(Content.styled(one_line(run.error), "$text-error"))
    elif run.state == "crashed":
        said = f"Its process ended without a word at step {run.step:,}; its log may say why."
        lines.append(Content.styled(said, "$text-warning"))
    if run.settings:
        lines += [_shape(run.settings), _data(run.settings), _recipe(run.settings)]
    else:
        lines.append(Content.styled("Its config cannot be read.", "$text-warning"))
    if after is not None and run.settings and after.settings:
        lines.append(_against(run, after))
    lines.append(_files(run))
    return Content("\n").join(lines)


def _state(run: RunSummary) -> Content:
    sign, style = SIGNS[run.state]
    parts = [Content.assemble((sign, style), f" {run.state}")]
    if run.activity and run.activity != run.state:
        parts.append(Content(one_line(run.activity)))
    if run.max_steps:
        parts.append(Content(f"step {run.step:,} of {run.max_steps:,}"))
    return _SEPARATOR.join(parts)


def _shape(settings: Mapping[str, Any]) -> Content:
    return _listed(
        settings,
        ("model.n_layer", "{} layers"),
        ("model.n_head", "{} heads"),
        ("model.n_embd", "width {}"),
        ("model.n_ctx", "context {}"),
    )


def _data(settings: Mapping[str, Any]) -> Content:
    return _listed(
        settings,
        ("tokenizer_name", "{}"),
        ("data.train_fpath", "{}"),
        ("data.train_batch_size", "batch {}"),
        ("data.seq_len", "of {} tokens"),
    )


def _recipe(settings: Mapping[str, Any]) -> Content:
    return _listed(
        settings,
        ("optimization.optimizer", "{}"),
        ("optimization.peak_lr", "peak_lr {}"),
        ("optimization.dropout_p", "dropout {}"),
        ("trainer.precision", "{}"),
    )


def _listed(settings: Mapping[str, Any], *phrases: tuple[str, str]) -> Content:
    said = [
        Content(phrase.format(value_in_words(settings[key])))
        for key, phrase in phrases
        if settings.get(key) is not None
    ]
    return _SEPARATOR.join(said)


def _against(run: RunSummary, after: RunSummary) -> Content:
    head = "against the next: "
    found = differences(run.settings, after.settings)
    if not found:
        return Content.assemble((head, MUTED), "the same config")
    said = [
        Content.assemble(
            (f"{one.key.rpartition('.')[2]} ", "$text-accent"),
            value_in_words(one.mine),
            (f" not {value_in_words(one.other)}", MUTED),
        )
        for one in found
    ]
    return Content.assemble((head, MUTED), _SEPARATOR.join(said))


def _files(run: RunSummary) -> Content:
    kept = run.checkpoint.name if run.checkpoint else "no checkpoint"
    size = f"{format_bytes(run.size)} in all"
    return _SEPARATOR.join([Content(one_line(kept)), Content(size)])
