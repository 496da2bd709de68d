"""Checkpoints: what they hold, where they are, and a model out of one.

A checkpoint is a Lightning file: the network's weights under ``state_dict`` (``gpt.…``), the run's
config as plain data under ``hyper_parameters`` (its shape and tokenizer travel inside), and under
``simplegpt`` what Lightning does not keep: the format's version and the validation loss. Reading
one imports no lightning and runs no code from the file.
"""

import os
import pathlib
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from simplegpt.cli import UserError, nearest
from simplegpt.config.schema import PRETRAINED_NAMES, ModelConfig
from simplegpt.gpt2 import find_folder, load_folder
from simplegpt.model import GPT

Progress = Callable[[float, str], None]
SUFFIXES = (".ckpt", ".pt", ".pth", ".bin", ".safetensors")


@dataclass(frozen=True)
class LoadedModel:
    """A model that is ready to speak."""

    gpt: GPT
    """In eval mode."""
    tokenizer_name: str | None
    """None: no tokenizer fits the vocabulary."""
    source: Path
    """The checkpoint or folder that it was read from."""
    step: int | None = None
    """Optimizer steps it was trained for, where known."""
    val_loss: float | None = None
    """Its validation loss, where known."""

    @property
    def config(self) -> ModelConfig:
        """The network's shape."""
        return self.gpt.config


def load_model(
    name_or_path: str,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    progress: Progress = lambda share, message: None,
) -> LoadedModel:
    """The model at `name_or_path`, on `device` and with weights of `dtype`.

    That is a checkpoint, a run's directory (its last checkpoint), a folder of Hugging Face's
    GPT-2, or the name of one on the hub. Raises UserError where there is none that can be read.
    `progress` is called with the share that is done and what is being done.
    """
    path = find_model(name_or_path, progress)
    progress(0.05, f"reading {path}")
    if path.is_dir():
        pretrained = load_folder(path, progress)
        loaded = LoadedModel(pretrained.gpt, pretrained.tokenizer_name, path)
    else:
        loaded = from_checkpoint(read_checkpoint(path), path)
    progress(0.8, f"moving the weights to {device}")
    loaded.gpt.to(device=device, dtype=dtype)
    return loaded


def find_model(name_or_path: str, progress: Progress = lambda share, message: None) -> Path:
    """The checkpoint, or the folder of Hugging Face's, that `name_or_path` means.

    A hub name is downloaded, unless a file or folder has that name. Raises UserError.
    """
    path = Path(os.path.expanduser(name_or_path))  # noqa: PTH111 - Path's own raises for no home
    if path.is_dir():
        if (path / "config.json").exists():
            return path
        return find_checkpoint(path)
    if path.exists():
        return path
    is_name = name_or_path.count("/") <= 1 and not name_or_path.startswith(("/", ".", "~"))
    known_folder = "/" in name_or_path and path.parent.exists()
    if not name_or_path or not is_name or known_folder or path.suffix in SUFFIXES:
        raise UserError(f"there is no model at '{name_or_path}'{nearest_path(path)}")
    try:
        return find_folder(name_or_path, progress)
    except UserError as error:
        if name_or_path in PRETRAINED_NAMES:
            raise
        near = nearest(name_or_path, PRETRAINED_NAMES) or nearest_path(path)
        message = f"there is no file or folder '{name_or_path}', and {error}{near}"
        raise UserError(message) from error


def find_checkpoint(folder: Path) -> Path:
    """The checkpoint of a run's directory (or its ``ckpts``): the last, else the newest.

    Raises UserError where it has none.
    """
    for place in (folder / "ckpts", folder):
        if (place / "last.ckpt").is_file():
            return place / "last.ckpt"
        found = sorted(place.glob("*.ckpt"), key=lambda file: file.stat().st_mtime)
        if found:
            return found[-1]
    below = sorted(child.name for child in folder.iterdir() if (child / "ckpts").is_dir())
    hint = f"; there are runs in it: {', '.join(below[:5])}" if below else ""
    raise UserError(
        f"there is no model in {folder}: neither a checkpoint (ckpts/last.ckpt) nor a config.json "
        f"with weights{hint}"
    )


def nearest_path(path: Path) -> str:
    """What is there with the name nearest to the first part of `path` that is not: a hint."""
    missing = path
    while not missing.parent.exists():
        missing = missing.parent
    try:
        names = [entry.name for entry in missing.parent.iterdir()]
    except OSError:
        return ""
    near = nearest(missing.name, names)
    if not near:
        return ""
    name = near.removeprefix("; did you mean '").removesuffix("'?")
    return f"; did you mean '{missing.parent / name}'?"


def read_checkpoint(path: Path) -> dict[str, Any]:
    """All that the checkpoint at `path` holds, its tensors on the CPU and mapped from the file.

    Only plain data and tensors are read: a file that would run code is refused. Raises UserError.
    """
    try:
        # The original simpleGPT's hyper-parameters hold paths: strings in another coat.
        paths = [(pathlib.PurePosixPath, name) for name in PATH_TYPES]
        with torch.serialization.safe_globals(paths):  # type: ignore[arg-type]
            values = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{path} is no checkpoint, or holds more than plain data and tensors: it is not "
            "opened, since that could run code"
        ) from error
    except PermissionError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    except (OSError, RuntimeError, EOFError, ValueError, LookupError, AttributeError) as error:
        raise UserError(f"{path} is no checkpoint, or is damaged or cut short") from error
    keys = ("state_dict", "hyper_parameters")
    if not isinstance(values, dict) or not all(isinstance(values.get(key), dict) for key in keys):
        raise UserError(f"{path} is no checkpoint of a run: it has no {' and '.join(keys)}")
    return values


PATH_TYPES = ("pathlib.PosixPath", "pathlib._local.PosixPath")  # the latter since Python 3.13


def from_checkpoint(values: Mapping[str, Any], path: Path) -> LoadedModel:
    """The model of what `read_checkpoint` gave. Raises UserError where it does not fit together."""
    hyper_parameters, state = values["hyper_parameters"], values["state_dict"]
    own = values.get("simplegpt") or {}
    try:
        # Before there was a choice, the activation was the exact GELU.
        shape = {"activation": "gelu"} | dict(hyper_parameters.get("model") or {})
        gpt = GPT.from_state_dict(ModelConfig.model_validate(shape), network_state(state))
    except ValidationError as error:
        wrong = ", ".join(f"model.{item['loc'][0]}: {item['msg']}" for item in error.errors()[:3])
        raise UserError(f"{path} is no checkpoint of a GPT ({wrong})") from error
    except ValueError as error:
        raise UserError(f"{path} does not hold the network that it describes: {error}") from error
    tokenizer_name = hyper_parameters.get("tokenizer_name")
    return LoadedModel(gpt, tokenizer_name, path, values.get("global_step"), own.get("val_loss"))


def network_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The network's tensors of a LightningModule's `state`, copied out of the mapped file.

    Drops the prefixes of the module (``gpt.``) and of a compiled network (``_orig_mod.``).
    """
    named = {}
    for name, tensor in state.items():
        name = name.removeprefix("_orig_mod.").removeprefix("gpt.").removeprefix("_orig_mod.")
        named[name] = tensor.clone()
    return named
