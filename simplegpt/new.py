"""Create a project folder: ``simplegpt new NAME``.

It contains copies of SimpleGPT's configs, a folder for texts and token files, and a README.md with
the next commands.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path

from simplegpt.cli import CommandParser, UserError, one_line, run_command, show
from simplegpt.config.load import config_folder

README = """\
# {name}

Train a small character-level GPT on tiny Shakespeare, and generate text with it:

```
simplegpt data --dataset tinyshakespeare --tokenizer_name char
simplegpt train configs/shakespeare_char_cpu.toml      # about a minute on 2 CPU cores
simplegpt inference "The " --model_name_or_ckpt_path models/tiny_shakespeare_char_cpu
```

Or a larger one on your own text, with GPT-2's tokenizer:

```
simplegpt data --text_file my.txt --output_dir data --tokenizer_name gpt2
simplegpt train configs/shakespeare.toml --output_dir models/mine      # minutes on a GPU
```

`simplegpt-tui` does all of this in the terminal. `configs/` is yours to edit, `data/` is for texts
and token files, and each run has a folder in `models/`.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Create the folder that `argv` names. Raises UserError if it exists and is not empty."""
    parser = CommandParser("new", description="Create a folder with configs, data and a README.")
    parser.add_argument("name", type=Path, metavar="NAME", help="the new folder")
    folder: Path = parser.parse_args(argv).name
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} already exists: give a new or empty folder")
    (folder / "data").mkdir(parents=True, exist_ok=True)
    shutil.copytree(config_folder(), folder / "configs", ignore=_all_but_configs)
    name = folder.resolve().name
    (folder / "README.md").write_text(README.format(name=name), encoding="utf-8")
    show(one_line(f"created {folder} with configs, data and README.md"))
    show(one_line(f"next: cd {folder}, then simplegpt-tui, or the commands in README.md"))
    return 0


def _all_but_configs(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if not name.endswith(".toml")]


if __name__ == "__main__":
    run_command(main)
