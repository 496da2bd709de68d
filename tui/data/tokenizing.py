"""Tokenizing in a child process, ``simplegpt data``, with its progress as typed objects.

A separate process keeps the workbench responsive. Cancelling terminates it; it then removes its
partial files.
"""

import asyncio
import contextlib
import importlib
import os
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from simplegpt.progress import ProgressReport
from tui.data.choices import HubDataset, Kind
from tui.shared.command import GRACE_SECONDS, CommandError, module, run_command

if TYPE_CHECKING:
    from simplegpt.data.__main__ import Done
    from simplegpt.data.tokens import TokenSet

COMMAND = module("simplegpt.data")


@dataclass(frozen=True)
class Job:
    """What to tokenize, how, and where to write the token files."""

    text: Path
    """A file of text or dialogues; a file or folder of documents; the name of a dataset."""
    tokenizer: str
    output_dir: Path
    val_fraction: float = 0.1
    """Held-out fraction of the lines or dialogues, from the end, or of the documents."""
    kind: Kind = "text"
    dataset: HubDataset | None = None
    column: str = "text"
    """The text's key or column in a document."""
    marker: str = ""
    """Ends a document in the text; empty for none."""
    separator: str = ""
    """The token between documents; empty for the tokenizer's own."""
    overwrite: bool = False

    @property
    def is_sharded(self) -> bool:
        """Whether shards are written, which an interruption keeps."""
        return self.kind == "documents"

    @property
    def outputs(self) -> tuple[Path, ...]:
        """The training file, and the validation file if there is one; globs of shards."""
        from simplegpt.data.tokens import shard_name, token_file_name  # numpy: not at the start

        name = shard_name if self.is_sharded else token_file_name
        train, val = (self.output_dir / name(split, self.tokenizer) for split in ("train", "val"))
        return (train, val) if self.val_fraction else (train,)

    def existing_outputs(self) -> list[Path]:
        """The output files that exist."""
        from simplegpt.data.tokens import SPLITS, find_shards

        if self.is_sharded:
            folder, tokenizer = self.output_dir, self.tokenizer
            return [path for split in SPLITS for path in find_shards(folder, split, tokenizer)]
        return [path for path in self.outputs if os.path.lexists(path)]

    def is_unfinished(self) -> bool:
        """Whether an interrupted job of this tokenizer in this folder can be resumed."""
        from simplegpt.data.tokens import resume_path

        return self.is_sharded and os.path.lexists(resume_path(self.outputs[0]))

    def written(self) -> "TokenSet | None":
        """Return the token files, if all are there and whole. Reads files."""
        from simplegpt.data.tokens import token_set

        found = token_set(*self.outputs)
        can_lack_val = self.is_sharded or not self.val_fraction  # few documents: none held out
        return found if found is not None and (found.val or can_lack_val) else None

    def remove_partial_files(self) -> None:
        """Remove what a killed command leaves."""
        for path in self.outputs:
            for partial in self.output_dir.glob(f"{path.name}*.partial"):
                partial.unlink()

    def arguments(self) -> list[str]:
        """Return the command's arguments, as they would be typed."""
        is_chat = self.kind == "dialogues"
        return [
            *self.source(),
            *("--tokenizer_name", self.tokenizer),
            *("--output_dir", str(self.output_dir)),
            *("--val_fraction", f"{self.val_fraction:g}"),
            *([f"--marker={self.marker}"] if self.marker and self.kind == "text" else []),
            *([f"--separator={self.separator}"] if self.separator and not is_chat else []),
            "--json_progress",
            *(["--overwrite"] if self.overwrite else []),
        ]

    def source(self) -> list[str]:
        """Return the arguments that name the text, the dialogues or the documents."""
        if not self.is_sharded:
            return ["--chat_file" if self.kind == "dialogues" else "--text_file", str(self.text)]
        column = ["--text_column", self.column]
        if self.dataset is None:
            return ["--documents", str(self.text), *column]
        config = ["--config_name", self.dataset.config] if self.dataset.config else []
        split = ["--split", self.dataset.split]
        return ["--hf_dataset", self.dataset.name, *config, *split, *column, "--streaming"]


async def tokenize(
    job: Job, command: Sequence[str] = COMMAND, grace_seconds: float = GRACE_SECONDS
) -> AsyncGenerator["ProgressReport | Done", None]:
    """Start the command and yield its progress, and a `Done` at the end.

    If it is cancelled or closed early, the process is terminated and no partial files remain.
    Raises `CommandError` with the command's own message.
    """
    # It imports numpy and tiktoken: 0.2 seconds, in a thread.
    command_module = await asyncio.to_thread(importlib.import_module, "simplegpt.data.__main__")
    adapter: TypeAdapter[ProgressReport | Done] = TypeAdapter(ProgressReport | command_module.Done)
    output_dir = job.output_dir.absolute()
    folders = (output_dir, *output_dir.parents)
    new_folders = [path for path in folders if not os.path.lexists(path)]
    lines = run_command([*command, *job.arguments()], grace_seconds, job.remove_partial_files)
    is_done = False
    try:
        async with contextlib.aclosing(lines):
            async for line in lines:
                with contextlib.suppress(ValidationError):
                    report = adapter.validate_json(line)
                    is_done = report.type == "done"
                    yield report
        if not is_done:
            raise CommandError("the process ended without a result")
    finally:
        if not is_done:
            with contextlib.suppress(OSError):  # not there, or in use by now
                for folder in new_folders:
                    folder.rmdir()
