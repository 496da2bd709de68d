"""Write documents of any amount into shards, so that an interrupted conversion can be resumed.

    train-gpt2-00000.bin  val-gpt2-00000.bin  train-gpt2-00001.bin …

A shard ends with a document. Each training shard has the held-out documents of its part beside it.
When a shard is complete, ``train-gpt2.resume.json`` says where the next one begins (`ShardState`);
it is removed at the end. Nothing here imports torch.
"""

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from simplegpt.cli import UserError, invalid_fields
from simplegpt.data.documents import Documents, HeldOut, Place
from simplegpt.data.encode import Chunk, cut, encode
from simplegpt.data.tokenizer import Tokenizer
from simplegpt.data.tokens import (
    SPLITS,
    TokenWriter,
    Written,
    find_shards,
    open_tokens,
    resume_path,
    shard_name,
    sidecar_path,
)
from simplegpt.files import read_regular, write_atomically
from simplegpt.progress import ProgressLine, plural


class ShardState(BaseModel):
    """The files of an unfinished conversion, and the place where it continues."""

    model_config = ConfigDict(frozen=True)

    settings: dict[str, Any]
    """The settings, which must be the same when it is resumed."""
    n_shards: int = 0
    n_documents: int = 0
    done: int = 0
    """In the unit of the source."""
    place: Place = Place()
    files: list[Written] = []

    @property
    def n_tokens(self) -> int:
        return sum(file.tokens for file in self.files)


class ShardWriter:
    """Writes the shards of one tokenizer in a folder, resuming an unfinished conversion.

    `settings` are what determines the shards. Raises UserError if there are finished shards, or
    unfinished ones with other settings; `overwrite` deletes them instead.
    """

    def __init__(
        self, folder: Path, tokenizer: Tokenizer, settings: dict[str, Any], *, overwrite: bool
    ) -> None:
        self.folder, self.tokenizer = folder, tokenizer
        self.state_path = resume_path(folder / shard_name("train", tokenizer.name))
        self.state = ShardState(settings=settings)
        existing = [path for split in SPLITS for path in find_shards(folder, split, tokenizer.name)]
        found = _read_state(self.state_path, ignore_invalid=overwrite)
        if found and found.settings == settings:
            self.state = found
        elif overwrite:
            for path in [self.state_path, *existing, *map(sidecar_path, existing)]:
                path.unlink(missing_ok=True)
        elif found:
            raise UserError(
                f"{folder} has an unfinished conversion with other settings: "
                f"{_differences(found.settings, settings)}; --overwrite starts again"
            )
        elif existing:
            raise UserError(f"{existing[0]} already exists; --overwrite replaces all shards")
        for file in self.state.files:
            open_tokens(file.path)  # raises UserError if it is missing or damaged

    def write(
        self,
        documents: Documents,
        *,
        separator: int,
        held_out: HeldOut,
        shard_tokens: int,
        workers: int | None,
        progress: ProgressLine,
    ) -> None:
        """Write the remaining shards.

        Each document ends with `separator`. A shard ends with the document that reaches
        `shard_tokens`, or with the next one after which reading can continue. `held_out` are the
        indices of the documents for validation.
        """
        index, end = self.state.n_documents, np.uint32(separator)
        chunks = cut(documents.read(self.state.place), self.tokenizer)
        with contextlib.ExitStack() as stack:
            train, val = self._open(stack, documents.name)
            for chunk, ids in encode(chunks, self.tokenizer, workers):
                writer = val if index in held_out else train
                writer.write(np.append(ids, end) if chunk.ends_document else ids)
                index += chunk.ends_document
                n_tokens = train.count + val.count
                detail = plural(index, "document") if documents.unit == "B" else ""
                progress.update(chunk.done, detail, tokens=self.state.n_tokens + n_tokens)
                if chunk.ends_document and chunk.place and n_tokens >= shard_tokens:
                    self._commit(train, val, index, chunk)
                    stack.close()
                    train, val = self._open(stack, documents.name)
            if train.count or val.count:
                self._commit(train, val, index, chunk)
        if not index:
            raise UserError(f"{documents.name}: no documents with text")
        is_complete = any(Path(file.path).name.startswith("train") for file in self.state.files)
        self.state_path.unlink(missing_ok=True)
        if not is_complete:  # no shard of it is of use, and resuming would end here again
            for path in [Path(file.path) for file in self.state.files]:
                path.unlink()
                sidecar_path(path).unlink()
            self.state = ShardState(settings=self.state.settings)
            raise UserError(
                f"{documents.name} has {plural(index, 'document')}, all of which are held out for "
                "validation; hold out fewer"
            )

    def _open(self, stack: contextlib.ExitStack, source: str) -> list[TokenWriter]:
        """Open the next shard for training and that for validation."""
        return [
            stack.enter_context(
                TokenWriter(
                    self.folder / shard_name(split, self.tokenizer.name, self.state.n_shards),
                    tokenizer=self.tokenizer.name,
                    n_vocab=self.tokenizer.n_vocab,
                    source=source,
                    overwrite=True,  # a killed process may have completed this one
                )
            )
            for split in SPLITS
        ]

    def _commit(self, train: TokenWriter, val: TokenWriter, n_documents: int, last: Chunk) -> None:
        """Complete the shards that have tokens, and record where the next ones begin."""
        writers = [writer for writer in (train, val) if writer.count]
        for writer in writers:
            writer.sync()  # reports a full disk before any of them is complete
        for writer in writers:
            writer.commit()
        self.state = ShardState(
            settings=self.state.settings,
            n_shards=self.state.n_shards + 1,
            n_documents=n_documents,
            done=last.done,
            place=last.place,
            files=[*self.state.files, *(writer.written for writer in writers)],
        )
        write_atomically(self.state_path, self.state.model_dump_json() + "\n", sync=True)


def _read_state(path: Path, *, ignore_invalid: bool) -> ShardState | None:
    try:
        return ShardState.model_validate_json(read_regular(path))
    except FileNotFoundError:
        return None
    except ValidationError as error:
        if ignore_invalid:
            return None
        raise UserError(f"{path}: {invalid_fields(error)}; --overwrite starts again") from None


def _differences(old: dict[str, Any], new: dict[str, Any]) -> str:
    """``tokenizer gpt2, now char``, for each setting that differs; file lists only by name."""
    differing = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
    return ", ".join(
        key if key == "files" else f"{key} {old.get(key)}, now {new.get(key)}" for key in differing
    )
