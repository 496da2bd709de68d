"""Finding runs, what their rows say, their order, and how little a second look reads."""

import math
from pathlib import Path

import pytest

from simplegpt.run.directory import RunDirectory
from simplegpt.run.events import RunStarted, TrainStep, Validation
from tests.tui.made_runs import NOBODY, STARTED, Shape, make_run
from tui.runs import run_list, run_summary
from tui.runs.run_list import RunFinder, arrange
from tui.runs.run_summary import RunSummary, differences, differences_of_all, small_curve


def look(folder: Path) -> dict[str, RunSummary]:
    return {run.name: run for run in RunFinder(folder).look()}


def test_runs_four_levels_down_are_found_and_hidden_ones_are_not(workplace: Path) -> None:
    shape = Shape(steps=20, state="finished")
    for place in ("a", "models/b", "x/y/z/c", "x/y/z/too/deep", ".hidden/d", "models/.e"):
        make_run(workplace / place, shape)
    assert set(look(workplace)) == {"a", "models/b", "x/y/z/c"}


def test_summary_tells_what_the_directory_says(workplace: Path) -> None:
    run = make_run(workplace / "a", Shape(steps=1_200, best_loss=None))
    (run.checkpoints / "last.ckpt").write_bytes(b"x" * 10_000)
    summary = look(workplace)["a"]
    assert (summary.state, summary.alive, summary.progress) == ("running", True, 0.6)
    assert summary.started == STARTED
    # The best of the events where the status has none yet.
    scores = [e.val_loss for e in run.read_events() if isinstance(e, Validation)]
    assert summary.best_loss == min(scores)
    assert 10_000 < summary.size < 200_000
    assert summary.checkpoint == run.last_checkpoint
    assert summary.settings["model.n_layer"] == 4
    assert summary.settings["optimization.optimizer"] == "adamw"  # the default, not in its file


def test_live_state_without_its_process_has_crashed(workplace: Path) -> None:
    make_run(workplace / "a", Shape(steps=20), pid=NOBODY)
    assert (look(workplace)["a"].state, look(workplace)["a"].alive) == ("crashed", False)


def test_unreadable_files_cost_their_part_of_the_row_and_no_more(workplace: Path) -> None:
    run = make_run(workplace / "a", Shape(steps=100))
    run.status_file.write_text("{")
    run.config.write_text("= nonsense")
    summary = look(workplace)["a"]
    assert (summary.state, summary.settings) == ("unreadable", {})
    assert len(summary.curve) == 10


def test_curve_is_the_mean_of_equal_spans_and_skips_what_is_no_number() -> None:
    def step(number: int, loss: float) -> TrainStep:
        return TrainStep(step=number, tokens=number, loss=loss, lr=1e-3)

    events = [step(i, float(i % 2)) for i in range(1, 101)]
    assert small_curve(events, 10) == (0.5,) * 10
    assert small_curve([step(1, 2.0), step(2, math.nan), step(3, math.inf), step(4, 1.0)], 10) == (
        2.0,
        2.0,
        2.0,
        1.0,
    )
    assert small_curve([RunStarted(attempt=1)]) == ()
    # A long silence repeats the last figure, so that the curve's length stays that of its steps.
    assert small_curve([step(1, 3.0), step(2, 3.0), step(100, 1.0)], 3) == (3.0, 3.0, 1.0)


def test_second_look_reads_no_file_that_did_not_change(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [make_run(workplace / name, Shape(steps=100)) for name in ("a", "b")]
    finder = RunFinder(workplace)
    first = finder.look()
    read: list[tuple[str, str]] = []
    for name in ("read_history", "read_settings", "folder_size"):
        real = getattr(run_list, name)

        def counted(target: RunDirectory | Path, name: str = name, real: object = real) -> object:
            path = target.path if isinstance(target, RunDirectory) else target
            read.append((name, path.name))
            return real(target)  # type: ignore[operator]

        monkeypatch.setattr(run_list, name, counted)
    assert finder.look() == first
    assert read == []
    runs[1].append_event(TrainStep(step=110, tokens=1, loss=9.0, lr=1e-3))
    assert finder.look()[1].curve != first[1].curve
    assert read == [("read_history", "b"), ("folder_size", "b")]


def test_process_that_dies_between_two_looks_is_seen_without_a_file_changing(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run(workplace / "a", Shape(steps=100))
    finder = RunFinder(workplace)
    assert finder.look()[0].alive
    monkeypatch.setattr("simplegpt.run.state.Status.process_exists", lambda self: False)
    assert finder.look()[0].state == "crashed"


def summary(name: str, **fields: object) -> RunSummary:
    return RunSummary(path=Path(name), name=name, **{"state": "finished", **fields})  # type: ignore[arg-type]


RUNS = [
    summary("old", started=1.0, best_loss=1.5, size=10),
    summary("live", started=2.0, best_loss=2.0, size=20, alive=True, state="running"),
    summary("new", started=3.0, best_loss=None, size=30, state="failed", error="Out of memory"),
    summary("mid", started=2.5, best_loss=1.2, size=5, settings={"model.n_layer": 6}),
]


def names(*arguments: object, **options: object) -> list[str]:
    return [run.name for run in arrange(RUNS, *arguments, **options)]  # type: ignore[arg-type]


def test_live_runs_stand_first_however_the_list_is_sorted() -> None:
    assert names() == ["live", "new", "mid", "old"]
    assert names("age", reverse=True) == ["live", "old", "mid", "new"]
    assert names("size") == ["live", "new", "old", "mid"]
    assert names("name") == ["live", "mid", "new", "old"]


def test_a_run_without_the_figure_stands_behind_either_way_round() -> None:
    assert names("loss") == ["live", "mid", "old", "new"]
    assert names("loss", reverse=True) == ["live", "old", "mid", "new"]


def test_filter_takes_words_of_name_state_error_and_settings() -> None:
    assert names(filter_text="MEMORY failed") == ["new"]
    assert names(filter_text="n_layer=6") == ["mid"]
    assert names(filter_text="run") == ["live"]
    assert names(filter_text="nothing") == []


def test_table_that_is_switched_on_differs_from_one_that_is_off(workplace: Path) -> None:
    on = make_run(workplace / "on", Shape(steps=20))
    off = make_run(workplace / "off", Shape(steps=20))
    on.config.write_text(on.config.read_text() + "[early_stopping]\npatience = 3\n")
    found = differences(run_summary.read_settings(on), run_summary.read_settings(off))
    assert [(d.key, d.mine, d.other) for d in found] == [
        ("early_stopping", True, False),
        ("early_stopping.patience", 3, 5),
    ]


def test_differences_name_each_setting_in_the_order_of_the_schema() -> None:
    mine = {"output_dir": "a", "trainer.max_steps": 9, "model.n_layer": 4, "old.key": 1}
    other = {"output_dir": "b", "trainer.max_steps": 5, "model.n_layer": 4, "seed": 1}
    found = [(d.key, d.mine, d.other) for d in differences(mine, other)]
    assert found == [("seed", None, 1), ("trainer.max_steps", 9, 5), ("old.key", 1, None)]


def test_each_run_is_compared_with_the_next_one() -> None:
    runs = [summary("a", settings={"seed": 1}), summary("b", settings={"seed": 2}), summary("c")]
    first, second, last = differences_of_all(runs)
    assert [d.key for d in first] == ["seed"]
    assert (second, last) == ((), ())  # c's config could not be read: nothing is claimed
    assert differences_of_all([]) == []
