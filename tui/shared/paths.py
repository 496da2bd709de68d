"""Paths: as a person types them, as the screens show them, and those of the configs in a folder."""

import os
from pathlib import Path

from simplegpt.cli import UserError

MAX_LISTED = 200
_NO_CONFIGS = ("pyproject.toml", "config.toml")  # config.toml is that of a run


def expand_home(path: str | Path) -> Path:
    """Replace a leading ``~``; a path of an unknown user stays as it is."""
    return Path(os.path.expanduser(path))


def path_to_write(typed: str) -> Path:
    """Return the typed path of a file or folder to be written. Raises UserError."""
    path = expand_home(typed.strip())
    if str(path).startswith("~"):
        raise UserError(f"{typed.strip()}: no such user")
    return path


def short_path(path: Path, root: Path | None = None) -> Path:
    """Make a path relative to `root` (None: the working directory) where it is below it."""
    root, absolute = root or Path.cwd(), path.absolute()
    return absolute.relative_to(root) if absolute.is_relative_to(root) else absolute


def config_paths(root: Path) -> list[Path]:
    """Return the configs at `root` and two levels below it, but not those inside of runs."""
    found: list[Path] = []
    for pattern in ("*.toml", "*/*.toml", "*/*/*.toml"):
        for path in sorted(root.glob(pattern)):
            hidden = any(part.startswith(".") for part in path.relative_to(root).parts)
            if not hidden and path.name not in _NO_CONFIGS:
                found.append(path)
    return found[:MAX_LISTED]
