"""What became of a hostile input, and the tally of many of them."""

import signal
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

from simplegpt.cli import UserError

OK, REFUSED, TRACEBACK, HANG, WRONG = "ok", "refused", "traceback", "hang", "wrong"
COLUMNS = (OK, REFUSED, TRACEBACK, HANG, WRONG)
"""`REFUSED` is one message and exit code 2; `WRONG` a result that differs from the right one."""
HANG_SECONDS = 30


class HangError(BaseException):
    """Raised in what takes too long; no `except Exception` catches it."""


@dataclass
class Tally:
    """How many cases of one kind had which outcome, and the first defects in full."""

    name: str
    counts: Counter[str] = field(default_factory=Counter)
    defects: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, outcome: str, detail: str = "") -> None:
        self.counts[outcome] += 1
        if outcome not in (OK, REFUSED):
            self.defects.append(f"{self.name}: {outcome}: {detail}")
            print(f"{outcome}: {detail.strip():.100}", file=sys.stderr, flush=True)

    def attempt(self, case: str, action: Callable[[], object]) -> None:
        """Add the outcome of `action`, as `run_command` would end it. It may return an outcome."""
        try:
            with time_limit(HANG_SECONDS):
                outcome = action()
        except UserError:
            self.add(REFUSED)
        except HangError:
            self.add(HANG, case)
        except OSError as error:
            named = error.filename is not None
            self.add(REFUSED if named else TRACEBACK, f"{case}\n{traceback.format_exc()}")
        except SystemExit as error:
            self.add(REFUSED if error.code == 2 else OK)
        except Exception:
            self.add(TRACEBACK, f"{case}\n{traceback.format_exc()}")
        else:
            self.add(outcome if isinstance(outcome, str) else OK, case)


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    def interrupt(number: int, frame: FrameType | None) -> None:
        raise HangError

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
