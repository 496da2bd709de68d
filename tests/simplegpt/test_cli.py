"""Options made from the schema, their errors, and the exit codes of commands."""

import contextlib
import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from simplegpt.__main__ import COMMANDS, main
from simplegpt.cli import CommandParser, UserError, one_line, printable
from simplegpt.config.load import ConfigError, config_folder, load
from simplegpt.config.options import add_config_options, add_options, parse_section
from simplegpt.config.schema import SamplingConfig, settings, settings_of, tables


def config_parser() -> CommandParser:
    parser = CommandParser("train")
    parser.add_argument("config")
    parser.add_argument("--plan", action="store_true")
    add_config_options(parser)
    return parser


def sampling_parser() -> CommandParser:
    parser = CommandParser("inference")
    parser.add_argument("prompts", nargs="*")
    parser.add_argument("--n_tokens_to_generate", type=int, default=30)
    add_options(parser, "sampling", None, settings_of(SamplingConfig).values(), "sampling")
    return parser


@pytest.mark.parametrize("words", [["--top_k", "3"], ["--top-k", "3"], ["--top-k=3"]])
def test_both_spellings_of_an_option_are_understood(words: list[str]) -> None:
    arguments = sampling_parser().parse_args(["a prompt", *words])
    assert parse_section(SamplingConfig, arguments.sampling).top_k == 3


def test_a_prompt_is_taken_as_it_stands() -> None:
    parser = sampling_parser()
    assert parser.parse_args(["123", "- a list", "--top_k=1"]).prompts == ["123", "- a list"]
    assert parser.parse_args(["--", "--top-k", "a-b"]).prompts == ["--top-k", "a-b"]


def test_overrides_come_in_their_order_and_load(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text("")
    words = ["--model.n-embd", "96", "--wandb=true", "--optimization.end_lr", "1e-5", "--seed=7"]
    arguments = config_parser().parse_args([str(path), *words])
    assert arguments.overrides == [
        ("model.n_embd", "96"),
        ("wandb", "true"),
        ("optimization.end_lr", "1e-5"),
        ("seed", "7"),
    ]
    config = load(path, arguments.overrides)
    assert (config.model.n_embd, config.seed) == (96, 7)
    assert config.wandb is not None


def test_a_negative_number_is_a_value_in_every_spelling() -> None:
    for text in ("-1", "-1e-3", "-.5", "-1_000"):
        words = ["x.toml", "--optimization.end_lr", text]
        assert config_parser().parse_args(words).overrides == [("optimization.end_lr", text)]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["x.toml", "--pln"], "unknown option --pln; did you mean '--plan'?"),
        (["x.toml", "--model.n_hed=3"], "did you mean '--model.n_head'?"),
        (["x.toml", "--n_embd", "3"], "did you mean '--model.n_embd'?"),
        (["x.toml", "--data.seq-length=3"], "did you mean '--data.seq_len'?"),
        (["x.toml", "y.toml"], "unexpected argument: y.toml"),
        ([], "the following arguments are required: config"),
        (["x.toml", "--seed"], "--seed: expected one argument"),
    ],
)
def test_an_unknown_option_gets_the_nearest_one(words: list[str], message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        config_parser().parse_args(words)


def test_an_invalid_number_names_its_option() -> None:
    with pytest.raises(UserError, match=r"--n_tokens_to_generate: .*'x'"):
        sampling_parser().parse_args(["a", "--n_tokens_to_generate", "x"])


def test_a_key_that_simplegpt_sets_itself_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text("")
    given = config_parser().parse_args([str(path), "--trainer.logger", "true", "--seed=x"])
    with pytest.raises(ConfigError) as caught:
        load(path, given.overrides)
    problems = {problem.keys: problem.message for problem in caught.value.problems}
    assert set(problems) == {("trainer.logger",), ("seed",)}
    assert "tensorboard" in problems["trainer.logger",]


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        (["--stop", "["], "stop", ["["]),
        (["--stop", "[INST]"], "stop", ["[INST]"]),
        (["--temperature", ".8"], "temperature", 0.8),
        (["--temperature", "1."], "temperature", 1.0),
        (["--temperature=1e0"], "temperature", 1.0),
        (["--presence-penalty", "-.5"], "presence_penalty", -0.5),
    ],
)
def test_a_value_is_understood_as_people_write_it(
    words: list[str], name: str, value: object
) -> None:
    arguments = sampling_parser().parse_args(words)
    assert getattr(parse_section(SamplingConfig, arguments.sampling), name) == value


def test_an_override_without_a_leading_zero_is_a_number(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text("")
    given = config_parser().parse_args([str(path), "--optimization.peak_lr", ".003"])
    assert load(path, given.overrides).optimization.peak_lr == 0.003


def test_all_invalid_sampling_options_are_reported_at_once() -> None:
    arguments = sampling_parser().parse_args(["--top-k=-1", "--top_p", "2", "--seed", "one"])
    with pytest.raises(UserError) as caught:
        parse_section(SamplingConfig, arguments.sampling)
    lines = str(caught.value).splitlines()
    assert [line.split()[0] for line in lines] == ["--top_k:", "--top_p:", "--seed:"]
    assert lines[0].endswith("expected an integer ≥ 0, got -1")


def test_a_list_option_is_given_several_times() -> None:
    arguments = sampling_parser().parse_args(["--stop", "a", "--stop", "1", "--stop", '"\\n"'])
    assert parse_section(SamplingConfig, arguments.sampling).stop == ["a", "1", "\n"]


def test_help_lists_every_field_with_docstring_bounds_and_default(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as caught:
        config_parser().parse_args(["--help"])
    assert caught.value.code == 0
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 100
    text = " ".join(printed.split())
    for key, setting in settings().items():
        if key == "include":  # a file's own business
            continue
        assert f"--{key} " in text
        assert setting.description in text
        assert f"{setting.allowed[1:]}; default" in text
    for name, table in tables().items():
        assert f"[{name}]" in text or not name
        assert table.description in text


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_runs_and_shows_how_it_was_called(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["simplegpt", name, "--help"])
    with pytest.raises(SystemExit) as caught:
        main([name, "--help"])
    assert caught.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: simplegpt {name} ")


def test_the_installed_command_names_its_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    printed = capsys.readouterr().out
    for name in COMMANDS:
        assert f"\n  {name} " in printed
    assert main(["--version"]) == 0
    with pytest.raises(UserError, match="unknown command trian; did you mean 'train'"):
        main(["trian"])


PROGRAM = """
import sys
import termios
from pathlib import Path
from simplegpt.cli import UserError, run_command

def main():
    with open("file", "w") as file:
        print("printed", flush=True)
        print("reported", file=sys.stderr, flush=True)
        file.write("written" + sys.stdin.read())
    {end}

run_command(main)
"""


def run(end: str, redirections: str, folder: Path) -> subprocess.CompletedProcess[str]:
    Path(folder, "program.py").write_text(PROGRAM.format(end=end))
    command = f"exec {sys.executable} program.py {redirections}"
    return subprocess.run(
        command, shell=True, cwd=folder, capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize(
    ("end", "code"),
    [
        ("return None", 0),
        ("return 1", 1),
        ("raise UserError('no such thing')", 2),
        ("raise KeyboardInterrupt", 130),
        ("raise BrokenPipeError", 0),
    ],
)
def test_every_end_has_its_exit_code(end: str, code: int, tmp_path: Path) -> None:
    ended = run(end, "< /dev/null", tmp_path)
    assert (ended.returncode, "Traceback" in ended.stderr) == (code, False)
    assert ("error: no such thing" in ended.stderr) == (code == 2)


def test_closed_streams_neither_fail_nor_write_into_a_file(tmp_path: Path) -> None:
    ended = run("return None", "<&- >&- 2>&-", tmp_path)
    assert ended.returncode == 0
    assert Path(tmp_path, "file").read_text() == "written"


def test_control_characters_are_shown_as_symbols() -> None:
    assert printable("\x1b[31mred\x07\x9b\r\u202e\x7f") == "␛[31mred␇\ufffd␍\ufffd␡"
    assert printable("tab\tand\nnewline") == "tab    and\nnewline"
    assert one_line("a\x1b[31mb\nc\u202e") == "a␛[31mb↵c\ufffd"


ESCAPE = "\x1b]0;title\x07\x1b[2J\x9b31m\u202e"


@pytest.mark.parametrize(
    "name", [f"a{ESCAPE}b", "a\nerror: forged", "a\r\nb", "a\u2028b", "\udcff"]
)
def test_control_characters_of_a_name_in_an_error_are_replaced(name: str) -> None:
    (line,) = str(UserError(f"no such file: {name}")).splitlines()
    assert line.isprintable()
    assert len(str(UserError("what", f"fix {name}")).splitlines()) == 2


def test_an_os_error_of_a_file_is_one_message(tmp_path: Path) -> None:
    ended = run("open('x' * 300)", "< /dev/null", tmp_path)
    assert ended.returncode == 2
    assert ended.stderr.splitlines()[-1] == f"error: {'x' * 300}: File name too long"


def test_an_argument_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(UserError, match="not UTF-8"):
        config_parser().parse_args(["\udcff.toml"])


def test_a_long_error_is_wrapped_for_a_terminal() -> None:
    program = (
        "from simplegpt.cli import *\ndef main(): raise UserError('word ' * 60, 'and fix it')\n"
    )
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
    command = [sys.executable, "-c", f"{program}\nrun_command(main)"]
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    process = subprocess.Popen(command, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    printed = b""
    with contextlib.suppress(OSError):  # of a terminal whose last program has ended
        while data := os.read(ours, 4096):
            printed += data
    os.close(ours)
    assert process.wait(60) == 2
    lines = printed.decode().splitlines()
    assert len(lines) > 5
    assert max(map(len, lines)) < 60
    assert lines[-1] == "  and fix it"


def test_new_creates_a_folder_whose_configs_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["new", "project"]) == 0
    names = sorted(path.name for path in Path("project/configs").iterdir())
    assert names == sorted(path.name for path in config_folder().glob("*.toml"))
    monkeypatch.chdir("project")
    for name in names:
        load(Path("configs", name))
    commands = re.findall(r"^simplegpt (\w+)", Path("README.md").read_text(), re.MULTILINE)
    assert set(commands) == {"data", "train", "inference"}
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="already exists"):
        main(["new", "project"])
