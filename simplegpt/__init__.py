"""SimpleGPT: train GPTs from a text file and a TOML file, and talk to them.

Nothing heavy is imported here, so that the workbench and ``--help`` start at once;
``simplegpt.GPT`` is loaded when it is first asked for.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simplegpt.model import GPT

__version__ = "0.1.0"
__all__ = ["GPT", "__version__"]


def __getattr__(name: str) -> Any:
    if name == "GPT":
        from simplegpt.model import GPT

        return GPT
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
