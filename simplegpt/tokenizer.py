"""Train a tokenizer on a text: ``simplegpt tokenizer --text_file FILE --n_vocab 4096``.

The result is a byte-level BPE that splits text as GPT-2 does, in a ``tokenizer.json`` in Hugging
Face's format. Its path is a ``tokenizer_name`` for the other commands and for configs.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from simplegpt.cli import CommandParser, UserError, one_line, run_command, show
from simplegpt.data import corpus
from simplegpt.data.encode import Source, check_text_file, decode
from simplegpt.data.tokenizer import END_OF_TEXT, load_tokenizer
from simplegpt.files import write_atomically
from simplegpt.progress import ProgressLine, format_bytes, format_count

MIN_VOCAB = 257
"""The 256 bytes and <|endoftext|>."""
MAX_VOCAB = 2**32
"""The IDs of a token file."""
N_SHOWN = 12
"""Number of longest tokens to print."""


def main(argv: Sequence[str] | None = None) -> int:
    """Train as the options in `argv` say. Raises UserError."""
    options = build_parser().parse_args(argv)
    if not MIN_VOCAB <= options.n_vocab <= MAX_VOCAB:
        raise UserError(f"--n_vocab ({options.n_vocab}) must be ≥ {MIN_VOCAB} and ≤ {MAX_VOCAB}")
    if options.output_file.suffix != ".json":
        raise UserError(f"--output_file ({options.output_file}) must end with .json")
    if options.output_file.exists() and not options.overwrite:
        raise UserError(f"{options.output_file} already exists; --overwrite replaces it")
    paths = [corpus.fetch(options.dataset)] if options.dataset else options.text_file
    for path in paths:
        check_text_file(path)
    options.output_file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(options.output_file, train(paths, options.n_vocab))
    load_tokenizer.cache_clear()
    tokenizer = load_tokenizer(str(options.output_file))
    n_bytes = sum(path.stat().st_size for path in paths)
    lengths = [len(tokenizer.decode_bytes([token])) for token in range(tokenizer.n_vocab)]
    longest = sorted(range(tokenizer.n_vocab), key=lambda token: -lengths[token])[:N_SHOWN]
    words = "  ".join(one_line(tokenizer.decode([token])) for token in longest)
    show(f"{format_count(tokenizer.n_vocab)} tokens from {format_bytes(n_bytes)}; longest: {words}")
    show(one_line(f"saved to {options.output_file}"))
    return 0


def build_parser() -> argparse.ArgumentParser:
    """Return the parser."""
    parser = CommandParser("tokenizer", description="Train a byte-level BPE tokenizer on text.")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--text_file", type=Path, nargs="+", metavar="FILE", help="UTF-8 text")
    source.add_argument(
        "--dataset", metavar="NAME", help=f"a named corpus: {', '.join(corpus.CORPORA)}"
    )
    parser.add_argument(
        "--n_vocab", type=int, default=4096, metavar="N", help="vocabulary size; default 4096"
    )
    parser.add_argument(
        "--output_file",
        type=Path,
        default=Path("data/tokenizer.json"),
        metavar="FILE",
        help="default data/tokenizer.json",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    return parser


def train(paths: Sequence[Path], n_vocab: int) -> str:
    """Return the contents of a ``tokenizer.json`` with at most `n_vocab` tokens.

    Texts with few distinct words give fewer. Raises UserError if a file is not UTF-8.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=n_vocab,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    total = sum(path.stat().st_size for path in paths)
    with ProgressLine("counting words", total, summary=False) as line:
        tokenizer.train_from_iterator(blocks(paths, line), trainer)
    return tokenizer.to_str(pretty=True) + "\n"


def blocks(paths: Sequence[Path], line: ProgressLine) -> Iterator[str]:
    """Yield the texts in blocks of whole lines."""
    n_bytes = 0
    for path in paths:
        held = ""
        for text in decode(Source(path)):
            n_bytes += len(text.encode())
            line.update(n_bytes)
            ended, newline, held = (held + text).rpartition("\n")
            if newline:
                yield ended + newline
        yield held
    line.update(n_bytes, "merging")


if __name__ == "__main__":
    run_command(main)
