"""The form with the sampling settings: one row for each field of the core's `SamplingConfig`."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.events import DescendantBlur, DescendantFocus
from textual.message import Message
from textual.reactive import reactive
from textual.widgets import Button, Input, Label, Select, Static

from simplegpt.cli import UserError, nearest, one_line
from simplegpt.config.schema import SamplingConfig
from tui.chat.sampling import (
    FIELDS,
    PRESETS,
    GenerationSettings,
    format_settings,
    format_value,
    label,
    parse_settings,
    stepped,
)
from tui.shell.dialogs import TextDialog
from tui.shell.settings import Settings, change


class SettingInput(Input):
    """A setting, which the arrow keys step and the space bar switches on or off."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "step(1)", "Increase", show=False),
        Binding("down", "step(-1)", "Decrease", show=False),
    ]

    def __init__(self, name: str, value: str) -> None:
        super().__init__(value, name=name, id=f"set-{name}", compact=True)

    def on_key(self, event: events.Key) -> None:
        if event.key == "space" and FIELDS[self.name or ""].kind == "switch":
            event.stop()
            event.prevent_default()
            self.action_step(1)

    def action_step(self, direction: int) -> None:
        value = stepped(self.name or "", self.value, direction)
        if value is not None:
            self.value = value


class SamplingForm(VerticalScroll, can_focus=False):
    """The settings of the next answer, checked as they are typed."""

    HELP = """\
## Sampling

How the next token is sampled. Changes take effect with the next answer. **↑** and **↓** step a
value, **Tab** moves to the next one. **●** marks values that differ from the default; hover over a
name for its description. A preset sets everything except the seed. The same seed, text and settings
give the same answer.
"""

    settings: reactive[GenerationSettings] = reactive(GenerationSettings, init=False)
    """The settings shown, or the last valid ones."""
    own_presets: reactive[Mapping[str, SamplingConfig]] = reactive(dict, init=False)
    """The user's presets, by name."""

    @dataclass
    class Changed(Message):
        """The user changed a setting, and all are valid."""

        settings: GenerationSettings

    error: str = ""
    """The first invalid setting and what is wrong with it; empty where all are valid."""

    def compose(self) -> ComposeResult:
        with Horizontal(id="preset-row"):
            yield Select[str](
                [(name, name) for name in PRESETS],
                prompt="Preset",
                id="preset",
                compact=True,
                tooltip="Sets everything except the seed",
            )
            yield Button("Save", id="save-preset", compact=True, tooltip="Save as a preset")
            yield Button("✕", id="delete-preset", compact=True, tooltip="Delete this preset")
        texts = format_settings(self.settings)
        for name, setting in FIELDS.items():
            default = format_value(setting.default) or "none"
            with Horizontal(classes="setting", id=f"row-{name}"):
                yield Label(label(name), classes="name").with_tooltip(
                    Content(f"{setting.description}\n\nDefault: {default}")
                )
                yield SettingInput(name, texts[name])
            yield Static(id=f"error-{name}", classes="error", markup=False)
        yield Static(id="description", markup=False)

    def on_mount(self) -> None:
        self.query_one("#delete-preset").display = False
        self.watch_settings(self.settings)
        self._read_presets()

    # Values

    def watch_settings(self, settings: GenerationSettings) -> None:
        typed, _ = parse_settings(self._texts())
        if typed != settings:  # otherwise the user typed them: 0.70 stays 0.70
            with self.prevent(Input.Changed):
                for name, text in format_settings(settings).items():
                    self.query_one(f"#set-{name}", Input).value = text
            self._show_errors({})
        for name, setting in FIELDS.items():
            differs = getattr(settings, name) != setting.default
            self.query_one(f"#row-{name}").set_class(differs, "-changed")
            mark = "●" if differs else " "
            self.query_one(f"#row-{name} .name", Label).update(f"{mark} {label(name)}")

    @on(Input.Changed)
    def _read(self, event: Input.Changed) -> None:
        event.stop()
        settings, errors = parse_settings(self._texts())
        self._show_errors(errors)
        if settings is not None and settings != self.settings:
            self.settings = settings
            self.post_message(self.Changed(settings))

    def _texts(self) -> dict[str, str]:
        return {name: self.query_one(f"#set-{name}", Input).value for name in FIELDS}

    def _show_errors(self, errors: Mapping[str, str]) -> None:
        self.error = next((f"{label(name)}: {text}" for name, text in errors.items()), "")
        for name in FIELDS:
            message = self.query_one(f"#error-{name}", Static)
            message.update(errors.get(name, ""))
            message.display = name in errors
            self.query_one(f"#row-{name}").set_class(name in errors, "-invalid")

    @on(DescendantFocus)
    def _describe_field(self, event: DescendantFocus) -> None:
        name = (event.widget.id or "").removeprefix("set-")
        description = FIELDS[name].description if name in FIELDS else ""
        self.query_one("#description", Static).update(description)

    @on(DescendantBlur)
    def _clear_description(self) -> None:
        self.query_one("#description", Static).update("")

    # Presets

    @property
    def presets(self) -> Mapping[str, SamplingConfig]:
        """The built-in presets and the user's own."""
        return {**PRESETS, **self.own_presets}

    def apply_preset(self, name: str) -> None:
        """Set what a preset sets. Raises UserError, with the nearest name for an unknown one."""
        names = {each.casefold(): each for each in self.presets}
        found = names.get(name.casefold())
        if found is None:
            hint = nearest(name, names.values()) or f"; expected {', '.join(names.values())}"
            raise UserError(f"Unknown preset {one_line(name)}{hint}")
        self._select_preset(found)
        self.settings = self.settings.with_preset(self.presets[found])
        self.post_message(self.Changed(self.settings))

    def watch_own_presets(self) -> None:
        select = self.query_one("#preset", Select)
        with self.prevent(Select.Changed):
            select.set_options([(name, name) for name in self.presets])
        self.query_one("#delete-preset").display = False

    def _select_preset(self, name: str) -> None:
        """Show a preset's name as the one applied last."""
        with self.prevent(Select.Changed):
            self.query_one("#preset", Select).value = name
        self.query_one("#delete-preset").display = name in self.own_presets

    @on(Select.Changed, "#preset")
    def _preset_selected(self, event: Select.Changed) -> None:
        event.stop()
        if isinstance(event.value, str):
            self.apply_preset(event.value)

    @work(group="preset", exclusive=True)
    async def _read_presets(self) -> None:
        self.own_presets = (await asyncio.to_thread(Settings.load)).sampling_presets

    @on(Button.Pressed, "#save-preset")
    @work(group="preset", exclusive=True)
    async def _save_preset(self, event: Button.Pressed) -> None:
        def error_in(name: str) -> str | None:
            if not name:
                return "Enter a name."
            return f"{name} is a built-in preset." if name in PRESETS else None

        dialog = TextDialog("Save preset", "Name", accept="Save", error_in=error_in)
        name = await self.app.push_screen_wait(dialog)
        if name is not None:
            await self._store({**self.own_presets, name: self.settings.sampling})
            self._select_preset(name)

    @on(Button.Pressed, "#delete-preset")
    @work(group="preset", exclusive=True)
    async def _delete_preset(self, event: Button.Pressed) -> None:
        deleted = self.query_one("#preset", Select).value
        kept = {name: each for name, each in self.own_presets.items() if name != deleted}
        await self._store(kept)

    async def _store(self, presets: Mapping[str, SamplingConfig]) -> None:
        self.own_presets = presets
        values = {name: sampling.model_dump() for name, sampling in presets.items()}
        try:
            await asyncio.to_thread(change, sampling_presets=values)
        except OSError as error:
            message = f"Presets cannot be saved: {error}."
            self.notify(message, severity="warning", markup=False)
