"""A few cases of each kind of `make stress`."""

import sys
from pathlib import Path

import pytest

from tests.stress.__main__ import main
from tests.stress.child import Command


def test_short_stress_finds_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["stress", "--short"])
    command = Command(lambda _: main(), [], tmp_path)
    assert command.wait(600)
    assert command.code == 0, command.output()
    n_rows = sum(line.startswith("| ") for line in command.output().splitlines())
    assert n_rows > 11  # no section was left out
