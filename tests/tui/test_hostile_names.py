"""Whatever a run, a text, a config or a note is called: its escapes are not sent."""

import json
from pathlib import Path

import pytest
from textual.widgets import TextArea

from simplegpt.cli import printable
from simplegpt.run.notes import Notes, write_notes
from tests.simplegpt.test_hostile_names import HOSTILE
from tests.tui.conftest import LARGE, settle, until
from tests.tui.made_runs import Shape, make_run
from tui.app import Workbench
from tui.shell import messages
from tui.shell.dialogs import TextDialog
from tui.shell.modes import TABS

ESCAPES = ("\x1b]", "\x1b[2J", "\x1b\\", "\x07", "\x9b", "\u202e")


def sent(app: Workbench) -> str:
    """What is written to the terminal for the whole screen."""
    update = app.screen._compositor.render_full_update()
    return update.render_segments(app.console)


@pytest.mark.parametrize("size", [(80, 24), LARGE])
async def test_no_screen_sends_a_name_as_it_is(workplace: Path, size: tuple[int, int]) -> None:
    run = make_run(workplace / "models" / f"run{HOSTILE}", Shape(steps=100, state="finished"))
    run.config.write_text(run.config.read_text().replace("\x1b", r"\u001b").replace("\x07", ""))
    run.log.write_text(f"log {HOSTILE}\n")
    run.events.write_text(run.events.read_text().replace("ROMEO:", json.dumps(HOSTILE)[1:-1]))
    write_notes(run, Notes(text=HOSTILE, tags=(HOSTILE,)))
    Path("data").mkdir()
    Path(f"data/text{HOSTILE}.txt").write_text(f"text {HOSTILE}\n" * 99)
    config = workplace / f"config{HOSTILE}.toml"
    config.write_text(
        f"# {HOSTILE}\noutput_dir = {json.dumps(HOSTILE)}\n{json.dumps(HOSTILE)} = 1\n"
    )
    shown = []
    app = Workbench(messages.OpenConfig(config))
    async with app.run_test(size=size) as pilot:

        async def look() -> None:
            await settle(pilot)
            text = sent(app)
            assert [escape for escape in ESCAPES if escape in text] == []
            shown.append(text)

        await look()
        await pilot.press("f2")  # the text of the config, or whatever the key shows
        await look()
        app.post_message(messages.OpenRun(run.path))
        await look()
        for tab in TABS:
            await pilot.press(tab.key)
            await look()
        await app.visit("runs")
        await pilot.press("N")
        await until(pilot, lambda: isinstance(app.screen, TextDialog))
        await look()
        editor = TextArea(f"edited {HOSTILE}")
        await app.screen.mount(editor)
        await look()
    assert sum("␛]0;TITLE␇" in text for text in shown) > 4
    assert printable(HOSTILE) in "".join(shown)
