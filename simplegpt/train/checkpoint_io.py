"""Lightning's plugin for writing checkpoint files."""

from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO


class DirectCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint directly to its path, which `CheckpointFiles` renames once complete.

    Lightning's own first makes copies in memory and in the temporary folder, which may be on a
    smaller file system, and where a killed run leaves them.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            torch.save(checkpoint, file)
