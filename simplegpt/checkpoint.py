"""Find and read models by name or path, and initialize a training from their weights.

A checkpoint is a Lightning file: the network's weights under ``state_dict`` (``gpt.…``), the run's
config as plain data under ``hyper_parameters`` (with the model's shape and tokenizer), and under
``simplegpt`` our own data, such as the format's version, the validation loss and the chat template.
Reading one imports no lightning and runs no code from the file.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import BaseModel, ConfigDict, PlainValidator, ValidationError, model_validator
from torch import Tensor

from simplegpt.cli import UserError, invalid_fields, nearest, nearest_path
from simplegpt.config.schema import PRETRAINED_NAMES, ModelConfig, is_tokenizer_file
from simplegpt.data.chat import ChatTemplate
from simplegpt.data.tokenizer import is_same_vocabulary
from simplegpt.gpt2.folder import (
    GPT2_VOCABULARIES,
    load_folder,
    model_config,
    read_config,
    tokenizer_of,
)
from simplegpt.gpt2.hub import find_folder
from simplegpt.gpt2.weights import are_named_tensors, read_torch_file, with_gpt2_names
from simplegpt.model import GPT
from simplegpt.progress import OnProgress, no_progress
from simplegpt.run.checkpoints import CheckpointInfo, read_info, write_info
from simplegpt.run.directory import RunDirectory

NANOGPT_SHAPE = {
    "n_vocab": "vocab_size",
    "n_ctx": "block_size",
    "n_embd": "n_embd",
    "n_head": "n_head",
    "n_layer": "n_layer",
    "bias": "bias",
}
SUFFIXES = (".ckpt", ".pt", ".pth", ".bin", ".safetensors")


@dataclass(frozen=True)
class LoadedModel:
    """A model ready for inference."""

    gpt: GPT
    """In eval mode."""
    tokenizer_name: str | None
    """None if no known tokenizer has its vocabulary."""
    source: Path
    """The checkpoint or folder that it was read from."""
    step: int | None = None
    """Optimizer steps it was trained for, if known."""
    val_loss: float | None = None
    """Its validation loss, if known."""
    chat_template: ChatTemplate | None = None
    """The template of the dialogues that it was trained on, if any."""

    @property
    def config(self) -> ModelConfig:
        """The network's shape."""
        return self.gpt.config


def check_tensors(values: object) -> dict[str, Tensor]:
    """Return `values` if they are tensors by name. Raises ValueError, for pydantic."""
    if not are_named_tensors(values):
        raise ValueError("expected tensors by name")
    return values


class HyperParameters(BaseModel):
    """The parts of a run's config that are read."""

    model: ModelConfig
    tokenizer_name: str | None = None

    @model_validator(mode="before")
    @classmethod
    def add_activation(cls, values: Any) -> Any:
        """Add the exact GELU where the original simpleGPT and nanoGPT have no such setting."""
        model = values.get("model", {}) if isinstance(values, dict) else None
        if not isinstance(model, dict):
            return values
        return {**values, "model": {"activation": "gelu"} | model}


class Metrics(BaseModel):
    """The parts of a training's state (`simplegpt.train.state`) and data that are read."""

    tokens: int = 0
    val_loss: float | None = None
    score: float | None = None
    chat_template: ChatTemplate | None = None


class Contents(BaseModel):
    """The parts of a checkpoint that are read; its other keys are for resuming."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    state_dict: Annotated[dict[str, Tensor], PlainValidator(check_tensors)]
    hyper_parameters: HyperParameters
    global_step: int | None = None
    simplegpt: Metrics = Metrics()


def load_model(
    name_or_path: str,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    progress: OnProgress = no_progress,
) -> LoadedModel:
    """Load the model `name_or_path` onto `device`, with weights of `dtype`.

    It is a checkpoint, a run's directory (its last checkpoint), a folder of a GPT-2 in Hugging
    Face's format, or the name of one on the hub. `progress` is called with the completed fraction
    and the current activity. Raises UserError if there is no such model or it cannot be read.
    """
    path = find_model(name_or_path, progress)
    progress(0.05, f"reading {path}")
    if path.is_dir():
        pretrained = load_folder(path, progress)
        loaded = LoadedModel(
            pretrained.gpt,
            pretrained.tokenizer_name,
            path,
            chat_template=pretrained.chat_template,
        )
    else:
        loaded = from_checkpoint(read_checkpoint(path), path)
    progress(0.8, f"moving the weights to {device}")
    loaded.gpt.to(device=device, dtype=dtype)
    return loaded


@torch.no_grad()
def load_initial_weights(gpt: GPT, name_or_path: str, tokenizer_name: str | None = None) -> None:
    """Initialize `gpt` with the weights of the model `name_or_path` (``init_from``).

    A shorter context takes the first positions. The additional token IDs of a larger vocabulary get
    the mean of the model's token embeddings: near zero they would be more likely than most of its
    tokens. Raises UserError listing every other difference in shape, and if the model's tokenizer
    is known and differs from `tokenizer_name`.
    """
    loaded = load_model(name_or_path)
    check_fit(gpt.config, tokenizer_name, loaded.config, loaded.tokenizer_name, name_or_path)
    weights = loaded.gpt.state_dict()
    for name, target in gpt.state_dict().items():
        rows = min(len(target), len(weights[name]))
        target[:rows] = weights[name][:rows]
        if name == "wte.weight":
            target[rows:] = target[:rows].mean(dim=0)


def check_fit(
    own: ModelConfig,
    tokenizer_name: str | None,
    other: ModelConfig,
    theirs: str | None,
    name_or_path: str,
) -> None:
    """Raise UserError if a model with the shape `other` and the tokenizer `theirs` does not fit.

    `own` is the shape in the config, `tokenizer_name` None if any tokenizer is allowed.
    """
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
    if tokenizer_name and theirs and not is_same_vocabulary(tokenizer_name, theirs):
        problems.append(
            f'tokenizer_name ("{tokenizer_name}") must be "{theirs}", the tokenizer of '
            f"{name_or_path}, or set init_from_other_tokenizer = true"
        )
    if problems:
        raise UserError("init_from does not fit the config:", *problems)


def initial_values(name_or_path: str) -> dict[str, Any]:
    """Return the settings that fit the model `name_or_path`, by dotted key: shape and tokenizer.

    Raises UserError if there is no such model or it cannot be read.
    """
    path = find_model(name_or_path)
    if path.is_dir():
        values = read_config(path)
        shape = model_config(values, path / "config.json")
        tokenizer_name = tokenizer_of(path, values, shape)
    else:
        loaded = from_checkpoint(read_checkpoint(path), path)
        shape, tokenizer_name = loaded.config, loaded.tokenizer_name
    found = {f"model.{name}": value for name, value in shape.model_dump().items()}
    return found if tokenizer_name is None else {**found, "tokenizer_name": tokenizer_name}


def find_model(name_or_path: str, progress: OnProgress = no_progress) -> Path:
    """Return the checkpoint or the Hugging Face folder that `name_or_path` names.

    A hub name is downloaded, unless a file or folder has that name. Raises UserError.
    """
    path = Path(os.path.expanduser(name_or_path))
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
        if found := [*place.glob("[!.]*.ckpt"), *place.glob("ckpt.pt")]:
            return max(found, key=lambda file: file.stat().st_mtime)
    runs = sorted(child.name for child in folder.iterdir() if (child / "ckpts").is_dir())
    hint = f"; it contains runs: {', '.join(runs[:5])}" if runs else ""
    raise UserError(
        f"no model in {folder}: expected a checkpoint (ckpts/last.ckpt), or config.json and "
        f"weights{hint}"
    )


def newest_whole_checkpoint(folder: Path) -> tuple[Path, list[str]]:
    """Return the newest intact checkpoint in `folder`, and the errors of the newer ones.

    Raises UserError if there is none.
    """
    write_missing_sidecars(folder)
    errors = []
    for path in sorted(folder.glob("[!.]*.ckpt"), key=age):
        try:
            read_checkpoint(path, whole=True)
        except UserError as error:
            errors.append(str(error))
        else:
            return path, errors
    raise UserError(*(errors or [f"no checkpoint in {folder}"]))


def write_missing_sidecars(folder: Path) -> None:
    """Write the sidecars of checkpoints whose process was killed before writing them."""
    for path in folder.glob("[!.]*.ckpt"):
        if read_info(path) is not None:
            continue
        try:
            contents = read_checkpoint(path)
        except UserError:  # damaged
            continue
        state = contents.simplegpt
        info = CheckpointInfo(
            step=contents.global_step or 0,
            tokens=state.tokens,
            val_loss=state.val_loss,
            score=state.score,
        )
        write_info(path, info)


def age(path: Path) -> tuple[int, float]:
    """Sort key: checkpoints by step, newest first; those without a sidecar come last, by time."""
    info = read_info(path)
    return -info.step if info else 1, -path.stat().st_mtime


def read_checkpoint(path: Path, *, whole: bool = False) -> Contents:
    """Read the contents of the checkpoint at `path`, its tensors mapped from the file on the CPU.

    Verifies the checksums of the weights, and with `whole` of the whole file. Raises UserError.
    """
    values = read_torch_file(path, keys=() if whole else ("state_dict", "model"))
    if isinstance(values, dict) and {"model", "model_args"} <= values.keys():
        values = from_nanogpt(values)
    try:
        return Contents.model_validate(values)
    except ValidationError as error:
        raise UserError(f"{path} is not a run's checkpoint: {invalid_fields(error)}") from error


def from_nanogpt(values: Mapping[str, Any]) -> dict[str, Any]:
    """Convert the contents of nanoGPT's ``ckpt.pt``.

    They name no tokenizer: a vocabulary of GPT-2's size is taken as GPT-2's, others are unknown.
    """
    given, val_loss = values["model_args"], values.get("best_val_loss")
    given = given if isinstance(given, dict) else {}
    is_gpt2 = given.get("vocab_size") in GPT2_VOCABULARIES
    return {
        "state_dict": values["model"],
        "hyper_parameters": {
            "model": {own: given[name] for own, name in NANOGPT_SHAPE.items() if name in given},
            "tokenizer_name": "gpt2" if is_gpt2 else None,
        },
        "global_step": values.get("iter_num"),
        "simplegpt": {"val_loss": val_loss.item() if isinstance(val_loss, Tensor) else val_loss},
    }


def from_checkpoint(contents: Contents, path: Path) -> LoadedModel:
    """Build the model from the contents of the checkpoint at `path`.

    Raises UserError if they are inconsistent.
    """
    hyper_parameters = contents.hyper_parameters
    try:
        gpt = GPT.from_state_dict(hyper_parameters.model, network_state(contents.state_dict))
    except ValueError as error:
        raise UserError(f"{path}: weights and config do not match: {error}") from error
    info = read_info(path)
    val_loss = contents.simplegpt.val_loss if info is None else info.own_val_loss
    tokenizer = hyper_parameters.tokenizer_name
    if tokenizer and is_tokenizer_file(tokenizer) and not Path(tokenizer).exists():
        tokenizer = str(RunDirectory(path.parent.parent).tokenizer)
    template = contents.simplegpt.chat_template
    return LoadedModel(gpt, tokenizer, path, contents.global_step, val_loss, template)


def network_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the network's tensors of a LightningModule's `state`, copied from the mapped file.

    Removes the prefixes of the module (``gpt.``) and of a compiled network (``_orig_mod.``), and
    nanoGPT's additional tensors. Raises ValueError if the output layer is not the token embedding.
    """
    own = {
        name.removeprefix("_orig_mod.").removeprefix("gpt.").removeprefix("_orig_mod."): tensor
        for name, tensor in state.items()
    }
    return {name: tensor.clone() for name, tensor in with_gpt2_names(own).items()}
