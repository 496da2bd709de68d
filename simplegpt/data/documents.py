"""Read documents from files and from datasets of the Hugging Face Hub, from any place on.

`FileDocuments` reads text, JSON Lines and Parquet files, `HubDocuments` a dataset by its name. Both
yield chunks (`simplegpt.data.encode.Chunk`) in a fixed order. A chunk that ends a document has the
`Place` at which `read` continues after it; in a streamed dataset, only every `BATCH`-th document
has one. Empty documents are left out. Nothing here imports torch.
"""

import contextlib
import importlib
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from pydantic import NonNegativeInt

from simplegpt.cli import UserError, first_line, nearest, show
from simplegpt.data.encode import (
    UTF8,
    Chunk,
    Source,
    check_marker,
    check_text_files,
    encoding_hint,
    matching_paths,
    name_files,
    open_text,
    read_text,
)
from simplegpt.files import open_regular
from simplegpt.progress import plural

TEXT_SUFFIXES = (".txt", ".txt.gz")
JSON_SUFFIXES = (".jsonl", ".jsonl.gz")
PARQUET_SUFFIX = ".parquet"
SUFFIXES = (*JSON_SUFFIXES, PARQUET_SUFFIX, *TEXT_SUFFIXES)
OUTPUT_SUFFIXES = (".bin", ".json", ".marks", ".partial")
"""The names of the files that are written beside texts; folders and globs leave them out."""
MAX_LISTED = 20  # invalid records
BATCH = 1000  # documents read at a time: some megabytes


@dataclass(frozen=True)
class Place:
    """Where to continue reading; the default is the beginning."""

    file: NonNegativeInt = 0
    record: NonNegativeInt = 0
    """Index within the file, or within the dataset."""
    state: dict[str, Any] | None = None
    """Of a stream."""


class Documents(Protocol):
    """A source of documents."""

    @property
    def name(self) -> str:
        """The origin of the documents, for display."""

    @property
    def identity(self) -> dict[str, Any]:
        """The values on which the meaning of a place depends."""

    @property
    def total(self) -> int:
        """The amount of data, in `unit`; 0 if unknown."""

    @property
    def unit(self) -> str:
        """``B`` or ``documents``."""

    def read(self, place: Place) -> Iterator[Chunk]:
        """Yield the documents from `place` on. Raises UserError for damaged or invalid data."""


@dataclass(frozen=True)
class HeldOut:
    """The documents for validation: the first ones, and a fraction of all, evenly spread."""

    fraction: float
    """0.01 holds out every hundredth document."""
    first: int = 0

    def __contains__(self, index: int) -> bool:
        is_next = int((index + 1) * self.fraction) > int(index * self.fraction)
        return index < self.first or is_next


@dataclass(frozen=True)
class FileDocuments:
    """The documents in files: the lines of JSON Lines, the rows of Parquet, and whole texts."""

    paths: tuple[Path, ...]
    column: str = "text"
    """The key or column of the text in a record."""
    marker: str | None = None
    """Ends a document in a text file, as the end of the file does."""
    encoding: str = UTF8
    """Of texts and of JSON Lines."""
    skip_invalid: bool = False
    """Leave out invalid lines of JSON Lines."""

    unit = "B"

    @property
    def name(self) -> str:
        return name_files(self.paths)

    @property
    def identity(self) -> dict[str, Any]:
        states = [path.stat() for path in self.paths]
        files = [
            [ascii(str(path.absolute())), state.st_size, state.st_mtime_ns]
            for path, state in zip(self.paths, states, strict=True)
        ]
        encoding = {} if self.encoding == UTF8 else {"encoding": self.encoding}
        return {"files": files, "text_column": self.column, "marker": self.marker, **encoding}

    @property
    def total(self) -> int:
        return sum(path.stat().st_size for path in self.paths)

    def read(self, place: Place) -> Iterator[Chunk]:
        first, start = place.file, place.record
        done = sum(path.stat().st_size for path in self.paths[:first])
        for index, path in enumerate(self.paths[first:], first):
            for chunk in self._read_file(path, start):
                yield replace(chunk, done=done + chunk.done, place=Place(index, chunk.place))
            done += path.stat().st_size
            start = 0

    def _read_file(self, path: Path, start: int) -> Iterator[Chunk]:
        """Yield the documents of a file from record `start` on; a place is the next record."""
        if path.name.endswith(JSON_SUFFIXES):
            return self._read_json(path, start)
        if path.suffix == PARQUET_SUFFIX:
            return _read_parquet(path, self.column, start)
        return _read_documents_of_text(self._source(path), self.marker, start)

    def check(self) -> None:
        """Check the columns, the marker and every line of JSON Lines, which is quick.

        Raises UserError with all invalid lines; if they are to be left out, they are listed.
        """
        texts = [self._source(path) for path in self.paths if not path.name.endswith(_RECORDS)]
        if self.marker:
            check_marker(self.marker, texts)
        for path in self.paths:
            if path.suffix == PARQUET_SUFFIX:
                next(_read_parquet(path, self.column, 0), None)
        lines = [path for path in self.paths if path.name.endswith(JSON_SUFFIXES)]
        records = (text for path in lines for _, text, _ in self._records(path))
        report_invalid(records, skip=self.skip_invalid)

    def _source(self, path: Path) -> Source:
        return Source(path, encoding=self.encoding)

    def _read_json(self, path: Path, start: int) -> Iterator[Chunk]:
        for number, text, done in self._records(path, start):
            if isinstance(text, UserError) and not self.skip_invalid:
                raise text
            if text and isinstance(text, str):
                yield Chunk(text, f"{path}:{number}", done=done, place=number)

    def _records(
        self, path: Path, start: int = 0
    ) -> Iterator[tuple[int, str | UserError | None, int]]:
        """Yield each record of JSON Lines from `start` on: its line, its text, the bytes read."""
        with open_text(path, self.encoding) as (file, raw):
            for number, line in enumerate(file, 1):
                if number > start and line.strip():
                    text = _text_of_line(line, self.column, f"{path}:{number}", path)
                    yield number, text, raw.tell()


_RECORDS = (*JSON_SUFFIXES, PARQUET_SUFFIX)


def report_invalid(records: Iterable[object], *, skip: bool) -> None:
    """Raise UserError with the errors among `records`; if they are to be left out, list them.

    If no record is valid, the first error is that of all.
    """
    lines, n_invalid, n_valid = list[str](), 0, 0
    for record in records:
        is_error = isinstance(record, UserError)
        n_valid += not is_error
        n_invalid += is_error
        if is_error and len(lines) < MAX_LISTED:
            lines.append(str(record))
    if not n_invalid:
        return
    if not n_valid:
        more = f"; so are all {n_invalid:,} records" if n_invalid > 1 else ""
        raise UserError(lines[0] + more)
    if n_invalid > len(lines):
        lines.append(f"… and {n_invalid - len(lines):,} more")
    total = f"{plural(n_invalid, 'invalid record')} of {n_valid + n_invalid:,}"
    if not skip and n_invalid == 1:
        raise UserError(f"{lines[0]}; --skip_invalid leaves it out")
    if not skip:
        raise UserError(f"{total}; --skip_invalid leaves out:", *lines)
    show("\n  ".join([f"warning: {total} left out:", *lines]), sys.stderr)


def find_files(names: Iterable[str]) -> tuple[Path, ...]:
    """Return the files that the names, folders and globs stand for; folders' files are sorted.

    Raises UserError if there are none, or one cannot be read.
    """
    paths: list[Path] = []
    for path in (path for name in names for path in matching_paths(name, OUTPUT_SUFFIXES)):
        found = [path]
        if path.is_dir():
            found = sorted(file for file in path.rglob("*") if _is_listed(file, path))
            if not found:
                raise UserError(f"{path} has no texts")
        paths += found
    check_text_files(paths)
    return tuple(dict.fromkeys(paths))


def _is_listed(file: Path, folder: Path) -> bool:
    is_hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
    return not is_hidden and not file.name.endswith(OUTPUT_SUFFIXES) and file.is_file()


def _read_documents_of_text(source: Source, marker: str | None, start: int) -> Iterator[Chunk]:
    size, n_ended, n_bytes = source.path.stat().st_size, 0, 0
    is_empty = True
    for chunk in read_text(source, marker=marker):
        n_bytes += len(chunk.text.encode())
        is_empty = is_empty and not chunk.text
        if n_ended >= start and not (is_empty and chunk.ends_document):
            # The amount of a compressed file that was read is unknown, but it is at most the whole.
            yield replace(chunk, done=min(n_bytes, size), place=n_ended + 1)
        if chunk.ends_document:
            n_ended += 1
            is_empty = True


def _text_of_line(line: bytes, column: str, where: str, path: Path) -> str | UserError | None:
    """Return the text of a record, or what is wrong with it."""
    try:
        record = json.loads(line)
    except UnicodeDecodeError:
        return UserError(f"{where}: invalid UTF-8{encoding_hint(path)}")
    except (ValueError, RecursionError) as error:
        return UserError(f"{where}: not JSON: {error}")
    if not isinstance(record, dict):
        return UserError(f'{where}: not a JSON object such as {{"{column}": "…"}}')
    if column not in record:
        return _no_column(where, column, record)
    text = record[column]
    if text is not None and not isinstance(text, str):
        kind = type(text).__name__
        names = [name for name, value in record.items() if isinstance(value, str)]
        return _no_text(where, column, kind, names)
    # A lone surrogate, which JSON can have, is not text.
    return text and text.encode(errors="replace").decode()


def _read_parquet(path: Path, column: str, start: int) -> Iterator[Chunk]:
    pyarrow, parquet = _import("pyarrow"), _import("pyarrow.parquet")
    size = path.stat().st_size
    with open_regular(path) as raw, _as_user_error(path, pyarrow.ArrowException):
        file = parquet.ParquetFile(raw)
        check_columns(str(path), column, {f.name: _kind(f.type) for f in file.schema_arrow})
        row, n_rows = 0, file.metadata.num_rows
        for group in range(file.num_row_groups):
            n_group = file.metadata.row_group(group).num_rows
            if row + n_group <= start:
                row += n_group
                continue
            for batch in file.iter_batches(BATCH, row_groups=[group], columns=[column]):
                for text in batch.column(0).to_pylist():
                    row += 1
                    if row > start and text:
                        done = size * row // n_rows
                        yield Chunk(text, f"{path}, row {row}", done=done, place=row)


def _kind(arrow_type: Any) -> str:
    """Return the name of a type; of a dictionary, that of its values."""
    is_dictionary = str(arrow_type).startswith("dictionary<")
    return str(arrow_type.value_type if is_dictionary else arrow_type)


@contextlib.contextmanager
def _as_user_error(path: Path, arrow_error: type[Exception]) -> Iterator[None]:
    try:
        yield
    except (arrow_error, OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: damaged Parquet file: {first_line(error)}") from None


def check_columns(where: str, column: str, types: dict[str, str]) -> None:
    """Raise UserError if no column of text has that name; `types` has that of each column."""
    if column not in types:
        raise _no_column(where, column, types)
    is_text = {name: kind in _TEXT_TYPES for name, kind in types.items()}
    if not is_text[column]:
        raise _no_text(where, column, types[column], [n for n, text in is_text.items() if text])


_TEXT_TYPES = {"string", "large_string", "string_view", "Value('string')", "Value('large_string')"}
"""Of Arrow and of `datasets`."""


def _no_column(where: str, column: str, columns: Iterable[str]) -> UserError:
    names = ", ".join(columns) or "none"
    hint = "; --chat_file takes dialogues" if "messages" in columns else ""
    near = nearest(column, columns)
    return UserError(f"{where}: no column '{column}'{near} (columns: {names}){hint}")


def _no_text(where: str, column: str, kind: str, names: Sequence[str]) -> UserError:
    others = f" (columns of text: {', '.join(names)})" if names else ""
    return UserError(f"{where}: column '{column}' has no text but {kind}{others}")


class HubDocuments:
    """The rows of a dataset of the Hugging Face Hub, or of a local folder that `datasets` reads.

    A dataset is downloaded first, or read while it is downloaded if `streaming`. Raises UserError
    if it is unknown or unavailable.
    """

    unit = "documents"

    def __init__(
        self,
        dataset: str,
        config: str | None = None,
        split: str = "train",
        column: str = "text",
        *,
        revision: str | None = None,
        streaming: bool = False,
    ) -> None:
        datasets = _import("datasets")
        with _hub_errors(dataset):
            configs = datasets.get_dataset_config_names(dataset, revision=revision)
            if config is None:
                config = datasets.get_dataset_default_config_name(dataset, revision=revision)
            _check_one_of("config", config, configs, dataset)
            splits = datasets.get_dataset_split_names(dataset, config, revision=revision)
            _check_one_of("split", split, splits, dataset)
            builder = datasets.load_dataset_builder(dataset, config, revision=revision)
            if streaming:
                rows = builder.as_streaming_dataset(split)
            else:
                builder.download_and_prepare()
                rows = builder.as_dataset(split)
            types = {name: str(kind) for name, kind in _features(rows).items()}
        check_columns(dataset, column, types)
        self.dataset, self.config, self.split, self.column = dataset, config, split, column
        self.commit, self.streaming = builder.hash, streaming
        """The commit of a dataset of the hub, or a fingerprint of a folder's files."""
        self._rows = rows.select_columns([column])

    @property
    def name(self) -> str:
        return f"{self.dataset} ({self.config}, {self.split}, {self.column})"

    @property
    def identity(self) -> dict[str, Any]:
        return {
            "hf_dataset": self.dataset,
            "revision": self.commit,
            "config_name": self.config,
            "split": self.split,
            "text_column": self.column,
            "streaming": self.streaming,
        }

    @property
    def total(self) -> int:
        splits = self._rows.info.splits or {}
        known = splits[self.split].num_examples if self.split in splits else 0
        return len(self._rows) if not self.streaming else known or 0

    def read(self, place: Place) -> Iterator[Chunk]:
        row = place.record
        if place.state is not None:
            self._rows.load_state_dict(place.state)
        for texts in self._batches(row):
            state = self._rows.state_dict() if self.streaming else None
            rows = [(row + i, text) for i, text in enumerate(texts, 1) if text]
            row += len(texts)
            for number, text in rows:
                can_continue = not self.streaming or number == rows[-1][0]
                next_row = row if self.streaming else number
                next_place = Place(record=next_row, state=state) if can_continue else None
                where = f"{self.dataset}, row {number}"
                yield Chunk(text, where, done=number, place=next_place)

    def _batches(self, row: int) -> Iterator[list[str | None]]:
        with _hub_errors(self.dataset):
            if self.streaming:
                for batch in self._rows.iter(BATCH):
                    yield batch[self.column]
            else:
                for start in range(row, len(self._rows), BATCH):
                    yield self._rows[start : start + BATCH][self.column]


def _features(rows: Any) -> dict[str, Any]:
    """Return the types of the columns; those of the first row where a stream declares none."""
    if rows.features is not None:
        return dict(rows.features)
    first: dict[str, Any] = next(iter(rows.take(1)), {})
    kinds = {name: type(value).__name__ for name, value in first.items()}
    return {name: "Value('string')" if kind == "str" else kind for name, kind in kinds.items()}


def _check_one_of(kind: str, name: str | None, names: Sequence[str], dataset: str) -> None:
    if name not in names:
        near = nearest(name or "", names)
        given = f"no {kind} '{name}'{near}" if name else f"give one of its {kind}s"
        raise UserError(f"{dataset}: {given} (available: {', '.join(names)})")


@contextlib.contextmanager
def _hub_errors(dataset: str) -> Iterator[None]:
    """Convert what `datasets` and the libraries below it raise, of many kinds, to UserErrors."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        causes: list[BaseException] = [error]
        while cause := causes[-1].__cause__:
            causes.append(cause)
        lines = dict.fromkeys(map(first_line, causes))
        raise UserError(f"{dataset}: {': '.join(lines)}") from None


def _import(name: str) -> ModuleType:
    """Import a library of the extra `datasets`, which takes seconds, or raise UserError."""
    try:
        return importlib.import_module(name)
    except ImportError:
        raise UserError(
            "Parquet files and datasets of the Hugging Face Hub need the package datasets: "
            "pip install 'simplegpt[datasets]'"
        ) from None
