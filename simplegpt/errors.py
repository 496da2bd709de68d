"""A user's mistake: one message, exit code 2, no traceback."""

import difflib
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
    away (``| head``) is not a failure of ours.
    """
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
