"""Export to a GGUF file for llama.cpp. Needs the extra ``simplegpt[gguf]``."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy.typing as npt

from simplegpt.cli import UserError
from simplegpt.data.chat import JINJA, ChatTemplate
from simplegpt.data.tokenizer import END_OF_TEXT, byte_alphabet, gpt2_merges, is_same_vocabulary
from simplegpt.gpt2.folder import tensors_with_biases
from simplegpt.gpt2.tokenizer import gpt2_vocabulary
from simplegpt.model import GPT

# llama.cpp's names of the tensors outside and inside the layers.
TENSORS = {"wte": "token_embd", "wpe": "position_embd", "ln_f": "output_norm"}
LAYER_TENSORS = {
    "ln_1": "attn_norm",
    "attn.c_attn": "attn_qkv",
    "attn.c_proj": "attn_output",
    "ln_2": "ffn_norm",
    "mlp.c_fc": "ffn_up",
    "mlp.c_proj": "ffn_down",
}

# llama.cpp rejects an empty list of merges. These characters never occur in byte-level text.
NO_MERGE = "\u2581 \u2581"


class Vocabulary(NamedTuple):
    """A byte-level BPE, in the characters of `byte_alphabet`."""

    tokens: list[str]
    """Tokens by ID."""
    merges: list[str]
    end: int | None = None
    """The id of <|endoftext|>."""


def export_gguf(
    gpt: GPT,
    path: Path,
    tokenizer_name: str | None,
    name: str,
    chat_template: ChatTemplate | None = None,
) -> None:
    """Write `gpt` and its tokenizer to the file `path`, in fp32; `name` is shown by llama.cpp.

    A model without biases gets zero biases, and IDs without a token get an unused one. Raises
    UserError if llama.cpp does not support the model, or the file exists or cannot be written.
    """
    try:
        import gguf
    except ImportError:
        raise UserError("GGUF needs the package gguf: pip install 'simplegpt[gguf]'") from None
    config = gpt.config
    vocabulary = byte_level_vocabulary(tokenizer_name)
    if config.activation != "gelu_tanh":
        raise UserError(
            f"llama.cpp supports only the activation gelu_tanh for GPT-2, and this model has "
            f"{config.activation}"
        )
    if path.exists():
        raise UserError(f"{path} already exists: give a new file")
    partial = path.with_name(path.name + ".partial")
    writer = gguf.GGUFWriter(partial, "gpt2")
    writer.add_name(name)
    writer.add_context_length(config.n_ctx)
    writer.add_embedding_length(config.n_embd)
    writer.add_feed_forward_length(4 * config.n_embd)
    writer.add_block_count(config.n_layer)
    writer.add_head_count(config.n_head)
    writer.add_layer_norm_eps(1e-5)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    _add_vocabulary(writer, vocabulary, config.n_vocab)
    if chat_template is not None:
        writer.add_chat_template(JINJA)
    for tensor_name, values in gguf_tensors(gpt):
        writer.add_tensor(tensor_name, values)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file(progress=False)
        writer.close()
        partial.replace(path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error


def gguf_tensors(gpt: GPT) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    """Yield llama.cpp's name and the values of each tensor, all biases included.

    Linear layers are [out, in], as in ours. There is no output layer: llama.cpp then uses the token
    embedding.
    """
    for name, tensor in tensors_with_biases(gpt).items():
        place, kind = name.rsplit(".", 1)
        if place.startswith("h."):
            _, layer, place = place.split(".", 2)
            theirs = f"blk.{layer}.{LAYER_TENSORS[place]}.{kind}"
        else:
            theirs = f"{TENSORS[place]}.{kind}"
        yield theirs, tensor.contiguous().numpy()


def byte_level_vocabulary(tokenizer_name: str | None) -> Vocabulary:
    """Return the tokenizer in llama.cpp's form. Raises UserError if it has none.

    The characters of `char` are merged from the bytes of their UTF-8.
    """
    character_of = {byte: character for character, byte in byte_alphabet().items()}
    if tokenizer_name == "byte":
        return Vocabulary([character_of[byte] for byte in range(256)], [NO_MERGE])
    if tokenizer_name == "char":
        texts = [[character_of[byte] for byte in chr(code).encode()] for code in range(256)]
        merges = [" ".join(text) for text in texts if len(text) > 1]
        return Vocabulary(["".join(text) for text in texts], merges)
    if tokenizer_name is not None and is_same_vocabulary(tokenizer_name, "gpt2"):
        ids = gpt2_vocabulary()
        return Vocabulary([*ids], [" ".join(pair) for pair in gpt2_merges()], ids[END_OF_TEXT])
    raise UserError(
        f"GGUF export supports the tokenizers gpt2, byte and char; this model's is {tokenizer_name}"
    )


def _add_vocabulary(writer: Any, vocabulary: Vocabulary, n_vocab: int) -> None:
    """Add a vocabulary of `n_vocab` tokens; those beyond the tokenizer's are unused."""
    from gguf import TokenType

    tokens, merges, end = vocabulary
    tokens = tokens[:n_vocab]
    types = [
        TokenType.CONTROL if token == end else TokenType.NORMAL for token in range(len(tokens))
    ]
    unused = range(len(tokens), n_vocab)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([*tokens, *(f"[unused {token}]" for token in unused)])
    writer.add_token_types([*types, *(TokenType.UNUSED for _ in unused)])
    writer.add_token_merges(merges)
    writer.add_add_bos_token(False)
    if end is not None and end < n_vocab:
        writer.add_bos_token_id(end)
        writer.add_eos_token_id(end)
