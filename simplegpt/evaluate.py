"""Measure a GPT on a token file: ``python -m simplegpt.evaluate MODEL --tokens FILE``.

Prints the loss (mean cross-entropy in nats a token), its perplexity, and the bits per byte of text,
which compare models of different vocabularies. Every token but the first is predicted exactly once,
in the windows of a training's validation: side by side, of seq_len tokens each (n_ctx by default);
the last window is moved back to full length, and its overlap does not count twice.
"""

import argparse
import math
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict

from simplegpt.cli import CommandParser, UserError, run_command
from simplegpt.data.tokenizer import Tokenizer, is_same_vocabulary
from simplegpt.data.tokens import Tokens, open_tokens
from simplegpt.data.windows import ValidationWindows
from simplegpt.inference.loading import (
    MODEL_HELP,
    add_loading_options,
    load_with_progress,
    model_name,
    positive,
)
from simplegpt.inference.protocol import Precision
from simplegpt.progress import ProgressLine, format_duration, format_loss

if TYPE_CHECKING:  # imports torch, which takes seconds: invalid options are reported before
    from simplegpt.inference.engine import Engine
    from simplegpt.model import GPT

# Limit on a batch's fp32 logits: 256 MiB. Larger batches are not faster.
MAX_LOGITS = 2**26


class Evaluation(BaseModel):
    """The results, as ``--json`` prints them."""

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="strings")

    model: str
    tokens: str
    loss: float
    """Mean cross-entropy, nats a token."""
    perplexity: float
    bits_per_byte: float | None
    """None if the tokenizer is unknown or the text has no bytes."""
    n_predicted: int
    """Tokens predicted: all but the first."""
    n_bytes: int | None
    """UTF-8 bytes of the predicted tokens."""
    seq_len: int
    precision: Precision
    seconds: float


def main(argv: Sequence[str] | None = None) -> int:
    """Evaluate as the options in `argv` say. Raises UserError."""
    options = build_parser().parse_args(argv)
    tokens = open_tokens(options.tokens)
    engine = load_with_progress(options.model, options)
    began = time.monotonic()
    seq_len = check(engine, tokens, options.seq_len)
    loss = mean_loss(engine.gpt, tokens, seq_len)
    n_bytes = None if engine.tokenizer is None else text_bytes(engine.tokenizer, tokens)
    n_predicted = len(tokens) - 1
    evaluation = Evaluation(
        model=options.model,
        tokens=options.tokens,
        loss=loss,
        perplexity=math.exp(loss) if loss < 700 else math.inf,
        bits_per_byte=loss * n_predicted / math.log(2) / n_bytes if n_bytes else None,
        n_predicted=n_predicted,
        n_bytes=n_bytes,
        seq_len=seq_len,
        precision=options.precision,
        seconds=time.monotonic() - began,
    )
    print(evaluation.model_dump_json() if options.json else format_evaluation(evaluation))
    return 0


def build_parser() -> argparse.ArgumentParser:
    """Make the parser."""
    parser = CommandParser(description="Measure a GPT on a token file, over every token once.")
    parser.add_argument("model", type=model_name, metavar="MODEL", help=MODEL_HELP)
    parser.add_argument(
        "--tokens", required=True, metavar="FILE", help="a token file, a folder of them, or a glob"
    )
    parser.add_argument(
        "--seq_len", type=positive, metavar="N", help="tokens in a window; default n_ctx"
    )
    add_loading_options(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def check(engine: "Engine", tokens: Tokens, seq_len: int | None) -> int:
    """Return the length of the windows. Raises UserError if model and tokens do not match."""
    config = engine.gpt.config
    own = engine.tokenizer.name if engine.tokenizer else None
    if own and tokens.tokenizer and not is_same_vocabulary(own, tokens.tokenizer):
        raise UserError(
            f"the tokens are encoded with tokenizer '{tokens.tokenizer}', but the model's is "
            f"'{own}': encode the text again with --tokenizer_name {own}"
        )
    if own and tokens.meta:
        raise UserError(
            f"the token IDs are those of {tokens.meta}, but the model's tokenizer is '{own}': "
            f"encode the text again with --tokenizer_name {own}"
        )
    if tokens.max_id() >= config.n_vocab:
        raise UserError(
            f"largest token ID ({tokens.max_id()}) must be < the model's n_vocab "
            f"({config.n_vocab}): the tokens are from another tokenizer"
        )
    if len(tokens) < 2:
        raise UserError("the token file has only one token: expected at least 2")
    if seq_len is not None and seq_len > config.n_ctx:
        raise UserError(f"--seq_len ({seq_len}) must be ≤ the model's n_ctx ({config.n_ctx})")
    return min(seq_len or config.n_ctx, len(tokens) - 1)


def mean_loss(gpt: "GPT", tokens: Tokens, seq_len: int) -> float:
    """Mean cross-entropy of every token but the first, in nats."""
    n_predicted = len(tokens) - 1
    total, done = 0.0, 0
    with ProgressLine("evaluating", n_predicted, "tokens", summary=False) as line:
        for loss, n in batch_losses(gpt, tokens, seq_len):
            total += loss * n
            done += n
            line.update(done, f"loss {format_loss(total / done)}")
    return total / n_predicted


def batch_losses(gpt: "GPT", tokens: Tokens, seq_len: int) -> Iterator[tuple[float, int]]:
    """Yield each batch's mean cross-entropy and its number of predicted tokens."""
    import torch

    device = gpt.wte.weight.device
    windows = ValidationWindows(len(tokens), seq_len)
    batch_size = max(1, MAX_LOGITS // (seq_len * gpt.config.n_vocab))
    for first in range(0, len(windows), batch_size):
        batch = [windows[i] for i in range(first, min(first + batch_size, len(windows)))]
        ids = np.stack([tokens.slice(w.start, w.start + seq_len + 1) for w in batch])
        skipped = np.arange(seq_len) < np.array([[w.skip] for w in batch])
        targets = np.where(skipped, -100, ids[:, 1:])
        with torch.inference_mode():
            inputs = torch.from_numpy(ids[:, :-1]).to(device)
            loss = gpt(inputs, torch.from_numpy(targets).to(device))
        yield loss.item(), int((~skipped).sum())


def text_bytes(tokenizer: Tokenizer, tokens: Tokens, chunk: int = 2**20) -> int:
    """Count the UTF-8 bytes of every token but the first; <|endoftext|> has none."""
    lengths = np.array([len(tokenizer.decode_bytes([i])) for i in range(tokens.max_id() + 1)])
    if tokenizer.end_of_text is not None and tokenizer.end_of_text < len(lengths):
        lengths[tokenizer.end_of_text] = 0
    return sum(
        int(lengths[tokens.slice(start, min(start + chunk, len(tokens)))].sum())
        for start in range(1, len(tokens), chunk)
    )


def format_evaluation(evaluation: Evaluation) -> str:
    """Return the results as a table."""
    bits = evaluation.bits_per_byte
    lines = [
        f"loss           {format_loss(evaluation.loss)}",
        f"perplexity     {evaluation.perplexity:.2f}",
        f"bits per byte  {'unknown: no tokenizer' if bits is None else f'{bits:.4f}'}",
        f"{evaluation.n_predicted:,} tokens in windows of {evaluation.seq_len}, "
        f"{format_duration(evaluation.seconds)}",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    run_command(main)
