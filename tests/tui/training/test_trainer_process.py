"""The trainer as a child process."""

import os
import shlex
import sys
from pathlib import Path

import psutil
import pytest

from simplegpt.cli import UserError
from simplegpt.run.directory import RunDirectory
from tui.training.trainer_process import TRAIN_COMMAND, TrainerProcess, output_directory


def test_command_line_is_what_a_person_would_type(tmp_path: Path) -> None:
    config = tmp_path / "my config.toml"  # does not exist: the trainer ends at once
    trainer = TrainerProcess(RunDirectory(tmp_path / "run"), (*TRAIN_COMMAND, str(config)))
    assert shlex.split(trainer.command_line) == ["simplegpt", "train", str(config)]
    assert trainer.process.wait(60) == 2
    launch = trainer.poll()
    assert (launch.has_claimed, launch.exit_code) == (False, 2)
    assert any(config.name in line for line in launch.output)
    trainer.discard_output()
    assert trainer.poll().output == ()


def test_process_is_detached_and_has_a_lower_priority(tmp_path: Path) -> None:
    command = (sys.executable, "-c", "import time; time.sleep(60)")
    trainer = TrainerProcess(RunDirectory(tmp_path), command)
    try:
        assert os.getsid(trainer.process.pid) == trainer.process.pid
        assert psutil.Process(trainer.process.pid).nice() > psutil.Process().nice()
        assert trainer.exit_code() is None
    finally:
        trainer.cancel()
        trainer.process.wait(60)
        trainer.discard_output()


def test_output_directory_follows_the_overrides(tmp_path: Path) -> None:
    config = tmp_path / "tiny.toml"
    config.write_text('output_dir = "models/tiny"\n')
    assert output_directory(config, ()) == Path("models/tiny").absolute()
    assert output_directory(config, ("--output_dir", "other")) == Path("other").absolute()


def test_output_directory_of_an_invalid_config_names_the_key(tmp_path: Path) -> None:
    config = tmp_path / "tiny.toml"
    config.write_text('output_dirr = "x"\n')
    with pytest.raises(UserError, match="output_dirr"):
        output_directory(config, ())
