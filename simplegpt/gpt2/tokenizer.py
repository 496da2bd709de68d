"""The tokenizer files of a Hugging Face folder: write them, and check whether they are GPT-2's."""

import json
from pathlib import Path
from typing import Any

from simplegpt.config.schema import is_tokenizer_file
from simplegpt.data.chat import JINJA, ChatTemplate
from simplegpt.data.tokenizer import (
    END_OF_TEXT,
    byte_alphabet,
    gpt2_merges,
    is_same_vocabulary,
    load_tokenizer,
)
from simplegpt.files import check_regular_file

# Files that may have a folder's vocabulary; those that are not JSON belong to other models.
VOCABULARY_FILES = ("vocab.json", "tokenizer.json", "vocab.txt", "spiece.model", "tokenizer.model")


def tokenizer_files(
    tokenizer_name: str | None, n_ctx: int, chat_template: ChatTemplate | None = None
) -> dict[str, dict[str, Any]]:
    """Return the contents of tokenizer.json and tokenizer_config.json by their names.

    The result is empty for tiktoken's encodings other than gpt2. Raises UserError if the file of a
    tokenizer cannot be read.
    """
    if tokenizer_name is not None and is_tokenizer_file(tokenizer_name):
        end_of_text = (
            END_OF_TEXT if load_tokenizer(tokenizer_name).end_of_text is not None else None
        )
        values = json.loads(Path(tokenizer_name).read_text(encoding="utf-8"))
        config = tokenizer_config("PreTrainedTokenizerFast", n_ctx, end_of_text, chat_template)
        return {"tokenizer.json": values, "tokenizer_config.json": config}
    bytes_of = {byte: character for character, byte in byte_alphabet().items()}
    byte_level = {
        "type": "ByteLevel",
        "add_prefix_space": False,
        "trim_offsets": True,
        "use_regex": True,
    }
    end: str | None = None
    merges: list[tuple[str, str]] = []
    before: dict[str, Any] | None
    after: dict[str, Any]
    if tokenizer_name == "char":
        vocabulary = {chr(code): code for code in range(256)}
        before, after = None, {"type": "Fuse"}
    elif tokenizer_name == "byte":
        vocabulary = {bytes_of[byte]: byte for byte in range(256)}
        before, after = byte_level | {"use_regex": False}, byte_level
    elif tokenizer_name is not None and is_same_vocabulary(tokenizer_name, "gpt2"):
        vocabulary, end = gpt2_vocabulary(), END_OF_TEXT
        merges, before, after = gpt2_merges(), byte_level, byte_level
    else:
        return {}
    model = {"type": "BPE", "vocab": vocabulary, "merges": [" ".join(pair) for pair in merges]}
    tokenizer = {
        "version": "1.0",
        "added_tokens": [] if end is None else [added_token(end, vocabulary[end])],
        "pre_tokenizer": before,
        "decoder": after,
        "model": model,
    }
    class_name = "GPT2Tokenizer" if end else "PreTrainedTokenizerFast"
    config = tokenizer_config(class_name, n_ctx, end, chat_template)
    return {"tokenizer.json": tokenizer, "tokenizer_config.json": config}


def tokenizer_config(
    class_name: str, n_ctx: int, end: str | None, chat_template: ChatTemplate | None
) -> dict[str, Any]:
    """Return the contents of tokenizer_config.json; `end` is the token between documents."""
    template = {} if chat_template is None else {"chat_template": JINJA}
    return {
        **template,
        "tokenizer_class": class_name,
        "model_max_length": n_ctx,
        "clean_up_tokenization_spaces": False,
        "add_prefix_space": False,
        "bos_token": end,
        "eos_token": end,
        "unk_token": end,
    }


def added_token(text: str, token: int) -> dict[str, Any]:
    """Return the entry of a special token."""
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    return {"id": token, "content": text, **flags, "special": True}


def gpt2_vocabulary() -> dict[str, int]:
    """Return GPT-2's token IDs by their names in a vocab.json."""
    names = [*byte_alphabet(), *("".join(pair) for pair in gpt2_merges()), END_OF_TEXT]
    return {name: token for token, name in enumerate(names)}


def has_other_vocabulary(folder: Path) -> bool:
    """Whether `folder` has a vocabulary whose token IDs are not GPT-2's.

    Models for other languages may have a vocabulary of the same size.
    """
    path = next((folder / name for name in VOCABULARY_FILES if (folder / name).exists()), None)
    if path is None:
        return False
    try:
        check_regular_file(path)
        values = json.loads(path.read_bytes())
        ids = values if path.name == "vocab.json" else values["model"]["vocab"]
        tokens = gpt2_vocabulary().items()
        return any(ids.get(name) != token for name, token in tokens if name != END_OF_TEXT)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return True
