"""Command: text to token files. ``python -m simplegpt.data --help``.

    python -m simplegpt.data --text_file "data/train.txt" --output_file "data/train-char.bin" \
        --tokenizer_name "char"
    python -m simplegpt.data --dataset tinyshakespeare --tokenizer_name gpt2

The work is done in a stream by `simplegpt.data.encode`; nothing has its final name before it is
whole. Nothing here imports torch.
"""

import argparse
import contextlib
import glob
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from simplegpt.cli import TERMINATED, UserError, nearest, run_command
from simplegpt.config.options import CommandParser
from simplegpt.data import corpus
from simplegpt.data.chunks import Source, split_by_line
from simplegpt.data.encode import encode_files
from simplegpt.data.tokenizer import Tokenizer, load_tokenizer, tokenizer_names
from simplegpt.data.tokens import TokenWriter, check_output
from simplegpt.progress import ProgressLine


class Written(BaseModel):
    """One token file of a finished command."""

    model_config = ConfigDict(frozen=True)

    path: str
    tokens: int
    text_bytes: int
    tokenizer: str


class Done(BaseModel):
    """The last line that ``--json_progress`` prints."""

    model_config = ConfigDict(frozen=True)

    type: Literal["done"] = "done"
    files: list[Written]
    seconds: float


@dataclass(frozen=True)
class Output:
    """A token file to write and the text it is made of."""

    path: Path
    sources: tuple[Source, ...]


def main(words: Sequence[str] | None = None) -> int:
    """Tokenize as the command line says; raises UserError for what is wrong with it."""
    options = _parser().parse_args(words)
    began = time.monotonic()
    with _stopped_by_sigterm(), _told():
        tokenizer = load_tokenizer(options.tokenizer_name)
        separator = _separator_id(options.separator, options.marker, tokenizer)
        files = _write(_outputs(options, tokenizer), tokenizer, separator, options)
    if options.json_progress:
        print(Done(files=files, seconds=time.monotonic() - began).model_dump_json(), flush=True)
    return 0


def _write(
    outputs: Sequence[Output],
    tokenizer: Tokenizer,
    separator: int | None,
    options: argparse.Namespace,
) -> list[Written]:
    """Write every output, or none: they get their names only once all of them are whole."""
    with contextlib.ExitStack() as stack:
        finished: list[tuple[TokenWriter, int]] = []
        for output in outputs:
            writer = stack.enter_context(_writer(output, tokenizer, options.overwrite))
            total = sum(_size(source) for source in output.sources)
            label = f"tokenizing {output.path.name}"
            with ProgressLine(label, total, json=options.json_progress) as progress:
                n_bytes = encode_files(
                    output.sources,
                    tokenizer,
                    writer.write,
                    separator=separator,
                    marker=options.marker,
                    workers=options.workers,
                    progress=progress,
                )
            if not writer.count:
                raise UserError(f"{output.path} would be empty: there is no text for it")
            writer.sync()  # a disk that fills up here leaves no file of several
            finished.append((writer, n_bytes))
        for writer, n_bytes in finished:
            if not options.json_progress:
                print(f"number of tokens = {writer.count}")
                print(f"saving to {writer.path}", flush=True)
            writer.commit(n_bytes)
    return [
        Written(
            path=str(writer.path),
            tokens=writer.count,
            text_bytes=n_bytes,
            tokenizer=tokenizer.name,
        )
        for writer, n_bytes in finished
    ]


def _parser() -> argparse.ArgumentParser:
    names = ", ".join(tokenizer_names())
    datasets = "\n".join(f"{c.name}: {c.description}" for c in corpus.CORPORA.values())
    parser = CommandParser(
        description="Turn text into token files, in a stream: texts of any size.",
    )
    what = parser.add_argument_group("what to read")
    what.add_argument(
        "--text_file",
        nargs="+",
        action="extend",
        default=[],
        metavar="FILE",
        help="UTF-8 text, one or more files or globs; taken as it is.",
    )
    what.add_argument(
        "--dataset", metavar="NAME", help=f"A named corpus, fetched where needed:\n{datasets}"
    )
    what.add_argument(
        "--separator",
        metavar="TOKEN",
        help='Put between documents: "<|endoftext|>" where the tokenizer has it, or a number.',
    )
    what.add_argument(
        "--marker",
        metavar="TEXT",
        help="Ends a document where it stands in the text, and is taken out. Files end one too.",
    )
    how = parser.add_argument_group("how and where to write")
    how.add_argument(
        "--tokenizer_name", default="char", metavar="NAME", help=f"Default char. {names}."
    )
    how.add_argument("--output_file", metavar="FILE", help="All of the text goes to this file.")
    how.add_argument(
        "--output_dir",
        metavar="FOLDER",
        help="A split goes here, as train-TOKENIZER.bin and val-TOKENIZER.bin (--dataset: data).",
    )
    how.add_argument(
        "--val_fraction",
        type=float,
        default=None,
        metavar="X",
        help="The part of the lines, the last ones, for validation; default 0.1, 0 for none.",
    )
    how.add_argument("--overwrite", action="store_true", help="Replace files that exist.")
    how.add_argument("--workers", type=int, default=None, metavar="N", help="Threads that encode.")
    how.add_argument(
        "--json_progress", action="store_true", help="Print progress and result as JSON lines."
    )
    return parser


def _outputs(options: argparse.Namespace, tokenizer: Tokenizer) -> list[Output]:
    """What to write, checked as far as it can be before the work begins."""
    if bool(options.text_file) == bool(options.dataset):
        raise UserError("say what to read: either --text_file FILE or --dataset NAME")
    if options.dataset:
        corpus.check_name(options.dataset)
    if options.workers is not None and options.workers < 1:
        raise UserError(f"--workers {options.workers}: must be 1 or more")
    folder: str | None = options.output_dir or ("data" if options.dataset else None)
    if options.output_file and (options.output_dir or options.val_fraction):
        raise UserError("--output_file takes the whole text; for a split give only --output_dir")
    fraction = 0.1 if options.val_fraction is None else options.val_fraction
    if not 0 <= fraction < 1:
        raise UserError(f"--val_fraction {fraction}: must be at least 0 and below 1")
    if options.output_file:
        paths = [Path(options.output_file)]
    elif not folder:
        raise UserError("say where to write: --output_file FILE, or --output_dir FOLDER to split")
    else:
        parts = ("train", "val") if fraction else ("train",)
        paths = [Path(folder) / f"{part}-{tokenizer.name}.bin" for part in parts]
    for path in paths:
        check_output(path, overwrite=options.overwrite)
    sources = _sources(options)
    for source in sources:
        for path in paths:
            if path.exists() and path.samefile(source.path):
                raise UserError(f"{path} is both read and written; name another output")
    if len(paths) == 1:
        return [Output(paths[0], sources)]
    return [Output(*pair) for pair in zip(paths, split_by_line(sources, fraction), strict=True)]


def _sources(options: argparse.Namespace) -> tuple[Source, ...]:
    """The text files named, or the corpus's; each exists and one of them is not empty."""
    if options.dataset:
        if corpus.CORPORA[options.dataset].is_cached:
            return (Source(corpus.fetch(options.dataset)),)
        total = corpus.CORPORA[options.dataset].size
        label = f"fetching {options.dataset}"
        with ProgressLine(label, total, json=options.json_progress) as progress:
            path = corpus.fetch(options.dataset, lambda done, total: progress.update(done))
        return (Source(path),)
    paths: list[Path] = []
    for name in options.text_file:
        found = [Path(name)]
        if glob.has_magic(name) and not found[0].exists():
            found = sorted(Path(p) for p in glob.glob(name, recursive=True))  # noqa: PTH207
            found = [path for path in found if path.is_file()]
            if not found:
                raise UserError(f"no text file matches {name}")
        paths += found
    for path in paths:
        _check_text_file(path)
    if not any(path.stat().st_size for path in paths):
        raise UserError(f"{', '.join(map(str, paths[:3]))}: empty, there is no text in it")
    return tuple(Source(path) for path in paths)


def _check_text_file(path: Path) -> None:
    if path.is_dir():
        raise UserError(f"{path} is a folder, not a text file; {path}/*.txt takes what is in it")
    if not path.exists():
        folder = path.parent
        names = [p.name for p in folder.iterdir()] if folder.is_dir() else []
        raise UserError(f"text file {path} does not exist{nearest(path.name, names)}")
    if not path.is_file():
        raise UserError(f"{path} is not an ordinary file")
    if not os.access(path, os.R_OK):
        raise UserError(f"{path} cannot be read: permission denied")


def _separator_id(separator: str | None, marker: str | None, tokenizer: Tokenizer) -> int | None:
    if marker == "":
        raise UserError("--marker must not be empty")
    if separator is None and marker is None:
        return None
    if separator is not None and separator.isdecimal():
        if int(separator) < tokenizer.n_vocab:
            return int(separator)
        raise UserError(
            f"--separator {separator}: '{tokenizer.name}' has the ids 0 to {tokenizer.n_vocab - 1}"
        )
    if separator not in (None, "<|endoftext|>"):
        raise UserError(f'--separator {separator}: must be "<|endoftext|>" or a token\'s number')
    if tokenizer.end_of_text is None:
        raise UserError(
            f"the '{tokenizer.name}' tokenizer has no <|endoftext|>; --separator takes the number "
            "of a token to put between documents, such as 0"
        )
    return tokenizer.end_of_text


def _size(source: Source) -> int:
    return (source.path.stat().st_size if source.stop is None else source.stop) - source.start


def _writer(output: Output, tokenizer: Tokenizer, overwrite: bool) -> TokenWriter:
    names = list(dict.fromkeys(str(source.path) for source in output.sources))
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return TokenWriter(
        output.path,
        tokenizer=tokenizer.name,
        n_vocab=tokenizer.n_vocab,
        source=shown,
        overwrite=overwrite,
    )


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """What the system refuses, a folder that may not be entered say, in one message."""
    try:
        yield
    except BrokenPipeError:  # the reader of our output went away: no mistake
        raise
    except OSError as error:
        raise UserError(f"{error.filename or 'input or output'}: {error.strerror}") from None


@contextlib.contextmanager
def _stopped_by_sigterm() -> Iterator[None]:
    """Let a SIGTERM unwind the stack as Ctrl-C does, so that partial files are removed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: object) -> None:
        sys.exit(TERMINATED)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


if __name__ == "__main__":
    run_command(main)
