"""Train the GPT that a config describes, or resume a run.

    python -m simplegpt.train configs/shakespeare_char.toml --optimization.peak_lr 3e-4
    python -m simplegpt.train --resume models/tiny_shakespeare_char
    python -m simplegpt.train configs/shakespeare_char.toml --sweep peak_lr=1e-3,3e-4

Invalid input is reported before torch is imported and before anything is written.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from simplegpt.cli import CommandParser, UserError, run_command
from simplegpt.config import load as config_file
from simplegpt.config.load import add_config_options
from simplegpt.config.schema import Config
from simplegpt.data.tokens import open_tokens
from simplegpt.run import hardware
from simplegpt.run.directory import RunDirectory
from simplegpt.train import train
from simplegpt.train.claim import runs_nearby
from simplegpt.train.devices import devices_of
from simplegpt.train.plan import describe, plan
from simplegpt.train.queue import check_config_files, describe_sweep, plan_sweep, start_sweep


def main(argv: Sequence[str] | None = None) -> int:
    parser = CommandParser(
        usage="%(prog)s CONFIG [--section.key VALUE …] [--plan | --resume]\n"
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
        help="resume from the last checkpoint in the config's output_dir or in this directory",
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
    parser.add_argument(
        "--plan", action="store_true", help="print an estimate of parameters, FLOPs and memory"
    )
    add_config_options(parser)
    arguments = parser.parse_args(argv)
    if arguments.config is None and not arguments.resume:
        parser.error("expected a config file, such as configs/shakespeare_char.toml")

    if arguments.resume is not None and (arguments.after or arguments.sweep):
        parser.error("--resume works with neither --after nor --sweep")
    if (arguments.after or arguments.sweep) and "TORCHELASTIC_RUN_ID" in os.environ:
        parser.error("--after and --sweep do not work under torchrun")
    if arguments.sweep:
        runs = plan_sweep(arguments.config, arguments.sweep, arguments.overrides)
        start_sweep(arguments.config, runs, arguments.after)
        print(describe_sweep(runs))
        return 0
    source = arguments.config or RunDirectory(arguments.resume).config
    if arguments.config is None and not source.exists():
        raise UserError(f"no run to resume at {arguments.resume}{runs_nearby()}")
    check = None if arguments.plan else check_config_files
    initial = None if arguments.resume is not None else _initial_values(source, arguments.overrides)
    config = config_file.load(source, arguments.overrides, check, initial=initial)
    if arguments.plan:
        devices = devices_of(config.trainer, len(hardware.gpus()))
        print(describe(plan(config, devices, _n_train_tokens(config))))
        return 0
    if arguments.resume:
        config = config.model_copy(update={"output_dir": Path(arguments.resume)})
    return train(config, resume=arguments.resume is not None, after=arguments.after)


def _initial_values(source: Path, overrides: Sequence[tuple[str, str]]) -> dict[str, Any] | None:
    """Return the shape and the tokenizer of the model in init_from; None without one."""
    inspection = config_file.inspect(source, overrides)
    name = inspection.values.get("init_from")
    if not isinstance(name, str) or "init_from" in inspection.invalid_keys:
        return None
    from simplegpt.checkpoint import initial_values  # imports torch: seconds

    return initial_values(name)


def _n_train_tokens(config: Config) -> int | None:
    """Return the number of training tokens; None if there is no token file yet."""
    try:
        return len(open_tokens(config.data.train_fpath))
    except UserError:
        return None


if __name__ == "__main__":
    run_command(main)
