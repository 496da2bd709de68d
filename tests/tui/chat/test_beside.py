"""Beside a live run the engine takes what was shown to be free, and else the least."""

from pathlib import Path

from simplegpt.run.checkpoints import CheckpointInfo, sidecar
from tui.chat.beside import GIB, LOW_PRIORITY, choose_share, newest_checkpoint


def test_busy_machine_leaves_one_thread_at_a_low_priority() -> None:
    share = choose_share(GIB, memory_free=64 * GIB, cores_free=0.3)
    assert (share.device, share.threads, share.niceness) == ("cpu", 1, LOW_PRIORITY)
    assert share.words == "CPU, 1 thread, low priority"


def test_free_cores_are_taken_but_one() -> None:
    share = choose_share(GIB, memory_free=64 * GIB, cores_free=6.7)
    assert (share.device, share.threads) == ("cpu", 5)


def test_free_cores_are_of_no_use_where_memory_is_short() -> None:
    share = choose_share(4 * GIB, memory_free=6 * GIB, cores_free=8)
    assert (share.threads, share.niceness) == (1, LOW_PRIORITY)
    assert "memory is short (6.0 GiB free)" in share.words


def test_only_an_idle_gpu_with_room_is_taken() -> None:
    def device(utilization: float | None, used: int | None) -> str:
        gpu = (utilization, used, 80 * GIB)
        return choose_share(GIB, 64 * GIB, 0.5, gpu).device

    assert device(0.0, GIB) == "auto"
    assert device(97.0, GIB) == "cpu", "the run is on it"
    assert device(0.0, 79 * GIB) == "cpu", "the run's memory is on it"
    assert device(None, GIB) == "cpu", "not shown to be free"


def test_newest_checkpoint_is_the_one_of_the_last_step(tmp_path: Path) -> None:
    assert newest_checkpoint(tmp_path) is None
    folder = tmp_path / "ckpts"
    folder.mkdir()
    for name, step in (("best.ckpt", 200), ("last.ckpt", 300)):
        (folder / name).write_bytes(b"x")
        sidecar(folder / name).write_text(CheckpointInfo(step=step, time=1.0).model_dump_json())
    newest = newest_checkpoint(tmp_path)
    assert newest is not None
    assert (newest.path.name, newest.step) == ("last.ckpt", 300)
