"""The commands' options: one parser class, and options made from the schema.

Both ``--top_k`` and ``--top-k`` are understood, and a mistake is a `UserError` that names the
nearest option.
"""

import argparse
import json
import re
import shutil
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from pydantic import ValidationError

from simplegpt.cli import UserError, nearest
from simplegpt.config.schema import OWNED_TRAINER_KEYS, Section
from simplegpt.config.settings import Setting, settings_of, tables
from simplegpt.config.text import literal, typed_value

S = TypeVar("S", bound=Section)


class CommandParser(argparse.ArgumentParser):
    """An `ArgumentParser` whose mistakes are `UserError`s.

    Options are declared with underscores. An option is never abbreviated: a slip gets the nearest
    name instead of another option.
    """

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("formatter_class", _HelpFormatter)
        called = Path(sys.argv[0])  # python -m gives the module's file
        if called.suffix == ".py":
            package = called.parent if called.stem == "__main__" else called.with_suffix("")
            kwargs.setdefault("prog", f"python -m simplegpt.{package.name}")
        super().__init__(allow_abbrev=False, **kwargs)
        # argparse's own pattern takes -1 for a value but -1e-3 for an option.
        self._negative_number_matcher = re.compile(r"^-(?:\d|\.\d|inf$)[\d._eE+-]*$")

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        words = list(sys.argv[1:] if args is None else args)
        return super().parse_known_args(self._with_underscores(words), namespace)

    def parse_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> argparse.Namespace:
        parsed, unknown = self.parse_known_args(args, namespace)
        if unknown:
            self.error(self._about_unknown(unknown))
        return parsed

    def error(self, message: str) -> NoReturn:
        plain = re.sub(r"^argument (\S+): ", r"\1: ", message)
        for type_name, allowed in (("int", "a whole number"), ("float", "a number")):
            plain = plain.replace(f"invalid {type_name} value", f"must be {allowed}, not")
        plain = plain.replace("not: ", "not ")
        raise UserError(f"{plain}\n  {self.prog} --help lists the options")

    def _with_underscores(self, words: Iterable[str]) -> list[str]:
        result, rest_is_text = [], False
        for word in words:
            rest_is_text = rest_is_text or word == "--"
            name, equals, value = word.partition("=")
            declared = "--" + name[2:].replace("-", "_")
            if not rest_is_text and name.startswith("--") and declared in self._option_strings():
                word = declared + equals + value
            result.append(word)
        return result

    def _option_strings(self) -> Mapping[str, argparse.Action]:
        return self._option_string_actions

    def _about_unknown(self, words: Sequence[str]) -> str:
        options = [word.partition("=")[0] for word in words if word.startswith("-")]
        if not options:
            return f"one argument too many: {' '.join(words)}"
        known = [name for name in self._option_strings() if name.startswith("--")]
        told = []
        for option in options:
            wanted = "--" + option.lstrip("-").replace("-", "_")
            table, _, name = wanted[2:].partition(".")
            if table == "trainer" and name in OWNED_TRAINER_KEYS:
                told.append(f"{option} is set by simplegpt itself: {OWNED_TRAINER_KEYS[name]}")
                continue
            near = nearest(wanted, known)
            if not near:  # --n_embd for --model.n_embd
                same = [name for name in known if name.rpartition(".")[2] == wanted[2:]]
                near = f"; did you mean '{same[0]}'?" if same else ""
            told.append(f"unknown option {option}{near}")
        return "\n  ".join(told)


def add_config_options(parser: argparse.ArgumentParser) -> None:
    """Add an option for every setting of the schema, ``--section.key``, and for optional tables.

    They gather in ``namespace.overrides``, a list of (dotted key, text) in the order given, as
    `config_file.load` takes them.
    """
    parser.set_defaults(overrides=[])
    for table in tables().values():
        title = f"[{table.name}]" if table.name else "settings at the top level"
        group = parser.add_argument_group(title, table.description)
        if table.optional:
            group.add_argument(
                f"--{table.name}",
                action=_Gather,
                dest="overrides",
                metavar="true|false",
                help=f"Switch [{table.name}] on or off as a whole; default false.",
            )
        for setting in table.settings.values():
            if setting.key != "include":
                _add_option(group, setting, "overrides")


def add_section_options(
    parser: argparse.ArgumentParser, section: type[Section], title: str, dest: str
) -> None:
    """Add ``--name`` for each field of one section; `parse_section` makes the section of them."""
    parser.set_defaults(**{dest: []})
    group = parser.add_argument_group(title)
    for setting in settings_of(section).values():
        _add_option(group, setting, dest)


def parse_section(section: type[S], given: Iterable[tuple[str, str]]) -> S:
    """The section with the values that `add_section_options` gathered.

    A list given several times is joined. Raises `UserError` with every mistake.
    """
    known = settings_of(section)
    values: dict[str, Any] = {}
    for name, text in given:
        value = typed_value(known[name], text)
        if known[name].kind == "list" and isinstance(value, list):
            value = [*values.get(name, []), *value]
        values[name] = value
    try:
        return section.model_validate_json(json.dumps(values, default=str), strict=True)
    except ValidationError as error:
        wrong = dict.fromkeys(str(item["loc"][0]) for item in error.errors())
        told = [
            f"--{name} {literal(values[name])}: must be {known[name].allowed}" for name in wrong
        ]
        raise UserError("\n  ".join(told)) from None


class _Gather(argparse.Action):
    """Append (key, text), so that the order between options is kept."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        gathered = [*getattr(namespace, self.dest), (self.option_strings[0][2:], values)]
        setattr(namespace, self.dest, gathered)


def _add_option(group: argparse._ArgumentGroup, setting: Setting, dest: str) -> None:
    allowed = setting.allowed[:1].upper() + setting.allowed[1:]
    lines = [setting.description, f"{allowed}; default {literal(setting.default)}."]
    group.add_argument(
        f"--{setting.key}",
        action=_Gather,
        dest=dest,
        metavar=_metavar(setting),
        help="\n".join(line for line in lines if line).replace("%", "%%"),
    )


def _metavar(setting: Setting) -> str:
    if setting.choices:
        return "|".join(literal(choice).strip('"') for choice in setting.choices)
    names = {"integer": "N", "number": "X", "path": "PATH", "list": "LIST"}
    return names.get(setting.kind, "TEXT")


class _HelpFormatter(argparse.HelpFormatter):
    """The option on a line, its help below it, each line of the help wrapped by itself."""

    def __init__(self, prog: str) -> None:
        columns = shutil.get_terminal_size((80, 24)).columns
        super().__init__(prog, max_help_position=8, width=max(40, min(columns, 100) - 2))

    def _split_lines(self, text: str, width: int) -> list[str]:
        return [part for line in text.splitlines() for part in textwrap.wrap(line, width)]

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n".join(
            textwrap.fill(line, width, initial_indent=indent, subsequent_indent=indent)
            for line in text.splitlines()
        )
