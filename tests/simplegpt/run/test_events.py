"""Events and commands are read as they were written, even half-written, restarted or very long."""

import itertools
import json
import math
import os
from multiprocessing import get_context

import pytest
from pydantic import ValidationError

from simplegpt.run.directory import RunDirectory
from simplegpt.run.events import (
    Command,
    CommandDone,
    LineReader,
    RunStarted,
    TrainStep,
    Validation,
    parse_event,
    skim,
)


def step(n: int, loss: float = 1.0) -> TrainStep:
    return TrainStep(step=n, tokens=n * 64, loss=loss, lr=1e-3)


@pytest.mark.parametrize("loss", [1.5, math.inf, -math.inf])
def test_event_comes_back_as_it_was_written(run: RunDirectory, loss: float) -> None:
    event = step(3, loss)
    run.append_event(event)
    assert run.read_events() == [event]


@pytest.mark.parametrize("factor", ["Infinity", "-Infinity", "NaN", "-1", "0", "1e999"])
def test_an_lr_factor_must_be_a_finite_positive_number(run: RunDirectory, factor: str) -> None:
    run.commands.write_text(f'{{"command": "set_lr_factor", "factor": {factor}}}\n')
    (answer,) = LineReader(run.commands).read_commands()
    assert isinstance(answer, CommandDone)
    assert not answer.ok
    with pytest.raises(ValidationError):
        run.send("set_lr_factor", factor=float(factor))


def test_nan_and_infinite_losses_survive_the_file(run: RunDirectory) -> None:
    run.append_event(step(1, math.nan))
    (event,) = run.read_events()
    assert isinstance(event, TrainStep)
    assert math.isnan(event.loss)
    json.loads(run.events.read_text(), parse_constant=pytest.fail)  # and it is strict JSON


def test_unknown_types_and_fields_are_skipped(run: RunDirectory) -> None:
    lines = [
        b'{"version":2,"time":1,"type":"from_the_future","x":1}',
        b'{"version":2,"time":1,"type":"validation","step":1,"tokens":2,"val_loss":3,"new":4}',
        b"not json",
        b"",
    ]
    run.events.write_bytes(b"\n".join(lines) + b"\n")
    (event,) = run.read_events()
    assert isinstance(event, Validation)
    assert parse_event("[]") is None


def test_half_written_line_waits_for_its_end(run: RunDirectory) -> None:
    reader = LineReader(run.events)
    assert reader.read_events() == []
    line = step(1).model_dump_json().encode()
    run.events.write_bytes(line[:20])
    assert reader.read_events() == []
    run.events.write_bytes(line + b"\n" + line[:5])
    assert [e.step for e in reader.read_events() if isinstance(e, TrainStep)] == [1]
    assert reader.read_events() == []


def test_writer_after_a_killed_one_starts_a_line_of_its_own(run: RunDirectory) -> None:
    run.events.write_bytes(b'{"version":1,"ty')
    run.append_event(step(7))
    assert [e.step for e in run.read_events() if isinstance(e, TrainStep)] == [7]


def test_reader_starts_again_when_the_file_shrank(run: RunDirectory) -> None:
    reader = LineReader(run.events)
    for n in range(5):
        run.append_event(step(n))
    assert len(reader.read_events()) == 5
    assert not reader.restarted
    run.events.unlink()
    run.append_event(step(9))
    assert [e.step for e in reader.read_events() if isinstance(e, TrainStep)] == [9]
    assert reader.restarted


def test_reader_starts_again_when_the_file_was_replaced_by_a_longer_one(run: RunDirectory) -> None:
    """Also one whose lines differ only in their time and step, and have the same length."""
    reader = LineReader(run.events)
    run.append_event(TrainStep(step=1, time=1.0, tokens=0, loss=1.0, lr=1e-3))
    assert len(reader.read_events()) == 1
    run.events.unlink()
    for n in (2, 3):
        run.append_event(TrainStep(step=n, time=float(n), tokens=0, loss=1.0, lr=1e-3))
    assert [e.step for e in reader.read_events() if isinstance(e, TrainStep)] == [2, 3]
    assert reader.restarted
    assert reader.read_events() == []
    assert not reader.restarted


def test_commands_of_a_replaced_file_are_executed_once(run: RunDirectory) -> None:
    run.send("stop")
    reader = LineReader.from_end(run.commands)
    run.send("save")
    assert [c.command for c in reader.read_commands()] == ["save"]
    saved_by_an_editor = run.path / "copy"
    saved_by_an_editor.write_bytes(b"\xef\xbb\xbf" + run.commands.read_bytes())
    saved_by_an_editor.replace(run.commands)
    run.send("validate")
    assert [c.command for c in reader.read_commands()] == ["validate"]


def test_lines_end_at_newlines_only(run: RunDirectory) -> None:
    run.log.write_bytes(b"10%\r20%\nnext\x0b\x1c\n")
    assert LineReader(run.log).read_lines() == [b"10%\r20%", b"next\x0b\x1c"]


def test_anything_but_a_regular_file_has_no_lines(run: RunDirectory) -> None:
    os.mkfifo(run.events)
    run.commands.unlink()
    run.commands.mkdir()
    assert run.read_events() == skim(run.events) == []
    assert LineReader(run.commands).read_commands() == []


def test_what_was_written_beyond_the_resumed_step_no_longer_counts(run: RunDirectory) -> None:
    run.append_event(RunStarted(attempt=1))
    for n in (10, 20, 30):
        run.append_event(step(n, loss=1.0))
    run.append_event(RunStarted(attempt=2, resumed_from_step=20))
    run.append_event(step(30, loss=2.0))
    steps = [(e.step, e.loss) for e in run.read_events() if isinstance(e, TrainStep)]
    assert steps == [(10, 1.0), (20, 1.0), (30, 2.0)]


def _append_many(path: str, who: int) -> None:
    for n in range(200):
        RunDirectory(path).append_event(CommandDone(id=f"{who}-{n}", command="x" * 500))


def test_lines_of_several_processes_do_not_mix(run: RunDirectory) -> None:
    context = get_context("spawn")
    writers = [context.Process(target=_append_many, args=(str(run.path), who)) for who in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    ids = {event.id for event in run.read_events() if isinstance(event, CommandDone)}
    assert len(ids) == 600


def test_long_history_is_skimmed_from_its_head_samples_and_tail(run: RunDirectory) -> None:
    lines = [step(n).model_dump_json() for n in range(1, 20_001)]
    run.events.write_text("\n".join([RunStarted(attempt=1).model_dump_json(), *lines]) + "\n")
    events = skim(run.events, tail_bytes=20_000, samples=50)
    steps = [event.step for event in events if isinstance(event, TrainStep)]
    assert isinstance(events[0], RunStarted)
    assert steps[-1] == 20_000
    assert steps == sorted(steps)
    assert len(steps) < 1_000
    widest = max(b - a for a, b in itertools.pairwise(steps))
    assert widest < 3 * 20_000 / 50


def test_commands_are_private_and_read_once(run: RunDirectory) -> None:
    assert run.commands.stat().st_mode & 0o777 == 0o600
    old = run.send("stop")
    reader = LineReader.from_end(run.commands)
    new = run.send("set_lr_factor", factor=0.5)
    (command,) = reader.read_commands()
    assert isinstance(command, Command)
    assert (command.id, command.command, command.factor) == (new, "set_lr_factor", 0.5)
    assert old != new
    assert reader.read_commands() == []
