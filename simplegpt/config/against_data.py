"""Whether a config fits the token files that it names."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simplegpt.cli import UserError, nearest

if TYPE_CHECKING:
    from simplegpt.data.tokens import Tokens

Found = tuple[tuple[str, ...], str]
"""The keys of a mistake, and what to say."""

HOW_TO_MAKE = " (python -m simplegpt.data makes token files)"
_QUICK = 1 << 20  # tokens of a file without sidecar that are read even when it must be quick


def data_problems(
    values: Mapping[str, Any], wrong: frozenset[str], *, scan: bool
) -> Iterator[Found]:
    """The mistakes that show only in the token files, and an unknown tokenizer.

    `values` are nested and complete; keys in `wrong` are not judged again. `scan` reads a large
    file without sidecar whole, to find its largest id.
    """
    from simplegpt.data.tokenizer import tokenizer_names  # numpy and tiktoken: not for every start
    from simplegpt.data.tokens import open_tokens

    tokenizer = values["tokenizer_name"]
    if "tokenizer_name" not in wrong and tokenizer not in tokenizer_names():
        names = tokenizer_names()
        known = f"there are {', '.join(names)}"
        yield ("tokenizer_name",), f"unknown tokenizer{nearest(tokenizer, names)} ({known})"
        wrong |= {"tokenizer_name"}
    for key in ("data.train_fpath", "data.val_fpath"):
        if key in wrong:
            continue
        spec = values["data"][key.partition(".")[2]]
        try:
            tokens = open_tokens(spec)
        except UserError as error:
            makes = "" if Path(spec).exists() else HOW_TO_MAKE
            yield (key,), f"{error}{makes}"
            continue
        for keys, message in _misfits(values, spec, tokens, scan=scan):
            if wrong.isdisjoint(keys):
                yield (*keys, key), message


def _misfits(
    values: Mapping[str, Any], spec: str, tokens: "Tokens", *, scan: bool
) -> Iterator[Found]:
    from simplegpt.data.tokenizer import is_same_vocabulary

    n_vocab, seq_len = values["model"]["n_vocab"], values["data"]["seq_len"]
    if (scan or tokens.tokenizer or len(tokens) <= _QUICK) and tokens.max_id() >= n_vocab:
        message = f"n_vocab ({n_vocab}) must be above {spec}'s largest id ({tokens.max_id()})"
        yield ("model.n_vocab",), message
    wanted = values["tokenizer_name"]
    made_by = tokens.tokenizer
    if made_by and not is_same_vocabulary(made_by, wanted):
        yield ("tokenizer_name",), f'must be "{made_by}", which made {spec}, not "{wanted}"'
    if len(tokens) <= seq_len:
        message = f"{spec} has {len(tokens)} tokens, and one window needs seq_len + 1 = "
        yield ("data.seq_len",), f"{message}{seq_len + 1}"
