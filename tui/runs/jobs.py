"""Jobs on a run's checkpoint: exporting it, and evaluating it. Each is a command of SimpleGPT."""

import contextlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from simplegpt.progress import ProgressReport
from tui.shared.command import module, run_command

Format = Literal["hugging_face", "gguf"]
FORMATS: dict[Format, str] = {"hugging_face": "Hugging Face folder", "gguf": "GGUF for llama.cpp"}
HELLASWAG = Path("hellaswag")
"""Not a file: the command downloads its questions."""


@dataclass(frozen=True)
class Job:
    """A command, and its name while it runs."""

    label: str
    command: tuple[str, ...]


def export_job(checkpoint: Path, output: Path, format: Format) -> Job:
    """Write a checkpoint for another program to the new folder or file `output`."""
    arguments = (str(checkpoint), str(output), "--format", format)
    return Job(f"Exporting {checkpoint.name}", (*module("simplegpt.export"), *arguments))


def evaluate_job(checkpoint: Path, data: Path) -> Job:
    """Measure a checkpoint on `data`; the command keeps the result with the run."""
    arguments = (str(checkpoint), option_for(data), str(data), "--json")
    label = f"Evaluating {checkpoint.name} on {data.name}"
    return Job(label, (*module("simplegpt.evaluate"), *arguments))


def option_for(data: Path) -> str:
    """Return the option of ``simplegpt evaluate`` that takes a file of this kind."""
    if data == HELLASWAG or data.suffix == ".jsonl":
        return "--choices"
    return "--tokens" if data.suffix == ".bin" or data.is_dir() else "--text"


async def follow(job: Job) -> AsyncGenerator[ProgressReport]:
    """Run a job and yield its progress; closed early, it ends. Raises `CommandError`."""
    async with contextlib.aclosing(run_command(job.command)) as lines:
        async for line in lines:
            with contextlib.suppress(ValidationError):
                yield ProgressReport.model_validate_json(line)
