"""Beside a live run the engine takes what is known to be free, otherwise the least."""

from pathlib import Path

from simplegpt.run.checkpoints import CheckpointInfo, sidecar
from simplegpt.run.events import GPU
from tui.chat.live_run import LOW_PRIORITY, choose_resources, examine

GIB = 2**30


def test_busy_machine_leaves_one_thread_at_a_low_priority() -> None:
    found = choose_resources(GIB, free_memory=64 * GIB, free_cores=0.3)
    assert (found.device, found.threads, found.niceness) == ("cpu", 1, LOW_PRIORITY)


def test_idle_cores_are_taken_but_one() -> None:
    found = choose_resources(GIB, free_memory=64 * GIB, free_cores=6.7)
    assert (found.device, found.threads) == ("cpu", 5)


def test_idle_cores_are_not_used_where_memory_is_low() -> None:
    found = choose_resources(4 * GIB, free_memory=6 * GIB, free_cores=8)
    assert (found.threads, found.niceness) == (1, LOW_PRIORITY)
    assert "6.00 GiB free" in found.description


def test_only_an_idle_gpu_with_room_is_taken() -> None:
    def device(utilization: float | None, used: int | None) -> str:
        gpu = GPU(name="H100", utilization=utilization, memory_used=used, memory_total=80 * GIB)
        return choose_resources(GIB, 64 * GIB, 0.5, gpu).device

    assert device(0.0, GIB) == "auto"
    assert device(97.0, GIB) == "cpu", "the run is on it"
    assert device(0.0, 79 * GIB) == "cpu", "the run's memory is on it"
    assert device(None, GIB) == "cpu", "not known to be idle"


def test_newest_checkpoint_is_the_one_of_the_last_step(tmp_path: Path) -> None:
    assert examine(tmp_path).loaded is None
    folder = tmp_path / "ckpts"
    folder.mkdir()
    for name, step in (("best.ckpt", 200), ("last.ckpt", 300)):
        (folder / name).write_bytes(b"x")
        sidecar(folder / name).write_text(CheckpointInfo(step=step, time=1.0).model_dump_json())
    run = examine(tmp_path)
    assert run.newest is not None
    assert (run.newest.path.name, run.newest.info.step) == ("last.ckpt", 300)
    assert run.loaded == run.newest
    older = examine(tmp_path, folder / "best.ckpt")
    assert older.loaded is not None
    assert older.loaded.info.step == 200
    assert older.has_newer
    assert "step 300, /refresh" in older.note
