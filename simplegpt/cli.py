"""A user's mistake: one message, exit code 2, no traceback."""

import difflib
import os
import sys
from collections.abc import Callable, Iterable
from typing import NoReturn

# Exit codes, the same for every command.
DONE, FAILED, USER_MISTAKE, INTERRUPTED, TERMINATED = 0, 1, 2, 130, 143


class UserError(Exception):
    """A mistake of the user's, told in the user's words: what, where, what is allowed."""


def nearest(name: str, candidates: Iterable[str]) -> str:
    """``"; did you mean 'x'?"`` for the candidate closest to `name`, or ``""`` if none is close."""
    matches = difflib.get_close_matches(name, list(candidates), n=1, cutoff=0.6)
    return f"; did you mean '{matches[0]}'?" if matches else ""


def run_command(main: Callable[[], int | None]) -> NoReturn:
    """Run a command's `main` and leave the process with its exit code.

    A `UserError` is printed to stderr and becomes exit code 2, a Ctrl-C 130. A reader that went
    went away (``| head``) is not a failure of ours, nor is a standard stream that is closed.
    """
    _open_standard_streams()
    try:
        code = main() or DONE
        sys.stdout.flush()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        code = USER_MISTAKE
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BrokenPipeError:
        sys.stdout = None  # or the interpreter flushes it again at exit
        code = DONE
    sys.exit(code)


def _open_standard_streams() -> None:
    """Give a standard stream that is closed (``>&-``) the null device.

    Else the next file that is opened gets its number, and what is printed lands in that file.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        name = ("stdin", "stdout", "stderr")[descriptor]
        stream = open(descriptor, "w" if descriptor else "r", encoding="utf-8")  # noqa: SIM115, PTH123
        setattr(sys, name, stream)
    os.close(descriptor)
