"""Dialogues in JSON lines, as for OpenAI's fine-tuning or from `datasets`, to token IDs and marks.

    {"messages": [{"role": "user", "content": "Hello!"}, {"role": "assistant", "content": "Hi!"}]}

Nothing here imports torch.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from simplegpt.cli import UserError, invalid_fields
from simplegpt.data.chat import ChatMessage, encode_dialogue
from simplegpt.data.documents import HeldOut, report_invalid
from simplegpt.data.encode import UTF8, open_text
from simplegpt.data.tokenizer import Tokenizer
from simplegpt.progress import ProgressLine


class Dialogue(BaseModel):
    """A line; keys other than ``messages`` are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    messages: list[ChatMessage] = Field(min_length=1)


def parse_dialogue(line: bytes, where: str, *, needs_answer: bool = False) -> list[ChatMessage]:
    """Return the messages of a line. Raises UserError, which begins with `where`."""
    try:
        messages = Dialogue.model_validate_json(line).messages
    except ValidationError as error:
        raise UserError(f"{where}: {invalid_fields(error)}") from None
    if needs_answer and not any(message.role == "assistant" for message in messages):
        raise UserError(f"{where}: no message has the role assistant")
    return messages


@dataclass(frozen=True)
class DialogueFiles:
    """The dialogues of files in order; a file named ``.gz`` is decompressed."""

    paths: Sequence[Path]
    encoding: str = UTF8
    needs_answer: bool = False
    """Whether a dialogue without an answer is invalid: nothing could be learned from it."""
    skip_invalid: bool = False
    """Leave out invalid dialogues."""
    held_out: HeldOut | None = None
    """A split: only these, if `is_val`, or only the others."""
    is_val: bool = False

    def __iter__(self) -> Iterator[tuple[str, list[ChatMessage]]]:
        """Yield each dialogue with its file and line. Raises UserError if one is invalid."""
        index = 0
        for where, messages in self._parsed():
            if isinstance(messages, UserError):
                if not self.skip_invalid:
                    raise messages
                continue
            if self.held_out is None or (index in self.held_out) == self.is_val:
                yield where, messages
            index += 1

    def check(self) -> None:
        """Check all dialogues. Raises UserError with those that are invalid, or lists them."""
        report_invalid((messages for _, messages in self._parsed()), skip=self.skip_invalid)

    def _parsed(self) -> Iterator[tuple[str, list[ChatMessage] | UserError]]:
        for where, line in self.lines():
            try:
                yield where, parse_dialogue(line, where, needs_answer=self.needs_answer)
            except UserError as error:
                yield where, error

    def lines(self) -> Iterator[tuple[str, bytes]]:
        """Yield every line that is not empty, with its place, such as ``chat.jsonl:12``."""
        for path in self.paths:
            try:
                with open_text(path, self.encoding) as (file, _):
                    for number, line in enumerate(file, start=1):
                        if line.strip():
                            yield f"{path}:{number}", line.removeprefix(b"\xef\xbb\xbf")
            except OSError as error:
                raise UserError(f"{path}: {(error.strerror or str(error)).lower()}") from None

    def split(self, val_fraction: float) -> tuple["DialogueFiles", "DialogueFiles"]:
        """Return the dialogues for training, and those for validation: at least one, spread evenly.

        Raises UserError if there is only one.
        """
        count = sum(1 for _ in self)
        is_enough = int(count * val_fraction) > 0
        held_out = HeldOut(val_fraction) if is_enough else HeldOut(0.0, first=1)
        if count < 2:
            raise UserError(
                f"{self.paths[0]}: too few dialogues ({count}) for a train / val split; "
                "use --val_fraction 0 for no split"
            )
        return replace(self, held_out=held_out), replace(self, held_out=held_out, is_val=True)


def encode_dialogues(
    dialogues: DialogueFiles,
    tokenizer: Tokenizer,
    write: Callable[[npt.NDArray[Any], npt.NDArray[np.uint8]], None],
    progress: ProgressLine | None = None,
) -> None:
    """Encode dialogues with the chat template and pass their token IDs and marks to `write`."""
    n_tokens = 0
    for number, (_, messages) in enumerate(dialogues, start=1):
        ids, marks = encode_dialogue(messages, tokenizer)
        write(ids, marks)
        n_tokens += len(ids)
        if progress:
            progress.update(number, tokens=n_tokens)
