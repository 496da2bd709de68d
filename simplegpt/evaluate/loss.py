"""The loss of a GPT on tokens.

Every token but the first is predicted exactly once, in the same windows as in validation: adjacent,
of seq_len tokens each (n_ctx by default); the last window is moved back to full length, and its
overlap does not count twice. Of dialogues, the tokens of answers are predicted, each in its own
dialogue.
"""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from simplegpt.cli import UserError
from simplegpt.data.encode import Source, check_text_file, encode_files
from simplegpt.data.tokenizer import Tokenizer, is_same_vocabulary
from simplegpt.data.tokens import Tokens, TokenWriter, open_tokens
from simplegpt.data.windows import IGNORED, Batch, open_windows
from simplegpt.progress import ProgressLine, format_loss

if TYPE_CHECKING:  # imports torch, which takes seconds: invalid options are reported first
    from simplegpt.inference.engine import Engine
    from simplegpt.model import GPT

# Limit on a batch's fp32 logits: 256 MiB. Larger batches are not faster.
MAX_LOGITS = 2**26


def encode_text(path: Path, tokenizer: Tokenizer | None, folder: Path) -> Tokens:
    """Encode the text file at `path` into a token file in `folder`, and open it.

    Raises UserError if the text is invalid or the model has no known tokenizer.
    """
    if tokenizer is None:
        raise UserError("no known tokenizer has this model's vocabulary: use --tokens, not --text")
    check_text_file(path)
    source = Source(path)
    file = Path(tempfile.mkdtemp(dir=folder), "text.bin")
    writer = TokenWriter(
        file, tokenizer=tokenizer.name, n_vocab=tokenizer.n_vocab, source=str(path)
    )
    with writer, ProgressLine(f"tokenizing {path.name}", source.size, summary=False) as line:
        encode_files([source], tokenizer, writer.write, progress=line)
        if writer.count < 2:
            raise UserError(f"{path} has {writer.count} tokens: expected at least 2")
        writer.commit()
    return open_tokens(file)


def check(engine: "Engine", tokens: Tokens, seq_len: int | None) -> int:
    """Return the length of the windows. Raises UserError if model and tokens do not match."""
    config = engine.gpt.config
    own = engine.tokenizer.name if engine.tokenizer else None
    if own and tokens.tokenizer and not is_same_vocabulary(own, tokens.tokenizer):
        raise UserError(
            f"the tokens were encoded with the tokenizer '{tokens.tokenizer}', but the model's is "
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
        raise UserError(f"the data has {len(tokens)} tokens: expected at least 2")
    if seq_len is not None and seq_len > config.n_ctx:
        raise UserError(f"--seq_len ({seq_len}) must be ≤ the model's n_ctx ({config.n_ctx})")
    return min(seq_len or config.n_ctx, len(tokens) - 1)


def mean_loss(gpt: "GPT", tokens: Tokens, seq_len: int) -> tuple[float, int]:
    """Return the mean cross-entropy in nats, and the number of predicted tokens.

    They are every token but the first; of dialogues, those of answers.
    """
    windows = open_windows(tokens, seq_len)
    chosen = windows.validation()
    n_predicted = windows.n_targets(chosen)
    total, done = 0.0, 0
    batch_size = max(1, MAX_LOGITS // (seq_len * gpt.config.n_vocab))
    with ProgressLine("evaluating", n_predicted, "tokens", summary=False) as line:
        for first in range(0, len(chosen), batch_size):
            own = range(first, min(first + batch_size, len(chosen)))
            batch = windows.batch([chosen[i] for i in own])
            n = int((batch.targets != IGNORED).sum())
            total += batch_loss(gpt, batch) * n
            done += n
            line.update(done, f"loss {format_loss(total / done)}")
    return total / n_predicted, n_predicted


def batch_loss(gpt: "GPT", batch: Batch) -> float:
    """Return the mean cross-entropy of a batch."""
    import torch

    tensors = [None if a is None else torch.from_numpy(a).to(gpt.wte.weight.device) for a in batch]
    inputs, targets, documents = tensors
    with torch.inference_mode():
        loss: float = gpt(inputs, targets, documents=documents).item()
    return loss


def text_bytes(tokenizer: Tokenizer, tokens: Tokens, chunk: int = 2**20) -> int:
    """Count the UTF-8 bytes of every token but the first; <|endoftext|> has none."""
    lengths = np.array([len(tokenizer.decode_bytes([i])) for i in range(tokens.max_id() + 1)])
    if tokenizer.end_of_text is not None and tokenizer.end_of_text < len(lengths):
        lengths[tokenizer.end_of_text] = 0
    return sum(
        int(lengths[tokens.slice(start, min(start + chunk, len(tokens)))].sum())
        for start in range(1, len(tokens), chunk)
    )
