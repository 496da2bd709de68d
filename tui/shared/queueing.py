"""Runs that start later: a config behind a run, and a sweep over settings. Call it in a thread."""

from collections.abc import Sequence
from pathlib import Path

from simplegpt.cli import UserError
from simplegpt.config import load as config_file
from simplegpt.files import first_free_path
from simplegpt.run.directory import RunDirectory
from tui.shared.child_process import TRAINING_NICENESS, child_environment, lower_priority


def free_directory(config: Path) -> RunDirectory:
    """Return the config's output_dir, or a free one beside it if that has a run.

    Raises UserError if the config is invalid.
    """
    wanted = config_file.load(config).output_dir.absolute()
    return RunDirectory(first_free_path(wanted, lambda path: RunDirectory(path).exists()))


def queue(config: Path, run: RunDirectory, after: Path) -> Path:
    """Train `config` in the directory `run` after the run at `after`; return the directory's path.

    Raises UserError if the training cannot be queued.
    """
    from simplegpt.train.queue import start  # numpy and tiktoken: not before the first paint

    arguments = [str(config), "--output_dir", str(run.path), "--after", str(after)]
    lower_priority(start(arguments, run, child_environment()), TRAINING_NICENESS)
    return run.path


def sweep(config: Path, swept: Sequence[str], after: Path | None) -> list[Path]:
    """Train `config` with each combination of the `swept` values, after the run at `after`.

    Return the runs' directories. Raises UserError if the sweep is invalid or one does not start.
    """
    from simplegpt.train.queue import plan_sweep, start_sweep

    runs = plan_sweep(config, swept)
    for process_id in start_sweep(config, runs, after, child_environment()):
        lower_priority(process_id, TRAINING_NICENESS)
    return [run.output_dir for run in runs]


def sweep_problem(config: Path, text: str) -> str | None:
    """Return what is wrong with a sweep of `config` over typed settings; None if nothing is."""
    from simplegpt.train.queue import plan_sweep

    if not text:
        return "Enter a setting and its values."
    try:
        plan_sweep(config, text.split(), scan=False)
    except UserError as error:
        return str(error)
    return None
