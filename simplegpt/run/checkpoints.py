"""The files in a run's ckpts folder: names, sidecars, and which to keep. Imports no torch.

``last.ckpt`` is the newest, ``best.ckpt`` the best by the config's monitor. When more than one
is kept (``save_top_k``), each is ``step-N.ckpt`` as well. Each has a sidecar
``NAME.ckpt.json``, so that checkpoints are listed without opening them.
"""

import math
import os
import shutil
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, ValidationError

from simplegpt.config.schema import CheckpointingConfig
from simplegpt.files import read_regular, write_atomically
from simplegpt.run.directory import RunDirectory
from simplegpt.run.events import Record


class CheckpointInfo(Record):
    """The content of a checkpoint's sidecar."""

    step: int
    tokens: int = 0
    """Tokens trained on so far."""
    val_loss: float | None = None
    """Loss of the last validation at or before this step; None before the first."""
    score: float | None = None
    """The monitored loss; None for one that was not validated at its own step."""
    time: float = Field(default_factory=time.time)
    size: int = 0
    """Bytes. Another size on disk means a damaged file."""

    @property
    def own_val_loss(self) -> float | None:
        """The validation loss at exactly this step; None if it was not validated."""
        return self.val_loss if self.score is not None else None


def sidecar(path: Path) -> Path:
    return path.with_name(path.name + ".json")


def read_info(path: Path) -> CheckpointInfo | None:
    """Read a checkpoint's sidecar; None if it is missing or invalid."""
    try:
        return CheckpointInfo.model_validate_json(read_regular(sidecar(path)))
    except (OSError, ValidationError):
        return None


def write_info(path: Path, info: CheckpointInfo) -> None:
    """Write the sidecar of the checkpoint at `path`."""
    info = info.model_copy(update={"size": path.stat().st_size})
    write_atomically(sidecar(path), info.model_dump_json())


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint of a run, for display in a list."""

    path: Path
    info: CheckpointInfo
    is_best: bool
    is_last: bool


def list_checkpoints(run: RunDirectory) -> list[Checkpoint]:
    """Return the run's checkpoints by step, each step once.

    The names of one step are links to one file; best.ckpt and last.ckpt are preferred. Empty if the
    folder cannot be read.
    """
    try:
        paths = sorted(run.checkpoints.glob("*.ckpt"))
    except OSError:
        return []
    names: dict[int, dict[str, Path]] = defaultdict(dict)
    infos: dict[int, CheckpointInfo] = {}
    for path in paths:
        info = read_info(path)
        if info is not None:
            names[info.step][path.name] = path
            infos[info.step] = info
    return [
        Checkpoint(
            path=names[step].get("best.ckpt")
            or names[step].get("last.ckpt")
            or next(iter(names[step].values())),
            info=infos[step],
            is_best="best.ckpt" in names[step],
            is_last="last.ckpt" in names[step],
        )
        for step in sorted(names)
    ]


def newest_checkpoint(run: RunDirectory) -> Path | None:
    """Return last.ckpt, or without it (``save_last = false``) the checkpoint of the latest step.

    None if there is no checkpoint with a readable sidecar.
    """
    if os.path.exists(run.last_checkpoint):
        return run.last_checkpoint
    checkpoints = list_checkpoints(run)
    return checkpoints[-1].path if checkpoints else None


class CheckpointFiles:
    """Names new checkpoints, and deletes those that are no longer among the best."""

    def __init__(self, run: RunDirectory, config: CheckpointingConfig) -> None:
        self.folder = run.checkpoints
        self.config = config

    def exist(self, names: Sequence[str]) -> bool:
        """Whether all these checkpoints are on disk: someone may have removed them."""
        return all((self.folder / name).exists() for name in names)

    def temporary(self) -> Path:
        """Return the path to write to, beside the final names, so that a rename is atomic."""
        return self.folder / ".writing.ckpt"

    def names(self, info: CheckpointInfo, *, is_best: bool, is_last: bool) -> list[str]:
        """Return the names for a checkpoint; empty if it is not kept.

        `is_last`: include last.ckpt even with ``save_last = false``. An existing last.ckpt is
        always kept up to date.
        """
        k, score = self.config.save_top_k, info.score
        names = ["best.ckpt"] if is_best and k != 0 else []
        if score is not None and math.isfinite(score):
            name = f"step-{info.step:06d}.ckpt"
            ranked = [rival.score for path, rival in self._ranked() if path.name != name]
            rivals = sorted(rival for rival in ranked if rival is not None)
            if k < 0 or (k > 1 and (len(rivals) < k or score < rivals[k - 1])):
                names.append(name)
        last = self.folder / "last.ckpt"
        # last in order: when a run can resume from it, the step's other names exist too
        return [*names, last.name] if is_last or self.config.save_last or last.exists() else names

    def keep(self, written: Path, info: CheckpointInfo, names: Sequence[str]) -> list[Path]:
        """Sync the file just written and give it its `names`; return their paths."""
        with written.open("rb") as file:
            os.fsync(file.fileno())
        paths = [self.folder / name for name in names]
        for path in paths:
            # a process killed here leaves a checkpoint without a sidecar, not with a wrong one
            sidecar(path).unlink(missing_ok=True)
            _link(written, path)
            write_info(path, info)
        written.unlink()
        if self.config.save_top_k > 0:
            self._drop_all_but(self.config.save_top_k)
        return paths

    def _ranked(self) -> list[tuple[Path, CheckpointInfo]]:
        infos = [(path, read_info(path)) for path in self.folder.glob("step-*.ckpt")]
        return [(path, info) for path, info in infos if info is not None]

    def _drop_all_but(self, k: int) -> None:
        ranked = sorted(self._ranked(), key=lambda item: (item[1].score or 0.0, item[1].step))
        for path, _ in ranked[k:]:
            path.unlink(missing_ok=True)
            sidecar(path).unlink(missing_ok=True)


def _link(source: Path, target: Path) -> None:
    """Give a file a second name, atomically: one checkpoint, written once."""
    beside = target.with_name(f".{target.name}.new")
    beside.unlink(missing_ok=True)
    try:
        os.link(source, beside)
    except OSError:  # a file system without hard links
        shutil.copyfile(source, beside)
    beside.replace(target)
