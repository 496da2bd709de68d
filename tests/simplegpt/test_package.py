"""What importing the package does."""

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("given", "expected"),
    [({}, "1000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, "None")],
)
def test_threads_wait_briefly_unless_the_environment_says_otherwise(
    given: dict[str, str], expected: str
) -> None:
    names = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    environment = {name: value for name, value in os.environ.items() if name not in names}
    program = (
        "import os, sys, simplegpt.train, simplegpt.inference.protocol\n"
        "assert 'torch' not in sys.modules  # which reads it\n"
        "print(os.environ.get('GOMP_SPINCOUNT'))"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment | given, capture_output=True, text=True)
    assert done.stdout.strip() == expected, done.stderr
