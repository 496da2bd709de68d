"""A config for a training that starts from the weights of a run."""

from pathlib import Path

from simplegpt.cli import UserError
from simplegpt.config.edit import edit, literal
from simplegpt.files import first_free_path, write_atomically
from simplegpt.run.directory import RunDirectory


def write_continued_config(run: RunDirectory, checkpoint: Path, root: Path) -> Path:
    """Write the run's config with `init_from` and another `output_dir`, and return its path.

    File and directory get a free name. Raises UserError where the run's config cannot be read or
    the new one not be written.
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
        raise UserError(f"cannot write {path}: {error.strerror}") from error
    except ValueError as error:
        raise UserError(f"cannot read {run.config}: {error}") from error
    return path
