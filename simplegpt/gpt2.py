"""Weights from and to Hugging Face's GPT-2, without transformers.

`load_folder` reads a folder with ``config.json`` and its weights (safetensors, or a ``.bin`` that
holds plain tensors), `find_folder` gets a hub's model as such a folder, and

    python -m simplegpt.gpt2 export CHECKPOINT FOLDER

writes one, which transformers' ``GPT2LMHeadModel`` loads with the same logits.
"""

import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from simplegpt.cli import UserError, run_command
from simplegpt.config.schema import ModelConfig
from simplegpt.data.tokenizer import byte_alphabet, load_tokenizer
from simplegpt.model import GPT

Progress = Callable[[float, str], None]

# GPT-2's vocabulary, and the same rounded up to a multiple of 128.
GPT2_VOCABULARIES = range(50_257, 50_304 + 1)
ACTIVATIONS = {"gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh", "gelu": "gelu"}
WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")
# OpenAI's Conv1D keeps these as [in, out], which nn.Linear keeps as [out, in].
TRANSPOSED = ("attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")
# What GPT-2 does where config.json does not say otherwise: all that our model does.
ONLY = {
    "n_inner": (None,),
    "layer_norm_epsilon": (1e-5,),
    "scale_attn_weights": (True,),
    "scale_attn_by_inverse_layer_idx": (False,),
    "add_cross_attention": (False,),
    "tie_word_embeddings": (True,),
}


@dataclass(frozen=True)
class Pretrained:
    """A GPT-2 of Hugging Face's, in fp32 on the CPU."""

    gpt: GPT
    tokenizer_name: str | None
    """None where the vocabulary is neither GPT-2's nor named in config.json."""


def load_pretrained(name_or_path: str) -> GPT:
    """The GPT-2 in a local folder or of a hub name (downloaded once). Raises UserError."""
    folder = Path(os.path.expanduser(name_or_path))  # noqa: PTH111 - Path's own raises for no home
    return load_folder(folder if folder.is_dir() else find_folder(name_or_path)).gpt


def load_folder(folder: Path, progress: Progress = lambda share, message: None) -> Pretrained:
    """The GPT-2 in `folder`. Raises UserError where names, shapes or settings are not GPT-2's."""
    values = read_config(folder)
    config = model_config(values, folder / "config.json")
    progress(0.1, "reading the weights")
    tensors = read_weights(folder)
    progress(0.7, "checking names and shapes")
    try:
        gpt = GPT.from_state_dict(config, ours_from_theirs(tensors))
    except ValueError as error:
        raise UserError(f"{folder} holds no GPT-2: {error}") from error
    return Pretrained(gpt, tokenizer_of(folder, values, config))


def export_folder(gpt: GPT, folder: Path, tokenizer_name: str | None) -> None:
    """Write `gpt` as a folder of Hugging Face's, which must be new or empty.

    A model without biases gets biases of zero. The tokenizer's name travels in config.json, which
    is written last: without it the folder is no model. Raises UserError where it cannot be written.
    """
    tensors = {f"transformer.{name}": tensor for name, tensor in theirs_from_ours(gpt).items()}
    weights = folder / "model.safetensors"
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UserError(f"{folder} exists already: name a new or empty folder")
        folder.mkdir(parents=True, exist_ok=True)
        save_file(tensors, weights, metadata={"format": "pt"})
        values = their_config(gpt.config, tokenizer_name)
        (folder / "config.json").write_text(json.dumps(values, indent=2) + "\n")
    except (OSError, SafetensorError) as error:
        with suppress(OSError):
            weights.unlink(missing_ok=True)
        raise UserError(f"{folder} cannot be written: {error}") from error


def their_config(config: ModelConfig, tokenizer_name: str | None) -> dict[str, Any]:
    """What config.json says of a model of the shape `config`."""
    end = None if tokenizer_name is None else load_tokenizer(tokenizer_name).end_of_text
    return {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "activation_function": "gelu_new" if config.activation == "gelu_tanh" else "gelu",
        "vocab_size": config.n_vocab,
        "n_positions": config.n_ctx,
        "n_ctx": config.n_ctx,
        "n_embd": config.n_embd,
        "n_head": config.n_head,
        "n_layer": config.n_layer,
        "layer_norm_epsilon": 1e-5,
        "resid_pdrop": 0.0,
        "embd_pdrop": 0.0,
        "attn_pdrop": 0.0,
        "tie_word_embeddings": True,
        "dtype": "float32",
        "bos_token_id": end,
        "eos_token_id": end,
        "simplegpt_tokenizer": tokenizer_name,
    }


def read_config(folder: Path) -> dict[str, Any]:
    """`folder`'s config.json. Raises UserError."""
    path = folder / "config.json"
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{folder} holds no model: there is no config.json in it") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    if not isinstance(values, dict) or values.get("model_type") != "gpt2":
        kind = values.get("model_type") if isinstance(values, dict) else None
        raise UserError(f"{path} describes a model of type {kind!r}; only 'gpt2' is supported")
    return values


def model_config(values: Mapping[str, Any], path: Path) -> ModelConfig:
    """The shape that config.json's `values` describe. Raises UserError."""
    activation = values.get("activation_function", "gelu_new")
    problems = [
        f"{key} is {values[key]!r}, and only {allowed[0]!r} is supported"
        for key, allowed in ONLY.items()
        if key in values
        and values[key] not in allowed
        and not (key == "n_inner" and values[key] == 4 * values.get("n_embd", 768))
    ]
    if activation not in ACTIVATIONS:
        problems.append(f"activation_function is {activation!r}, not one of {list(ACTIVATIONS)}")
    if problems:
        raise UserError(f"{path}: " + "; ".join(problems))
    keys = {"n_vocab": "vocab_size", "n_ctx": "n_positions", "n_embd": "n_embd"}
    keys |= {"n_head": "n_head", "n_layer": "n_layer"}
    shape = {ours: values[theirs] for ours, theirs in keys.items() if theirs in values}
    try:
        return ModelConfig(**shape, activation=ACTIVATIONS[activation])
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(f"{path}: {keys[str(first['loc'][0])]}: {first['msg']}") from error


def read_weights(folder: Path) -> dict[str, Tensor]:
    """All tensors of `folder`, under their names there. Runs no code from its files."""
    files = sorted(folder.glob("model*.safetensors")) or sorted(folder.glob("pytorch_model*.bin"))
    if not files:
        raise UserError(f"{folder} has no weights: neither model.safetensors nor pytorch_model.bin")
    tensors: dict[str, Tensor] = {}
    for file in files:
        try:
            if file.suffix == ".safetensors":
                tensors |= load_file(file)
            else:
                tensors |= torch.load(file, map_location="cpu", weights_only=True, mmap=True)
        except (SafetensorError, OSError, RuntimeError, ValueError, EOFError) as error:
            reason = str(error).splitlines()[0]
            raise UserError(f"{file} is damaged or holds no weights: {reason}") from error
    return tensors


def ours_from_theirs(theirs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Their tensors under our names and orientation, fp32 copies.

    Raises ValueError where the output layer is not the token embedding.
    """
    ours = {}
    for name, tensor in theirs.items():
        name = name.removeprefix("transformer.")
        if name.endswith((".attn.bias", ".attn.masked_bias")):
            continue  # the causal mask, which old files keep as if it were a weight
        if name.endswith(TRANSPOSED) and tensor.dim() == 2:
            tensor = tensor.T
        ours[name] = torch.empty(tensor.shape, dtype=torch.float32).copy_(tensor)
    output = ours.pop("lm_head.weight", None)
    if output is not None and "wte.weight" in ours and not torch.equal(output, ours["wte.weight"]):
        raise ValueError("its output layer (lm_head) is not its token embedding (wte)")
    return ours


def theirs_from_ours(gpt: GPT) -> dict[str, Tensor]:
    """Our tensors in their orientation, fp32 on the CPU, with biases."""
    theirs = {}
    for name, tensor in gpt.state_dict().items():
        tensor = tensor.detach().float().cpu()
        theirs[name] = (tensor.T if name.endswith(TRANSPOSED) else tensor).contiguous()
    with torch.device("meta"):
        full = GPT(gpt.config.model_copy(update={"bias": True})).state_dict()
    return {
        name: theirs[name] if name in theirs else torch.zeros(tensor.shape)
        for name, tensor in full.items()
    }


def tokenizer_of(folder: Path, values: Mapping[str, Any], config: ModelConfig) -> str | None:
    """The tokenizer of the model in `folder`, or None.

    It is the one named in config.json (by our export), else GPT-2's where the size fits and the
    folder brings no other vocabulary.
    """
    named = values.get("simplegpt_tokenizer")
    if isinstance(named, str):
        return named
    if config.n_vocab not in GPT2_VOCABULARIES:
        return None
    vocabulary = folder / "vocab.json"
    return "gpt2" if not vocabulary.exists() or is_gpt2s_vocabulary(vocabulary) else None


def is_gpt2s_vocabulary(path: Path) -> bool:
    """Whether a vocab.json has GPT-2's ids: a model of another language may have its size."""
    try:
        ids = json.loads(path.read_text(encoding="utf-8"))
        tokenizer = load_tokenizer("gpt2")
        character = {byte: name for name, byte in byte_alphabet().items()}
        return all(
            ids.get("".join(character[byte] for byte in tokenizer.decode_bytes([token]))) == token
            for token in range(50_256)
        )
    except (OSError, ValueError, AttributeError):
        return False


def find_folder(name: str, progress: Progress = lambda share, message: None) -> Path:
    """The local folder of a hub's model `name`, downloaded where it is not there yet.

    Raises UserError where the hub has no such GPT-2 or cannot be reached.
    """
    from huggingface_hub.errors import (
        EntryNotFoundError,
        HFValidationError,
        RepositoryNotFoundError,
    )

    try:
        try:
            return fetch(name, progress, local_files_only=True)
        except EntryNotFoundError:
            reach_hub()
            return fetch(name, progress)
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise UserError(f"Hugging Face's hub has no model '{name}'") from error
    except EntryNotFoundError as error:
        files = " or ".join(WEIGHT_FILES)
        raise UserError(f"'{name}' on Hugging Face's hub lacks config.json, or {files}") from error
    except Exception as error:  # the hub's library has changed its HTTP client, and so its errors
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"'{name}' is not on this machine, and could not be fetched from Hugging Face's hub "
            f"({reason})"
        ) from error


def reach_hub() -> None:
    """Raises OSError where there is no way to the hub.

    It is asked once: the hub's own library asks six times, over half a minute.
    """
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        raise OSError("HF_HUB_OFFLINE is set")
    request = urllib.request.Request(constants.ENDPOINT, method="HEAD")
    try:
        urllib.request.urlopen(request, timeout=10).close()
    except urllib.error.HTTPError:
        return  # an answer, if not a kind one
    except urllib.error.URLError as error:
        raise OSError(getattr(error.reason, "strerror", None) or str(error.reason)) from error


def fetch(name: str, progress: Progress, *, local_files_only: bool = False) -> Path:
    """The folder of the hub's model `name`. Raises EntryNotFoundError where a file is missing."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    def get(file: str) -> Path:
        progress(0.0, f"fetching {file} of {name}")
        return Path(hf_hub_download(name, file, local_files_only=local_files_only))

    folder = get("config.json").parent
    with suppress(EntryNotFoundError):
        get("vocab.json")
    try:
        get(WEIGHT_FILES[0])
    except EntryNotFoundError:
        get(WEIGHT_FILES[1])
    return folder


def main(argv: Sequence[str] | None = None) -> int:
    """``export CHECKPOINT FOLDER``: a checkpoint as a folder of Hugging Face's."""
    from simplegpt.checkpoint import load_model
    from simplegpt.config.options import CommandParser

    parser = CommandParser(description="Weights from and to Hugging Face's GPT-2.")
    parser.add_argument("command", choices=["export"], help="what to do")
    parser.add_argument("checkpoint", help="a checkpoint, a run's directory, or a GPT-2")
    parser.add_argument("folder", type=Path, help="the new folder")
    options = parser.parse_args(argv)
    loaded = load_model(options.checkpoint)
    export_folder(loaded.gpt, options.folder, loaded.tokenizer_name)
    print(f"saved to {options.folder}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    run_command(main)
