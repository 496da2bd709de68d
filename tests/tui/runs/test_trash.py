"""Deleting a run moves it aside, undo brings it back, and a live run stays where it is."""

import os
from pathlib import Path

import pytest

from simplegpt.cli import UserError
from simplegpt.run.directory import RunDirectory, find_runs
from simplegpt.run.state import Status
from tui.runs.trash import Trash


def make_run(path: Path, state: str = "finished") -> RunDirectory:
    run = RunDirectory(path)
    run.create()
    run.write_status(Status.of_this_process(state))  # type: ignore[arg-type]
    run.last_checkpoint.write_bytes(b"x" * 1000)
    return run


def test_deleted_run_is_no_longer_found_and_undo_brings_it_back_whole(tmp_path: Path) -> None:
    run = make_run(tmp_path / "models" / "tiny")
    trash = Trash(tmp_path)
    item = trash.delete(run.path, 1.0)
    assert not run.path.exists()
    assert list(find_runs(tmp_path)) == []
    assert trash.sizes([item])[0] >= 1000
    assert trash.restore(item) == run.path
    assert run.last_checkpoint.read_bytes() == b"x" * 1000
    assert [found.path for found in find_runs(tmp_path)] == [run.path]
    assert trash.items() == []


def test_trash_is_remembered_by_the_next_start_last_deleted_first(tmp_path: Path) -> None:
    for time, name in enumerate(("a", "b")):
        Trash(tmp_path).delete(make_run(tmp_path / name).path, time)
    assert [item.original.name for item in Trash(tmp_path).items()] == ["b", "a"]


def test_two_runs_of_one_name_do_not_collide_in_the_trash(tmp_path: Path) -> None:
    trash = Trash(tmp_path)
    trash.delete(make_run(tmp_path / "a").path, 1.0)
    trash.delete(make_run(tmp_path / "a").path, 1.0)
    assert len(trash.items()) == 2


def test_live_run_is_not_deleted(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a", "running")
    with pytest.raises(UserError, match="a is running: stop it before"):
        Trash(tmp_path).delete(run.path, 1.0)
    assert run.last_checkpoint.exists()


def test_crashed_run_can_be_deleted(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a", "running")
    status = run.status()
    assert status is not None
    run.write_status(status.model_copy(update={"pid_created": 1.0}))
    Trash(tmp_path).delete(run.path, 1.0)
    assert not run.path.exists()


def test_undo_does_not_overwrite_a_newer_run_of_the_same_name(tmp_path: Path) -> None:
    trash = Trash(tmp_path)
    item = trash.delete(make_run(tmp_path / "a").path, 1.0)
    newer = make_run(tmp_path / "a")
    newer.last_checkpoint.write_bytes(b"new")
    with pytest.raises(UserError, match="already exists"):
        trash.restore(item)
    assert newer.last_checkpoint.read_bytes() == b"new"
    assert trash.items() == [item]


def test_the_working_directory_itself_is_not_deleted(tmp_path: Path) -> None:
    make_run(tmp_path)
    with pytest.raises(UserError, match="contains the working directory"):
        Trash(tmp_path).delete(tmp_path, 1.0)


def test_a_run_that_is_gone_is_said_to_be(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such directory"):
        Trash(tmp_path).delete(tmp_path / "a", 1.0)
    assert not (tmp_path / ".simplegpt-trash").exists()


def test_a_failed_move_leaves_the_run_and_no_empty_slot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path / "a")

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "rename", refuse)
    with pytest.raises(UserError, match="Permission denied"):
        Trash(tmp_path).delete(run.path, 1.0)
    assert run.last_checkpoint.exists()
    assert [path.name for path in (tmp_path / ".simplegpt-trash").iterdir()] == [".gitignore"]


def test_on_another_disk_the_run_is_copied_and_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path / "a")

    def other_disk(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "rename", other_disk)
    trash = Trash(tmp_path)
    item = trash.delete(run.path, 1.0)
    assert not run.path.exists()
    trash.restore(item)
    assert run.last_checkpoint.stat().st_size == 1000


def test_emptying_frees_the_disk_and_keeps_the_folder_out_of_git(tmp_path: Path) -> None:
    trash = Trash(tmp_path)
    trash.delete(make_run(tmp_path / "a").path, 1.0)
    assert (trash.folder / ".gitignore").read_text() == "*\n"
    trash.empty()
    assert trash.items() == []
    assert [path.name for path in trash.folder.iterdir()] == [".gitignore"]
