"""Why a run failed, and what would help."""

from pathlib import Path

from tests.tui.made_runs import Shape, make_run
from tui.training.failure import explain, read_config, smaller_batches

CONFIG = {
    "data": {"train_batch_size": 12, "val_batch_size": 8, "seq_len": 64},
    "trainer": {"accumulate_grad_batches": 5},
    "optimization": {"peak_lr": 3e-4},
}


def test_smaller_batches_keep_the_tokens_of_a_step() -> None:
    edits = smaller_batches(CONFIG)
    assert edits["data.train_batch_size"] * edits["trainer.accumulate_grad_batches"] == 12 * 5


def test_batch_of_one_is_met_with_shorter_sequences() -> None:
    assert smaller_batches({"data": {"train_batch_size": 1, "seq_len": 64}}) == {"data.seq_len": 32}


def test_out_of_memory_is_known_from_the_log_too() -> None:
    failure = explain("", "Traceback …\nRuntimeError: CUDA error: out of memory\n", CONFIG)
    assert "out of memory" in failure.cause
    assert failure.edits["data.train_batch_size"] == 6


def test_no_number_is_met_with_a_lower_learning_rate() -> None:
    failure = explain("the loss is nan", "", CONFIG)
    assert failure.edits == {"optimization.peak_lr": 1e-4}


def test_unknown_cause_is_the_last_thing_said() -> None:
    failure = explain("", "loading\nValueError: something odd\n\n", {})
    assert failure.cause == "ValueError: something odd"
    assert not failure.edits


def test_config_that_cannot_be_read_gives_no_edits(tmp_path: Path) -> None:
    run = make_run(tmp_path / "r", Shape(steps=10))
    assert read_config(run.config)["data"]["train_batch_size"] == 12
    run.config.write_bytes(b"\xff = [")
    assert read_config(run.config) == {}
