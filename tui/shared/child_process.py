"""The environment and the priority of the Python processes that the workbench starts."""

import contextlib
import os
from pathlib import Path

import simplegpt

TRAINING_NICENESS = 10
"""Lower priority than interactive programs, higher than background jobs."""


def child_environment(**variables: str) -> dict[str, str]:
    """This process's environment with `variables`, for a child that runs a module of ours.

    The child finds the packages where this process found them, installed or not.
    """
    source = str(Path(simplegpt.__file__).parents[1])
    path = os.environ.get("PYTHONPATH")
    return {
        **os.environ,
        "PYTHONPATH": f"{source}{os.pathsep}{path}" if path else source,
        **variables,
    }


def lower_priority(pid: int, niceness: int) -> None:
    """Lower a child's priority to `niceness` (1 to 19), unless it has ended already."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, pid, niceness)
