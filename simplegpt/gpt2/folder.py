"""A folder in Hugging Face's format: config.json and the weights of a GPT-2.

`load_folder` reads one (weights in safetensors, or in a ``.bin`` of plain tensors), `export_folder`
writes one. Neither runs code from the folder.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from simplegpt.cli import UserError
from simplegpt.config.schema import ModelConfig, is_tokenizer_file
from simplegpt.data.chat import CHAT_TEMPLATE, ChatTemplate
from simplegpt.data.tokenizer import load_tokenizer
from simplegpt.files import check_regular_file
from simplegpt.gpt2.tokenizer import has_other_vocabulary, tokenizer_files
from simplegpt.gpt2.weights import WEIGHT_FILES, read_folder_weights, with_gpt2_names
from simplegpt.model import GPT
from simplegpt.progress import OnProgress, no_progress

# GPT-2's vocabulary size, up to the next multiple of 128.
GPT2_VOCABULARIES = range(50_257, 50_304 + 1)
# OpenAI's Conv1D stores these as [in, out], where nn.Linear has [out, in].
TRANSPOSED = ("attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")
ACTIVATIONS = {"gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh", "gelu": "gelu"}
# Our names of the shape in config.json, and the only values of other keys that GPT supports.
SHAPE_KEYS = {
    "n_vocab": "vocab_size",
    "n_ctx": "n_positions",
    "n_embd": "n_embd",
    "n_head": "n_head",
    "n_layer": "n_layer",
}
SUPPORTED = {
    "layer_norm_epsilon": 1e-5,
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
    "add_cross_attention": False,
    "tie_word_embeddings": True,
}


@dataclass(frozen=True)
class Pretrained:
    """A GPT-2 in Hugging Face's format, in fp32 on the CPU."""

    gpt: GPT
    tokenizer_name: str | None
    """None if the vocabulary is neither GPT-2's nor named in config.json."""
    chat_template: ChatTemplate | None = None
    """The template of the dialogues that it was trained on, if config.json names it."""


def load_folder(folder: Path, progress: OnProgress = no_progress) -> Pretrained:
    """Read the GPT-2 in `folder`. Raises UserError if its names, shapes or settings differ."""
    values = read_config(folder)
    config = model_config(values, folder / "config.json")
    progress(0.1, "reading the weights")
    tensors = read_folder_weights(folder)
    progress(0.7, "checking names and shapes")
    try:
        gpt = GPT.from_state_dict(config, from_hugging_face(tensors))
    except ValueError as error:
        raise UserError(f"{folder} is not a GPT-2: {error}") from error
    has_template = values.get("simplegpt_chat_template") == CHAT_TEMPLATE
    template = CHAT_TEMPLATE if has_template else None
    return Pretrained(gpt, tokenizer_of(folder, values, config), template)


def export_folder(
    gpt: GPT,
    folder: Path,
    tokenizer_name: str | None,
    card: str | None = None,
    chat_template: ChatTemplate | None = None,
) -> None:
    """Write `gpt` into `folder`, which must be new or empty, with `card` as its README.md.

    A model without biases gets zero biases. The tokenizers gpt2, byte and char are written for
    transformers too. config.json, from which we read the tokenizer's name, is written last: without
    it, an interrupted export is not a model. Raises UserError if the folder cannot be written.
    """
    tensors = {f"transformer.{name}": tensor for name, tensor in to_hugging_face(gpt).items()}
    weights = folder / WEIGHT_FILES[0]
    contents = tokenizer_files(tokenizer_name, gpt.config.n_ctx, chat_template)
    contents["config.json"] = hugging_face_config(gpt.config, tokenizer_name, chat_template)
    files = {} if card is None else {"README.md": card}
    files |= {name: json.dumps(values, indent=2) + "\n" for name, values in contents.items()}
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UserError(f"{folder} already exists: give a new or empty folder")
        folder.mkdir(parents=True, exist_ok=True)
        save_file(tensors, weights, metadata={"format": "pt"})
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
    except (OSError, SafetensorError) as error:
        with suppress(OSError):
            for name in (weights.name, *files):
                (folder / name).unlink(missing_ok=True)
        raise UserError(f"cannot write {folder}: {error}") from error


def hugging_face_config(
    config: ModelConfig, tokenizer_name: str | None, chat_template: ChatTemplate | None
) -> dict[str, Any]:
    """Return the contents of config.json for a model of the shape `config`."""
    # copied to the folder
    has_file = tokenizer_name is not None and is_tokenizer_file(tokenizer_name)
    end = None if tokenizer_name is None else load_tokenizer(tokenizer_name).end_of_text
    return {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "activation_function": "gelu_new" if config.activation == "gelu_tanh" else "gelu",
        **{theirs: getattr(config, ours) for ours, theirs in SHAPE_KEYS.items()},
        "n_ctx": config.n_ctx,
        **SUPPORTED,
        "resid_pdrop": 0.0,
        "embd_pdrop": 0.0,
        "attn_pdrop": 0.0,
        "dtype": "float32",
        "bos_token_id": end,
        "eos_token_id": end,
        "simplegpt_tokenizer": None if has_file else tokenizer_name,
        **({} if chat_template is None else {"simplegpt_chat_template": chat_template}),
    }


def read_config(folder: Path) -> dict[str, Any]:
    """Read config.json of `folder`. Raises UserError."""
    path = folder / "config.json"
    try:
        check_regular_file(path)
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"no model in {folder}: it has no config.json") from None
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"cannot read {path}: {error}") from error
    kind = values.get("model_type") if isinstance(values, dict) else None
    if kind != "gpt2":
        raise UserError(f"{path}: model_type is {kind!r}, expected 'gpt2'")
    return dict(values)


def model_config(values: Mapping[str, Any], path: Path) -> ModelConfig:
    """Return the shape that config.json's `values` describe. Raises UserError."""
    problems = [
        f"{key} is {values[key]!r}, expected {supported!r}"
        for key, supported in SUPPORTED.items()
        if values.get(key, supported) != supported
    ]
    width, inner = values.get("n_embd", 768), values.get("n_inner")
    if inner is not None and inner != 4 * width:
        problems.append(f"n_inner is {inner!r}, expected 4 · n_embd ({4 * width})")
    activation = values.get("activation_function", "gelu_new")
    if activation not in ACTIVATIONS:
        problems.append(f"activation_function is {activation!r}, expected one of {[*ACTIVATIONS]}")
    if problems:
        raise UserError(f"{path}: " + "; ".join(problems))
    shape = {ours: values[theirs] for ours, theirs in SHAPE_KEYS.items() if theirs in values}
    try:
        return ModelConfig(**shape, activation=ACTIVATIONS[activation])
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(f"{path}: {SHAPE_KEYS[str(first['loc'][0])]}: {first['msg']}") from error


def from_hugging_face(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert Hugging Face's tensors to our names and orientation, as fp32 copies.

    Raises ValueError if the output layer is not the token embedding.
    """
    converted = {}
    for name, tensor in with_gpt2_names(tensors).items():
        if name.endswith(TRANSPOSED) and tensor.dim() == 2:
            tensor = tensor.T
        converted[name] = torch.empty(tensor.shape, dtype=torch.float32).copy_(tensor)
    return converted


def to_hugging_face(gpt: GPT) -> dict[str, Tensor]:
    """Convert our tensors to Hugging Face's orientation, fp32 on the CPU, with all biases."""
    return {
        name: (tensor.T if name.endswith(TRANSPOSED) else tensor).contiguous()
        for name, tensor in tensors_with_biases(gpt).items()
    }


def tensors_with_biases(gpt: GPT) -> dict[str, Tensor]:
    """Return the tensors of `gpt`, fp32 on the CPU; biases that it does not have are zeros."""
    with torch.device("meta"):
        shapes = GPT(gpt.config.model_copy(update={"bias": True})).state_dict()
    own = {name: tensor.detach().float().cpu() for name, tensor in gpt.state_dict().items()}
    return {
        name: own[name] if name in own else torch.zeros(shape.shape)
        for name, shape in shapes.items()
    }


def tokenizer_of(folder: Path, values: Mapping[str, Any], config: ModelConfig) -> str | None:
    """Return the tokenizer of the model in `folder`, or None.

    It is the one that config.json names (in our exports), else GPT-2's if the vocabulary size
    matches and the folder has no other vocabulary, else the folder's tokenizer.json if it is a
    byte-level BPE that fits the model's vocabulary.
    """
    named = values.get("simplegpt_tokenizer")
    if isinstance(named, str):
        return named
    if config.n_vocab in GPT2_VOCABULARIES and not has_other_vocabulary(folder):
        return "gpt2"
    own = str(folder / "tokenizer.json")
    try:
        return own if load_tokenizer(own).n_vocab <= config.n_vocab else None
    except UserError:
        return None
