"""Measure GPTs: ``simplegpt evaluate MODEL [MODEL …]`` with one of

--tokens or --text: the loss (mean cross-entropy in nats per token), its perplexity, and the bits
per byte of text, which are comparable between vocabularies.

--choices: the accuracy on multiple-choice questions.

Several models form a table, in the given order. The result of a run's checkpoint is also kept in
the run's evaluations.jsonl.
"""

import argparse
import math
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from simplegpt.cli import CommandParser, one_line, run_command, show, write
from simplegpt.data import corpus
from simplegpt.data.tokens import Tokens, open_tokens
from simplegpt.evaluate.choices import Question, measure_accuracy, read_questions
from simplegpt.evaluate.loss import check, encode_text, mean_loss, text_bytes
from simplegpt.inference.loading import (
    MODEL_HELP,
    add_loading_options,
    load_with_progress,
    model_name,
    positive,
)
from simplegpt.inference.protocol import Precision
from simplegpt.progress import ProgressLine, format_duration, format_loss
from simplegpt.run.evaluations import EvaluationRecord, record_evaluation, run_of

if TYPE_CHECKING:
    from simplegpt.inference.engine import Engine
    from simplegpt.inference.protocol import Loaded


class Evaluation(BaseModel):
    """A model's loss, as ``--json`` prints it."""

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="strings")

    model: str
    tokens: str
    """The token file, or the text."""
    loss: float
    """Mean cross-entropy in nats per token."""
    perplexity: float
    bits_per_byte: float | None
    """None if the tokenizer is unknown or the text has no bytes, and for dialogues."""
    n_predicted: int
    """Tokens predicted: all but the first; of dialogues, those of answers."""
    n_bytes: int | None
    """UTF-8 bytes of the predicted tokens."""
    seq_len: int
    precision: Precision
    seconds: float

    def figures(self) -> dict[str, str]:
        """Return the table's figures by heading."""
        bits = self.bits_per_byte
        return {
            "loss": format_loss(self.loss),
            "perplexity": f"{self.perplexity:.2f}",
            "bits per byte": "unknown" if bits is None else f"{bits:.4f}",
            "tokens": f"{self.n_predicted:,}",
            "window": str(self.seq_len),
        }


class Answers(BaseModel):
    """A model's accuracy on multiple-choice questions, as ``--json`` prints it."""

    model_config = ConfigDict(frozen=True)

    model: str
    choices: str
    """The file of the questions."""
    accuracy: float
    """Fraction of questions whose right ending has the highest sum of log-probabilities."""
    accuracy_normalized: float
    """The same for the mean over an ending's tokens, which does not favour short endings."""
    n_questions: int
    precision: Precision
    seconds: float

    def figures(self) -> dict[str, str]:
        """Return the table's figures by heading."""
        return {
            "accuracy": f"{self.accuracy:.2%}",
            "normalized": f"{self.accuracy_normalized:.2%}",
            "questions": f"{self.n_questions:,}",
        }


def main(argv: Sequence[str] | None = None) -> int:
    """Evaluate as the options in `argv` say. Raises UserError."""
    options = build_parser().parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        measure = prepare(options, Path(folder))
        results: list[Evaluation | Answers] = []
        for model in options.models:
            began = time.monotonic()
            engine, loaded = load_with_progress(model, options)
            results.append(measure(model, engine, began))
            keep(results[-1], loaded)
            if options.json:
                write(results[-1].model_dump_json())
    if not options.json:
        show(format_table(results))
    return 0


def keep(result: Evaluation | Answers, loaded: "Loaded") -> None:
    """Record the result with the run whose checkpoint was measured, if it was one."""
    checkpoint = Path(loaded.source)
    run = run_of(checkpoint)
    if run is None:
        return
    figures = result.model_dump()
    record = EvaluationRecord(checkpoint=checkpoint.name, step=loaded.step, **figures)
    try:
        record_evaluation(run, record)
    except OSError as error:
        show(f"warning: cannot write {run.evaluations}: {error.strerror}", sys.stderr)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser."""
    parser = CommandParser(
        "evaluate", description="Measure GPTs on a text or on multiple-choice questions."
    )
    parser.add_argument(
        "models", type=model_name, nargs="+", metavar="MODEL", help=f"each {MODEL_HELP}"
    )
    data = parser.add_mutually_exclusive_group(required=True)
    data.add_argument("--tokens", metavar="FILE", help="a token file, a folder of them, or a glob")
    data.add_argument(
        "--text", type=Path, metavar="FILE", help="a text, encoded with each model's tokenizer"
    )
    data.add_argument(
        "--choices",
        metavar="FILE",
        help="multiple-choice questions: JSON lines with ctx, endings and label, or 'hellaswag' "
        "for HellaSwag's validation set (10,042 questions, downloaded once)",
    )
    parser.add_argument(
        "--seq_len", type=positive, metavar="N", help="tokens per window; default n_ctx"
    )
    parser.add_argument(
        "--limit", type=positive, metavar="N", help="only the first N questions; default all"
    )
    add_loading_options(parser)
    parser.add_argument("--json", action="store_true", help="print a JSON object for each model")
    return parser


Measure = Callable[[str, "Engine", float], Evaluation | Answers]
"""Measures the model of a name and an engine; the third argument is the start time."""


def prepare(options: argparse.Namespace, folder: Path) -> Measure:
    """Read the data of `options`, before any model is loaded; encoded texts go to `folder`."""
    if options.choices is not None:
        path = find_choices(options.choices)
        questions = read_questions(path, options.limit)
        return lambda model, engine, began: answer(options, questions, model, engine, began)
    if options.tokens is not None:
        tokens = open_tokens(options.tokens)
        return lambda model, engine, began: evaluate(options, tokens, model, engine, began)

    def measure_text(model: str, engine: "Engine", began: float) -> Evaluation:
        tokens = encode_text(options.text, engine.tokenizer, folder)
        return evaluate(options, tokens, model, engine, began)

    return measure_text


def find_choices(name_or_path: str) -> Path:
    """Return the path of the questions; HellaSwag's are downloaded if needed."""
    if name_or_path != corpus.HELLASWAG.name or Path(name_or_path).exists():
        return Path(name_or_path)
    with ProgressLine("downloading HellaSwag", corpus.HELLASWAG.size, summary=False) as line:
        return corpus.get(corpus.HELLASWAG, line.update)


def evaluate(
    options: argparse.Namespace, tokens: Tokens, model: str, engine: "Engine", began: float
) -> Evaluation:
    """Measure the loss of `engine` on `tokens`. Raises UserError."""
    seq_len = check(engine, tokens, options.seq_len)
    loss, n_predicted = mean_loss(engine.gpt, tokens, seq_len)
    n_bytes = None
    if engine.tokenizer is not None and tokens.chat_template is None:
        n_bytes = text_bytes(engine.tokenizer, tokens)
    return Evaluation(
        model=model,
        tokens=str(options.tokens or options.text),
        loss=loss,
        perplexity=math.exp(loss) if loss < 700 else math.inf,
        bits_per_byte=loss * n_predicted / math.log(2) / n_bytes if n_bytes else None,
        n_predicted=n_predicted,
        n_bytes=n_bytes,
        seq_len=seq_len,
        precision=options.precision,
        seconds=time.monotonic() - began,
    )


def answer(
    options: argparse.Namespace,
    questions: list[Question],
    model: str,
    engine: "Engine",
    began: float,
) -> Answers:
    """Measure the accuracy of `engine` on `questions`. Raises UserError."""
    by_sum, by_mean = measure_accuracy(engine, questions)
    return Answers(
        model=model,
        choices=options.choices,
        accuracy=by_sum,
        accuracy_normalized=by_mean,
        n_questions=len(questions),
        precision=options.precision,
        seconds=time.monotonic() - began,
    )


def format_table(results: Sequence[Evaluation | Answers]) -> str:
    """Return a line for each model; the models' names come last, since they may be long."""
    rows = [{**result.figures(), "time": format_duration(result.seconds)} for result in results]
    widths = {name: max(len(name), *(len(row[name]) for row in rows)) for name in rows[0]}
    lines = ["  ".join([*(name.rjust(widths[name]) for name in widths), "model"])]
    for row, result in zip(rows, results, strict=True):
        cells = [row[name].rjust(widths[name]) for name in widths]
        lines.append("  ".join([*cells, one_line(result.model)]))
    return "\n".join(lines)


if __name__ == "__main__":
    run_command(main)
