"""Which checkpoints of a run are kept, and under which names."""

from simplegpt.config.schema import CheckpointingConfig
from simplegpt.run.checkpoints import (
    CheckpointFiles,
    CheckpointInfo,
    list_checkpoints,
    newest_checkpoint,
    read_info,
)
from simplegpt.run.directory import RunDirectory


def keep(files: CheckpointFiles, n: int, loss: float | None, *, is_best: bool = False) -> list[str]:
    files.temporary().write_bytes(b"weights" * n)
    info = CheckpointInfo(step=n, val_loss=loss, score=loss)
    names = files.names(info, is_best=is_best, is_last=False)
    return sorted(path.name for path in files.keep(files.temporary(), info, names))


def test_best_and_last_are_one_file_until_they_differ(run: RunDirectory) -> None:
    files = CheckpointFiles(run, CheckpointingConfig())
    assert keep(files, 1, 3.0, is_best=True) == ["best.ckpt", "last.ckpt"]
    best, last = run.checkpoints / "best.ckpt", run.last_checkpoint
    assert best.stat().st_ino == last.stat().st_ino
    assert keep(files, 2, 4.0) == ["last.ckpt"]
    assert best.read_bytes() == b"weights"
    info = read_info(last)
    assert info is not None
    assert (info.step, info.size) == (2, last.stat().st_size)
    listed = [(c.path.name, c.info.step, c.is_best, c.is_last) for c in list_checkpoints(run)]
    assert listed == [("best.ckpt", 1, True, False), ("last.ckpt", 2, False, True)]


def test_the_k_best_are_kept(run: RunDirectory) -> None:
    files = CheckpointFiles(run, CheckpointingConfig(save_top_k=2))
    for n, loss in enumerate((3.0, 1.0, 2.0, 5.0), 1):
        keep(files, n, loss, is_best=loss in (3.0, 1.0))
    steps = sorted(path.name for path in run.checkpoints.glob("step-*.ckpt"))
    assert steps == ["step-000002.ckpt", "step-000003.ckpt"]
    best = read_info(run.checkpoints / "best.ckpt")
    assert best is not None
    assert best.step == 2
    assert not list(run.checkpoints.glob(".*"))


def test_checkpoint_between_validations_is_only_the_last(run: RunDirectory) -> None:
    files = CheckpointFiles(run, CheckpointingConfig(save_top_k=-1))
    first = keep(files, 1, 3.0, is_best=True)
    assert first == ["best.ckpt", "last.ckpt", "step-000001.ckpt"]
    assert keep(files, 2, None) == ["last.ckpt"]


def test_newest_checkpoint_is_the_last_or_else_that_of_the_latest_step(run: RunDirectory) -> None:
    assert newest_checkpoint(run) is None
    files = CheckpointFiles(run, CheckpointingConfig(save_last=False, save_top_k=-1))
    for n, loss in enumerate((3.0, 4.0), 1):
        keep(files, n, loss)
    assert newest_checkpoint(run) == run.checkpoints / "step-000002.ckpt"
    run.last_checkpoint.touch()
    assert newest_checkpoint(run) == run.last_checkpoint
