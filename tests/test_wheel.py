"""The wheel, installed in an environment of its own, works in an empty folder."""

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
SMALL = ("--model.n_embd", "16", "--model.n_layer", "1", "--data.train_batch_size", "2")
SHORT = ("--trainer.max_steps", "2", "--trainer.limit_val_batches", "1")
SCHEDULE = ("--optimization.warmup_steps", "0", "--optimization.decay_steps", "1")


@pytest.fixture
def commands(tmp_path: Path) -> Path:
    """The folder of the installed commands."""
    wheel = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(wheel, cwd=REPOSITORY, check=True, capture_output=True)
    environment = tmp_path / "environment"
    venv.create(environment)
    pip = [sys.executable, "-m", "pip", "--python", str(environment), "install"]
    (built,) = tmp_path.glob("*.whl")
    subprocess.run([*pip, "--quiet", "--no-deps", "--no-index", str(built)], check=True)
    # the dependencies are those of this environment, without its editable install of SimpleGPT
    (packages,) = environment.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return environment / "bin"


def test_new_project_trains_a_model(commands: Path, tmp_path: Path) -> None:
    (installed,) = commands.parent.glob("lib/python*/site-packages")
    for package in ("simplegpt", "tui"):
        for path in (REPOSITORY / package).rglob("*.*"):
            is_source = path.is_file() and "__pycache__" not in path.parts
            assert not is_source or (installed / path.relative_to(REPOSITORY)).exists(), path
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    folder = tmp_path / "empty"
    folder.mkdir()

    def run(*words: str | Path) -> str:
        done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    simplegpt = commands / "simplegpt"
    run(simplegpt, "new", "project")
    folder /= "project"
    (folder / "my.txt").write_text("Now is the winter of our discontent\n" * 200)
    run(simplegpt, "data", "--text_file", "my.txt", "--output_dir", "data")
    config = "configs/shakespeare_char_cpu.toml"
    run(simplegpt, "train", config, "--output_dir", "models/mine", *SMALL, *SHORT, *SCHEDULE)
    assert (folder / "models/mine/ckpts/best.ckpt").exists()
    run(commands / "simplegpt-tui", "--version")
