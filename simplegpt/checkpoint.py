"""Models on disk: find one by name or path, read it, start a training from its weights.

A checkpoint is a Lightning file: the network's weights under ``state_dict`` (``gpt.…``), the run's
config as plain data under ``hyper_parameters`` (it includes the model's shape and tokenizer), and
under ``simplegpt`` what Lightning has no place for: the format's version and the validation loss.
Reading one imports no lightning and runs no code from the file.
"""

import difflib
import os
import pathlib
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from simplegpt.cli import UserError, nearest
from simplegpt.config.schema import PRETRAINED_NAMES, ModelConfig
from simplegpt.gpt2.folder import load_folder
from simplegpt.gpt2.hub import find_folder
from simplegpt.model import GPT
from simplegpt.progress import OnProgress, no_progress

SUFFIXES = (".ckpt", ".pt", ".pth", ".bin", ".safetensors")
# The original simpleGPT's hyper-parameters hold paths; the second name is Python 3.13's.
PATH_TYPES = ("pathlib.PosixPath", "pathlib._local.PosixPath")


@dataclass(frozen=True)
class LoadedModel:
    """A model ready for inference."""

    gpt: GPT
    """In eval mode."""
    tokenizer_name: str | None
    """None: no known tokenizer has its vocabulary."""
    source: Path
    """The checkpoint or folder that it was read from."""
    step: int | None = None
    """Optimizer steps it was trained for, if known."""
    val_loss: float | None = None
    """Its validation loss, if known."""

    @property
    def config(self) -> ModelConfig:
        """The network's shape."""
        return self.gpt.config


def load_model(
    name_or_path: str,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    progress: OnProgress = no_progress,
) -> LoadedModel:
    """Load the model `name_or_path` onto `device`, with weights of `dtype`.

    It is a checkpoint, a run's directory (its last checkpoint), a folder of a GPT-2 in Hugging
    Face's format, or the name of one on the hub. `progress` is called with the share that is done
    and the current activity. Raises UserError if there is no such model or it cannot be read.
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


@torch.no_grad()
def load_initial_weights(gpt: GPT, name_or_path: str) -> None:
    """Start `gpt` from the weights of the model `name_or_path` (``init_from``).

    A shorter context takes the first positions, a larger vocabulary keeps `gpt`'s own rows for the
    additional ids. Raises UserError listing every other difference in shape.
    """
    source = load_model(name_or_path).gpt
    own, other = gpt.config, source.config
    problems = [
        f"model.{name}: {name_or_path} has {getattr(other, name)!r}, "
        f"the config {getattr(own, name)!r}"
        for name in ("n_embd", "n_head", "n_layer", "bias", "activation")
        if getattr(other, name) != getattr(own, name)
    ]
    if own.n_ctx > other.n_ctx:
        problems.append(f"model.n_ctx ({own.n_ctx}) must be ≤ {other.n_ctx}")
    if own.n_vocab < other.n_vocab:
        problems.append(f"model.n_vocab ({own.n_vocab}) must be ≥ {other.n_vocab}")
    if problems:
        raise UserError("init_from does not fit [model]:", *problems)
    weights = source.state_dict()
    for name, target in gpt.state_dict().items():
        rows = min(len(target), len(weights[name]))
        target[:rows] = weights[name][:rows]


def find_model(name_or_path: str, progress: OnProgress = no_progress) -> Path:
    """Return the checkpoint or the Hugging Face folder that `name_or_path` names.

    A hub name is downloaded, unless a file or folder has that name. Raises UserError.
    """
    path = Path(os.path.expanduser(name_or_path))  # noqa: PTH111 - Path's own raises for no home
    if path.is_dir():
        return path if (path / "config.json").exists() else find_checkpoint(path)
    if path.exists():
        return path
    is_name = name_or_path.count("/") <= 1 and not name_or_path.startswith(("/", ".", "~"))
    is_in_folder = "/" in name_or_path and path.parent.exists()
    if not name_or_path or not is_name or is_in_folder or path.suffix in SUFFIXES:
        raise UserError(f"no model at '{name_or_path}'{nearest_path(path)}")
    try:
        return find_folder(name_or_path, progress)
    except UserError as error:
        if name_or_path in PRETRAINED_NAMES:
            raise
        hint = nearest(name_or_path, PRETRAINED_NAMES) or nearest_path(path)
        raise UserError(f"no file or folder '{name_or_path}', and {error}{hint}") from error


def find_checkpoint(folder: Path) -> Path:
    """Return the checkpoint of a run's directory (or of its ``ckpts``): the last, else the newest.

    Raises UserError if it has none.
    """
    for place in (folder / "ckpts", folder):
        if (place / "last.ckpt").is_file():
            return place / "last.ckpt"
        found = sorted(place.glob("*.ckpt"), key=lambda file: file.stat().st_mtime)
        if found:
            return found[-1]
    runs = sorted(child.name for child in folder.iterdir() if (child / "ckpts").is_dir())
    hint = f"; it contains runs: {', '.join(runs[:5])}" if runs else ""
    raise UserError(
        f"no model in {folder}: expected a checkpoint (ckpts/last.ckpt), or config.json and "
        f"weights{hint}"
    )


def nearest_path(path: Path) -> str:
    """``"; did you mean 'x'?"`` for the existing path nearest to `path`, or ``""``."""
    while not path.parent.exists():
        path = path.parent
    try:
        names = [entry.name for entry in path.parent.iterdir()]
    except OSError:
        return ""
    matches = difflib.get_close_matches(path.name, names, n=1)
    return f"; did you mean '{path.parent / matches[0]}'?" if matches else ""


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read the contents of the checkpoint at `path`, its tensors mapped from the file on the CPU.

    Only plain data and tensors are read: a file that would run code is refused. Raises UserError.
    """
    try:
        paths = [(pathlib.PurePosixPath, name) for name in PATH_TYPES]
        with torch.serialization.safe_globals(paths):  # type: ignore[arg-type]
            values = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{path} is not a checkpoint, or has more than plain data and tensors: it could run "
            "code and was not opened"
        ) from error
    except PermissionError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except (OSError, RuntimeError, EOFError, ValueError, LookupError, AttributeError) as error:
        raise UserError(f"{path} is not a checkpoint, or is damaged or truncated") from error
    keys = ("state_dict", "hyper_parameters")
    if not isinstance(values, dict) or not all(isinstance(values.get(key), dict) for key in keys):
        raise UserError(f"{path} is not a run's checkpoint: expected {' and '.join(keys)}")
    return values


def from_checkpoint(values: Mapping[str, Any], path: Path) -> LoadedModel:
    """Build the model from the contents of the checkpoint at `path`.

    Raises UserError if they are inconsistent.
    """
    hyper_parameters = values["hyper_parameters"]
    try:
        # The original simpleGPT has no such setting, and always the exact GELU.
        shape = {"activation": "gelu"} | dict(hyper_parameters.get("model") or {})
        config = ModelConfig.model_validate(shape)
        gpt = GPT.from_state_dict(config, network_state(values["state_dict"]))
    except ValidationError as error:
        problems = [f"model.{item['loc'][0]}: {item['msg']}" for item in error.errors()[:3]]
        raise UserError(f"{path} is not a GPT's checkpoint: {', '.join(problems)}") from error
    except ValueError as error:
        raise UserError(f"{path}: weights and config do not match: {error}") from error
    return LoadedModel(
        gpt,
        tokenizer_name=hyper_parameters.get("tokenizer_name"),
        source=path,
        step=values.get("global_step"),
        val_loss=(values.get("simplegpt") or {}).get("val_loss"),
    )


def network_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the network's tensors of a LightningModule's `state`, copied from the mapped file.

    Removes the prefixes of the module (``gpt.``) and of a compiled network (``_orig_mod.``).
    """
    named = {}
    for name, tensor in state.items():
        name = name.removeprefix("_orig_mod.").removeprefix("gpt.").removeprefix("_orig_mod.")
        named[name] = tensor.clone()
    return named
