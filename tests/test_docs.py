"""Every command and program in the README and in docs/ runs, with small models and texts.

A page is run from top to bottom in a folder of its own, where the names that the pages use exist:
the configs, but with a tiny model and three steps; a text; a run; and `gpt2`, a tiny model with
GPT-2's tokenizer. A block of TOML becomes my.toml. A block after ``<!-- needs … -->`` is
skipped, and so is a ``text`` block, which shows a file or an output.

Commands run in this process, as `simplegpt` runs them. Only their options are checked where
another test runs the real thing: torchrun (test_training), --sweep (test_queue), and the workbench
(tests/tui).
"""

import io
import itertools
import os
import pkgutil
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from simplegpt import new
from simplegpt.__main__ import main as simplegpt
from simplegpt.config.load import config_folder, load
from simplegpt.config.schema import ModelConfig
from simplegpt.data import corpus
from simplegpt.gpt2.folder import export_folder
from simplegpt.train.queue import plan_sweep
from tests.simplegpt.models import random_gpt
from tui.__main__ import kind_of, make_parser

REPOSITORY = Path(__file__).parents[1]
PAGES = [REPOSITORY / "README.md", REPOSITORY / "data/README.md", *REPOSITORY.glob("docs/*.md")]
TEXTS = {str(page.relative_to(REPOSITORY)): page.read_text(encoding="utf-8") for page in PAGES}
TEXTS["README.md of a new project"] = new.README
BLOCK = re.compile(
    r"(?P<needs><!-- needs [\w ,.]+ -->\n)?^```(?P<language>\w*)\n(?P<code>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
TEXT = "".join(f"{n} Now is the winter of our discontent\n" for n in range(200))
DIALOGUE = (
    '{"messages": [{"role": "user", "content": "Hello!"}, '
    '{"role": "assistant", "content": "Hi! How can I help?"}]}\n'
)
FEW_STEPS = itertools.count(4)
SMALL = """
torch_compile = false
[data]
seq_len = 16
train_batch_size = 2
val_batch_size = 2
num_workers = 0
[optimization]
warmup_steps = 1
decay_steps = 1
[trainer]
accelerator = "cpu"
precision = "32-true"
max_steps = 3
limit_val_batches = 1
val_check_interval = 2
accumulate_grad_batches = 1
log_every_n_steps = 1
"""
SMALL_MODEL = """
[model]
n_ctx = 64
n_embd = 12
n_head = 2
n_layer = 2
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with everything that the pages name."""
    folder = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name in ("my.txt", "my-text.txt"):
            Path(name).write_text(TEXT)
        Path("texts").mkdir()
        Path("texts/one.txt").write_text(TEXT)
        Path("my.jsonl").write_text(
            "".join(f'{{"text": "{line}"}}\n' for line in TEXT.splitlines())
        )
        Path("chat.jsonl").write_text(DIALOGUE * 20)
        Path("prompts.txt").write_text("Now\nThen\n")
        Path("configs").mkdir()
        for path in config_folder().glob("*.toml"):
            write_small(Path("configs", path.name), path)
        write_small(Path("my.toml"), config_folder() / "shakespeare.toml")
        gpt2 = random_gpt(ModelConfig(n_ctx=1024, n_embd=12, n_head=2, n_layer=12))
        export_folder(gpt2, Path("gpt2"), tokenizer_name="gpt2")
        for tokenizer in ("char", "gpt2"):
            run(f"simplegpt data --text_file my.txt --output_dir data --tokenizer_name {tokenizer}")
        run("simplegpt train my.toml --output_dir models/mine")
        shutil.copytree("models/mine", "models/other")
    return folder


def write_small(path: Path, whole: Path) -> None:
    """Write a config at `path` that is `whole` with a tiny model, if it has its own, and run."""
    model = "" if "init_from" in whole.read_text() else SMALL_MODEL
    path.write_text(f'include = "{whole}"\n{SMALL}{model}')


@pytest.fixture(params=TEXTS)
def page(
    request: pytest.FixtureRequest,
    project: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> str:
    """The text of a page, with a copy of the project as the working directory."""
    shutil.copytree(project, tmp_path, copy_function=link_weights, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("SIMPLEGPT_CACHE", str(tmp_path / "cache"))
    shakespeare = replace(
        corpus.CORPORA["tinyshakespeare"],
        make=lambda path, on_progress: path.write_text(TEXT),
        sha256=None,
    )
    monkeypatch.setitem(corpus.CORPORA, "tinyshakespeare", shakespeare)
    questions = replace(
        corpus.CORPORA["python-questions"],
        make=lambda path, on_progress: path.write_text(DIALOGUE * 20),
    )
    monkeypatch.setitem(corpus.CORPORA, "python-questions", questions)
    return TEXTS[request.param]


def link_weights(source: str, target: str) -> None:
    """Copy a file; link one with weights, which is large and only ever replaced as a whole."""
    copy = os.link if source.endswith((".ckpt", ".safetensors")) else shutil.copy2
    copy(source, target)


def test_commands_and_programs_run(page: str) -> None:
    for language, code in runnable_blocks(page):
        if language == "toml":
            Path("block.toml").write_text(code)
            write_small(Path("my.toml"), Path("block.toml").absolute())
        elif language == "python":
            exec(code, {})
        else:
            for line in code.replace("\\\n", " ").splitlines():
                run(line)


def test_links_lead_to_files_and_headings() -> None:
    for page in PAGES:
        for link in re.findall(r"\]\((?!http)([^)]+)\)", page.read_text(encoding="utf-8")):
            path, _, heading = link.partition("#")
            target = page.parent / path
            assert target.exists(), f"{page}: {link}"
            headings = re.findall(r"^#+ (.+)$", target.read_text(), re.MULTILINE) if heading else []
            assert not heading or heading in {h.lower().replace(" ", "-") for h in headings}, link


def runnable_blocks(page: str) -> Iterator[tuple[str, str]]:
    """Yield the language and the code of each block that is not marked."""
    blocks = list(BLOCK.finditer(page))
    assert len(re.findall("^ *```", page, re.MULTILINE)) == 2 * len(blocks)
    for match in blocks:
        if match["language"] == "text":
            assert not re.search("^(python -m|simplegpt) ", match["code"], re.MULTILINE)
        elif not match["needs"]:
            yield match["language"], match["code"]


def test_every_name_of_the_code_page_exists() -> None:
    names = re.findall(r"`((?:simplegpt|tui)\.[\w.]+)`", TEXTS["docs/code.md"])
    assert len(names) > 12
    for name in names:
        assert pkgutil.resolve_name(name), name


def run(line: str) -> None:
    """Run a line of a page as a shell would."""
    words = shlex.split(line, comments=True)
    match words:
        case []:
            return
        case ["simplegpt-tui", *words]:
            kind_of(make_parser().parse_args(words).path)
            return
        case ["torchrun", *_]:
            words = ["train", *words[words.index("simplegpt.train") + 1 :], "--plan"]
        case ["python", "-m", module, *words] if module.startswith("simplegpt."):
            words = [module.removeprefix("simplegpt."), *words]
        case ["simplegpt", *words]:
            pass
        case _:
            subprocess.run(["bash", "-euc", line], check=True)
            return
    if "--sweep" in words:
        assert len(plan_sweep(Path(words[1]), words[words.index("--sweep") + 1 :])) > 1
        return
    if words[0] == "data":
        words.append("--overwrite")  # a reader has no token files yet
    if words[0] == "train" and not {"--resume", "--plan", "--help"} & set(words):
        options = dict(itertools.pairwise(words))
        output_dir = options.get("--output_dir") or load(Path(words[1])).output_dir
        shutil.rmtree(output_dir, ignore_errors=True)  # nor a run there
    if "--resume" in words and "--trainer.max_steps" not in words:
        words += ["--trainer.max_steps", ""]  # the run has not been interrupted, but finished
    if "--trainer.max_steps" in words and "--plan" not in words:
        words[words.index("--trainer.max_steps") + 1] = str(next(FEW_STEPS))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdin", io.StringIO("Hi!\n"))
        try:
            assert simplegpt(words) in (None, 0), line
        except SystemExit as end:  # of --help
            if end.code != 0:
                raise
