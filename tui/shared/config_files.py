"""The configs in a folder: found here for every screen that lists them."""

from pathlib import Path

MAX_LISTED = 200
_NO_CONFIGS = ("pyproject.toml", "config.toml")  # config.toml is that of a run


def config_paths(root: Path) -> list[Path]:
    """Return the configs at `root` and two levels below it, but not those inside of runs."""
    found: list[Path] = []
    for pattern in ("*.toml", "*/*.toml", "*/*/*.toml"):
        for path in sorted(root.glob(pattern)):
            hidden = any(part.startswith(".") for part in path.relative_to(root).parts)
            if not hidden and path.name not in _NO_CONFIGS:
                found.append(path)
    return found[:MAX_LISTED]
