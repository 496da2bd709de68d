"""SimpleGPT: train GPTs from a text file and a TOML file, and generate text with them.

    import simplegpt
    model = simplegpt.load("gpt2")  # or a checkpoint, a run's directory, a folder
    print(model.generate("Alan Turing theorized that", temperature=0.8))

`GPT`, `Model` and `load` are imported on first use, since they import torch. To train, see
`simplegpt.train.train`.
"""

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simplegpt.inference.model import Model, load
    from simplegpt.model import GPT

__version__ = "0.1.0"
__all__ = ["GPT", "Model", "__version__", "load"]

# At the end of a parallel part, threads of libgomp (torch's on Linux) wait in a loop, by default
# for milliseconds. Beside another busy process, that is time in which the thread that they wait
# for could run: a training step then takes 3 to 30 times as long, with this wait 2 to 3 times
# (docs/experiments.md). Alone, it costs up to 6%. libgomp reads it when torch is imported.
if os.environ.keys().isdisjoint({"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"}):
    os.environ["GOMP_SPINCOUNT"] = "1000"

_MODULES = {"GPT": "model", "Model": "inference.model", "load": "inference.model"}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(importlib.import_module(f"simplegpt.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
