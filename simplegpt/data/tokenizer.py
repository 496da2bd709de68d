"""Convert text to token IDs and back.

``load_tokenizer("gpt2")`` returns a `Tokenizer`; `tokenizer_names` lists the names:

=========  ======================================================================
``char``   the character's code, 0 to 255 (Latin-1); any other character is an error
``byte``   the bytes of the text's UTF-8
``gpt2``   GPT-2's byte-pair encoding; the package includes its vocabulary
others     tiktoken's other encodings, which it downloads on first use
a path     a ``tokenizer.json`` in Hugging Face's format with a byte-level BPE, for
           example from ``simplegpt tokenizer``
=========  ======================================================================

Nothing here imports torch.
"""

import codecs
import functools
import hashlib
import json
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tiktoken
from tiktoken_ext.openai_public import r50k_pat_str  # type: ignore[import-untyped]

from simplegpt.cli import UserError, first_line, nearest
from simplegpt.config.schema import is_tokenizer_file
from simplegpt.files import check_regular_file

Ids = npt.NDArray[np.uint32]

# r50k_base is GPT-2's vocabulary under tiktoken's newer name: same merges, pattern and ids.
_GPT2_NAMES = ("gpt2", "r50k_base")
GPT2_BPE = resources.files("simplegpt").joinpath("vocab", "gpt2.bpe")
_GPT2_SHA256 = "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5"
END_OF_TEXT = "<|endoftext|>"

# A BPE tokenizer splits a text into pieces by a regular expression, and merges only within the
# pieces. In the expressions of these encodings, a space is at the start of a piece or within
# whitespace, and a newline is at the end of a piece (unless "/" follows) or within whitespace. So
# neither a piece nor a look-ahead crosses a position where a match of BETWEEN_PIECES ends.
_CUTTABLE = {
    *("gpt2", "r50k_base", "p50k_base", "p50k_edit"),
    *("cl100k_base", "o200k_base", "o200k_harmony"),
}
BETWEEN_PIECES = re.compile(r"\S(?= )|\S\n(?=[^\s/])")
_ANYWHERE = re.compile(r".", re.DOTALL)
_NOWHERE = re.compile(r"(?!)")

# Sizes of the files that tiktoken downloads, in bytes.
_DOWNLOADS = {
    **dict.fromkeys(("p50k_base", "p50k_edit"), 836_186),
    "cl100k_base": 1_681_126,
    **dict.fromkeys(("o200k_base", "o200k_harmony"), 3_613_922),
}

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}".encode()


class Tokenizer(ABC):
    """A tokenizer: text to token IDs and back. Thread-safe."""

    name: str
    n_vocab: int
    end_of_text: int | None = None
    """The ID that separates documents, if the vocabulary has one."""
    cut: re.Pattern[str]
    """A text may be cut at the end of a match: the parts have the same IDs as the whole."""

    @abstractmethod
    def encode_to_numpy(self, text: str) -> Ids:
        """Return the IDs of `text`, uint32 ``[n]``. A literal ``<|endoftext|>`` is plain text.

        Raises UnknownCharacterError (a UserError) if the vocabulary has no ID for a character.
        """

    def copy(self) -> "Tokenizer":
        """Return a tokenizer for a thread of its own, where sharing one would slow threads down."""
        return self

    @abstractmethod
    def decode_bytes(self, ids: Sequence[int]) -> bytes:
        """Return the UTF-8 of `ids`; it may begin or end inside a character.

        An ID outside the vocabulary (a padded model may emit one) becomes U+FFFD.
        """

    def encode(self, text: str) -> list[int]:
        """Return the IDs of `text` as a list."""
        ids: list[int] = self.encode_to_numpy(text).tolist()
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of `ids`; bytes that are not UTF-8 become U+FFFD."""
        return self.decode_bytes(ids).decode("utf-8", errors="replace")


class UnknownCharacterError(UserError):
    """The error for a character that is not in the vocabulary; lines are counted from 1."""

    def __init__(self, tokenizer: str, character: str, line: int) -> None:
        self.line = line
        self.reason = (
            f"the character {character!r} (code {ord(character)}) is not in the vocabulary of "
            f"'{tokenizer}' (codes 0 to 255); 'byte' and 'gpt2' encode any text"
        )
        super().__init__(f"line {line}: {self.reason}")


def tokenizer_names() -> list[str]:
    """Return all names that `load_tokenizer` takes; all but the first four may need the network."""
    own = ["char", "byte", *_GPT2_NAMES]
    return own + [name for name in tiktoken.list_encoding_names() if name not in own]


def download_size(name: str) -> int | None:
    """Return about how many bytes `load_tokenizer` downloads the first time; None if unknown."""
    is_local = name in ("char", "byte", *_GPT2_NAMES) or is_tokenizer_file(name)
    return 0 if is_local else _DOWNLOADS.get(name)


@functools.cache
def load_tokenizer(name: str) -> Tokenizer:
    """Return the tokenizer `name`, always the same object for the same name.

    Raises UserError for an unknown name, and if tiktoken cannot download a vocabulary.
    """
    if name == "char":
        return CharTokenizer()
    if name == "byte":
        return ByteTokenizer()
    if name in _GPT2_NAMES:
        return BytePairTokenizer(_gpt2_encoding(name))
    if is_tokenizer_file(name):
        return FileTokenizer(Path(name).absolute())
    names = tokenizer_names()
    if name not in names:
        raise UserError(
            f"unknown tokenizer '{name}'{nearest(name, names)} (available: {', '.join(names)})"
        )
    return BytePairTokenizer(_download_encoding(name))


def short_name(name: str) -> str:
    """Return a tokenizer's name for use in file names: for a path, its stem."""
    return Path(name).stem if is_tokenizer_file(name) else name


def is_same_vocabulary(one: str, other: str) -> bool:
    """Whether two tokenizer names have the same IDs."""
    if one == other or {one, other} == set(_GPT2_NAMES):
        return True
    digest = vocabulary_digest(one)
    return digest is not None and digest == vocabulary_digest(other)


def vocabulary_digest(name: str) -> str | None:
    """Return a digest of how a tokenizer's file encodes, however its JSON is written.

    None for built-in tokenizers, and for a file that cannot be read.
    """
    if not is_tokenizer_file(name):
        return None
    try:
        content = json.loads(Path(name).read_bytes())
        model = content["model"]
        merges = [
            merge.split(" ") if isinstance(merge, str) else merge for merge in model["merges"]
        ]
        added = [[token["id"], token["content"]] for token in content.get("added_tokens") or ()]
        parts = [sorted(model["vocab"].items()), merges, sorted(added)]
        parts += [content.get("normalizer"), content.get("pre_tokenizer")]
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


class CharTokenizer(Tokenizer):
    """A character-level tokenizer: a character's code is its ID, for the 256 of Latin-1."""

    name = "char"
    n_vocab = 256
    cut = _ANYWHERE

    def encode_to_numpy(self, text: str) -> Ids:
        try:
            return np.frombuffer(text.encode("latin-1"), dtype=np.uint8).astype(np.uint32)
        except UnicodeEncodeError as error:
            line = 1 + text.count("\n", 0, error.start)
            raise UnknownCharacterError(self.name, text[error.start], line) from None

    def decode_bytes(self, ids: Sequence[int]) -> bytes:
        return b"".join(chr(i).encode() if 0 <= i < 256 else _REPLACEMENT for i in ids)


class ByteTokenizer(Tokenizer):
    """A byte-level tokenizer: the bytes of the text's UTF-8."""

    name = "byte"
    n_vocab = 256
    cut = _ANYWHERE

    def encode_to_numpy(self, text: str) -> Ids:
        return np.frombuffer(text.encode("utf-8"), dtype=np.uint8).astype(np.uint32)

    def decode_bytes(self, ids: Sequence[int]) -> bytes:
        return b"".join(bytes([i]) if 0 <= i < 256 else _REPLACEMENT for i in ids)


class BytePairTokenizer(Tokenizer):
    """A BPE encoding of tiktoken."""

    def __init__(self, encoding: tiktoken.Encoding) -> None:
        self.name = encoding.name
        self.n_vocab = encoding.n_vocab
        has_end = END_OF_TEXT in encoding.special_tokens_set
        self.end_of_text = encoding.eot_token if has_end else None
        self.cut = BETWEEN_PIECES if encoding.name in _CUTTABLE else _NOWHERE
        self._encoding = encoding

    def copy(self) -> "BytePairTokenizer":
        # The threads' regular expressions are adjacent in memory: each slows the others down.
        one = self._encoding
        return BytePairTokenizer(
            tiktoken.Encoding(
                one.name,
                pat_str=one._pat_str,
                mergeable_ranks=one._mergeable_ranks,
                special_tokens=one._special_tokens,
            )
        )

    def encode_to_numpy(self, text: str) -> Ids:
        return self._encoding.encode_to_numpy(text, disallowed_special=())

    def decode_bytes(self, ids: Sequence[int]) -> bytes:
        try:
            return self._encoding.decode_bytes(ids)
        except (KeyError, OverflowError):
            return b"".join(map(self._one_token, ids))

    def _one_token(self, token: int) -> bytes:
        try:
            return self._encoding.decode_single_token_bytes(token)
        except (KeyError, OverflowError):
            return _REPLACEMENT


class FileTokenizer(Tokenizer):
    """A byte-level BPE from the ``tokenizer.json`` at an absolute path.

    Raises UserError if the file cannot be read or holds another kind of tokenizer.
    """

    def __init__(self, path: Path) -> None:
        # Its own threads bring nothing for one text, and it warns where a process forks after them.
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        import tokenizers  # takes 0.1 s

        self.name = str(path)
        try:
            check_regular_file(path)
            text = path.read_text(encoding="utf-8-sig")
            values = json.loads(text)
            self._tokenizer = tokenizers.Tokenizer.from_str(text)
        except FileNotFoundError:
            names = [p.name for p in path.parent.glob("*.json")]
            raise UserError(f"no tokenizer at {path}{nearest(path.name, names)}") from None
        except Exception as error:  # the library raises plain Exception
            raise UserError(f"cannot read the tokenizer {path}: {error}") from None
        splitter, decoder = values.get("pre_tokenizer") or {}, values.get("decoder") or {}
        if values["model"].get("type") != "BPE" or decoder.get("type") != "ByteLevel":
            raise UserError(f"{path} is not a byte-level BPE, the only kind that is supported")
        self._tokenizer.encode_special_tokens = True  # encode a literal <|endoftext|> as text
        self.n_vocab = self._tokenizer.get_vocab_size()
        self.end_of_text = self._tokenizer.token_to_id(END_OF_TEXT)
        # GPT-2's split into pieces. With another one, it is unknown where a text can be cut.
        splits_like_gpt2 = splitter == {
            "type": "ByteLevel",
            "add_prefix_space": False,
            "trim_offsets": splitter.get("trim_offsets"),
            "use_regex": True,
        }
        can_cut = splits_like_gpt2 and values.get("normalizer") is None
        self.cut = BETWEEN_PIECES if can_cut else _NOWHERE
        alphabet = byte_alphabet()
        special = {token["id"] for token in values.get("added_tokens", [])}
        self._bytes: dict[int, bytes] = {
            token: text.encode()
            if token in special
            else bytes(alphabet[character] for character in text)
            for text, token in self._tokenizer.get_vocab().items()
            if token in special or all(character in alphabet for character in text)
        }

    def encode_to_numpy(self, text: str) -> Ids:
        # encode_batch_fast releases the GIL, so that threads encode side by side.
        (encoding,) = self._tokenizer.encode_batch_fast([text], add_special_tokens=False)
        return np.array(encoding.ids, dtype=np.uint32)

    def decode_bytes(self, ids: Sequence[int]) -> bytes:
        return b"".join(self._bytes.get(token, _REPLACEMENT) for token in ids)


class StreamDecoder:
    """Decodes a stream of token IDs without splitting a character.

    ``push`` keeps the bytes of an incomplete character; ``flush`` returns them as U+FFFD.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def push(self, ids: Sequence[int]) -> str:
        """Add `ids` and return the text that is complete now; "" inside a character."""
        return self._decoder.decode(self._tokenizer.decode_bytes(ids))

    def flush(self) -> str:
        """Return the remaining text at the end, and reset the decoder."""
        rest = self._decoder.decode(b"", final=True)
        self._decoder.reset()
        return rest


def _gpt2_encoding(name: str) -> tiktoken.Encoding:
    """Make GPT-2's encoding: the 256 bytes, then one token per merge, in order."""
    alphabet = byte_alphabet()
    ranks = {bytes([byte]): rank for rank, byte in enumerate(alphabet.values())}
    for pair in gpt2_merges():
        ranks[bytes(alphabet[character] for character in "".join(pair))] = len(ranks)
    return tiktoken.Encoding(
        name,
        pat_str=r50k_pat_str,
        mergeable_ranks=ranks,
        special_tokens={END_OF_TEXT: len(ranks)},
        explicit_n_vocab=len(ranks) + 1,
    )


def gpt2_merges(file: Traversable = GPT2_BPE) -> list[tuple[str, str]]:
    """Return GPT-2's merges, in the characters of `byte_alphabet`.

    Raises UserError if the hash of the file is not that of GPT-2's.
    """
    data = file.read_bytes()
    if hashlib.sha256(data).hexdigest() != _GPT2_SHA256:
        raise UserError("the package's vocab/gpt2.bpe is damaged: install simplegpt again")
    pairs = (line.split(" ") for line in data.decode().split("\n")[1:] if line)  # after "#version"
    return [(left, right) for left, right in pairs]


def byte_alphabet() -> dict[str, int]:
    """Return {GPT-2's printable character: byte}, in the order of the token IDs.

    The bytes that are printable in Latin-1 come first, as their own characters; the rest (space,
    controls …) follow as the characters from 256 on, so that names in a merges file have no spaces.
    """
    printable = [byte for byte in range(256) if chr(byte).isprintable() and byte != ord(" ")]
    others = [byte for byte in range(256) if byte not in printable]
    alphabet = {chr(byte): byte for byte in printable}
    return alphabet | {chr(256 + i): byte for i, byte in enumerate(others)}


def _download_encoding(name: str) -> tiktoken.Encoding:
    """Load one of tiktoken's encodings, from its cache or by download."""
    import requests  # tiktoken downloads with it

    try:
        return tiktoken.get_encoding(name)
    except (requests.RequestException, OSError, ValueError) as error:
        raise UserError(
            f"the vocabulary of '{name}' is not on this machine and could not be downloaded "
            f"({first_line(error)[:200]}); 'gpt2' needs no network"
        ) from None
