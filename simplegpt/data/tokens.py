"""Token files: written as a stream, read by position.

``NAME.bin`` has raw little-endian token IDs without a header, uint16 if the vocabulary fits and
uint32 otherwise, so nanoGPT's files work unchanged. ``NAME.bin.json`` describes it
(`TokenFileInfo`). A file of dialogues also has ``NAME.bin.marks``, a byte per token: see
`simplegpt.data.chat`. `open_tokens` reads, `TokenWriter` writes; `simplegpt.data.windows` decides
which tokens form a sample. Nothing here imports torch.
"""

import contextlib
import errno
import fcntl
import glob
import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, Self, get_args

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from simplegpt.cli import UserError, invalid_fields, nearest
from simplegpt.config.load import Inspection, Problem
from simplegpt.config.schema import is_tokenizer_file
from simplegpt.data.chat import BEGIN, ChatTemplate
from simplegpt.data.tokenizer import (
    is_same_vocabulary,
    short_name,
    tokenizer_names,
    vocabulary_digest,
)
from simplegpt.files import check_regular_file, open_regular, read_regular, write_atomically

DType = Literal["uint16", "uint32"]
Split = Literal["train", "val"]
SPLITS: tuple[Split, ...] = get_args(Split)
MAX_OPEN_FILES = 128  # of a data set's shards; a process may usually open 1,024
_DIGEST_SAMPLES, _DIGEST_TOKENS = 64, 1024
_SCAN = 1 << 22  # tokens read at a time by max_id: 16 MB
_SAMPLE = 1 << 16  # tokens of a file without a sidecar that are checked when it is opened
_SHORT_SAMPLE = 1 << 10  # of one with a sidecar, of which there may be thousands
_QUICK_SCAN = 1 << 20  # a file without a sidecar of at most this many tokens is always scanned


class TokenFileInfo(BaseModel):
    """The sidecar ``NAME.bin.json``. Keys that a later version adds are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    dtype: DType
    count: int = Field(ge=0)
    """Tokens in the file."""
    tokenizer: str
    tokenizer_digest: str | None = None
    """Of the content of the tokenizer's file, which may be moved; None for a built-in one."""
    source: str
    """The text files, for display."""
    max_id: int = Field(ge=0)
    chat_template: ChatTemplate | None = None
    """The template of the dialogues in it; None for text."""


class Written(BaseModel):
    """A token file that a command has written."""

    model_config = ConfigDict(frozen=True)

    path: str
    tokens: int
    tokenizer: str


def open_tokens(spec: str | Path) -> "Tokens":
    """Open one file, a folder's ``*.bin`` files or a glob's, in sorted order.

    Raises UserError for a missing, empty or damaged file, and for shards of different tokenizers.
    """
    try:
        paths = _resolve(str(spec))
    except OSError as error:  # such as a folder without read permission, or too long a path
        raise UserError(f"{spec} cannot be read: {error.strerror}") from None
    files = [_inspect(path) for path in paths]
    tokenizers = sorted({file.info.tokenizer for file in files if file.info})
    if len(tokenizers) > 1:
        raise UserError(f"{spec}: its shards have different tokenizers: {', '.join(tokenizers)}")
    if len({file.chat_template for file in files}) > 1:
        raise UserError(f"{spec}: some of its shards have dialogues, others text")
    return Tokens(files)


class Tokens:
    """One or several token files as one sequence. It pickles as paths; each process opens them.

    ``len(tokens)`` counts all tokens; `tokenizer` is the name in the sidecars, None without them;
    `meta` is nanoGPT's meta.pkl, if the token IDs are those of its vocabulary; `chat_template` is
    that of dialogues, None for text. The files are read,
    not memory-mapped: a file truncated meanwhile is then an error instead of a SIGBUS.
    """

    def __init__(self, files: Iterable["TokenFile"]) -> None:
        self.files = tuple(files)
        self.tokenizer = next((file.info.tokenizer for file in self.files if file.info), None)
        self.meta = next((file.meta for file in self.files if file.meta), None)
        self.chat_template = self.files[0].chat_template
        # ends[i]: number of tokens in shards 0 … i
        self._ends = np.cumsum([file.count for file in self.files])
        self._opened: dict[int, BinaryIO] = {}
        self._max_id: int | None = None

    def __len__(self) -> int:
        return int(self._ends[-1])

    @property
    def is_complete(self) -> bool:
        """False for the shards of a conversion that was interrupted or is still running."""
        shards = {_shard_glob(file.path) for file in self.files}
        return not any(os.path.lexists(resume_path(path)) for path in shards)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": {}}

    def slice(self, start: int, stop: int) -> npt.NDArray[np.int64]:
        """Return tokens start … stop - 1 as int64, across shards. Raises IndexError out of range.

        Raises UserError for a file that was truncated since it was opened, and for an ID above the
        sidecar's ``max_id``, on which a GPU would abort.
        """
        if not 0 <= start <= stop <= len(self):
            raise IndexError(f"tokens {start} to {stop} of {len(self)}")
        ids = np.empty(stop - start, dtype=np.int64)
        shard = int(np.searchsorted(self._ends, start, side="right"))
        done = 0
        while done < len(ids):
            begin = start + done - (int(self._ends[shard]) - self.files[shard].count)
            part = self._read(shard, begin, len(ids) - done)
            _check_ids(self.files[shard].path, self.files[shard].info, part)
            ids[done : done + len(part)] = part
            done += len(part)
            shard += 1
        return ids

    def digest(self) -> str:
        """Return a digest of their number and of samples of them: the same data has the same."""
        n, length = len(self), min(len(self), _DIGEST_TOKENS)
        starts = np.linspace(0, n - length, _DIGEST_SAMPLES).astype(int).tolist()
        content = hashlib.sha256(str(n).encode())
        for start in starts:
            content.update(self.slice(start, start + length).tobytes())
        return content.hexdigest()

    def marks(self) -> npt.NDArray[np.uint8]:
        """Read the marks of all tokens of dialogues, ``[len(self)]``. Raises UserError."""
        return np.concatenate([_read_marks(file) for file in self.files])

    def max_id(self) -> int:
        """Return the largest token ID, from the sidecars or by scanning the files once."""
        if self._max_id is None:
            self._max_id = max(self._shard_max_id(i) for i in range(len(self.files)))
        return self._max_id

    def _shard_max_id(self, shard: int) -> int:
        file = self.files[shard]
        if file.info:
            return file.info.max_id
        return max(int(self._read(shard, i, _SCAN).max()) for i in range(0, file.count, _SCAN))

    def _read(self, shard: int, start: int, count: int) -> npt.NDArray[Any]:
        """Read `count` tokens of a shard from position `start`; fewer at its end."""
        file, dtype = self.files[shard], _numpy_dtype(self.files[shard].dtype)
        count = min(count, file.count - start)
        try:
            descriptor = self._open(shard).fileno()
            content = os.pread(descriptor, count * dtype.itemsize, start * dtype.itemsize)
        except OSError as error:
            raise UserError(f"{file.path} cannot be read: {error.strerror}") from None
        if len(content) < count * dtype.itemsize:
            raise UserError(
                f"{file.path} was truncated while it was in use: it had {file.count:,} tokens",
                "encode the text again with simplegpt data",
            )
        return np.frombuffer(content, dtype)

    def _open(self, shard: int) -> BinaryIO:
        """Return the open file of a shard; the one that was used longest ago is closed for it."""
        file = self._opened.pop(shard, None) or open_regular(self.files[shard].path)
        self._opened[shard] = file  # the last one is the newest
        if len(self._opened) > MAX_OPEN_FILES:
            self._opened.pop(next(iter(self._opened))).close()
        return file


@dataclass(frozen=True)
class TokenFile:
    """One valid token file; `info` is None if it has no sidecar."""

    path: Path
    dtype: DType
    count: int
    info: TokenFileInfo | None
    meta: Path | None = None
    """nanoGPT's meta.pkl beside a file without a sidecar, whose vocabulary the token IDs are of."""

    @property
    def chat_template(self) -> ChatTemplate | None:
        return self.info.chat_template if self.info else None


@dataclass(frozen=True)
class TokenSet:
    """Token files to train on, with what their sidecars say."""

    train: Path
    """A file, or the glob of its shards."""
    val: Path | None
    """None if there is none beside the training file."""
    train_info: TokenFileInfo
    val_info: TokenFileInfo | None


def find_token_sets(root: Path) -> list[TokenSet]:
    """Return the token files with sidecars at `root` and two levels below it.

    A file whose name begins with ``train`` is paired with the ``val`` beside it. Shards are one
    set. Hidden folders, unreadable files and shards that are not all written are left out.
    """
    patterns = ("train*.bin", "*/train*.bin", "*/*/train*.bin")
    files = [path for pattern in patterns for path in sorted(root.glob(pattern))]
    trains = dict.fromkeys(
        _shard_glob(path)
        for path in files
        if not any(part.startswith(".") for part in path.relative_to(root).parts)
    )
    found = [
        token_set(path, path.with_name(f"val{path.name[5:]}"))
        for path in trains
        if not os.path.lexists(resume_path(path))
    ]
    return [one for one in found if one is not None]


def token_set(train: Path, val: Path | None = None) -> TokenSet | None:
    """Return intact token files with sidecars; None if the training file is not one."""
    train_info, val_info = _info(train), _info(val) if val else None
    if train_info is None:
        return None
    return TokenSet(train, val if val_info else None, train_info, val_info)


def _info(path: Path) -> TokenFileInfo | None:
    """Return the sidecar of an intact token file, or the sum of those of its shards, or None."""
    try:
        tokens = open_tokens(path)
    except UserError:
        return None
    info = tokens.files[0].info
    update = {"count": len(tokens), "max_id": tokens.max_id()} if info else {}
    return info.model_copy(update=update) if info else None


def token_file_name(split: Split, tokenizer: str) -> str:
    """Return the usual name of a split's token file, such as ``train-gpt2.bin``."""
    return f"{split}-{short_name(tokenizer)}.bin"


def shard_name(split: Split, tokenizer: str, number: int | str = "*") -> str:
    """Return the name of a split's shard, ``train-gpt2-00000.bin``, or the glob for all of them."""
    number = number if isinstance(number, str) else f"{number:05}"
    return f"{split}-{short_name(tokenizer)}-{number}.bin"


def find_shards(folder: Path, split: Split, tokenizer: str) -> list[Path]:
    """Return the shards of a split in a folder, sorted."""
    whole = token_file_name(split, tokenizer)
    return sorted(
        path
        for path in folder.glob("*.bin")
        if _SHARD_NUMBER.sub(".bin", path.name) == whole != path.name
    )


_SHARD_NUMBER = re.compile(r"-\d{5}\.bin$")


def _shard_glob(path: Path) -> Path:
    """``train-gpt2-00003.bin`` → ``train-gpt2-*.bin``; any other path stays as it is."""
    return path.with_name(_SHARD_NUMBER.sub("-*.bin", path.name))


def sidecar_path(path: Path) -> Path:
    """``NAME.bin`` → ``NAME.bin.json``."""
    return path.with_name(path.name + ".json")


def resume_path(shards: Path) -> Path:
    """``train-gpt2-*.bin`` → ``train-gpt2.resume.json``, which is there until all are written."""
    return shards.with_name(f"{shards.name.removesuffix('-*.bin')}.resume.json")


def marks_path(path: Path) -> Path:
    """``NAME.bin`` → ``NAME.bin.marks``."""
    return path.with_name(path.name + ".marks")


def written_files(path: Path) -> tuple[Path, ...]:
    """Return what a `TokenWriter` for `path` replaces: the file, its sidecar, its partial file …"""
    marks = marks_path(path)
    return path, sidecar_path(path), partial_path(path), marks, partial_path(marks)


def partial_path(path: Path) -> Path:
    """Return the name of a file until it is complete."""
    return path.with_name(path.name + ".partial")


class TokenWriter:
    """Writes a token file and its sidecar as a stream; use as a context manager.

    With a `chat_template`, the tokens are those of dialogues and have marks. Tokens go to
    ``NAME.bin.partial``, which `commit` renames; so do marks. On exit without `commit`, after an
    error or an interruption, the partial files are removed. Raises UserError if the file exists
    (unless `overwrite`) or cannot be written, another process is writing it, or the disk is full.
    """

    def __init__(
        self,
        path: Path,
        *,
        tokenizer: str,
        n_vocab: int,
        source: str,
        chat_template: ChatTemplate | None = None,
        overwrite: bool = False,
    ) -> None:
        self.path = path
        self.count = 0
        self._tokenizer = tokenizer
        self._source = source
        self._chat_template = chat_template
        self._dtype: DType = "uint16" if n_vocab <= 1 << 16 else "uint32"
        self._max_id = 0
        self._committed = False
        self._partial, self._marks_partial = partial_path(path), partial_path(marks_path(path))
        check_output(path, overwrite=overwrite)
        with self._user_errors():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = _open_exclusively(self._partial)
            self._marks = self._marks_partial.open("wb") if chat_template else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if not self._committed:
            self._partial.unlink(missing_ok=True)
            if self._marks:
                self._marks_partial.unlink(missing_ok=True)
        for file in self._files:
            with contextlib.suppress(OSError):  # a full disk, which `write` or `sync` has reported
                file.close()

    @property
    def _files(self) -> list[BinaryIO]:
        return [self._file, *([self._marks] if self._marks else [])]

    def write(self, ids: npt.NDArray[Any], marks: npt.NDArray[np.uint8] | None = None) -> None:
        """Append token IDs, an integer array ``[n]``, and the marks of dialogues' tokens."""
        if not len(ids):
            return
        with self._user_errors():
            self._file.write(ids.astype(_numpy_dtype(self._dtype)).data)
            if self._marks:
                assert marks is not None
                self._marks.write(marks.tobytes())
        self.count += len(ids)
        self._max_id = max(self._max_id, int(ids.max()))

    @property
    def written(self) -> Written:
        """The file, for a report."""
        return Written(path=str(self.path), tokens=self.count, tokenizer=self._tokenizer)

    def sync(self) -> None:
        """Flush everything written to the disk, as `commit` does too."""
        with self._user_errors():
            for file in self._files:
                file.flush()
                os.fsync(file.fileno())

    def commit(self) -> TokenFileInfo:
        """Sync the file, write its sidecar and rename the file to its final name."""
        self.sync()
        info = TokenFileInfo(
            dtype=self._dtype,
            count=self.count,
            tokenizer=self._tokenizer,
            tokenizer_digest=vocabulary_digest(self._tokenizer),
            source=self._source,
            max_id=self._max_id,
            chat_template=self._chat_template,
        )
        text = info.model_dump_json(indent=2, exclude_none=True) + "\n"
        with self._user_errors():
            # The sidecar first: a reader in between finds no file or another count, which is an
            # error, but never a file without its sidecar.
            write_atomically(sidecar_path(self.path), text)
            if self._marks:
                self._marks_partial.replace(marks_path(self.path))
            else:  # of a file that was replaced
                marks_path(self.path).unlink(missing_ok=True)
            self._partial.replace(self.path)
        self._committed = True
        return info

    @contextlib.contextmanager
    def _user_errors(self) -> Iterator[None]:
        """Convert an OSError to a UserError."""
        try:
            yield
        except OSError as error:
            if error.errno == errno.ENOSPC:
                reason = f"disk full after {self.count:,} tokens, which were deleted"
            elif error.errno == errno.EAGAIN:
                reason = "another process is writing it"
            else:
                reason = error.strerror or str(error)
            raise UserError(f"{self.path} cannot be written: {reason}") from None


def check_config(inspection: Inspection, *, scan: bool) -> list[Problem]:
    """Check a config's token files and the name of its tokenizer.

    Invalid keys are not checked again. With `scan`, even a large file without a sidecar is read to
    find its largest token ID.
    """
    invalid, values = set(inspection.invalid_keys), inspection.values
    problems: list[Problem] = []
    templates: dict[str, ChatTemplate | None] = {}
    if not inspection.is_complete:
        return problems
    tokenizer, names = values["tokenizer_name"], tokenizer_names()
    if "tokenizer_name" not in invalid and is_tokenizer_file(tokenizer):
        if not Path(tokenizer).is_file():
            invalid.add("tokenizer_name")
            message = f"no such file: {tokenizer}"
            hint = "create it with simplegpt tokenizer"
            problems.append(inspection.problem(("tokenizer_name",), message, hint))
    elif "tokenizer_name" not in invalid and tokenizer not in names:
        invalid.add("tokenizer_name")
        message = f"unknown tokenizer{nearest(tokenizer, names)} (available: {', '.join(names)})"
        problems.append(inspection.problem(("tokenizer_name",), message))
    for key in ("data.train_fpath", "data.val_fpath"):
        if key in invalid:
            continue
        try:
            tokens = open_tokens(values[key])
        except UserError as error:
            exists = os.path.lexists(values[key])
            hint = "" if exists else "create it with simplegpt data"
            problems.append(inspection.problem((key,), str(error), hint))
            continue
        templates[key] = tokens.chat_template
        problems += [
            inspection.problem((mismatched, key), message)
            for mismatched, message in _mismatches(values, invalid, values[key], tokens, scan=scan)
        ]
    if len(set(templates.values())) > 1:
        what = {key: "dialogues" if template else "text" for key, template in templates.items()}
        message = " and ".join(f"{key} has {kind}" for key, kind in what.items())
        problems.append(inspection.problem(tuple(templates), f"{message}: both need the same"))
    return problems


def _mismatches(
    values: Mapping[str, Any], invalid: Set[str], spec: str, tokens: Tokens, *, scan: bool
) -> Iterator[tuple[str, str]]:
    """Yield the valid keys of a config that do not match a token file, each with a message."""
    if "model.n_vocab" not in invalid:
        n_vocab = values["model.n_vocab"]
        is_known = scan or tokens.tokenizer or len(tokens) <= _QUICK_SCAN
        if is_known and (largest := tokens.max_id()) >= n_vocab:
            message = (
                f"model.n_vocab ({n_vocab}) must be > {largest}, the largest token ID of {spec}"
            )
            yield "model.n_vocab", message
    if "tokenizer_name" not in invalid and tokens.tokenizer:
        wanted, made_by = values["tokenizer_name"], tokens.tokenizer
        info = tokens.files[0].info
        digest = info.tokenizer_digest if info else None
        is_same = digest is not None and digest == vocabulary_digest(wanted)
        if not (is_same or is_same_vocabulary(made_by, wanted)):
            message = f'tokenizer_name ("{wanted}") must be "{made_by}", which encoded {spec}'
            yield "tokenizer_name", message
    if "tokenizer_name" not in invalid and tokens.meta:
        message = (
            f'tokenizer_name ("{values["tokenizer_name"]}") cannot decode {spec}: its token IDs '
            f"are those of {tokens.meta}; encode its text again with simplegpt data"
        )
        yield "tokenizer_name", message
    seq_len, count = values["data.seq_len"], len(tokens)
    if "data.seq_len" not in invalid and count <= seq_len and not tokens.chat_template:
        message = f"data.seq_len ({seq_len}) must be < {count}, the number of tokens in {spec}"
        yield "data.seq_len", message


def check_output(path: Path, *, overwrite: bool = False) -> None:
    """Raise UserError if no token file can be written there: a directory, a device, a file."""
    if path.is_dir():
        raise UserError(f"{path} is a directory, not a file; add a name such as train.bin")
    if path.exists() and not path.is_file():
        raise UserError(f"{path} is not a regular file")
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if not folder.is_dir():
        raise UserError(f"{path} cannot be written: {folder} is not a directory")
    if path.exists() and not overwrite:
        raise UserError(f"{path} already exists; --overwrite replaces it")


def _numpy_dtype(dtype: DType) -> np.dtype[Any]:
    return np.dtype(dtype).newbyteorder("<")


def _open_exclusively(path: Path) -> Any:
    """Open a partial file as its only writer; one that a killed process left is reused.

    Raises BlockingIOError (EAGAIN) if another process holds it.
    """
    file = path.open("ab", buffering=1 << 20)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not path.exists() or not os.path.samestat(path.stat(), os.fstat(file.fileno())):
            raise BlockingIOError(errno.EAGAIN, "another process has renamed it")
        file.truncate(0)
    except BaseException:
        file.close()
        raise
    return file


def _resolve(spec: str) -> list[Path]:
    path = Path(spec)
    if path.is_dir():
        files = sorted(path.glob("*.bin"))
        if not files:
            raise UserError(f"{path}: no token files (*.bin) in this directory")
        return files
    if path.exists():
        return [path]
    if glob.has_magic(spec):
        names = sorted(glob.glob(spec, recursive=True))  # noqa: PTH207
        files = [Path(name) for name in names if not name.endswith((".json", ".marks"))]
        files = [file for file in files if file.is_file()]
        if not files:
            raise UserError(f"no token file matches {spec}")
        return files
    names = [p.name for p in path.parent.glob("*.bin")] if path.parent.is_dir() else []
    raise UserError(f"no such token file: {path}{nearest(path.name, names)}")


def _inspect(path: Path) -> TokenFile:
    """Check a token file against its size and its sidecar."""
    try:
        check_regular_file(path)
        size = path.stat().st_size
        info = _read_sidecar(path)
        dtype: DType = info.dtype if info else "uint16"
        n_sampled = _SHORT_SAMPLE if info else _SAMPLE
        sample = np.fromfile(path, dtype=_numpy_dtype(dtype), count=n_sampled)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    width = np.dtype(dtype).itemsize
    if size == 0:
        raise UserError(f"{path} is empty")
    if size % width:
        raise UserError(
            f"{path} is truncated or not a token file: "
            f"{size:,} bytes are not a multiple of {width} ({dtype})"
        )
    if info and info.count * width != size:
        raise UserError(
            f"{path} has {size // width:,} tokens, but its sidecar {sidecar_path(path).name} "
            f"expects {info.count:,}"
        )
    if info is None and size % 4 == 0 and _looks_like_uint32(sample):
        raise UserError(
            f"{path} has no sidecar and looks like uint32, not uint16 (every second value is "
            f"below 4): restore {sidecar_path(path).name}, or encode the text again with "
            "simplegpt data"
        )
    _check_ids(path, info, sample)
    if info and info.chat_template:
        _check_marks(path, info)
    meta = path.with_name("meta.pkl")
    has_meta = info is None and meta.exists()
    return TokenFile(path, dtype, size // width, info, meta if has_meta else None)


def _check_marks(path: Path, info: TokenFileInfo) -> None:
    """Raise UserError if the file of a token file's marks is missing or has another size."""
    marks = marks_path(path)
    try:
        check_regular_file(marks)
        size = marks.stat().st_size
    except OSError as error:
        raise UserError(
            f"{marks} cannot be read: {error.strerror}; {path} has dialogues, and which of its "
            "tokens are answers is in that file"
        ) from None
    if size != info.count:
        raise UserError(
            f"{marks} has {size:,} bytes, expected one per token of {path}: {info.count:,}"
        )


def _read_marks(file: TokenFile) -> npt.NDArray[np.uint8]:
    path = marks_path(file.path)
    try:
        marks = np.frombuffer(read_regular(path), dtype=np.uint8)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    if len(marks) != file.count or marks[0] != BEGIN:
        raise UserError(f"{path} is damaged: encode the dialogues again with simplegpt data")
    return marks


def _looks_like_uint32(sample: npt.NDArray[Any]) -> bool:
    """Whether every second uint16 is the high half of an ID < 2^18, unlike tokens of any text."""
    low, high = sample[::2], sample[1::2]
    return len(high) >= 32 and bool(high.max() < 4 <= low.max())


def _check_ids(path: Path, info: TokenFileInfo | None, ids: npt.NDArray[Any]) -> None:
    """Raise UserError if `ids` of a token file exceed its sidecar's ``max_id``."""
    if info and len(ids) and (largest := int(ids.max())) > info.max_id:
        raise UserError(
            f"{path} has the token ID {largest}, but max_id is {info.max_id} in its sidecar "
            f"{sidecar_path(path).name}: encode the text again with simplegpt data"
        )


def _read_sidecar(path: Path) -> TokenFileInfo | None:
    sidecar = sidecar_path(path)
    try:
        return TokenFileInfo.model_validate_json(read_regular(sidecar))
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise UserError(
            f"{sidecar}: {invalid_fields(error)} (a file without a sidecar is read as uint16)"
        ) from None
