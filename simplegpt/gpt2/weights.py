"""Read torch's and safetensors' weight files, without running code from them.

A torch file is a zip archive with a CRC-32 of every tensor, which torch does not verify: a flipped
bit would change a weight silently. `read_torch_file` verifies them.
"""

import json
import pathlib
import pickle
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeGuard

import torch
from safetensors.torch import load_file
from torch import Tensor

from simplegpt.cli import UserError, first_line
from simplegpt.files import check_regular_file

WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")
# The original simpleGPT's checkpoints hold paths; the second name is Python 3.13's.
PATH_TYPES = ("pathlib.PosixPath", "pathlib._local.PosixPath")


def read_torch_file(path: Path, *, keys: Sequence[str] = ()) -> Any:
    """Return the contents of the torch file at `path`, its tensors mapped from it on the CPU.

    Verifies the checksums of the whole file or, with `keys`, only of the tensors under these keys,
    which does not read an optimizer's state. Files of torch before 1.6 have no checksums. Raises
    UserError for a file that is damaged, or that has more than plain data and tensors.
    """
    try:
        check_regular_file(path)
        with path.open("rb") as file:
            is_archive = zipfile.is_zipfile(file)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    try:
        paths = [(pathlib.PurePosixPath, name) for name in PATH_TYPES]
        with torch.serialization.safe_globals(paths):  # type: ignore[arg-type]
            values = torch.load(path, map_location="cpu", weights_only=True, mmap=is_archive)
        damaged = damaged_record(path, values, keys) if is_archive else None
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{path} is not a checkpoint, or has more than plain data and tensors: it was not "
            "opened, because it could run code"
        ) from error
    except MemoryError:
        raise
    except Exception as error:  # a damaged or hostile file can raise any
        raise UserError(f"{path} is not a checkpoint, or is damaged or truncated") from error
    if damaged is not None:
        raise UserError(
            f"{path} is damaged: wrong checksum of {damaged}; restore the file from a copy, or use "
            "another checkpoint"
        )
    return values


def damaged_record(path: Path, values: Any, keys: Sequence[str]) -> str | None:
    """Return the name of the first record or tensor whose checksum differs, or None."""
    with zipfile.ZipFile(path) as archive:
        if not keys:
            return archive.testzip()
        records = archive.infolist()
        for record in records:
            if "/data/" not in record.filename:
                archive.read(record)  # raises BadZipFile
    checksums = {record.CRC for record in records}
    parts = [values.get(key) for key in keys] if isinstance(values, dict) else []
    for part in filter(are_named_tensors, parts):
        for name, tensor in part.items():
            content = torch.empty(0, dtype=torch.uint8).set_(tensor.untyped_storage())
            if zlib.crc32(content.numpy().data) not in checksums:
                return name
    return None


def are_named_tensors(values: object) -> TypeGuard[dict[str, Tensor]]:
    """Whether `values` are a model's weights: ordinary tensors by name."""
    return isinstance(values, dict) and all(
        isinstance(name, str) and isinstance(tensor, Tensor) and tensor.layout == torch.strided
        for name, tensor in values.items()
    )


def read_folder_weights(folder: Path) -> dict[str, Tensor]:
    """Return the tensors of Hugging Face's `folder`, with Hugging Face's names.

    They are in one file, or in those that its index lists; other files are ignored. Raises
    UserError.
    """
    for name in WEIGHT_FILES:
        index = folder / f"{name}.index.json"
        if (folder / name).exists():
            return read_weights(folder / name)
        if index.exists():
            tensors: dict[str, Tensor] = {}
            for file in indexed_files(index):
                tensors |= read_weights(file)
            return tensors
    raise UserError(f"{folder} has no weights: neither {' nor '.join(WEIGHT_FILES)}")


def indexed_files(index: Path) -> list[Path]:
    """Return the weight files beside `index` that it lists. Raises UserError."""
    try:
        check_regular_file(index)
        names = set(json.loads(index.read_bytes())["weight_map"].values())
        if not all(Path(name).name == name for name in names):
            raise ValueError("a file's name contains a folder")
    except (OSError, ValueError, TypeError, LookupError, AttributeError) as error:
        raise UserError(f"cannot read {index}: {error}") from error
    return [index.with_name(name) for name in sorted(names)]


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the tensors of one weight file by name. Raises UserError."""
    if path.suffix == ".safetensors":
        try:
            check_regular_file(path)
            return load_file(path)
        except Exception as error:  # safetensors' own error has no public base
            why = first_line(error)
            raise UserError(f"{path} is damaged or not a weights file: {why}") from error
    tensors = read_torch_file(path)
    if not are_named_tensors(tensors):
        raise UserError(f"{path} is not a weights file: expected tensors by name")
    return tensors


def with_gpt2_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return `tensors` without the prefix ``transformer.``, causal masks and the tied output layer.

    Raises ValueError if the output layer is not the token embedding.
    """
    named = {name.removeprefix("transformer."): tensor for name, tensor in tensors.items()}
    for name in [name for name in named if name.endswith((".attn.bias", ".attn.masked_bias"))]:
        del named[name]  # old files store the mask among the weights
    output, embedding = named.pop("lm_head.weight", None), named.get("wte.weight")
    if output is not None and embedding is not None and not torch.equal(output, embedding):
        raise ValueError("its output layer (lm_head) differs from its token embedding (wte)")
    return named
