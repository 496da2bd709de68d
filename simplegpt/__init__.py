"""SimpleGPT: train GPTs from a text file and a TOML file, and generate text with them.

    import simplegpt
    model = simplegpt.load("gpt2")  # or a checkpoint, a run's directory, a folder
    model.gpt, model.tokenizer_name

`GPT` and `load` are imported on first use, since they import torch.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simplegpt.checkpoint import load_model as load
    from simplegpt.model import GPT

__version__ = "0.1.0"
__all__ = ["GPT", "__version__", "load"]


def __getattr__(name: str) -> Any:
    if name == "GPT":
        from simplegpt.model import GPT

        return GPT
    if name == "load":
        from simplegpt.checkpoint import load_model

        return load_model
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
