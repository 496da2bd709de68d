"""Lightning's plugin for writing and reading checkpoint files, on all ranks of a run."""

import zipfile
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

from simplegpt.gpt2.weights import read_torch_file
from simplegpt.train.ranks import gather, send_tensors


class DirectCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint directly to its path, which `CheckpointFiles` renames once complete.

    Lightning's own first makes copies in memory and in the temporary folder, which may be on a
    smaller file system, and where a killed run leaves them. An error does not raise, since the
    other ranks wait in a barrier for the end of the save: it is in `error`.
    """

    def __init__(self) -> None:
        self.error: Exception | None = None
        """Why the last checkpoint was not written."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        path, self.error = Path(path), None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                writer = _Writer(file)
                try:
                    torch.save(checkpoint, writer)  # type: ignore[arg-type] # it only writes
                except RuntimeError as error:
                    # "unexpected pos …": torch's writer hides what the file said
                    raise writer.error or error from None
        except (OSError, RuntimeError) as error:
            self.error = error

    def load_checkpoint(
        self, path: str | Path, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Return the contents of rank 0's checkpoint.

        Its tensors are mapped from the file, which ranks of one machine share in memory. A rank
        that does not have the same file gets them from rank 0.
        """
        path = Path(path)
        marks = gather(_fingerprint(path))
        without = [rank for rank, mark in enumerate(marks) if mark != marks[0]]
        contents: dict[str, Any] | None = None
        if marks[0] is None or marks[0] == _fingerprint(path):
            contents = read_torch_file(path, keys=("hyper_parameters",))  # verified by rank 0
        if without:
            contents = send_tensors(contents, without)
        assert contents is not None
        return contents


class _Writer:
    """A file to write to that remembers the error of a write."""

    def __init__(self, file: Any) -> None:
        self.file = file
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        try:
            n: int = self.file.write(data)
        except OSError as error:
            self.error = error
            raise
        return n

    def flush(self) -> None:
        self.file.flush()


def _fingerprint(path: Path) -> list[tuple[str, int]] | None:
    """Return the names and checksums of a checkpoint's parts, without reading them; or None."""
    try:
        with zipfile.ZipFile(path) as archive:
            return [(record.filename, record.CRC) for record in archive.infolist()]
    except (OSError, zipfile.BadZipFile):
        return None
