"""What the config editor looks up: token files, and how fast earlier runs here were."""

from pathlib import Path

from simplegpt.config.load import load
from simplegpt.train.plan import flops_per_token
from simplegpt.train.speed import MeasuredSpeed
from tests.tui.configs import MACHINE, PATH, make_project
from tests.tui.made_runs import Shape, make_run
from tui.config.facts import Machine, consequences, look_at_data, look_at_machine


def test_token_files_give_their_counts_and_what_only_they_show(workplace: Path) -> None:
    text = make_project(workplace).read_text().replace("n_vocab = 256", "n_vocab = 100")
    facts = look_at_data(text, PATH)
    assert (facts.n_train_tokens, facts.n_val_tokens) == (100_000, 10_000)
    assert [one.keys[0] for one in facts.problems] == ["model.n_vocab", "model.n_vocab"]
    (workplace / "data/val-char.bin").unlink()
    assert look_at_data(text, PATH).n_val_tokens is None


def test_the_speed_of_earlier_runs_on_this_machine_is_found(workplace: Path) -> None:
    make_run(workplace / "models/first", Shape(steps=100, state="finished"))
    machine = look_at_machine(workplace)
    assert machine.cpu_memory > 2**28
    (speed,) = machine.speeds
    config = load(workplace / "models/first/config.toml")
    assert speed.run == "first"
    assert speed.flops_per_token == flops_per_token(config.model, config.data.seq_len)
    assert speed.flops_per_second > speed.flops_per_token


def test_a_gpu_is_counted_only_where_the_config_does_not_say_cpu(workplace: Path) -> None:
    path = make_project(workplace)
    speeds = (MeasuredSpeed("a", 10**7, 1e9, "cpu"), MeasuredSpeed("b", 10**7, 1e13, "gpu"))
    machine = Machine(80 * 2**30, MACHINE.memory, 2, "H100", speeds)
    on_gpu = consequences(load(path), None, machine)
    assert (on_gpu.device_name, on_gpu.memory_there_is) == ("H100", 80 * 2**30)
    assert on_gpu.plan.devices == 2
    assert on_gpu.speed == speeds[1]
    config = load(path, {"trainer.accelerator": "cpu"})
    on_cpu = consequences(config, None, machine)
    assert (on_cpu.device_name, on_cpu.memory_there_is) == ("CPU", MACHINE.memory)
    assert on_cpu.speed == speeds[0]
