"""Hostile use by the hundred: ``python -m tests.stress [--short]``, or ``make stress``.

Every case ends in one of: ok, refused (one message, exit code 2, or 1 for a run that failed), a
traceback, a hang, or a wrong result. The first two are right; the exit code is 1 where there is
another. ``--short`` takes one of each kind, for the tests.
"""

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from tests.stress import inputs, kills, removals
from tests.stress.child import in_child
from tests.stress.outcome import COLUMNS, Tally


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--short", action="store_true", help="a few of each kind")
    parser.add_argument("--only", default="", help="the sections whose name contains this")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--scale", type=float, default=1.0, help="how many, 1 is the whole")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="stress-"))
    tallies = []
    print(row("", *COLUMNS), flush=True)
    print("|---|" + "---:|" * len(COLUMNS), flush=True)
    try:
        for name, section in sections(folder, arguments).items():
            if arguments.only not in name:
                continue
            started = time.monotonic()
            for tally in section():
                tallies.append(tally)
                print(row(tally.name, *(tally.counts[c] or "" for c in COLUMNS)), flush=True)
                seconds = time.monotonic() - started
                print("; ".join([*tally.notes, f"{seconds:.0f} s"]), file=sys.stderr, flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    defects = [defect for tally in tallies for defect in tally.defects]
    for defect in defects[:40]:
        print(f"\n{defect[-4000:]}", file=sys.stderr)
    return 1 if defects else 0


Section = Callable[[], Iterable[Tally]]


def sections(folder: Path, arguments: argparse.Namespace) -> dict[str, Section]:
    seed = arguments.seed

    def many(n: int, short: int) -> int:
        return short if arguments.short else max(1, round(n * arguments.scale))

    def forked(action: Callable[[Path, int, int], list[Tally]], n: int) -> Section:
        call = partial(action, n=n, seed=seed)
        return lambda: in_child(call, folder / action.__name__)

    return {
        "kills": lambda: kills.random_kills(
            folder,
            many(60, 1),
            seed,
            ("muon",) if arguments.short else ("adamw", "muon"),
            (0,) if arguments.short else (0, 2),
        ),
        "saves": lambda: kills.kills_in_a_save(folder, 35 if arguments.short else 1),
        "removals": lambda: removals.changes_under_a_run(folder) if not arguments.short else (),
        "configs": forked(inputs.configs, many(5000, 200)),
        "checkpoints": forked(inputs.checkpoints, many(1000, 20)),
        "directories": lambda: inputs.directories(folder, 60 if arguments.short else 1),
        "commands": lambda: inputs.commands(folder, many(2000, 50), seed),
        "prompts": forked(inputs.prompts, many(500, 10)),
        "models": forked(inputs.models, many(2000, 50)),
    }


def row(*cells: object) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


if __name__ == "__main__":
    sys.exit(main())
