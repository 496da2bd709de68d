"""Damaged or hostile inputs: configs, checkpoints, directories, commands, prompts, token files."""

import contextlib
import io
import json
import os
import pickle
import random
import re
import shutil
import signal
import tomllib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch

from simplegpt.checkpoint import load_model
from simplegpt.cli import is_utf8
from simplegpt.config import load as config_file
from simplegpt.data.tokens import check_config, open_tokens
from simplegpt.export import main as export
from simplegpt.gpt2.weights import read_torch_file
from simplegpt.inference.__main__ import main as inference
from simplegpt.run.checkpoints import list_checkpoints
from simplegpt.run.directory import RunDirectory, find_runs
from simplegpt.run.events import skim
from simplegpt.train.__main__ import main as train
from simplegpt.train.plan import Devices, describe, plan
from tests.stress.child import Command
from tests.stress.kills import TINY, make_folder
from tests.stress.outcome import OK, TRACEBACK, WRONG, Tally
from tests.stress.removals import started

HOSTILE = [
    *(b"", b"\0", b"\n", b'"', b"[", b"]]", b"{", b"=", b"#", b"\xff\xfe", b"\xed\xa0\x80", b"'''"),
    *(b"nan", b"-inf", b"1e999", b"-1", b"0", b"9" * 400, b"0x10", b"1_0", b"1979-05-27", b"true"),
    *(b"false", b"null", b"[[]]", b"{a = 1}", b'"\\u0000"', b"../..", b"/dev/zero", b"~", b"*"),
    *(b"\x1b[2J", b"a" * 5000, "ü".encode(), b"[model]", b"[model.n_head]", b"include = 'x'"),
    *(b"[" * 2000, b"a." * 2000 + b"b = 1", b"x = [" + b"[" * 500 + b"]" * 500 + b"]"),
]


NUMBERS = (b"0", b"1", b"2", b"3", b"17", b"300", b"0.5", b"1e-9", b"1e9", b"1" + b"0" * 9)
NUMBERS += (b"%d" % 2**31, b"%d" % 2**63, b"%d" % 2**64)


def mutated(text: bytes, draws: random.Random) -> bytes:
    """`text` with a few changes: parts cut, doubled, swapped, or replaced by hostile ones."""
    for _ in range(draws.choice((1, 1, 1, 2, 3))):
        at, other = sorted(draws.randrange(len(text) + 1) for _ in range(2))
        piece = draws.choice(HOSTILE)
        lines = text.split(b"\n")
        match draws.randrange(10):
            case 0:
                text = text[:at] + piece + text[at:]
            case 1:
                text = text[:at] + text[other:]
            case 2:
                text = text[:at] + text[at:other] + text[at:]
            case 3:
                text = text[:at] + bytes([draws.randrange(256)]) + text[at + 1 :]
            case 4:
                draws.shuffle(lines)
                text = b"\n".join(lines)
            case 5:  # another value
                i = draws.randrange(len(lines))
                lines[i] = lines[i].partition(b"=")[0] + b"= " + piece
                text = b"\n".join(lines)
            case 6:
                text = text.replace(draws.choice(lines) or b" ", piece, 1)
            case _:  # another number
                numbers = list(re.finditer(rb"\d+(\.\d+)?", text))
                if numbers:
                    chosen, number = draws.choice(numbers), draws.choice(NUMBERS)
                    text = text[: chosen.start()] + number + text[chosen.end() :]
    return text


def configs(folder: Path, n: int, seed: int) -> list[Tally]:
    make_folder(folder / "configs")
    os.chdir(folder / "configs")
    tally, draws = Tally("mutated configs, checked and planned"), random.Random(seed)
    for i in range(n):
        text = mutated(TINY.encode(), draws)
        Path("mutated.toml").write_bytes(text)

        def check() -> str:
            config = config_file.load("mutated.toml", (), partial(check_config, scan=True))
            describe(plan(config, Devices("cpu")))
            tomllib.loads(config_file.resolved(config))
            return OK

        tally.attempt(f"config {i}: {text[:3000]!r}", check)
    return [tally]


def equal(left: object, right: object) -> bool:
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(equal(left[k], right[k]) for k in left)
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        return len(left) == len(right) and all(map(equal, left, right))
    if isinstance(left, torch.Tensor) and isinstance(right, torch.Tensor):
        return left.dtype == right.dtype and torch.equal(left, right)
    return bool(left == right)


def trained(folder: Path) -> Path:
    """A folder with a run that has finished."""
    make_folder(folder)
    command = Command(train, ["tiny.toml", "--trainer.max_steps", "12"], folder)
    if not command.wait() or command.code != 0:
        raise RuntimeError(command.output())
    return folder


def checkpoints(folder: Path, n: int, seed: int) -> list[Tally]:
    place = trained(folder / "checkpoints")
    path, copy = RunDirectory(place / "run").last_checkpoint, place / "copy.ckpt"
    content, whole, weights = path.read_bytes(), read_torch_file(path), load_model(str(path)).gpt
    draws = random.Random(seed)

    def read_whole() -> str:
        return OK if equal(read_torch_file(copy), whole) else WRONG

    def read_weights() -> str:
        return OK if equal(load_model(str(copy)).gpt.state_dict(), weights.state_dict()) else WRONG

    def flip() -> bytes:
        damaged = bytearray(content)
        damaged[draws.randrange(len(damaged))] ^= 1 << draws.randrange(8)
        return bytes(damaged)

    tallies = []
    kinds: tuple[tuple[str, int, Callable[[], bytes]], ...] = (
        ("checkpoints with a flipped bit", n, flip),
        ("checkpoints cut short", n // 2, lambda: content[: draws.randrange(len(content))]),
        ("checkpoints mutated", n // 2, lambda: mutated(content, draws)),
    )
    for name, count, damage in kinds:
        tally = Tally(f"{name}, resumed and loaded")
        for i in range(count):
            copy.write_bytes(damage())
            tally.attempt(f"{name} {i}", read_whole)
            tally.attempt(f"{name} {i}", read_weights)
        tallies.append(tally)
    return tallies


def fifo(path: Path) -> None:
    os.mkfifo(path)


def link_to(target: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


def content(data: bytes) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(data) and None


PLACED: dict[str, Callable[[Path], None]] = {
    "a pipe": fifo,
    "a folder": lambda path: path.mkdir(),
    "/dev/zero": link_to("/dev/zero"),
    "/dev/null": link_to("/dev/null"),
    "a link to nothing": link_to("nowhere"),
    "a loop": link_to("loop"),
    "nothing": lambda path: None,
    "an empty file": content(b""),
    "zeros": content(b"\0" * 5000),
    "random bytes": content(random.Random(0).randbytes(5000)),
    "deep JSON": content(b"[" * 100_000),
    "a list": content(b"[]\n"),
    "null": content(b"null\n"),
    "a long line": content(b"x" * 3_000_000),
    "no text": content(b'{"state": "\xff\xfe"}\n'),
    "a pid of -1": content(
        b'{"state":"running","pid":-1,"pid_created":NaN,"host":"x","step":-5,"time":1e999}\n'
    ),
}
NAMES = (
    *("config.toml", "events.jsonl", "commands.jsonl", "status.json", "train.log", "ckpts"),
    *("ckpts/last.ckpt", "ckpts/last.ckpt.json", "ckpts/best.ckpt", "ckpts/best.ckpt.json"),
    "ckpts/.writing.ckpt",
)


def directories(folder: Path, stride: int) -> Iterator[Tally]:
    """Something hostile under each name of a run's directory: read, started, resumed, loaded."""
    place = trained(folder / "directories")
    shutil.copytree(place / "run", place / "good")
    run = RunDirectory(place / "run")
    reading = Tally("hostile files in a run's directory: read")
    using = Tally("hostile files in a run's directory: started, resumed, loaded")
    cases = [(name, what) for name in NAMES for what in PLACED][::stride]
    for name, what in cases:
        case = f"{name} is {what}"
        for action in ("read", "start", "resume", "load"):
            shutil.rmtree(run.path)
            shutil.copytree(place / "good", run.path)
            target = run.path / name
            if target.is_dir():
                shutil.rmtree(target)
            else:
                target.unlink(missing_ok=True)
            PLACED[what](target)
            null = Path("/dev/null").stat()
            if action == "read":
                reading.attempt(case, lambda: read(run))
                continue
            arguments = {
                "start": ["tiny.toml"],
                "resume": ["--resume", "run", "--trainer.max_steps", "15"],
                "load": ["x", "--model_name_or_ckpt_path", "run", "--n_tokens_to_generate", "2"],
            }[action]
            command = Command(inference if action == "load" else train, arguments, place)
            command.wait()
            outcome = command.outcome()
            if action == "start" and outcome == OK:
                outcome = WRONG  # it trained over a run
            if Path("/dev/null").stat().st_mode != null.st_mode:
                raise RuntimeError(f"{action}: {case}: /dev/null was replaced")
            using.add(outcome, f"{action}: {case}: {command.output()}")
    yield reading
    yield using


def read(run: RunDirectory) -> str:
    """All that the workbench reads."""
    run.status()
    run.failure()
    run.read_events()
    skim(run.events)
    list_checkpoints(run)
    list(find_runs(run.path.parent))
    return OK


def commands(folder: Path, n: int, seed: int) -> Iterator[Tally]:
    """Mutated commands, sent to a run before it is stopped by a signal."""
    place = folder / "commands"
    make_folder(place)
    tally, draws = Tally("mutated commands, sent to a run"), random.Random(seed)
    names = ("save", "validate", "sample", "pause", "resume", "set_lr_factor", "stop")
    for _ in range(max(1, n // 100)):
        shutil.rmtree(place / "run", ignore_errors=True)
        run, command = started(place)
        for _ in range(min(n, 100)):
            name = draws.choice(names)
            line = json.dumps({"id": "x", "time": 1.0, "command": name, "factor": 0.5}).encode()
            with run.commands.open("ab") as file:
                file.write(mutated(line, draws) + b"\n")
        os.kill(command.pid, signal.SIGTERM)
        command.wait()
        outcome = OK if command.code in (0, 143) else command.outcome()
        tally.add(TRACEBACK if "Traceback" in command.output() else outcome, command.output())
        tally.counts[outcome] += min(n, 100) - 1
    yield tally


class Terminal(io.StringIO):
    """A terminal, to which no control character may be printed."""

    def isatty(self) -> bool:
        return True


def prompts(folder: Path, n: int, seed: int) -> list[Tally]:
    """Prompts of any characters: what is printed must command no terminal."""
    place = trained(folder / "prompts")
    os.chdir(place)
    tally, draws = Tally("hostile prompts, printed"), random.Random(seed)
    alphabets = (
        "ab \n",
        "\x1b[]2J;0m\x07\x9b",
        "üñ漢🏽‍\u202e\u2066",
        "\0\r\t\x7f\udcff",
        "<|endoftext|>",
    )

    for _ in range(n):
        alphabet = draws.choice(alphabets)
        text = "".join(draws.choice(alphabet) for _ in range(draws.choice((0, 1, 5, 40, 3000))))
        options = draws.sample(
            [
                *(["--temperature", "0"], ["--stop", text or "x"], ["--top_k", "1"]),
                *(["--seed", str(draws.randrange(-2, 2**65))], ["--batch_size", "2"]),
                *(["--precision", "bfloat16"], ["--top_p", draws.choice(("0", "nan", "0.5"))]),
            ],
            2,
        )
        words = ["--model_name_or_ckpt_path", "run", "--n_tokens_to_generate", "3"]
        words = [*words, *(word for option in options for word in option), "--", text]

        def generate(words: list[str] = words) -> str:
            printed = Terminal()
            with contextlib.redirect_stdout(printed):
                inference(words)
            said = printed.getvalue()
            unsafe = any(sign in said for sign in "\x1b\x9b\x07\r\u202e\u2066") or not is_utf8(said)
            return WRONG if unsafe else OK

        tally.attempt(f"{words!r:.500}", generate)
    return [tally]


def models(folder: Path, n: int, seed: int) -> list[Tally]:
    """Hostile files in the place of a model or of a token file, and mutated folders of a GPT-2."""
    place = trained(folder / "models")
    os.chdir(place)
    tally, draws = Tally("hostile model files, loaded"), random.Random(seed)
    evil = pickle.dumps(Evil())
    for suffix in (".ckpt", ".pt", ".bin", ".safetensors", ""):
        for what, put in {**PLACED, "a pickle that runs code": content(evil)}.items():
            path = place / f"model{suffix}"
            put(path)
            tally.attempt(f"{path.name} is {what}", lambda path=path: load_model(str(path)) and OK)
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    with contextlib.redirect_stdout(io.StringIO()):
        export(["run", "exported"])
    files = [
        file for file in Path("exported").iterdir() if file.suffix in (".json", ".safetensors")
    ]
    good = {file: file.read_bytes() for file in files}
    for i in range(n):
        file = draws.choice(files)
        head = good[file][:3000]
        file.write_bytes(mutated(head, draws) + good[file][3000:])
        tally.attempt(f"{file.name} {i}: {file.read_bytes()[:1500]!r}", load_folder)
        file.write_bytes(good[file])
    if Path("evil").exists():
        tally.add(WRONG, "a model file ran code")
    return [tally, tokens(place, n, draws)]


class Evil:
    def __reduce__(self) -> tuple[object, ...]:
        return (os.mkdir, ("evil",))


def load_folder() -> str:
    load_model("exported")
    return OK


def tokens(place: Path, n: int, draws: random.Random) -> Tally:
    tally = Tally("hostile token files and sidecars, read")
    path, sidecar = place / "tokens.bin", place / "tokens.bin.json"
    info = b'{"dtype": "uint16", "count": 500, "tokenizer": "byte", "source": "x", "max_id": 255}'
    good = bytes(range(100)) * 10

    def read_all() -> str:
        found = open_tokens(path)
        ids = found.slice(0, len(found))
        return OK if found.max_id() >= int(ids.max()) else WRONG

    for i in range(n):
        path.write_bytes(mutated(good, draws) if draws.random() < 0.5 else b"\1\0" * 500)
        sidecar.write_bytes(mutated(info, draws) if draws.random() < 0.5 else info)
        tally.attempt(f"tokens {i}: {sidecar.read_bytes()!r:.1500}", read_all)
    for target in (path, sidecar):
        for what, put in PLACED.items():
            path.write_bytes(b"\1\0" * 500)
            sidecar.write_bytes(info)
            target.unlink()
            put(target)
            tally.attempt(f"{target.name} is {what}", read_all)
            shutil.rmtree(target) if target.is_dir() else target.unlink(missing_ok=True)
    return tally
