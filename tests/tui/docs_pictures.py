"""The pictures in `docs/`, from the real program: ``python -m tests.tui.docs_pictures [RUN_DIR]``.

Takes each screen at 140x45, with the run at RUN_DIR (below a folder ``models``), or with one that
it trains first, on the source of Python's standard library, for a minute. The chat begins with the
first prompt of the run's samples.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

from simplegpt.config.load import load
from simplegpt.data.corpus import CORPORA
from simplegpt.run.directory import RunDirectory
from tests.tui.conftest import settle, until
from tests.tui.picture import write_picture
from tui.app import Workbench
from tui.shell import messages

DOCS = Path(__file__).parents[2] / "docs"
SIZE = (140, 45)
TRAINING = (
    *("--trainer.max_steps", "250", "--trainer.val_check_interval", "50"),
    *("--optimization.decay_steps", "150"),
    *("--samples.prompts", '["def "]', "--samples.every_n_steps", "80"),
)


def train(folder: Path) -> Path:
    """A real run on the source of Python's standard library; its directory."""
    source = Path(os.__file__).parent
    text = "".join((source / f"{name}.py").read_text() for name in ("argparse", "pathlib", "ast"))
    (folder / "python.txt").write_text(text.encode("ascii", "ignore").decode())
    run = (sys.executable, "-m", "simplegpt")
    subprocess.run((*run, "data", "--text_file", "python.txt", "--output_dir", "data"), check=True)
    config = Path(__file__).parents[2] / "configs" / "shakespeare_char_cpu.toml"
    output = ("--output_dir", "models/python")
    subprocess.run((*run, "train", str(config), *output, *TRAINING), check=True)
    return folder / "models" / "python"


async def take(run: Path) -> None:
    app = Workbench()
    async with app.run_test(size=SIZE) as pilot:
        for mode, name in (("runs", "runs"), ("data", "data"), ("config", "config")):
            await app.visit(mode)  # type: ignore[arg-type]
            await settle(pilot)
            if mode == "data" and not CORPORA["tinyshakespeare"].is_cached:
                await pilot.press("down")
            await settle(pilot)
            write(app, name)
        app.post_message(messages.OpenRun(run))
        await until(pilot, lambda: "train" in app.visited)
        await settle(pilot)
        write(app, "training")
        from tui.chat.screen import ChatScreen

        app.post_message(messages.OpenChat(str(run / "ckpts" / "best.ckpt")))
        await until(pilot, lambda: "chat" in app.visited)
        chat = app.visited["chat"]
        assert isinstance(chat, ChatScreen)
        await until(pilot, lambda: chat.can_generate, 60)
        config = load(RunDirectory(run).config)
        assert config.samples is not None
        chat.prompt.text = config.samples.prompts[0] + "\n"
        await pilot.press("f9")
        await until(pilot, lambda: bool(chat.left.conversation.path()) and not chat.is_busy, 120)
        await pilot.press("shift+tab", "p")
        await settle(pilot)
        write(app, "chat")
        for screen in app.visited.values():
            screen.leave()
        app.exit()


def write(app: Workbench, name: str) -> None:
    """A picture of 64 colours, which is enough for text and a quarter of the size."""
    path = DOCS / f"{name}.png"
    write_picture(app, path)
    with Image.open(path) as picture:
        picture.convert("RGB").quantize(64).save(path, optimize=True)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SIMPLEGPT_TUI_HOME"] = str(Path(folder) / "settings")
        os.environ["COLORTERM"] = "truecolor"
        if len(sys.argv) > 1:
            run = Path(sys.argv[1]).absolute()
            os.chdir(run.parent.parent)
        else:
            os.chdir(folder)
            run = train(Path(folder))
        asyncio.run(take(run))


if __name__ == "__main__":
    main()
