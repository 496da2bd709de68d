"""Slash commands, such as ``/temp 0.7``: their table and their parser."""

from dataclasses import dataclass

from simplegpt.cli import UserError, nearest
from tui.chat.sampling import (
    FIELDS,
    GenerationSettings,
    format_settings,
    label,
    parse_settings,
)


@dataclass(frozen=True)
class Command:
    """One command."""

    name: str
    action: str
    """The screen's action that it runs."""
    help: str
    argument: str = ""
    """Name of its argument; in brackets if it is optional."""
    aliases: tuple[str, ...] = ()
    setting: str = ""
    """The setting that the action ``set`` changes."""

    @property
    def usage(self) -> str:
        return f"/{self.name} {self.argument}".rstrip()


def _setting(name: str, setting: str, *aliases: str, argument: str = "NUMBER") -> Command:
    return Command(name, "set", f"set {label(setting)}", argument, aliases, setting)


COMMANDS = (
    Command("help", "list_commands", "list the commands", aliases=("?",)),
    Command("retry", "regenerate", "regenerate from the next seed", aliases=("regenerate",)),
    Command("answers", "answers", "generate N more answers, and list all to choose one", "[N]"),
    Command("continue", "continue", "continue the text", aliases=("go",)),
    Command("stop", "stop", "stop generating and keep the text"),
    Command("repeat", "repeat", "repeat the answer from the same seed and compare"),
    Command("undo", "undo", "undo the last exchange and put it back into the prompt"),
    Command("redo", "redo", "redo the exchange that was undone last"),
    Command("edit", "edit", "edit your last text and resend it"),
    Command("prefill", "prefill", "prefill the next answer with a text", "[TEXT]"),
    Command("system", "system", "set the system prompt, for chat models", "[TEXT]"),
    Command("model", "model", "choose a model, or load NAME", "[NAME]"),
    Command("new", "new", "start a new conversation", aliases=("clear",)),
    Command("open", "conversations", "find an earlier conversation", "[WORDS]"),
    Command("rename", "rename", "rename this conversation", "NAME", aliases=("title",)),
    Command("save", "export", "save as Markdown, or as JSONL by the suffix", "[PATH]"),
    Command("copy", "copy", "copy the answer, or all of the text", "[all]"),
    Command("preset", "preset", "apply a sampling preset", "NAME"),
    Command("markdown", "markdown", "switch between Markdown and plain text", aliases=("raw",)),
    Command("probs", "probabilities", "colour tokens by probability"),
    Command("compare", "compare", "compare two models or settings", "[NAME]"),
    Command(
        "checkpoints",
        "compare_checkpoints",
        "run this prompt through the checkpoints of a run",
        "[RUN]",
        aliases=("time",),
    ),
    Command("refresh", "load_newest", "load the live run's newest checkpoint"),
    _setting("seed", "seed"),
    _setting("tokens", "n_tokens_to_generate", "max_tokens", "n_tokens_to_generate"),
    _setting("temp", "temperature", "temperature"),
    _setting("stop_text", "stop", argument="TEXT|TEXT"),
    _setting("random_seed", "random_seed", argument="true|false"),
    *(
        _setting(name, name)
        for name in FIELDS
        if name not in ("seed", "n_tokens_to_generate", "temperature", "stop", "random_seed")
    ),
)
NAMES = {name: command for command in COMMANDS for name in (command.name, *command.aliases)}


@dataclass(frozen=True)
class Call:
    """A command as typed: the action to run and its arguments."""

    command: Command
    arguments: tuple[str, ...]


def is_command(text: str) -> bool:
    """Whether a prompt is a command: one line that begins with a single slash."""
    return text.startswith("/") and not text.startswith("//") and "\n" not in text.strip()


def unescape(text: str) -> str:
    """The prompt without its escape: a leading ``//`` is a single slash."""
    return text[1:] if text.startswith("//") else text


def parse(text: str) -> Call:
    """The command in a line. Raises UserError, with the nearest name for an unknown one."""
    typed, _, argument = text.strip().removeprefix("/").partition(" ")
    argument = argument.strip()
    matching = _matching(typed)
    if len(matching) != 1:
        hint = nearest(_key(typed), NAMES).replace("'", "'/", 1) or "; /help lists the commands"
        raise UserError(f"unknown command /{typed}{hint}")
    command = matching[0]
    if command.argument and not command.argument.startswith("[") and not argument:
        raise UserError(f"/{command.name} needs a value: {command.usage}")
    if argument and not command.argument:
        raise UserError(f"/{command.name} takes no value, got '{argument}'")
    if not command.setting:
        return Call(command, (argument,) if argument else ())
    defaults = format_settings(GenerationSettings())
    _, errors = parse_settings({**defaults, command.setting: argument})
    if errors:
        raise UserError(f"{label(command.setting)}: {errors[command.setting]}")
    return Call(command, (command.setting, argument))


def suggestions(text: str) -> list[Command]:
    """The commands that the prompt `text` may become; none where it is not one."""
    if not is_command(text):
        return []
    name, space, _ = text.removeprefix("/").partition(" ")
    found = _matching(name)
    return found if len(found) == 1 or not space else []


def _key(typed: str) -> str:
    return typed.lower().replace("-", "_")


def _matching(typed: str) -> list[Command]:
    """The command of this name; without one, those whose names begin with it."""
    key = _key(typed)
    if key in NAMES:
        return [NAMES[key]]
    return list(dict.fromkeys(c for name, c in NAMES.items() if name.startswith(key)))
