"""The user's settings: theme, sampling presets and recent texts.

Everything lives below `settings_folder()` and `data_folder()`; deleting them resets the
workbench and loses no run. ``SIMPLEGPT_TUI_HOME`` moves both into one folder.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import platformdirs
from pydantic import BaseModel, ConfigDict, ValidationError

from simplegpt.config.schema import SamplingConfig
from simplegpt.files import write_atomically
from tui.shell.themes import DEFAULT_THEME

HOME_VARIABLE = "SIMPLEGPT_TUI_HOME"


def settings_folder() -> Path:
    """The folder of `settings.json`."""
    home = os.environ.get(HOME_VARIABLE)
    return Path(home) if home else platformdirs.user_config_path("simplegpt")


def data_folder() -> Path:
    """The folder of conversations and histories."""
    home = os.environ.get(HOME_VARIABLE)
    return Path(home) / "data" if home else platformdirs.user_data_path("simplegpt")


class Settings(BaseModel):
    """The user's settings. Fields that another version wrote are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    theme: str = DEFAULT_THEME
    run_columns: tuple[str, ...] = ("parameters", "optimization.peak_lr", "optimization.dropout_p")
    """The settings with a column in the list of runs."""
    recent_texts: tuple[Path, ...] = ()
    """Text files that were chosen, the last one first; absolute paths."""
    chat_model: str = ""
    """The model of the last chat: a path, or a pretrained name."""
    sampling_presets: Mapping[str, SamplingConfig] = {}
    """Sampling settings by the name that the user gave them."""

    @classmethod
    def load(cls) -> "Settings":
        """Read the settings; the defaults if there are none or they cannot be read."""
        try:
            return cls.model_validate_json((settings_folder() / "settings.json").read_bytes())
        except (OSError, ValidationError):
            return cls()

    def keep(self) -> None:
        """Write the settings. Raises OSError where the folder cannot be written."""
        folder = settings_folder()
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / "settings.json", self.model_dump_json(indent=1))


def change(**values: object) -> Settings:
    """Change `values` in the stored settings; return all of them."""
    settings = Settings.model_validate({**Settings.load().model_dump(), **values})
    settings.keep()
    return settings
