"""What a row of the list says of a run, and how little a second reading reads."""

from pathlib import Path

from simplegpt.run.events import TrainStep, Validation
from tests.tui.made_runs import NOBODY, STARTED, Shape, make_run
from tui.runs.summary import CURVE_POINTS, RunSummary, SummaryReader, differences, read_curve
from tui.shell.runs import scan_runs


def read(folder: Path, reader: SummaryReader | None = None) -> dict[str, RunSummary]:
    reader = reader or SummaryReader(folder)
    return {run.name: run for run in reader.read(scan_runs(folder))}


def test_runs_four_levels_down_are_found_and_hidden_ones_are_not(workplace: Path) -> None:
    shape = Shape(steps=20, state="finished")
    for place in ("a", "models/b", "x/y/z/c", "x/y/z/too/deep", ".hidden/d", "models/.e"):
        make_run(workplace / place, shape)
    assert set(read(workplace)) == {"a", "models/b", "x/y/z/c"}


def test_summary_holds_what_the_directory_says(workplace: Path) -> None:
    run = make_run(workplace / "a", Shape(steps=1_200, best_loss=None))
    run.last_checkpoint.write_bytes(b"x" * 10_000)
    summary = read(workplace)["a"]
    assert (summary.state, summary.is_live, summary.progress) == ("running", True, 0.6)
    assert summary.started == STARTED
    # Where the status has none yet, the best loss is that of the events.
    losses = [e.val_loss for e in run.read_events() if isinstance(e, Validation)]
    assert summary.best_loss == min(losses)
    assert 10_000 < summary.size < 200_000
    assert summary.checkpoint == run.last_checkpoint
    assert summary.settings["model.n_layer"] == 4
    assert summary.settings["optimization.optimizer"] == "adamw"  # the default, not in its file


def test_run_without_its_process_has_crashed(workplace: Path) -> None:
    run = make_run(workplace / "a", Shape(steps=20), pid=NOBODY)
    run.last_checkpoint.unlink()
    summary = read(workplace)["a"]
    assert (summary.state, summary.is_live, summary.can_resume) == ("crashed", False, False)


def test_unreadable_files_cost_only_their_part_of_the_row(workplace: Path) -> None:
    run = make_run(workplace / "a", Shape(steps=100))
    run.status_file.write_text("{")
    run.config.write_text("= nonsense")
    summary = read(workplace)["a"]
    assert (summary.state, summary.settings) == ("unreadable", {})
    assert len(summary.curve.losses) == 10


def test_only_what_changed_is_read_again(workplace: Path) -> None:
    runs = [make_run(workplace / name, Shape(steps=100)) for name in ("a", "b")]
    reader = SummaryReader(workplace)
    first = read(workplace, reader)
    second = read(workplace, reader)
    assert second == first
    runs[1].append_event(TrainStep(step=110, tokens=1, loss=9.0, lr=1e-3))
    third = read(workplace, reader)
    assert third["a"].curve is second["a"].curve is first["a"].curve
    assert third["b"].curve != second["b"].curve
    assert third["b"].settings is first["b"].settings


def test_long_history_is_sampled(workplace: Path) -> None:
    run = make_run(workplace / "a", Shape(steps=10))
    line = TrainStep(step=1, tokens=1, loss=2.0, lr=1e-3).model_dump_json()
    with run.events.open("a") as file:
        file.write("".join(line.replace('"step":1', f'"step":{i}') + "\n" for i in range(60_000)))
    assert run.events.stat().st_size > 5_000_000
    assert len(read_curve(run).losses) in (CURVE_POINTS, CURVE_POINTS + 1)


def test_differences_are_in_the_order_of_the_schema_without_paths() -> None:
    one = {"output_dir": "a", "trainer.max_steps": 9, "model.n_layer": 4, "old.key": 1}
    other = {"output_dir": "b", "trainer.max_steps": 5, "model.n_layer": 4, "seed": 1}
    found = list(differences(one, other).items())
    assert found == [("seed", (None, 1)), ("trainer.max_steps", (9, 5)), ("old.key", (1, None))]
    assert differences(one, {}) == {}  # a config that cannot be read is not compared


def test_table_that_is_on_differs_from_one_that_is_off(workplace: Path) -> None:
    on = make_run(workplace / "on", Shape(steps=20))
    make_run(workplace / "off", Shape(steps=20))
    on.config.write_text(on.config.read_text() + "[early_stopping]\npatience = 3\n")
    summaries = read(workplace)
    found = differences(summaries["on"].settings, summaries["off"].settings)
    assert found["early_stopping"] == (True, False)
    assert found["early_stopping.patience"] == (3, 5)
