"""Train a tokenizer on a text: ``simplegpt tokenizer --text_file FILE --n_vocab 4096``.

It takes what ``simplegpt data`` takes, and learns the text that would be encoded: of dialogues the
messages, of documents their texts. The result is a byte-level BPE that splits text as GPT-2 does,
in a ``tokenizer.json`` in Hugging Face's format. Its path is a ``tokenizer_name`` for the other
commands and for configs.
"""

import argparse
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from simplegpt.cli import CommandParser, UserError, one_line, run_command, show
from simplegpt.data.encode import Chunk
from simplegpt.data.sources import add_source_options, check_source, open_source, read_source
from simplegpt.data.tokenizer import BETWEEN_PIECES, END_OF_TEXT, load_tokenizer
from simplegpt.files import write_atomically
from simplegpt.progress import ProgressLine, format_bytes, format_count

MIN_VOCAB = 257
"""The 256 bytes and <|endoftext|>."""
MAX_VOCAB = 2**32
"""The IDs of a token file."""
MAX_WORD = 256
"""Characters of a word that is learned from: texts without spaces have very long ones."""
MAX_UNBROKEN = 4_000_000
_LONG_WORD = re.compile(rf"[^\W\d_]{{{MAX_WORD}}}|\d{{{MAX_WORD}}}|[^\w\s]{{{MAX_WORD}}}")
PART = 1 << 13
"""Characters that the library gets together: it keeps 256 such parts, and much about each sign."""
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
    check_source(options)
    texts = read_source(open_source(options), options.marker)
    contents, n_bytes = train(texts, options.n_vocab)
    options.output_file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(options.output_file, contents)
    load_tokenizer.cache_clear()
    tokenizer = load_tokenizer(str(options.output_file))
    lengths = [len(tokenizer.decode_bytes([token])) for token in range(tokenizer.n_vocab)]
    longest = sorted(range(tokenizer.n_vocab), key=lambda token: -lengths[token])[:N_SHOWN]
    words = "  ".join(one_line(tokenizer.decode([token])) for token in longest)
    show(f"{format_count(tokenizer.n_vocab)} tokens from {format_bytes(n_bytes)}; longest: {words}")
    show(one_line(f"saved to {options.output_file}"))
    return 0


def build_parser() -> argparse.ArgumentParser:
    """Return the parser."""
    parser = CommandParser("tokenizer", description="Train a byte-level BPE tokenizer on text.")
    add_source_options(parser)
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


def train(texts: Iterable[Chunk], n_vocab: int) -> tuple[str, int]:
    """Return the contents of a ``tokenizer.json``, and how many bytes of text it was trained on.

    It has at most `n_vocab` tokens: texts with few distinct words give fewer. Raises UserError if
    there is no text.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    # Merging takes time proportional to the square of a word's length: a longer one is cut.
    kinds = (r"\p{L}", r"\p{N}", r"[^\s\p{L}\p{N}]", r"\s")
    words = "|".join(f"{kind}{{{MAX_WORD}}}" for kind in kinds)
    shorter = pre_tokenizers.Split(Regex(words), "isolated")
    splitter = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([shorter, splitter])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=n_vocab,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    n_bytes = 0

    def counted() -> Iterator[str]:
        nonlocal n_bytes
        for text in _parts(texts):
            n_bytes += len(text.encode())
            line.update(n_bytes)
            yield text
        line.update(n_bytes, "merging")

    with ProgressLine("counting words", summary=False) as line:
        tokenizer.train_from_iterator(counted(), trainer)
    if not n_bytes:
        raise UserError("there is no text to train a tokenizer on")
    tokenizer.pre_tokenizer = splitter
    return tokenizer.to_str(pretty=True) + "\n", n_bytes


def _parts(texts: Iterable[Chunk]) -> Iterator[str]:
    """Yield texts in parts of about `PART` characters, between words where that is possible.

    After `MAX_UNBROKEN` characters of a text without words, such as a genome, more of it is left
    out: the library keeps every distinct word in memory.
    """
    held, left = "", MAX_UNBROKEN
    for chunk in texts:
        held += chunk.text
        start = 0
        while len(held) - start > 2 * PART:
            found = BETWEEN_PIECES.search(held, start + PART, start + 2 * PART)
            end = found.end() if found else start + 2 * PART
            if found or not _LONG_WORD.search(held, start, end):
                yield held[start:end]
            elif left > 0:
                yield held[start:end]
                left -= end - start
                if left <= 0:
                    text = f"only {format_count(MAX_UNBROKEN)} characters of text without words"
                    show(f"note: {text} are learned from", sys.stderr)
            start = end
        held = held[start:]
        if chunk.ends_document:
            yield held
            held = ""


if __name__ == "__main__":
    run_command(main)
