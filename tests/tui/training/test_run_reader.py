"""How the dashboard reads a run's directory."""

from pathlib import Path

from simplegpt.run.directory import RunDirectory
from simplegpt.run.events import TrainStep
from tests.tui.made_runs import NOBODY, Shape, make_run
from tui.shared.history_reader import SMALL_BYTES
from tui.training.run_reader import LOG_TAIL_BYTES, LogTail, RunReader


async def loaded(run: RunDirectory) -> RunReader:
    reader = RunReader(run, trainer=None)
    async for _ in reader.load():
        pass
    return reader


async def test_long_history_has_a_first_picture_before_the_whole(tmp_path: Path) -> None:
    run = make_run(tmp_path / "r", Shape(steps=6_000, every=1, samples=0))
    assert run.events.stat().st_size > SMALL_BYTES
    reader = RunReader(run, trainer=None)
    stages = []
    async for _ in reader.load():
        stages.append((reader.is_whole, len(reader.history.train)))
        if not reader.is_whole:  # what is appended meanwhile is counted once
            run.append_event(TrainStep(step=6_001, tokens=1, loss=1.0, lr=1e-3))
            await reader.read()
            assert reader.history.last_step == 6_001
    (first, some), (second, whole) = stages
    assert (first, second) == (False, True)
    assert 0 < some < 6_000
    assert whole == 6_001
    await reader.read()
    assert len(reader.history.train) == 6_001


async def test_only_what_is_new_is_read(tmp_path: Path) -> None:
    run = make_run(tmp_path / "r", Shape(steps=100))
    reader = await loaded(run)
    assert reader.is_whole
    first = await reader.read()
    assert first.events == ()
    assert len(first.log) > 0
    run.append_event(TrainStep(step=110, tokens=1, loss=1.0, lr=1e-3))
    with run.log.open("a") as log:
        log.write("done\nhalf a line")
    second = await reader.read()
    assert [event.type for event in second.events] == ["train_step"]
    assert second.log == ("done",)
    assert reader.history.last_step == 110


async def test_another_run_in_the_directory_is_noticed(tmp_path: Path) -> None:
    run = make_run(tmp_path / "r", Shape(steps=400))
    reader = await loaded(run)
    make_run(run.path, Shape(steps=50))
    assert (await reader.read()).has_restarted
    assert reader.history.last_step == 400


async def test_failure_of_a_crashed_run_is_found(tmp_path: Path) -> None:
    run = make_run(tmp_path / "r", Shape(steps=100), pid=NOBODY)
    reading = await (await loaded(run)).read()
    assert reading.failure is not None
    assert reading.failure.kind == "killed"
    assert reading.config == run.config
    assert reading.checkpoint == run.last_checkpoint


async def test_directory_without_files_is_empty(tmp_path: Path) -> None:
    reading = await (await loaded(RunDirectory(tmp_path / "none"))).read()
    assert (reading.status, reading.config, reading.checkpoint) == (None, None, None)


def test_long_log_begins_with_a_whole_line(tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    log.write_text("".join(f"line {number}\n" for number in range(20_000)))
    lines = LogTail(log).read()
    assert lines[-1] == "line 19999"
    assert 0 < len(lines) < 20_000
    assert lines[0].startswith("line ")
    assert sum(len(line) + 1 for line in lines) <= LOG_TAIL_BYTES
