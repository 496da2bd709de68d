"""Whether a config fits the token files that it names."""

import glob
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from simplegpt.errors import nearest


def data_problems(
    values: Mapping[str, Any], wrong: Collection[str]
) -> Iterator[tuple[tuple[str, ...], str]]:
    """The keys and the message of each mistake that shows only in the token files.

    `values` are nested and complete; keys in `wrong` are not judged again.
    """
    for key in ("data.train_fpath", "data.val_fpath"):
        if key in wrong:
            continue
        spec = values["data"][key.partition(".")[2]]
        if not any(glob.iglob(spec)) and not Path(spec).exists():  # noqa: PTH207 (it may be absolute)
            yield (key,), _missing(Path(spec))


def _missing(path: Path) -> str:
    try:
        names = [one.name for one in path.parent.iterdir()]
    except OSError:
        return f"no such file: there is no folder {path.parent}"
    return f"no such file{nearest(path.name, names)}"
