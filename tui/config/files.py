"""Configs on disk: listed, read and saved. The functions read files: call them in a thread."""

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path

from simplegpt.cli import UserError
from simplegpt.config.edit import edit, literal
from simplegpt.config.load import config_folder, read_file
from simplegpt.files import first_free_path, write_atomically
from simplegpt.run import hardware
from tui.shared.paths import config_paths, expand_home, path_to_write, short_path


@dataclass(frozen=True)
class ConfigFile:
    """A config that can be opened; a template is the start of a new one."""

    path: Path
    comment: str
    """Its first line, where that is a comment."""
    is_template: bool = False


def list_configs(root: Path) -> list[ConfigFile]:
    """List the configs at `root` and two levels below it, but not those inside of runs."""
    return [ConfigFile(path, _first_comment(path)) for path in config_paths(root)]


def list_templates() -> list[ConfigFile]:
    """List the configs that come with SimpleGPT."""
    paths = sorted(config_folder().glob("*.toml"))
    return [ConfigFile(path, _first_comment(path), is_template=True) for path in paths]


def typed_config(typed: str) -> ConfigFile | None:
    """Return the config at a path that a person typed, or None where there is no file."""
    path = expand_home(typed.strip())
    return ConfigFile(path, _first_comment(path)) if os.path.isfile(path) else None


def _first_comment(path: Path) -> str:
    try:
        first = read_text(path).split("\n", 1)[0]
    except UserError:
        return ""
    return first.removeprefix("#").strip() if first.startswith("#") else ""


def default_config() -> ConfigFile:
    """Return the config for this machine that is opened first: of this folder, or the template."""
    name = "shakespeare_char.toml" if hardware.gpus() else "shakespeare_char_cpu.toml"
    here = Path.cwd() / "configs" / name
    if os.path.isfile(here):
        return ConfigFile(here, "")
    return ConfigFile(config_folder() / name, "", is_template=True)


def free_path(path: Path) -> Path:
    """Return a free name for a new config made from `path`: beside it, or in ``configs`` here."""
    folder = path.parent if path.absolute().is_relative_to(Path.cwd()) else Path.cwd() / "configs"
    return short_path(first_free_path(folder / path.name))


def save_path(typed: str) -> Path:
    """Return where a config is saved that a person typed a path for: with the suffix.

    Raises `UserError` where no file can have that name.
    """
    path = path_to_write(typed)
    if path.name in ("", "..") or typed.strip().endswith("/"):
        raise UserError("Enter a file name.")
    if path.suffix != ".toml":
        path = path.with_name(f"{path.name}.toml")
    try:
        is_directory = path.is_dir()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    if is_directory:
        raise UserError(f"{short_path(path)} is a directory.")
    return path


def read_text(path: Path) -> str:
    """Read a config file as it is, line ends included. Raises `UserError` where it cannot be."""
    file = read_file(path)
    if file.error:
        raise UserError(f"{path}: {file.error}")
    return file.text


def text_on_disk(path: Path) -> str | None:
    """Read a file; None where it is gone or is not text."""
    try:
        return read_text(path)
    except UserError:
        return None


def save_text(text: str, path: Path, *, origin: Path, replaces: str | None) -> str:
    """Write the config `text`, which was read at `origin`, to `path`; return what was written.

    An include is relative to its file: for another folder it is adapted. An include that belongs
    to the installation is copied along instead, where nothing else has its name. `replaces` is
    the text that the file may hold; None takes any. Raises `UserError`.
    """
    if replaces is not None and text_on_disk(path) not in (None, replaces):
        raise UserError(f"{path} has changed on disk. Save again to merge.")
    files = {path: text}
    include = _include(text)
    if include and path.parent.absolute() != origin.parent.absolute():
        included = Path(os.path.normpath(origin.absolute().parent / include))
        beside = path.absolute().parent / included.name
        target = os.path.relpath(included, path.absolute().parent)
        copy = None if included.is_relative_to(Path.cwd()) else text_on_disk(included)
        if copy is not None:
            if not os.path.lexists(beside):
                files, target = {beside: copy, path: text}, included.name
            elif text_on_disk(beside) == copy:
                target = included.name
        files[path] = edit(text, {"include": literal(target)})
    for file, content in files.items():
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(file, content, sync=True)
        except OSError as error:
            raise UserError(f"cannot write {file}: {error.strerror}") from error
    return files[path]


def _include(text: str) -> str | None:
    try:
        include = tomllib.loads(text).get("include")
    except tomllib.TOMLDecodeError:
        return None
    return include if isinstance(include, str) else None
