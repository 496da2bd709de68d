"""The options that name texts, dialogues and documents, for `simplegpt data` and `tokenizer`.

`add_source_options` declares them, `check_source` checks them without reading, `open_source`
returns what they name. Nothing here imports torch.
"""

import argparse
import functools
from collections.abc import Iterator
from pathlib import Path

from simplegpt.cli import CommandParser, UserError
from simplegpt.data import corpus
from simplegpt.data.chat import heading
from simplegpt.data.dialogues import DialogueFiles
from simplegpt.data.documents import (
    SUFFIXES,
    Documents,
    FileDocuments,
    HubDocuments,
    Place,
    find_files,
)
from simplegpt.data.encode import (
    UTF8,
    Chunk,
    Source,
    check_encoding,
    check_marker,
    check_text_files,
    matching_paths,
    read_marker,
    read_text,
)
from simplegpt.progress import ProgressLine

Texts = tuple[Source, ...]
"""The files of a text, in order."""


def add_source_options(parser: CommandParser) -> argparse._ArgumentGroup:
    """Add the options; return the group of those for texts."""
    datasets = "; ".join(f"{c.name} ({c.description})" for c in corpus.CORPORA.values())
    text = parser.add_argument_group("input")
    source = text.add_mutually_exclusive_group(required=True)
    add_files = functools.partial(source.add_argument, nargs="+", action="extend", default=[])
    add_files("--text_file", metavar="FILE", help="Text: one or more files or globs.")
    add_files(
        "--chat_file",
        metavar="FILE",
        help='Dialogues to fine-tune a chat on: JSON lines with "messages", each with a role '
        "(system, user or assistant) and content; also .jsonl.gz.",
    )
    source.add_argument(
        "--dataset", metavar="NAME", help=f"A named corpus, downloaded if needed: {datasets}."
    )
    add_files(
        "--documents",
        metavar="PATH",
        help=f"Files, globs or folders of documents: {', '.join(SUFFIXES)}; any other file is read "
        "as a text. `simplegpt data` writes them in shards, and can be resumed.",
    )
    source.add_argument(
        "--hf_dataset",
        metavar="NAME",
        help="Documents from a dataset of the Hugging Face Hub, or from a local folder with one.",
    )
    text.add_argument(
        "--encoding",
        metavar="NAME",
        default=UTF8,
        help="The encoding of texts and JSON lines, such as cp1252 or utf-16; default utf-8.",
    )
    text.add_argument(
        "--marker",
        metavar="TEXT",
        help=r"Text that ends a document, as the end of a file does; it is removed. \n, \r and \t "
        r"are line ends and tabs, \\ is a backslash.",
    )
    text.add_argument(
        "--skip_invalid",
        action="store_true",
        help="List the invalid lines of JSON lines, and leave them out.",
    )
    documents = parser.add_argument_group("documents")
    documents.add_argument(
        "--text_column",
        metavar="NAME",
        default="text",
        help="The key or column with the text; default text.",
    )
    documents.add_argument("--config_name", metavar="NAME", help="The dataset's config.")
    documents.add_argument(
        "--revision", metavar="NAME", help="The dataset's branch, tag or commit; default main."
    )
    documents.add_argument("--split", metavar="NAME", help="The dataset's split; default train.")
    documents.add_argument(
        "--streaming", action="store_true", help="Tokenize while downloading, without a copy."
    )
    return text


def check_source(options: argparse.Namespace) -> None:
    """Raise UserError for options that exclude one another; replace signs in the marker."""
    for name in ("config_name", "split", "revision", "streaming"):
        if getattr(options, name) and not options.hf_dataset:
            raise UserError(f"--{name} needs --hf_dataset")
    if options.dataset:
        corpus.check_name(options.dataset)
    if is_chat(options) and options.marker:
        raise UserError("--marker is for text, not for dialogues")
    if options.marker == "":
        raise UserError("--marker must not be empty")
    if options.marker:
        options.marker = read_marker(options.marker)
    options.encoding = check_encoding(options.encoding)


def is_chat(options: argparse.Namespace) -> bool:
    """Whether the input is dialogues."""
    return bool(options.chat_file or (options.dataset and corpus.CORPORA[options.dataset].is_chat))


def open_source(
    options: argparse.Namespace, *, json: bool = False
) -> Texts | DialogueFiles | Documents:
    """Return what the options name, checked as far as possible before the work begins.

    Raises UserError; for invalid records with all of them, unless they are to be left out.
    """
    if options.hf_dataset:
        return HubDocuments(
            options.hf_dataset,
            options.config_name,
            options.split or "train",
            options.text_column,
            revision=options.revision,
            streaming=options.streaming,
        )
    encoding, skip = options.encoding, options.skip_invalid
    if options.documents:
        paths = find_files(options.documents)
        documents = FileDocuments(paths, options.text_column, options.marker, encoding, skip)
        documents.check()
        return documents
    if options.dataset:
        files = [_fetched(corpus.CORPORA[options.dataset], json=json)]
    else:
        names = options.chat_file or options.text_file
        files = [path for name in names for path in matching_paths(name)]
        check_text_files(files)
    if is_chat(options):
        dialogues = DialogueFiles(files, encoding, needs_answer=True, skip_invalid=skip)
        dialogues.check()
        return dialogues
    for path in files:
        if path.suffix == ".gz":
            raise UserError(f"{path} is compressed: use --documents")
    texts = tuple(Source(path, encoding=encoding) for path in files)
    if options.marker:
        check_marker(options.marker, texts)
    return texts


def _fetched(one: corpus.Corpus, *, json: bool) -> Path:
    if one.is_cached:
        return one.path
    with ProgressLine(f"fetching {one.name}", one.size, json=json) as progress:
        return corpus.fetch(one.name, progress.update)


def read_source(content: Texts | DialogueFiles | Documents, marker: str | None) -> Iterator[Chunk]:
    """Yield all texts in parts: of dialogues, each heading and message by itself."""
    if isinstance(content, DialogueFiles):
        for where, messages in content:
            for message in messages:
                yield Chunk(heading(message.role), where)
                yield Chunk(message.content.strip(), where)
    elif isinstance(content, tuple):
        for source in content:
            yield from read_text(source, marker=marker)
    else:
        yield from content.read(Place())
