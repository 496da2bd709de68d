"""What the workbench gives to the Python processes that it starts."""

import contextlib
import os
from pathlib import Path

import psutil

import simplegpt

TRAINING_NICENESS = 10
"""A training yields to interactive programs, and goes before background jobs."""


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
    """Let a child run behind other processes (1 to 19); nothing where it has ended already."""
    with contextlib.suppress(psutil.Error, OSError):
        psutil.Process(pid).nice(niceness)
