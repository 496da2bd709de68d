"""Convert text to token files: ``simplegpt data --help``.

    simplegpt data --text_file "data/train.txt" --output_file "data/train-char.bin" \
        --tokenizer_name "char"
    simplegpt data --dataset tinyshakespeare --tokenizer_name gpt2
    simplegpt data --hf_dataset Skylion007/openwebtext --output_dir data/openwebtext
    simplegpt data --chat_file chat.jsonl --output_dir data --tokenizer_name gpt2

`simplegpt.data.encode` does the work as a stream. The files of a text get their final names once
all of them are complete; documents go to shards, after each of which the command can be resumed
(`simplegpt.data.shards`). Nothing here imports torch.
"""

import argparse
import contextlib
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from simplegpt.cli import (
    CommandParser,
    UserError,
    one_line,
    run_command,
    show,
    sigterm_as_exit,
    write,
)
from simplegpt.data.chat import CHAT_TEMPLATE, end_of_message
from simplegpt.data.dialogues import DialogueFiles, encode_dialogues
from simplegpt.data.documents import Documents, FileDocuments, HeldOut
from simplegpt.data.encode import (
    Source,
    encode_files,
    name_files,
    split_by_line,
)
from simplegpt.data.shards import ShardWriter
from simplegpt.data.sources import add_source_options, check_source, is_chat, open_source
from simplegpt.data.tokenizer import (
    END_OF_TEXT,
    Tokenizer,
    load_tokenizer,
    short_name,
    tokenizer_names,
)
from simplegpt.data.tokens import (
    SPLITS,
    Split,
    TokenWriter,
    Written,
    check_output,
    shard_name,
    token_file_name,
    written_files,
)
from simplegpt.progress import ProgressLine, plural


class Done(BaseModel):
    """The last line that ``--json_progress`` prints."""

    model_config = ConfigDict(frozen=True)

    type: Literal["done"] = "done"
    files: list[Written]
    seconds: float


@dataclass(frozen=True)
class Output:
    """A token file to write, and its text or dialogues."""

    path: Path
    content: tuple[Source, ...] | DialogueFiles

    @property
    def inputs(self) -> Sequence[Path]:
        """The files to read."""
        if isinstance(self.content, DialogueFiles):
            return self.content.paths
        return [source.path for source in self.content]


def main(argv: Sequence[str] | None = None) -> int:
    """Tokenize as the options in `argv` say. Raises UserError."""
    options = _parser().parse_args(argv)
    began = time.monotonic()
    is_documents = bool(options.documents or options.hf_dataset)
    with sigterm_as_exit():
        _check(options)
        default = "gpt2" if is_documents or is_chat(options) else "char"
        tokenizer = load_tokenizer(options.tokenizer_name or default)
        if is_documents:
            words = sys.argv[1:] if argv is None else argv
            files = _write_shards(tokenizer, options, shlex.join(["simplegpt", "data", *words]))
        else:
            if is_chat(options):
                end_of_message(tokenizer)  # raises an error if there is none
            separator = _separator_id(options.separator, options.marker, tokenizer)
            files = _write(_plan(options, tokenizer.name), tokenizer, separator, options)
    if options.json_progress:
        write(Done(files=files, seconds=time.monotonic() - began).model_dump_json())
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser("data", description="Convert text of any size to token files.")
    add_source_options(parser).add_argument(
        "--separator",
        metavar="TOKEN",
        help=f'Token between texts, or at the end of each document: "{END_OF_TEXT}" if the '
        "tokenizer has it (default for documents), or a token ID.",
    )
    _add_output_options(parser)
    return parser


def _add_output_options(parser: CommandParser) -> None:
    output = parser.add_argument_group("output")
    output.add_argument(
        "--tokenizer_name",
        metavar="NAME",
        help=f"{', '.join(tokenizer_names())}, or the path of a tokenizer.json; default char, and "
        "gpt2 for documents and dialogues.",
    )
    output.add_argument("--output_file", metavar="FILE", help="Write all of the text to this file.")
    output.add_argument(
        "--output_dir",
        metavar="DIR",
        help="Write a train / val split here, as train-TOKENIZER.bin and val-TOKENIZER.bin, or "
        "train-TOKENIZER-00000.bin … for documents (default for --dataset: data).",
    )
    held_out = output.add_mutually_exclusive_group()
    held_out.add_argument(
        "--val_fraction",
        type=float,
        metavar="X",
        help="Held-out fraction: of the lines of a text, from the end; of documents and dialogues, "
        "evenly spread (0.01: every 100th). Default 0.1, 0 for no split.",
    )
    held_out.add_argument(
        "--val_documents", type=int, metavar="N", help="Hold out the first N documents instead."
    )
    output.add_argument(
        "--overwrite",
        action="store_true",
        help="Replace existing files. An unfinished conversion with the same settings is resumed.",
    )
    output.add_argument(
        "--shard_tokens",
        type=int,
        metavar="N",
        default=100_000_000,
        help="Begin a new shard of documents after N tokens; default 100000000.",
    )
    output.add_argument("--workers", type=int, metavar="N", help="Number of encoding threads.")
    output.add_argument(
        "--json_progress", action="store_true", help="Print progress and result as JSON lines."
    )


def _check(options: argparse.Namespace) -> None:
    """Raise UserError for numbers out of range, and for options that exclude one another."""
    if options.workers is not None and options.workers < 1:
        raise UserError(f"--workers ({options.workers}) must be ≥ 1")
    if options.shard_tokens < 1:
        raise UserError(f"--shard_tokens ({options.shard_tokens}) must be ≥ 1")
    if options.val_fraction is not None and not 0 <= options.val_fraction < 1:
        raise UserError(f"--val_fraction ({options.val_fraction}) must be ≥ 0 and < 1")
    if options.val_documents is not None and options.val_documents < 0:
        raise UserError(f"--val_documents ({options.val_documents}) must be ≥ 0")
    if options.output_file and (options.output_dir or options.val_fraction):
        raise UserError("--output_file takes all of the text; use --output_dir for a split")
    if options.documents or options.hf_dataset:
        if options.output_file:
            raise UserError("documents are written in shards; use --output_dir, not --output_file")
    elif options.val_documents is not None:
        raise UserError("--val_documents needs --documents or --hf_dataset")
    check_source(options)
    if is_chat(options) and options.separator:
        raise UserError("--separator is for text, not for dialogues")


def _separator_id(separator: str | None, marker: str | None, tokenizer: Tokenizer) -> int | None:
    if separator is None and marker is None:
        return None
    if separator is not None and separator.isdecimal():
        if int(separator) >= tokenizer.n_vocab:
            raise UserError(
                f"--separator ({separator}) must be < {tokenizer.n_vocab}, "
                f"the vocabulary size of '{tokenizer.name}'"
            )
        return int(separator)
    if separator not in (None, END_OF_TEXT):
        raise UserError(f'--separator ({separator}) must be "{END_OF_TEXT}" or a token ID')
    if tokenizer.end_of_text is None:
        raise UserError(
            f"the tokenizer '{tokenizer.name}' has no {END_OF_TEXT}; give a token ID as the "
            "separator, such as --separator 0"
        )
    return tokenizer.end_of_text


def _plan(options: argparse.Namespace, tokenizer_name: str) -> list[Output]:
    """Return the files to write, checked as far as possible before the work begins."""
    fraction = _val_fraction(options)
    folder = options.output_dir or ("data" if options.dataset else None)
    if options.output_file:
        paths = [Path(options.output_file)]
    elif folder:
        paths = [Path(folder, token_file_name("train", tokenizer_name))]
        if fraction:
            paths.append(Path(folder, token_file_name("val", tokenizer_name)))
    else:
        raise UserError("no output: give --output_file FILE, or --output_dir DIR for a split")
    for path in paths:
        check_output(path, overwrite=options.overwrite)
    outputs = _outputs(options, paths, fraction)
    for output in outputs:
        for file in written_files(output.path):
            if file.exists() and any(file.samefile(path) for path in output.inputs):
                raise UserError(f"{file} is both input and output; give another output")
    return outputs


def _outputs(options: argparse.Namespace, paths: Sequence[Path], fraction: float) -> list[Output]:
    """Return the outputs at `paths`, the last of which may be the validation part."""
    content = open_source(options, json=options.json_progress)
    assert isinstance(content, tuple | DialogueFiles)
    if len(paths) == 1:
        return [Output(paths[0], content)]
    if isinstance(content, DialogueFiles):
        return [Output(*pair) for pair in zip(paths, content.split(fraction), strict=True)]
    parts = split_by_line(content, fraction)
    return [Output(*pair) for pair in zip(paths, parts, strict=True)]


def _write(
    outputs: Sequence[Output],
    tokenizer: Tokenizer,
    separator: int | None,
    options: argparse.Namespace,
) -> list[Written]:
    """Write all outputs or none: they get their names once all of them are complete."""
    writers: list[TokenWriter] = []
    with contextlib.ExitStack() as stack:
        for output in outputs:
            writer = TokenWriter(
                output.path,
                tokenizer=tokenizer.name,
                n_vocab=tokenizer.n_vocab,
                source=name_files(output.inputs),
                chat_template=CHAT_TEMPLATE if is_chat(options) else None,
                overwrite=options.overwrite,
            )
            writers.append(stack.enter_context(writer))
            _encode(output, tokenizer, writer, separator, options)
            if not writer.count:
                raise UserError(f"{output.path} would be empty: there is no text for it")
            writer.sync()  # reports a full disk before any file gets its name
        for writer in writers:
            if not options.json_progress:
                show(f"number of tokens = {writer.count}")
                show(f"saving to {one_line(str(writer.path))}")
            writer.commit()
    return [Written(path=str(w.path), tokens=w.count, tokenizer=tokenizer.name) for w in writers]


def _encode(
    output: Output,
    tokenizer: Tokenizer,
    writer: TokenWriter,
    separator: int | None,
    options: argparse.Namespace,
) -> None:
    """Encode the content of `output` to `writer`, with its progress."""
    label, json = f"tokenizing {output.path.name}", options.json_progress
    if isinstance(output.content, DialogueFiles):
        with ProgressLine(label, unit="dialogues", json=json) as progress:
            encode_dialogues(output.content, tokenizer, writer.write, progress)
        return
    total = sum(source.size for source in output.content)
    with ProgressLine(label, total, json=json) as progress:
        encode_files(
            output.content,
            tokenizer,
            writer.write,
            separator=separator,
            marker=options.marker,
            workers=options.workers,
            progress=progress,
        )


def _write_shards(tokenizer: Tokenizer, options: argparse.Namespace, command: str) -> list[Written]:
    """Write documents in shards. An interruption says with which `command` it is resumed."""
    separator = _separator_id(options.separator or END_OF_TEXT, None, tokenizer)
    assert separator is not None
    folder = options.output_dir
    if options.hf_dataset:
        folder = folder or f"data/{Path(options.hf_dataset).name}"
    if folder is None:
        raise UserError("no output: give --output_dir DIR")
    documents = open_source(options)
    assert not isinstance(documents, tuple | DialogueFiles)
    _check_is_no_output(documents, Path(folder), tokenizer)
    held_out = HeldOut(_val_fraction(options), options.val_documents or 0)
    settings = {
        **documents.identity,
        "tokenizer_name": tokenizer.name,
        "separator": separator,
        "shard_tokens": options.shard_tokens,
        "val_fraction": held_out.fraction,
        "val_documents": held_out.first,
    }
    writer = ShardWriter(Path(folder), tokenizer, settings, overwrite=options.overwrite)
    progress = ProgressLine(
        f"tokenizing {documents.name}",
        documents.total,
        documents.unit,
        start=writer.state.done,
        json=options.json_progress,
    )
    try:
        with progress:
            writer.write(
                documents,
                separator=separator,
                held_out=held_out,
                shard_tokens=options.shard_tokens,
                workers=options.workers,
                progress=progress,
            )
    except BaseException as error:
        if not writer.state.n_shards:
            raise
        hint = f"{plural(writer.state.n_shards, 'shard')} kept; resume with: {command}"
        if isinstance(error, UserError):
            raise UserError(*error.args, hint) from None
        show(hint, sys.stderr)
        raise
    if not options.json_progress:
        for split in SPLITS:
            _show_shards(Path(folder), split, tokenizer, writer.state.files)
    return list(writer.state.files)


def _check_is_no_output(documents: Documents, folder: Path, tokenizer: Tokenizer) -> None:
    names = tuple(f"{split}-{short_name(tokenizer.name)}{end}" for split in SPLITS for end in "-.")
    for path in documents.paths if isinstance(documents, FileDocuments) else ():
        if path.name.startswith(names) and folder.exists() and folder.samefile(path.parent):
            raise UserError(f"{path} is both input and output; give another output")


def _show_shards(
    folder: Path, split: Split, tokenizer: Tokenizer, files: Sequence[Written]
) -> None:
    counts = [file.tokens for file in files if Path(file.path).name.startswith(f"{split}-")]
    if counts:
        path = one_line(str(folder / shard_name(split, tokenizer.name)))
        amount = f"{plural(sum(counts), 'token')} in {plural(len(counts), 'shard')}"
        show(f"{split}: {amount}, {path}")
    else:
        show(f"{split}: no documents", sys.stderr)


def _val_fraction(options: argparse.Namespace) -> float:
    if options.val_documents is not None:
        return 0.0
    return 0.1 if options.val_fraction is None else float(options.val_fraction)


if __name__ == "__main__":
    run_command(main)
