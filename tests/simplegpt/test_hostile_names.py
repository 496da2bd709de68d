"""Whatever a run, a corpus, a folder or a config is called, a terminal shows it and obeys none."""

import contextlib
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

from simplegpt.cli import printable

HOSTILE = "x\x1b]0;TITLE\x07\x1b]52;c;ZXZpbA==\x1b\\\x1b[2J\x9b31m\u202e"
RUN = """
output_dir = {run}
tokenizer_name = {tokenizer}
[model]
n_vocab = 300
n_ctx = 8
n_embd = 8
n_head = 2
n_layer = 1
[data]
train_fpath = {train}
val_fpath = {val}
seq_len = 8
train_batch_size = 2
val_batch_size = 2
[samples]
prompts = [{text}]
every_n_steps = 1
n_tokens_to_generate = 4
[trainer]
accelerator = "cpu"
max_steps = 2
log_every_n_steps = 1
"""
# All commands in one process: torch is imported once.
PROGRAM = """
import sys, json
from simplegpt.__main__ import main
from simplegpt.cli import run_command
for words in json.load(open("commands.json")):
    try:
        run_command(lambda: main(words))
    except SystemExit as ended:
        print("exit code", ended.code)
"""


def output_on_a_terminal(*command: str) -> str:
    """All that a command and its children write to their terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs)
    os.close(theirs)
    printed = b""
    with contextlib.suppress(OSError):  # of a terminal whose last program has ended
        while data := os.read(ours, 1 << 16):
            printed += data
    os.close(ours)
    process.wait(60)
    return printed.decode()


def test_no_command_sends_a_name_to_the_terminal_as_it_is(tmp_path: Path) -> None:
    with contextlib.chdir(tmp_path):
        run, text, folder = f"run{HOSTILE}", f"text{HOSTILE}.txt", f"data{HOSTILE}"
        tokenizer, config = f"{folder}/{HOSTILE}.json", f"{HOSTILE}.toml"
        token_files = [f"{folder}/{split}-{HOSTILE}.bin" for split in ("train", "val")]
        Path(text).write_text(f"It is {HOSTILE}\n" * 99)
        paths = {"run": run, "tokenizer": tokenizer, "text": HOSTILE}
        paths |= dict(zip(("train", "val"), token_files, strict=True))
        values = {name: json.dumps(value) for name, value in paths.items()}
        Path(config).write_text(RUN.format(**values))
        Path("bad.toml").write_text(f"{json.dumps(HOSTILE)} = {json.dumps(HOSTILE)}\n")
        Path("chat.jsonl").write_text(json.dumps({"messages": [{"role": HOSTILE}]}))
        Path("rows.jsonl").write_text(json.dumps({HOSTILE: "a"}))
        model = ["--model_name_or_ckpt_path", run]
        commands = [
            ["tokenizer", "--text_file", text, "--n_vocab", "300", "--output_file", tokenizer],
            ["tokenizer", "--text_file", text, "--output_file", tokenizer],
            *(
                ["data", "--text_file", text, "--tokenizer_name", tokenizer, *output]
                for output in (["--output_dir", folder], ["--output_dir", folder], [])
            ),
            ["data", "--documents", text, "--output_dir", f"{folder}2", "--val_fraction", "0"],
            ["data", "--text_file", text, "--output_file", "x", "--marker", HOSTILE * 2],
            ["data", "--chat_file", "chat.jsonl", "--output_dir", HOSTILE],
            ["data", "--documents", "rows.jsonl", "--output_dir", HOSTILE],
            ["train", config],
            ["train", config],
            ["train", config, "--resume", "--trainer.max_steps", "3"],
            ["train", config, "--output_dir", f"{run}2", "--plan"],
            ["train", "bad.toml"],
            ["train", config, "--data.train_fpath", f"{token_files[0]}x"],
            ["inference", HOSTILE, *model, "--batch_size", "1"],
            ["inference", HOSTILE, "--model_name_or_ckpt_path", f"{run}x"],
            ["chat", f"{run}/ckpts/best.ckpt"],
            ["evaluate", run, "--text", text],
            ["evaluate", run, "--tokens", token_files[1], "--json"],
            ["export", run, f"export{HOSTILE}"],
            ["export", run, f"export{HOSTILE}"],
            ["new", f"new{HOSTILE}"],
            ["new", f"new{HOSTILE}"],
            [HOSTILE],
            ["train", f"--{HOSTILE}"],
        ]
        Path("commands.json").write_text(json.dumps(commands))
        printed = output_on_a_terminal(sys.executable, "-c", PROGRAM)
        log = Path(run, "train.log").read_text()
    codes = [int(code) for code in re.findall(r"^exit code (\d+)\r$", printed, re.MULTILINE)]
    expected = [0, 2, 0, 2, 2, 0, 2, 2, 2, 0, 2, 0, 0, 2, 2, 0, 2, 2, 0, 0, 0, 2, 0, 2, 2, 2]
    assert codes == expected, printed
    for text in (printed.replace("\r\x1b[2K", "").replace("\r\n", "\n"), log):
        assert printable(text) == text.replace("\t", "    ")
        assert "␛]0;TITLE␇" in text
    assert "at the speed of runx␛]0;TITLE␇" in printed
