"""Train the GPT that a config describes, or resume a run.

    simplegpt train configs/shakespeare_char.toml --optimization.peak_lr 3e-4
    simplegpt train configs/gpt2.toml --plan --gpu H100 --price 2.5
    simplegpt train --resume models/tiny_shakespeare_char
    simplegpt train configs/shakespeare_char.toml --sweep peak_lr=1e-3,3e-4

Invalid input is reported before torch is imported and before anything is written.
"""

import argparse
import math
import os
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from simplegpt.cli import CommandParser, UserError, nearest, run_command, show
from simplegpt.config import load as config_file
from simplegpt.config.options import add_config_options
from simplegpt.config.schema import Config, ModelConfig, TrainerConfig
from simplegpt.data.tokens import check_config
from simplegpt.data.windows import tokens_per_epoch
from simplegpt.run import hardware
from simplegpt.run.directory import RunDirectory
from simplegpt.run.state import launcher
from simplegpt.train import train
from simplegpt.train.claim import Resume, moved_paths, runs_nearby
from simplegpt.train.devices import Devices, devices_of, is_first_rank
from simplegpt.train.plan import describe, plan
from simplegpt.train.queue import describe_sweep, plan_sweep, start_sweep
from simplegpt.train.speed import ASSUMED_MFU, expected_speed, libraries_of, measured_speeds


def main(argv: Sequence[str] | None = None) -> int:
    parser = build_parser()
    arguments = parser.parse_args(argv)
    if arguments.config is None and not arguments.resume:
        parser.error(
            "expected a config file, such as configs/shakespeare_char.toml",
            "simplegpt new NAME creates a folder with configs",
        )

    is_auto = arguments.resume == "auto" and arguments.config is not None
    if arguments.resume is not None and (arguments.after or arguments.sweep):
        parser.error("--resume works with neither --after nor --sweep")
    is_torchrun = "TORCHELASTIC_RUN_ID" in os.environ and launcher() is None
    if (arguments.after or arguments.sweep) and is_torchrun:
        parser.error("--after and --sweep do not work under torchrun")
    if arguments.sweep:
        runs = plan_sweep(arguments.config, arguments.sweep, arguments.overrides)
        start_sweep(arguments.config, runs, arguments.after)
        show(describe_sweep(runs))
        return 0
    source = arguments.config or RunDirectory(arguments.resume).config
    if arguments.config is None and not source.exists() and not is_first_rank():
        source = _config_of_first_rank(source)
    if arguments.config is None and not source.exists():
        raise UserError(f"no run to resume at {arguments.resume}{runs_nearby()}")
    if not arguments.plan:
        for name in ("gpu", "flops", "mfu", "price"):
            if getattr(arguments, name) is not None:
                parser.error(f"--{name} works only with --plan")
    check = _check_plan if arguments.plan else partial(check_config, scan=True)
    is_new = arguments.resume is None or is_auto
    if arguments.config is None and source == RunDirectory(arguments.resume).config:
        arguments.overrides = [*moved_paths(RunDirectory(arguments.resume)), *arguments.overrides]
    initial = _initial_values(source, arguments.overrides) if is_new else None
    config = config_file.load(source, arguments.overrides, check, initial=initial)
    if arguments.plan:
        if initial and config.init_from:
            from simplegpt.checkpoint import check_fit

            own = None if config.init_from_other_tokenizer else config.tokenizer_name
            shape = {key.removeprefix("model."): value for key, value in initial.items()}
            theirs = shape.pop("tokenizer_name", None)
            check_fit(config.model, own, ModelConfig(**shape), theirs, config.init_from)
        show(_estimate(config, arguments))
        return 0
    if arguments.resume and not is_auto:
        config = config.model_copy(update={"output_dir": Path(arguments.resume)})
    resume: Resume = "auto" if is_auto else arguments.resume is not None
    return train(config, resume=resume, after=arguments.after)


def build_parser() -> CommandParser:
    """Return the parser of the command."""
    parser = CommandParser(
        "train",
        usage="%(prog)s CONFIG [--section.key VALUE …] [--plan | --resume [auto]]\n"
        "       %(prog)s CONFIG --sweep SETTING=VALUE,VALUE …\n"
        "       %(prog)s --resume RUN_DIR",
        description="Train the GPT that a config describes, or resume a run.",
    )
    parser.add_argument("config", nargs="?", type=Path, help="the run's TOML file")
    parser.add_argument(
        "--resume",
        nargs="?",
        const="",
        metavar="RUN_DIR",
        help="resume from the last checkpoint in the config's output_dir or in this directory; "
        "auto: start, resume, or do nothing if the run has finished",
    )
    parser.add_argument(
        "--after",
        type=Path,
        metavar="RUN_DIR",
        help="wait until the run in this directory has ended, and those queued after it",
    )
    parser.add_argument(
        "--sweep",
        nargs="+",
        metavar="SETTING=VALUE,VALUE",
        help="train a run for each value, or each combination of the values of several settings, "
        "one after another in the background, in OUTPUT_DIR-sweep",
    )
    _add_plan_options(parser)
    add_config_options(parser)
    return parser


def _config_of_first_rank(path: Path) -> Path:
    """Return a copy of rank 0's config, for a machine without the run's directory; or `path`."""
    from simplegpt.train.ranks import published  # imports torch

    if (text := published()) is None:
        return path
    copy = Path(tempfile.mkdtemp(prefix="simplegpt-"), path.name)
    copy.write_text(text, encoding="utf-8")
    return copy


def _check_plan(inspection: config_file.Inspection) -> list[config_file.Problem]:
    """Return what training would refuse; files that are still to be made are allowed."""
    return [one for one in check_config(inspection, scan=False) if not one.hint]


def _initial_values(source: Path, overrides: Sequence[tuple[str, str]]) -> dict[str, Any] | None:
    """Return the shape and the tokenizer of the model in init_from; None without one."""
    inspection = config_file.inspect(source, overrides)
    name = inspection.values.get("init_from")
    if not isinstance(name, str) or "init_from" in inspection.invalid_keys:
        return None
    from simplegpt.checkpoint import initial_values  # imports torch: seconds

    return initial_values(name)


def _add_plan_options(parser: CommandParser) -> None:
    group = parser.add_argument_group(
        "plan", "--trainer.devices and --trainer.num_nodes set the number of GPUs."
    )
    group.add_argument(
        "--plan",
        action="store_true",
        help="print an estimate of parameters, FLOPs, memory, and time if the GPU's speed is known",
    )
    device = group.add_mutually_exclusive_group()
    device.add_argument(
        "--gpu", metavar="NAME", help="GPU to plan for, such as H100; default: this machine's"
    )
    device.add_argument(
        "--flops", type=_positive, metavar="X", help="peak FLOP/s of a GPU to plan for"
    )
    group.add_argument(
        "--mfu",
        type=_positive,
        metavar="X",
        help=f"fraction of the peak that the run is assumed to reach; default {ASSUMED_MFU}",
    )
    group.add_argument("--price", type=_positive, metavar="X", help="price of a GPU per hour")


def _positive(text: str) -> float:
    """Parse a number > 0, for argparse."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number > 0, got '{text}'")
    return value


def _estimate(config: Config, arguments: argparse.Namespace) -> str:
    """Return the plan for the GPU in the arguments, or for this machine's devices."""
    devices, peak = _devices_to_plan_for(config.trainer, arguments)
    is_assumed = arguments.gpu or arguments.flops or arguments.mfu
    measured = () if is_assumed else measured_speeds(Path.cwd())
    speed = expected_speed(config, devices, measured, peak, arguments.mfu or ASSUMED_MFU)
    if (arguments.mfu or arguments.price) and (devices.kind == "cpu" or speed is None):
        raise UserError("--mfu and --price need a GPU whose speed is known: add --gpu or --flops")
    data = config.data
    n_train, n_val = (tokens_per_epoch(p, data.seq_len) for p in (data.train_fpath, data.val_fpath))
    libraries = libraries_of(measured, devices)
    return describe(plan(config, devices, n_train, n_val, speed, libraries), arguments.price)


def _devices_to_plan_for(
    trainer: TrainerConfig, arguments: argparse.Namespace
) -> tuple[Devices, float | None]:
    """Return the devices, and the peak of each in FLOP/s or None if unknown."""
    if arguments.gpu or arguments.flops:
        devices = devices_of(trainer.model_copy(update={"accelerator": "gpu"}), n_gpus=1)
        peak = arguments.flops or hardware.peak_flops(arguments.gpu, trainer.precision)
        if not peak:
            raise UserError(
                f"--gpu: unknown GPU {arguments.gpu}"
                f"{nearest(arguments.gpu.upper(), hardware.PEAK_TFLOPS)}",
                f"known: {', '.join(hardware.PEAK_TFLOPS)}; for another, give its peak to --flops",
            )
        return devices, peak
    gpus = hardware.gpus()
    devices = devices_of(trainer, len(gpus))
    on_gpu = devices.kind == "gpu" and len(gpus) > 0
    return devices, hardware.peak_flops(gpus[0].name, trainer.precision) if on_gpu else None


if __name__ == "__main__":
    run_command(main)
