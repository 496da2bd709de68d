"""How Lightning writes a checkpoint's file."""

from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO


class DirectCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint straight to its path, which `CheckpointFiles` renames when it is whole.

    Lightning's own makes a copy in memory and one in the temporary folder first, which may be on a
    smaller file system, and where a killed run leaves it.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            torch.save(checkpoint, file)
