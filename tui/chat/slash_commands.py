"""Commands for those who type: ``/temp 0.7``. Their table, and how a line is read."""

from collections.abc import Iterator
from dataclasses import dataclass

from simplegpt.cli import UserError, nearest
from tui.chat.sampling_form import FIELDS


@dataclass(frozen=True)
class SlashCommand:
    """One command."""

    name: str
    action: str
    """The screen's action that it runs."""
    help: str
    argument: str = ""
    """What has to follow, or may (in brackets)."""
    aliases: tuple[str, ...] = ()

    @property
    def usage(self) -> str:
        return f"/{self.name} {self.argument}".rstrip()


COMMANDS = (
    SlashCommand("help", "commands", "these commands", aliases=("?",)),
    SlashCommand("retry", "again", "another answer, from the next seed", aliases=("again",)),
    SlashCommand("continue", "go_on", "let the model go on", aliases=("go",)),
    SlashCommand("stop", "stop", "stop and keep what is there"),
    SlashCommand("repeat", "repeat", "the same answer from the same seed, compared"),
    SlashCommand("undo", "undo", "take the last exchange back into the prompt"),
    SlashCommand("edit", "edit", "edit your last text and send it again"),
    SlashCommand("prefill", "prefill", "begin the next answer with a text", "[TEXT]"),
    SlashCommand("model", "model", "choose a model, or load NAME", "[NAME]"),
    SlashCommand("new", "new", "begin a new conversation", aliases=("clear",)),
    SlashCommand("open", "conversations", "find an earlier conversation", "[WORDS]"),
    SlashCommand("title", "title", "name this conversation", "TEXT"),
    SlashCommand("save", "save", "export: Markdown, or JSONL by the suffix", "[PATH]"),
    SlashCommand("copy", "copy", "copy the last answer, or all", "[all]"),
    SlashCommand("preset", "preset", "take a preset of sampling settings", "NAME"),
    SlashCommand("markdown", "markdown", "show as Markdown, or raw", aliases=("raw",)),
    SlashCommand("probs", "probabilities", "colour tokens by probability"),
    SlashCommand("compare", "compare", "two models or settings side by side", "[NAME]"),
    SlashCommand("time", "time_machine", "this prompt through a run's checkpoints", "[RUN]"),
    SlashCommand("refresh", "refresh", "load the run's newest checkpoint"),
    SlashCommand("seed", "set", "set the seed", "NUMBER"),
    SlashCommand("tokens", "set", "the most tokens of an answer", "NUMBER"),
    SlashCommand("temp", "set", "set the temperature", "NUMBER", aliases=("temperature",)),
    *(
        SlashCommand(name, "set", f"set {name}", "VALUE")
        for name in FIELDS
        if name not in ("temperature", "seed", "n_tokens_to_generate")
    ),
)
SETTINGS = {"temp": "temperature", "tokens": "n_tokens_to_generate"}


@dataclass(frozen=True)
class Parsed:
    """A command as typed."""

    command: SlashCommand
    argument: str

    @property
    def setting(self) -> str:
        """Of ``set``: the setting's name."""
        return SETTINGS.get(self.command.name, self.command.name)


def is_command(text: str) -> bool:
    """Whether a prompt is a command: one line that begins with a single slash."""
    return text.startswith("/") and not text.startswith("//") and "\n" not in text.strip()


def prompt_of(text: str) -> str:
    """The prompt that was meant: ``//`` at its beginning stands for a slash."""
    return text[1:] if text.startswith("//") else text


def parse(text: str) -> Parsed:
    """The command in a line. Raises UserError, with the nearest name on a slip."""
    name, _, argument = text.strip().removeprefix("/").partition(" ")
    names = dict(_names())
    key = name.lower().replace("-", "_")
    command = names.get(key)
    if command is None:
        matching = {c.name: c for n, c in names.items() if key and n.startswith(key)}
        if len(matching) == 1:
            command = next(iter(matching.values()))
    if command is None:
        hint = nearest(key, names) or "; /help lists them"
        raise UserError(f"there is no command /{name}{hint.replace(chr(39), chr(39) + '/', 1)}")
    argument = argument.strip()
    if command.argument and not command.argument.startswith("[") and not argument:
        raise UserError(f"/{command.name} needs a value: {command.usage}")
    if argument and not command.argument:
        raise UserError(f"/{command.name} takes no value, but got '{argument}'")
    return Parsed(command, argument)


def hint(text: str) -> str:
    """What could be meant by a command that is being typed, in a line."""
    name = text.removeprefix("/").split(" ")[0].lower().replace("-", "_")
    found = {c.name: c for n, c in _names() if n.startswith(name)}
    if len(found) == 1:
        command = next(iter(found.values()))
        return f"{command.usage}: {command.help}"
    return "  ".join(f"/{c.name}" for c in list(found.values())[:8])


def table() -> str:
    """All commands, as Markdown."""
    rows = [f"| `{command.usage.replace('|', ' ')}` | {command.help} |" for command in COMMANDS]
    return "\n".join(["| command | what it does |", "| --- | --- |", *rows])


def _names() -> Iterator[tuple[str, SlashCommand]]:
    for command in COMMANDS:
        yield command.name, command
        for alias in command.aliases:
            yield alias, command
