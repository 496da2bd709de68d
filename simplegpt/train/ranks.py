"""What the processes of a run (its ranks) tell one another. In a run of one process, nothing.

Rank 0 decides and says so; an error of one rank is the error of all. Whatever is said goes through
the CPUs, so that it does not make the GPUs wait.
"""

import os
import re
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import lightning
import torch
import torch.distributed as dist
from torch.distributed.distributed_c10d import (
    PrefixStore,
    Store,
    _get_default_store,
)
from torch.utils._pytree import tree_flatten, tree_unflatten

from simplegpt.cli import FAILED, INVALID_INPUT, UserError, one_line, show

T = TypeVar("T")


class AgreedError(Exception):
    """An error that all ranks raise at the same place, so that none has to tell the others."""


CONFIG = "simplegpt/config"
FIRST_ERROR = "simplegpt/first_error"
"""The key of the store that all ranks share, with the error of the rank that failed first."""
START_TIMEOUT = timedelta(minutes=2)
PREPARATION_TIMEOUT = timedelta(minutes=30)  # a rank may download or read initial weights
ERROR_POLL_SECONDS = 1.0
# The others end by themselves, when their connections close; a GPU may hang instead.
GRACE_SECONDS = 10.0
JOIN_SECONDS = 5.0
# Meanwhile rank 0 prints the error and removes what it made; then torchrun ends all processes.
PRINT_SECONDS = 1.0


def publish(text: str) -> None:
    """Leave the run's config for ranks whose machine has none. On rank 0, before `join`."""
    if store := _agents_store():
        store.set(CONFIG, text)


def published() -> str | None:
    """Return the config that rank 0 leaves; None without a store before `join`, or a rank 0."""
    store = _agents_store()
    try:
        return store.get(CONFIG).decode() if store else None
    except dist.DistError:  # rank 0 has failed, and said why
        return None


def _agents_store() -> Store | None:
    """Return torchrun's store, which is there before the ranks have joined; None without one."""
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        return None
    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    store = dist.TCPStore(  # type: ignore[attr-defined] # torch does not list it
        address, port, is_master=False, timeout=START_TIMEOUT
    )
    return PrefixStore(f"attempt-{os.environ['TORCHELASTIC_RESTART_COUNT']}", store)


def join(trainer: lightning.Trainer) -> None:
    """Wait for all ranks of the run. Lightning does so only once training starts.

    Raises UserError if one does not come.
    """
    if trainer.world_size > 1:
        if os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") != "0":
            # gloo often hangs when torchrun restarts its processes (torch 2.13) and it connects
            # all of them at once
            os.environ.setdefault("TORCH_GLOO_LAZY_INIT", "1")
        try:
            trainer.strategy.setup_environment()
        except (dist.DistError, RuntimeError) as error:
            raise UserError(
                f"not all processes of the run have started: {str(error).splitlines()[0]}",
                "see what those on the other machines have printed",
            ) from error
        _ranks.group = dist.new_group(backend="gloo", timeout=PREPARATION_TIMEOUT)


def limit_waits(timeout: timedelta) -> None:
    """Wait at most `timeout` for another rank from now on."""
    if _ranks.group is not None:
        _ranks.group = dist.new_group(backend="gloo", timeout=timeout)


class _Ranks:
    """This process's connection to the others."""

    group: "dist.ProcessGroup | None" = None
    """On the CPUs; None in a run of one process."""
    watcher: threading.Thread | None = None
    ended = threading.Event()
    is_stuck = False
    """Whether a thread waits for a store that does not answer."""


_ranks = _Ranks()


def broadcast(value: T) -> T:
    """Return rank 0's `value` on all ranks."""
    if _ranks.group is None:
        return value
    values: list[Any] = [value]
    dist.broadcast_object_list(values, src=0, group=_ranks.group)
    result: T = values[0]
    return result


def decided(decide: Callable[[], T]) -> T:
    """Return on all ranks what `decide` returns on rank 0. Its UserError is that of all."""
    value: T | None = None
    error: UserError | None = None
    if _ranks.group is None or dist.get_rank() == 0:
        try:
            value = decide()
        except UserError as caught:
            error = caught
    value, error = broadcast((value, error))
    if error is not None:
        raise error
    result: T = value  # type: ignore[assignment] # without an error it is that of rank 0
    return result


def gather(value: T) -> list[T]:
    """Return the `value` of every rank, on all of them."""
    if _ranks.group is None:
        return [value]
    values: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(values, value, group=_ranks.group)
    return values


def send_tensors(value: Any, receivers: Sequence[int]) -> Any:
    """Return rank 0's `value`, plain data and tensors, on it and on `receivers`.

    The tensors are sent one by one; other ranks return their own `value`.
    """
    members = [0, *receivers]
    group = dist.new_group(members, backend="gloo", timeout=PREPARATION_TIMEOUT)
    if dist.get_rank() not in members:
        return value
    leaves, structure = tree_flatten(value)
    plain = [_Shape.of(leaf) if isinstance(leaf, torch.Tensor) else leaf for leaf in leaves]
    sent: list[Any] = [(plain, structure)]
    dist.broadcast_object_list(sent, src=0, group=group)
    plain, structure = sent[0]
    is_first = dist.get_rank() == 0
    for i, leaf in enumerate(plain):
        if isinstance(leaf, _Shape):
            own = leaves[i] if is_first else torch.empty(leaf.shape, dtype=leaf.dtype)
            tensor = own.contiguous()
            dist.broadcast(tensor, src=0, group=group)
            plain[i] = tensor
    return value if is_first else tree_unflatten(plain, structure)


@dataclass(frozen=True)
class _Shape:
    """A tensor before it is sent."""

    shape: tuple[int, ...]
    dtype: torch.dtype

    @classmethod
    def of(cls, tensor: torch.Tensor) -> "_Shape":
        return cls(tuple(tensor.shape), tensor.dtype)


@contextmanager
def agreement() -> Iterator[None]:
    """Run a block on all ranks: if it fails on one, it fails on all, with the error of the first.

    Rank 0 raises it, with the name of the rank; the others exit.
    """
    error: Exception | None = None
    try:
        yield
    except Exception as caught:
        error = caught
    errors = gather(None if error is None else _described(error))
    first = next((one for one in errors if one is not None), None)
    if first is None:
        return
    if dist.is_initialized() and dist.get_rank() > 0:
        if error is not None and not isinstance(error, UserError):
            traceback.print_exception(error)
        time.sleep(PRINT_SECONDS)
        sys.exit(INVALID_INPUT)
    raise error or UserError(first)


def connection_problem(error: BaseException) -> str | None:
    """Return in one line what an error of the communication means; None for other errors."""
    text = str(error)
    if not isinstance(error, RuntimeError) or not re.search(r"gloo/|NCCL|TCPStore", text):
        return None
    if re.search(r"imed out|imeout", text):
        return "another rank did not answer within trainer.timeout_seconds"
    return "lost the connection to another rank: it was killed, or its machine went down"


def _described(error: BaseException) -> str:
    """Return an error in one line, with the rank and the host that it is of."""
    text = connection_problem(error) or str(error)
    if not isinstance(error, UserError) and text == str(error):
        text = f"{type(error).__name__}: {error}"
    where = f"rank {dist.get_rank()} on {socket.gethostname()}: " if dist.is_initialized() else ""
    return where + one_line(text.strip())


def first_error(error: BaseException) -> str | None:
    """Tell all ranks that this one fails with `error`; return that of the one that failed first.

    None if that is this one, or if nobody can be told.
    """
    if _ranks.group is None or isinstance(error, AgreedError):
        return None
    own, answers = _described(error), list[str]()

    def tell() -> None:
        with suppress(Exception):  # the store ends with the process that holds it
            answers.append(_get_default_store().compare_set(FIRST_ERROR, "", own).decode())

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    teller.join(JOIN_SECONDS)  # the link to the store may be down
    _ranks.is_stuck = teller.is_alive()
    return next((answer for answer in answers if answer != own), None)


def watch_for_errors(end: Callable[[str], None]) -> None:
    """Call `end` with the error of another rank, if this one does not end by itself after it."""
    if _ranks.group is None:
        return

    def watch() -> None:
        store = _get_default_store()
        with suppress(Exception):  # the store has ended, and with it the run
            while not store.check([FIRST_ERROR]):
                if _ranks.ended.wait(ERROR_POLL_SECONDS):
                    return
            if not _ranks.ended.wait(GRACE_SECONDS):
                end(store.get(FIRST_ERROR).decode())
                os._exit(FAILED)

    _ranks.watcher = threading.Thread(target=watch, daemon=True)
    _ranks.watcher.start()


def leave(*, has_failed: bool) -> None:
    """End the connection before the interpreter ends, which would abort in its threads."""
    _ranks.group = None
    if not dist.is_initialized():
        return
    _ranks.ended.set()
    if _ranks.is_stuck:  # so would the interpreter's end be
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(FAILED)
    if _ranks.watcher is not None:  # a thread within the store would abort the interpreter's end
        _ranks.watcher.join(JOIN_SECONDS)
    try:
        if not has_failed:
            dist.barrier()
        dist.destroy_process_group()
    except Exception as error:
        show(f"warning: cannot close the connection to the other ranks: {error}", sys.stderr)
