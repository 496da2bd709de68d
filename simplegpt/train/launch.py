"""Start one process per device, as torchrun does, and end with them. Imports torch only to start.

Lightning's own launcher kills the first process when another fails, so that neither the error nor
the end of the run is written. torchrun's agent ends the others with SIGTERM instead.
"""

import logging
import os
import signal
import sys
import threading
import time

from simplegpt.cli import DONE, FAILED, show
from simplegpt.run.state import LAUNCHER

# Saving a large checkpoint takes longer than the 30 seconds after which torchrun kills a process.
SHUTDOWN_SECONDS = "600"
PARENT_POLL_SECONDS = 1.0


def is_launched() -> bool:
    """Whether torchrun or a scheduler started this process as one of several."""
    names = ("TORCHELASTIC_RUN_ID", "LOCAL_RANK", "SLURM_PROCID")
    return any(name in os.environ for name in names)


def launch(n_processes: int) -> int:
    """Run this process's command in `n_processes` processes; return the exit code of the run.

    It is that of the process that failed first. Signals are passed on to all of them.
    """
    os.environ[LAUNCHER] = str(os.getpid())
    os.environ.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", SHUTDOWN_SECONDS)
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    logging.getLogger("torch.distributed").setLevel(logging.CRITICAL)  # we say what failed
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=n_processes,
        run_id=f"simplegpt-{os.getpid()}",
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
    )
    program, *arguments = _own_command()
    try:
        elastic_launch(config, program)(*arguments)
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if failure.exitcode > 0:  # it has said why
            return int(failure.exitcode)
        name = signal.Signals(-failure.exitcode).name
        show(f"error: rank {rank} (process {failure.pid}) was killed by {name}", sys.stderr)
        return FAILED
    except SignalException as error:
        number = error.sigval
        return DONE if number == signal.SIGINT else 128 + number
    finally:
        del os.environ[LAUNCHER]
    return DONE


def _own_command() -> list[str]:
    """Return the command of this process, for a process like it."""
    import __main__

    spec = getattr(__main__, "__spec__", None)
    if spec is None:
        return [sys.executable, os.path.abspath(sys.argv[0]), *sys.argv[1:]]  # noqa: PTH100
    return [sys.executable, "-m", spec.name, *sys.argv[1:]]


def follow_parent(number: signal.Signals) -> None:
    """Send this process a signal when its parent ends: kill -9 of torchrun reaches only torchrun.

    If the process has not ended after a while, it is killed.
    """
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(PARENT_POLL_SECONDS)
        os.kill(os.getpid(), number)
        time.sleep(float(SHUTDOWN_SECONDS))
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()
