"""The accuracy of a GPT on multiple-choice questions, answered with the most likely ending.

A file has one JSON object per line, in HellaSwag's format: ``ctx``, ``endings`` and ``label`` (the
index of the right one); other keys are ignored. An ending is encoded after a space, as in the
figures published for GPT-2: 28.59% by the sum of the tokens' log-probabilities and 29.55% by their
mean, for 124M parameters on HellaSwag's validation set.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from simplegpt.cli import UserError, invalid_fields
from simplegpt.files import read_regular, text_lines
from simplegpt.progress import ProgressLine

if TYPE_CHECKING:  # imports torch, which takes seconds: invalid files are reported first
    from torch import Tensor

    from simplegpt.inference.engine import Engine
    from simplegpt.model import GPT


class Question(BaseModel):
    """A context and its possible endings."""

    model_config = ConfigDict(frozen=True)

    ctx: str
    endings: list[str] = Field(min_length=2)
    label: int = Field(ge=0)
    """Index of the right ending."""

    @model_validator(mode="after")
    def _check_label(self) -> "Question":
        if self.label >= len(self.endings):
            raise ValueError(f"label ({self.label}) must be < {len(self.endings)}, the endings")
        return self


def read_questions(path: Path, limit: int | None = None) -> list[Question]:
    """Read the questions, at most `limit`. Raises UserError with file and line."""
    questions = []
    for number, line in enumerate(text_lines(read_regular(path)), start=1):
        if not line.strip():
            continue
        try:
            questions.append(Question.model_validate_json(line))
        except ValidationError as error:
            raise UserError(f"{path}:{number}: {invalid_fields(error)}") from None
        if len(questions) == limit:
            break
    if not questions:
        raise UserError(f"{path} has no questions")
    return questions


def measure_accuracy(engine: "Engine", questions: list[Question]) -> tuple[float, float]:
    """Answer all `questions`; return the fraction that is right, by sum and by mean.

    The sum is that of the log-probabilities of an ending's tokens; their mean does not favour short
    endings. Raises UserError if an ending does not fit into the context.
    """
    n_right = n_right_normalized = 0
    with ProgressLine("answering", len(questions), "questions", summary=False) as line:
        for done, question in enumerate(questions, start=1):
            losses = list(ending_losses(engine, question))
            sums, means = [loss.sum() for loss in losses], [loss.mean() for loss in losses]
            n_right += sums.index(min(sums)) == question.label
            n_right_normalized += means.index(min(means)) == question.label
            line.update(done, f"{n_right_normalized / done:.2%} right")
    return n_right / len(questions), n_right_normalized / len(questions)


def ending_losses(engine: "Engine", question: Question) -> Iterator["Tensor"]:
    """Yield the loss of each token of each ending, in nats. Raises UserError.

    If a question and an ending exceed the model's context, the beginning is cut off.
    """
    context = engine.encode(question.ctx)
    endings = [engine.encode(f" {ending}") for ending in question.endings]
    longest, n_ctx = max(map(len, endings)), engine.gpt.config.n_ctx
    if longest > n_ctx:
        raise UserError(
            f"the ending {max(question.endings, key=len)!r} has {longest} tokens: "
            f"the model's n_ctx is {n_ctx}"
        )
    rows = [(context + ending)[-n_ctx - 1 :] for ending in endings]
    return token_losses(engine.gpt, rows, [len(ending) for ending in endings])


def token_losses(gpt: "GPT", rows: list[list[int]], counts: list[int]) -> Iterator["Tensor"]:
    """Yield the losses ``[n]`` of the last n tokens of each row, in nats; `counts` has the n."""
    import torch
    import torch.nn.functional as F

    longest = max(map(len, rows))
    ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows])
    ids = ids.to(gpt.wte.weight.device)
    with torch.inference_mode():
        hidden = gpt.hidden(ids[:, :-1])
        for row, n, x, tokens in zip(rows, counts, hidden, ids, strict=True):
            predicted = slice(len(row) - n - 1, len(row) - 1)
            logits = gpt.wte.logits(x[predicted]).float()
            yield F.cross_entropy(logits, tokens[1:][predicted], reduction="none")
