"""Whether the values of a config are right, and what to say where they are not."""

import datetime
import difflib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from simplegpt.cli import nearest
from simplegpt.config.layers import DEFAULT, MISSING, Layers, Problem
from simplegpt.config.schema import OWNED_TRAINER_KEYS, Config, broken_rules
from simplegpt.config.settings import settings, tables


def validated(layers: Layers) -> tuple[Config | None, list[Problem]]:
    values = {name: value for name, value in layers.values.items() if name != "include"}
    problems = [
        problem for key, value in _leaves(values) if (problem := _unusable(key, value, layers))
    ]
    for problem in problems:
        _remove(values, problem.keys[0])
    try:
        config = Config.model_validate_json(json.dumps(values), strict=True)
    except ValidationError as error:
        config = None
        locations = {_key_of(item["loc"]): item["type"] for item in error.errors() if item["loc"]}
        problems += [_field_problem(key, kind, layers) for key, kind in locations.items()]
    wrong = invalid_keys(problems)
    for broken in broken_rules(layers.filled(wrong), wrong):
        elsewhere = _others(broken.keys, layers)
        message = broken.message + elsewhere
        problems.append(Problem(broken.keys, message, origin=layers.origin_of(broken.keys)))
    return config, problems


def invalid_keys(problems: Iterable[Problem]) -> frozenset[str]:
    """The keys of `problems`, and those of a table that is wrong as a whole."""
    wrong = {key for problem in problems for key in problem.keys}
    return frozenset(wrong | {key for key, one in settings().items() if one.table in wrong})


def reading_order(problem: Problem) -> tuple[int, str, int]:
    origin = problem.origin
    rank = ("file", "include", "override", "default").index(origin.kind)
    return rank, str(origin.path), origin.line or 0


def _others(keys: tuple[str, ...], layers: Layers) -> str:
    """Where the values of a rule stand, if not all at the place named first."""
    named = layers.origin_of(keys)
    others = {key: layers.origins.get(key, DEFAULT) for key in keys}
    told = [
        f"{key}: {f'line {origin.line}' if origin.path == named.path else origin}"
        for key, origin in others.items()
        if origin != named
    ]
    return f" ({'; '.join(told)})" if told else ""


def _key_of(location: tuple[str | int, ...]) -> str:
    """The dotted key of a pydantic error, without the list item or union member it ends in."""
    name = str(location[0])
    return f"{name}.{location[1]}" if name in tables() and len(location) > 1 else name


def _field_problem(key: str, kind: str, layers: Layers) -> Problem:
    origin = layers.origins.get(key, DEFAULT)
    table, _, name = key.rpartition(".")
    holder = layers.values.get(table, {}) if table else layers.values
    value = holder.get(name, MISSING) if isinstance(holder, dict) else MISSING
    if kind == "extra_forbidden":
        message = unknown_key(key, isinstance(value, dict))
        return Problem((key,), message, MISSING if isinstance(value, dict) else value, origin)
    if key in tables():
        off = f", or {key} = false" if tables()[key].optional else ""
        return Problem((key,), f"must be a table: [{key}]{off}", value, origin)
    setting = settings()[key]
    near = ""
    if isinstance(value, str) and setting.choices:
        near = nearest(value, [str(choice) for choice in setting.choices])
    quotes = ", in quotes" if setting.kind in ("text", "path") and origin.path is not None else ""
    return Problem((key,), f"must be {setting.allowed}{quotes}{near}", value, origin)


def unknown_key(key: str, is_table: bool = False) -> str:
    """What to say of a key that the schema does not know, and the nearest that it does."""
    table, _, name = key.rpartition(".")
    if table == "trainer" and name in OWNED_TRAINER_KEYS:
        return f"is set by simplegpt itself: {OWNED_TRAINER_KEYS[name]}"
    if is_table:
        return "unknown table" + nearest(name, [one for one in tables() if one])
    elsewhere = [other for other, setting in settings().items() if setting.name == name]
    if elsewhere:
        places = [f"[{settings()[other].table}]" for other in elsewhere if "." in other]
        top = ["the top of the file, above every [table]"] if name in elsewhere else []
        return f"unknown here; {name} belongs to {' or '.join(top + places)}"
    if name in tables():
        return f"unknown here; {name} is a table of its own, [{name}]"
    candidates = (
        [one.name for one in tables()[table].settings.values()] if table in tables() else []
    )
    near = nearest(name, candidates if table else [*candidates, *tables()])
    if not near:  # the right name of another table, with a slip in it
        names = {setting.name: other for other, setting in settings().items()}
        close = difflib.get_close_matches(name, names, n=1, cutoff=0.8)
        near = f"; did you mean '{names[close[0]]}'?" if close else ""
    return f"unknown key{near}"


def _leaves(values: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _unusable(key: str, value: Any, layers: Layers) -> Problem | None:
    """What TOML or a command line can give, but not JSON, which the validation reads, or a path."""
    items = value if isinstance(value, list) else [value]
    texts = [one for one in items if isinstance(one, str)]
    is_path = key in settings() and settings()[key].kind == "path"
    if any(isinstance(one, datetime.date | datetime.time) for one in items):
        what = "not a date"
    elif any(one.encode(errors="ignore").decode() != one for one in texts):
        what = "in UTF-8"
    elif is_path and isinstance(value, str) and "\0" in value:
        what = "without null characters"
    elif is_path and value == "":
        what = "not empty"  # Path("") is the working directory
    else:
        return None
    setting = settings().get(key)
    message = f"must be {setting.allowed}, {what}" if setting else unknown_key(key)
    return Problem((key,), message, value, layers.origins.get(key, DEFAULT))


def _remove(values: dict[str, Any], key: str) -> None:
    *parents, name = key.split(".")
    for parent in parents:
        values = values[parent]
    del values[name]
