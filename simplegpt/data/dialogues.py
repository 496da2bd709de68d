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
from simplegpt.data.encode import open_text
from simplegpt.data.tokenizer import Tokenizer
from simplegpt.progress import ProgressLine


class Dialogue(BaseModel):
    """A line; keys other than ``messages`` are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    messages: list[ChatMessage] = Field(min_length=1)


def parse_dialogue(line: bytes, where: str) -> list[ChatMessage]:
    """Return the messages of a line. Raises UserError, which begins with `where`."""
    try:
        return Dialogue.model_validate_json(line).messages
    except ValidationError as error:
        raise UserError(f"{where}: {invalid_fields(error)}") from None


@dataclass(frozen=True)
class DialogueFiles:
    """The dialogues start … stop - 1 of files in order; a file named ``.gz`` is decompressed."""

    paths: Sequence[Path]
    start: int = 0
    stop: int | None = None

    def __iter__(self) -> Iterator[tuple[str, list[ChatMessage]]]:
        """Yield each dialogue with its file and line. Raises UserError if one is invalid."""
        for index, (where, line) in enumerate(self.lines()):
            if index < self.start:
                continue
            if index == self.stop:
                return
            yield where, parse_dialogue(line, where)

    def lines(self) -> Iterator[tuple[str, bytes]]:
        """Yield every line that is not empty, with its place, such as ``chat.jsonl:12``."""
        for path in self.paths:
            try:
                with open_text(path) as (file, _):
                    for number, line in enumerate(file, start=1):
                        if line.strip():
                            yield f"{path}:{number}", line.removeprefix(b"\xef\xbb\xbf")
            except OSError as error:
                raise UserError(f"{path}: {(error.strerror or str(error)).lower()}") from None

    def split(self, val_fraction: float) -> tuple["DialogueFiles", "DialogueFiles"]:
        """Return the first dialogues, for training, and the last, for validation, at least one.

        Raises UserError if there is only one.
        """
        count = sum(1 for _ in self.lines())
        n_train = count - max(1, round(count * val_fraction))
        if n_train < 1:
            raise UserError(
                f"{self.paths[0]}: too few dialogues ({count}) for a train / val split; "
                "use --val_fraction 0 for no split"
            )
        return replace(self, stop=n_train), replace(self, start=n_train)


def encode_dialogues(
    dialogues: DialogueFiles,
    tokenizer: Tokenizer,
    write: Callable[[npt.NDArray[Any], npt.NDArray[np.uint8]], None],
    progress: ProgressLine | None = None,
) -> None:
    """Encode dialogues with the chat template and pass their token IDs and marks to `write`.

    Raises UserError for a dialogue without an answer, from which nothing could be learned.
    """
    n_tokens = 0
    for number, (where, messages) in enumerate(dialogues, start=1):
        if not any(message.role == "assistant" for message in messages):
            raise UserError(f"{where}: no message has the role assistant")
        ids, marks = encode_dialogue(messages, tokenizer)
        write(ids, marks)
        n_tokens += len(ids)
        if progress:
            progress.update(number, tokens=n_tokens)
