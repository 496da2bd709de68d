"""What one does with a run's folder from outside: measure it, rename it.

A run holds no absolute path to itself but one, `output_dir` in its config; renaming sets it right.
"""

import os
import re
import sys
from pathlib import Path

from simplegpt.cli import UserError
from simplegpt.config.edit import edit
from simplegpt.config.text import literal
from simplegpt.files import first_free_path, write_atomically
from simplegpt.run.directory import RunDirectory

# What every file system that a run may be copied to can name.
_MAX_NAME_BYTES = 255


class RenameError(Exception):
    """Why a run cannot have that name, in a sentence."""


def rename_run(run: RunDirectory, name: str) -> RunDirectory:
    """Give the folder of `run` another name beside its old one; returns it under that name.

    Raises RenameError for a live run, and for a name that is taken or cannot be one.
    """
    name = name.strip()
    target = run.path.with_name(name) if name and "/" not in name else run.path
    if problem := name_problem(run.path, name):
        raise RenameError(problem)
    refuse_if_alive(run, "renamed", RenameError)
    try:
        run.path.rename(target)
    except OSError as error:
        raise RenameError(f"{run.path.name} could not be renamed: {error.strerror}") from error
    renamed = RunDirectory(target)
    _set_output_dir(renamed)
    return renamed


def name_problem(path: Path, name: str) -> str | None:
    """Why the folder at `path` cannot be called `name`, in a sentence; None where it can."""
    if not name:
        return "A run needs a name."
    if "/" in name or "\\" in name:
        return "A name cannot hold a slash: a run is renamed where it is, not moved."
    if name.startswith("."):
        return "A name that starts with a dot is hidden, and the run would vanish from this list."
    if re.search(r"[\x00-\x1f\x7f]", name):
        return "A name cannot hold control characters."
    if len(os.fsencode(name)) > _MAX_NAME_BYTES:
        return f"A name can be {_MAX_NAME_BYTES} bytes long at most."
    if name == path.name:
        return "That is its name already."
    target = path.with_name(name)
    # Where the disk does not tell upper from lower case, the other spelling is the same folder.
    if target.exists() and not (path.exists() and target.samefile(path)):
        return f"There is a '{name}' here already."
    return None


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
    if status is not None and status.is_alive():
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


def _set_output_dir(run: RunDirectory) -> None:
    """Write the run's new path into its config; one that cannot be read stays as it is."""
    try:
        text = run.config.read_text(encoding="utf-8")
        write_atomically(run.config, edit(text, {"output_dir": literal(str(run.path))}))
    except (OSError, ValueError):  # which a TOML error and a UnicodeDecodeError are
        return
