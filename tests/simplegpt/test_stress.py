"""A few cases of each kind of `make stress`."""

import subprocess
import sys


def test_short_stress_finds_nothing() -> None:
    command = [sys.executable, "-m", "tests.stress", "--short"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert len(done.stdout.splitlines()) > 12  # no section was left out
