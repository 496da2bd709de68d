"""What one does with a run's folder from outside: measure it, continue from it."""

import os
import sys
from pathlib import Path

from simplegpt.cli import UserError
from simplegpt.config.edit import edit, literal
from simplegpt.files import first_free_path, write_atomically
from simplegpt.run.directory import RunDirectory


def continued_config(run: RunDirectory, checkpoint: Path, root: Path) -> Path:
    """Write a config for a training that starts from the weights of `checkpoint`; returns it.

    It is the run's own config with `init_from` and an output_dir of its own, under a name that is
    free. Raises UserError where the run's config cannot be read or the new one not be written.
    """
    folder = root / "configs" if (root / "configs").is_dir() else root
    path = first_free_path(
        folder / f"{run.path.name}-continued.toml",
        lambda path: path.exists() or run.path.with_name(path.stem).exists(),
    )
    output_dir = run.path.with_name(path.stem)
    changes = {"init_from": literal(str(checkpoint)), "output_dir": literal(str(output_dir))}
    try:
        text = edit(run.config.read_text(encoding="utf-8"), changes)
        write_atomically(path, f"# Starts from the weights of {run.path.name!r}.\n{text}")
    except OSError as error:
        raise UserError(f"no config could be made of {run.path.name}: {error.strerror}") from error
    except ValueError as error:
        raise UserError(f"the config of {run.path.name} cannot be read: {error}") from error
    return path


def refuse_if_alive(run: RunDirectory, done_to_it: str, error: type[Exception]) -> None:
    """Raise `error` with a sentence if a process is writing to `run`."""
    status = run.status()
    if status is not None and status.is_live:
        raise error(
            f"{run.path.name} is {status.state} (process {status.pid} on {status.host}): "
            f"stop it before it is {done_to_it}"
        )


def folder_size(path: Path) -> int:
    """Bytes that the files below `path` hold; what vanishes while we look counts as nothing."""
    total = 0
    try:
        entries = list(os.scandir(path))
    except OSError:
        return 0
    for entry in entries:
        try:
            if entry.is_dir(follow_symlinks=False):
                total += folder_size(Path(entry.path))
            else:
                total += entry.stat(follow_symlinks=False).st_size
        except OSError:
            continue
    return total


def open_command(path: Path) -> list[str]:
    """The command that shows `path` in the system's file browser."""
    return ["open" if sys.platform == "darwin" else "xdg-open", str(path)]
