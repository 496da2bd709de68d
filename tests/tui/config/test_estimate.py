"""The estimate: the machine, the token files, and what a config costs on both."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from simplegpt.config.load import inspect, load
from simplegpt.train.plan import Speed
from simplegpt.train.speed import MeasuredSpeed
from tests.tui.configs import GIB, MACHINE, PATH, make_project
from tests.tui.made_runs import Shape, make_run
from tui.config.estimate import (
    Machine,
    TokenFiles,
    estimate,
    inspect_machine,
    inspect_token_files,
)


def test_token_files_are_counted_and_checked(workplace: Path) -> None:
    text = make_project(workplace).read_text().replace("n_vocab = 256", "n_vocab = 100")
    found = inspect_token_files(inspect(text, path=PATH))
    assert (found.n_train_tokens, found.n_val_tokens) == (100_000, 10_000)
    assert [error.keys[0] for error in found.errors] == ["model.n_vocab", "model.n_vocab"]
    too_long = inspect(text.replace("data/train-char", f"{'x/' * 3000}y"), path=PATH)
    assert {error.keys[0] for error in inspect_token_files(too_long).errors} >= {"data.train_fpath"}
    (workplace / "data/val-char.bin").unlink()
    assert inspect_token_files(inspect(text, path=PATH)).n_val_tokens is None


def test_the_machine_knows_its_memory_and_the_speed_of_earlier_runs(workplace: Path) -> None:
    make_run(workplace / "models/first", Shape(steps=100, state="finished"))
    machine = inspect_machine(workplace)
    assert machine.cpu_memory > 2**28
    assert [speed.run for speed in machine.speeds] == ["first"]


def test_a_gpu_counts_only_where_the_config_does_not_say_cpu(workplace: Path) -> None:
    path = make_project(workplace)
    speeds = (MeasuredSpeed("a", 10**7, 1e9, "cpu"), MeasuredSpeed("b", 10**7, 1e13, "gpu"))
    machine = Machine(80 * 2**30, MACHINE.memory, 2, "H100", speeds)
    on_gpu = estimate(load(path), TokenFiles(), machine)
    assert (on_gpu.device_name, on_gpu.available_memory) == ("H100", 80 * 2**30)
    assert on_gpu.plan.devices.count == 2
    assert on_gpu.plan.speed == Speed(1e13, "at the speed of b")
    unmeasured = estimate(load(path), TokenFiles(), replace(machine, speeds=()))
    assert unmeasured.plan.seconds == pytest.approx(
        unmeasured.plan.total_flops / (2 * 0.4 * 495e12)
    )
    config = load(path, {"trainer.accelerator": "cpu"})
    on_cpu = estimate(config, TokenFiles(), machine)
    assert (on_cpu.device_name, on_cpu.available_memory) == ("CPU", MACHINE.memory)
    assert on_cpu.plan.speed == Speed(1e9, "at the speed of a")


def test_the_speed_is_that_of_the_run_nearest_in_size(workplace: Path) -> None:
    slow = MeasuredSpeed("slow", 10**9, 1e9, "cpu")
    near = MeasuredSpeed("near", 5_000_000, 8.2e9, "cpu")
    machine = Machine(2**34, 2**34, 0, speeds=(slow, near))
    found = estimate(load(make_project(workplace)), TokenFiles((), 100_000, 10_000), machine)
    assert found.plan.speed == Speed(near.flops_per_second, "at the speed of near")
    assert found.plan.seconds is not None
    assert 900 < found.plan.seconds < 1200


@pytest.mark.parametrize(
    ("memory", "edits", "named"),
    [
        (4 * GIB, {}, ""),
        (1 * GIB, {"data.train_batch_size": 960}, "data.train_batch_size"),
        (1 * GIB, {"data.val_batch_size": 10_000, "model.n_vocab": 20_000}, "data.val_batch_size"),
        (1 * GIB, {"data.seq_len": 50_000, "model.n_ctx": 50_000}, "data.seq_len"),
        (16 * GIB, {"model.n_embd": 12_288, "model.n_layer": 96}, "smaller model"),
    ],
)
def test_what_does_not_fit_gets_advice_that_helps(
    workplace: Path, memory: int, edits: dict[str, int], named: str
) -> None:
    path = make_project(workplace)
    machine = Machine(memory, memory, 0)
    found = estimate(load(path, edits), TokenFiles(), machine)
    assert bool(found.memory_warning) == bool(named)
    assert named in found.memory_warning
    settings = re.findall(r"([a-z_]+\.[a-z_]+) to (\d+)", found.memory_warning)
    if settings:
        changed = load(path, edits | {key: int(value) for key, value in settings})
        then = estimate(changed, TokenFiles(), machine)
        assert not then.memory_warning
        assert then.plan.tokens_per_step == found.plan.tokens_per_step
