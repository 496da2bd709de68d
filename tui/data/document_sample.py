"""The first documents or dialogues, with their statistics, before they are tokenized.

The functions read files and, for a dataset of the Hugging Face Hub, the network: call them in a
thread. They raise `UserError` for what cannot be read.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from simplegpt.cli import UserError
from tui.data.choices import Choice
from tui.data.text_file import (
    HEAD_BYTES,
    LineLengths,
    TextHead,
    TextStatistics,
    TokenPreview,
    TokenStatistics,
    Unit,
    token_pieces,
    token_statistics,
)

if TYPE_CHECKING:
    from simplegpt.data.chat import ChatMessage
    from simplegpt.data.documents import Documents

SAMPLE_CHARACTERS = 1 << 20
"""Read of all documents: a fraction of a second, but for a dataset that is downloaded."""
BETWEEN = "\n────────\n"
"""Between two documents on the screen."""


@dataclass(frozen=True)
class DocumentSample:
    """The first documents or dialogues."""

    head: TextHead
    """The very first ones, as one text."""
    texts: tuple[str, ...]
    statistics: TextStatistics
    dialogues: "tuple[list[ChatMessage], ...]" = ()
    """Those that the texts show."""


def open_documents(choice: Choice, column: str) -> "Documents":
    """Return the documents of a choice, whose text is in `column`."""
    from simplegpt.data.documents import FileDocuments, HubDocuments, find_files

    if (dataset := choice.dataset) is not None:
        return HubDocuments(
            dataset.name, dataset.config or None, dataset.split, column, streaming=True
        )
    return FileDocuments(find_files([str(choice.path)]), column)


def read_sample(choice: Choice, column: str, limit: int = SAMPLE_CHARACTERS) -> DocumentSample:
    """Read the first documents or dialogues, about `limit` characters of them."""
    if choice.kind == "dialogues":
        return _read_dialogues(choice, limit)
    from simplegpt.data.documents import Place

    documents = open_documents(choice, column)
    texts, text, n_characters, done = list[str](), "", 0, 0
    is_whole = True
    for chunk in documents.read(Place()):
        text += chunk.text
        n_characters += len(chunk.text)
        done = chunk.done
        if chunk.ends_document:
            texts.append(text)
            text = ""
        if n_characters >= limit:
            is_whole = False
            break
    if text:  # the beginning of a long one
        texts.append(text)
    if not texts:
        raise UserError(f"{documents.name}: no documents with text")
    total = documents.total
    statistics = _statistics(texts, total if is_whole else done, total, "document")
    return DocumentSample(_head(texts, total, is_whole, documents.unit), tuple(texts), statistics)


def _read_dialogues(choice: Choice, limit: int) -> DocumentSample:
    from simplegpt.data.dialogues import parse_dialogue
    from simplegpt.data.encode import open_text

    dialogues: list[list[ChatMessage]] = []
    texts, n_characters = list[str](), 0
    size, is_whole = choice.path.stat().st_size, True
    with open_text(choice.path) as (file, raw):
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            messages = parse_dialogue(line.removeprefix(b"\xef\xbb\xbf"), f"{choice.path}:{number}")
            dialogues.append(messages)
            texts.append(
                "\n\n".join(f"{one.role.capitalize()}:\n{one.content}" for one in messages)
            )
            n_characters += len(texts[-1])
            if n_characters >= limit:
                is_whole = False
                break
        done = size if is_whole else raw.tell()
    if not texts:
        raise UserError(f"{choice.path}: no dialogues")
    statistics = _statistics(texts, done, size, "dialogue")
    head = _head(texts, size, is_whole, "B")
    return DocumentSample(head, tuple(texts), statistics, tuple(dialogues))


def _head(texts: list[str], total: int, is_whole: bool, unit: str) -> TextHead:
    head, shown = "", 0
    while shown < len(texts) and len(head) < HEAD_BYTES:
        head += (BETWEEN if shown else "") + texts[shown][:HEAD_BYTES]
        shown += 1
    return TextHead(total, head, is_whole and shown == len(texts), unit)


def _statistics(texts: list[str], done: int, total: int, unit: Unit) -> TextStatistics:
    import numpy as np

    codes = np.frombuffer("".join(texts).encode("utf-32-le"), "<u4")
    used, counts = np.unique(codes, return_counts=True)
    lengths = np.array(list(map(len, texts)))
    return TextStatistics(
        counts={chr(code): int(n) for code, n in zip(used, counts, strict=True)},
        n_lines=len(texts),
        lines=LineLengths(
            median=int(np.median(lengths)),
            most=int(np.percentile(lengths, 95)),
            longest=int(lengths.max()),
            empty=0.0,
        ),
        read_bytes=done,
        size=total,
        unit=unit,
    )


def preview_sample(name: str, sample: DocumentSample) -> tuple[TokenPreview, TokenStatistics]:
    """Encode the sample with the tokenizer called `name`.

    Raises UserError if the tokenizer is unavailable, has no ID for a character, or none to end a
    message of a dialogue.
    """
    import numpy as np

    from simplegpt.data.chat import ANSWER, encode_dialogue
    from simplegpt.data.tokenizer import load_tokenizer

    tokenizer, answers = load_tokenizer(name), None
    if sample.dialogues:
        encoded = [encode_dialogue(messages, tokenizer) for messages in sample.dialogues]
        ids = [tokens.astype(int) for tokens, _ in encoded]
        answers = float(np.mean(np.concatenate([marks for _, marks in encoded]) == ANSWER))
    else:
        end = [] if tokenizer.end_of_text is None else [tokenizer.end_of_text]
        ids = [np.append(tokenizer.encode_to_numpy(text), end).astype(int) for text in sample.texts]
    n_characters = sum(map(len, sample.texts))
    scope = "" if sample.statistics.is_whole else f"the first {sample.statistics.unit}s"
    together = np.concatenate(ids)
    shown, n_shown = list[int](), 0
    for text, part in zip(sample.texts, ids, strict=True):
        shown += part.tolist()
        n_shown += len(text)
        if n_shown >= HEAD_BYTES:
            break
    pieces = token_pieces(tokenizer, shown[:HEAD_BYTES])
    preview = TokenPreview(name, tokenizer.n_vocab, pieces, sum(map(len, pieces)))
    statistics = token_statistics(tokenizer, together, n_characters, scope)
    return preview, replace(statistics, answers=answers)
