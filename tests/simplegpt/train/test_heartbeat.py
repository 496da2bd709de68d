"""The status of a run is written whatever the disk does."""

import errno
from pathlib import Path

import pytest

from simplegpt.run.directory import RunDirectory
from simplegpt.train.heartbeat import Heartbeat


def test_heartbeat_outlives_a_disk_that_takes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    run = RunDirectory(tmp_path)
    heartbeat = Heartbeat(run, attempt=1, max_steps=1)
    monkeypatch.setattr(RunDirectory, "write_status", refuse)
    heartbeat.begin()
    with heartbeat.doing("saving"):
        pass
    monkeypatch.undo()
    heartbeat.end("stopped")
    status = run.status()
    assert status is not None
    assert status.state == "stopped"
