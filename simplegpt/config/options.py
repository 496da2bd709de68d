"""Command-line options made from the schema: ``--section.key VALUE``."""

import argparse
import json
from collections.abc import Iterable
from functools import partial
from typing import Any, TypeVar

from pydantic import ValidationError

from simplegpt.cli import UserError
from simplegpt.config.edit import typed_value
from simplegpt.config.load import as_json, messages_of
from simplegpt.config.schema import OWNED_TRAINER_KEYS, Section, Setting, settings_of, tables

S = TypeVar("S", bound=Section)
METAVARS = {"integer": "N", "number": "X", "path": "PATH", "list": "LIST"}


def add_config_options(parser: argparse.ArgumentParser) -> None:
    """Add an option for every setting, ``--section.key``, and for optional tables.

    Parsing collects them in ``namespace.overrides``, in the form that `load.load` takes.
    """
    for table in tables().values():
        title = f"[{table.name}]" if table.name else "top-level settings"
        options = [one for key, one in table.settings.items() if key != "include"]
        if table.optional:
            purpose = f"Switch [{table.name}] on or off as a whole."
            options.insert(0, Setting(table.name, "switch", False, purpose, "true or false"))
        add_options(parser, title, table.description, options, "overrides")
    for name in OWNED_TRAINER_KEYS:  # not in the help; the validation explains each of them
        key = f"trainer.{name}"
        parser.add_argument(
            f"--{key}",
            action="append",
            type=partial(_pair, key),
            dest="overrides",
            help=argparse.SUPPRESS,
        )


def add_options(
    parser: argparse.ArgumentParser,
    title: str,
    description: str | None,
    settings: Iterable[Setting],
    dest: str,
) -> None:
    """Add ``--key`` for each setting, in a group of the help.

    Parsing collects them in `dest`, a list of (key, text) in the order of the command line.
    """
    parser.set_defaults(**{dest: []})
    group = parser.add_argument_group(title, description)
    for setting in settings:
        allowed = setting.allowed[:1].upper() + setting.allowed[1:]
        default = json.dumps(setting.default, ensure_ascii=False)
        text = f"{setting.description} {allowed}; default {default}.".replace("%", "%%")
        group.add_argument(
            f"--{setting.key}",
            action="append",
            type=partial(_pair, setting.key),
            dest=dest,
            metavar=_metavar(setting),
            help=text,
        )


def parse_section(section: type[S], given: Iterable[tuple[str, str]]) -> S:
    """Return the section with the values that `add_options` collected.

    Lists given several times are joined. Raises `UserError` with every invalid value.
    """
    known = settings_of(section)
    values: dict[str, Any] = {}
    for name, text in given:
        value = typed_value(known[name], text)
        if known[name].kind == "list" and isinstance(value, list):
            value = [*values.get(name, []), *value]
        values[name] = value
    try:
        return section.model_validate_json(json.dumps(as_json(values)), strict=True)
    except ValidationError as error:
        messages = messages_of(error, known, values)
        raise UserError(*(f"--{name}: {message}" for name, message in messages.items())) from None


def _pair(key: str, text: str) -> tuple[str, str]:
    return key, text


def _metavar(setting: Setting) -> str:
    if setting.choices:
        return "|".join(json.dumps(choice).strip('"') for choice in setting.choices)
    return METAVARS.get(setting.kind, "TEXT")
