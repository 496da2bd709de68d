"""What the chat keeps: conversations, exports, presets, the prompts sent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from textual import on, work
from textual.message import Message

from simplegpt.config.schema import SamplingConfig
from simplegpt.files import write_atomically
from tui.chat.ask import AskText
from tui.chat.base import ChatBase
from tui.chat.conversation_list import ConversationList
from tui.chat.conversations import Conversation, to_jsonl, to_markdown
from tui.chat.prompt_area import History
from tui.chat.sampling_form import PRESETS, SamplingForm
from tui.shared.text import one_line
from tui.shell import settings
from tui.shell.dialogs import Answer, Question


@dataclass
class KeptRead(Message):
    """A worker's news: what was kept by an earlier workbench."""

    prompts: Sequence[str]
    presets: Mapping[str, SamplingConfig]


@dataclass
class ConversationRead(Message):
    """A worker's news: a conversation to be shown."""

    conversation: Conversation | None


@dataclass
class Exported(Message):
    """A worker's news: where the export went, or why it did not."""

    path: Path
    error: str = ""


class KeepActions(ChatBase):
    """Reads and writes a person's own files, in workers."""

    @work(thread=True, group="read-kept")
    def read_kept(self) -> None:
        presets = settings.Settings.load().sampling_presets
        self.post_message(KeptRead(self.keeper.read_prompts(), presets))

    @on(KeptRead)
    def _kept_read(self, event: KeptRead) -> None:
        self.prompt.earlier = History([*event.prompts, *self.prompt.earlier.sent])
        self.form.show_presets(event.presets)

    # Conversations

    @work(group="conversations", exclusive=True)
    async def action_conversations(self, words: str = "") -> None:
        chosen = await self.app.push_screen_wait(ConversationList(self.keeper.store, words))
        if chosen is not None and chosen != self.active.conversation.id:
            self._read_conversation(chosen)

    @work(thread=True, group="read-conversation", exclusive=True)
    def _read_conversation(self, conversation_id: str) -> None:
        self.post_message(ConversationRead(self.keeper.store.load(conversation_id)))

    @on(ConversationRead)
    def _conversation_read(self, event: ConversationRead) -> None:
        if event.conversation is None:
            self.complain("That conversation cannot be read.")
            return
        pane = self.active
        pane.keep_what_came()
        pane.open(event.conversation)
        model = event.conversation.header.model
        if pane.loaded is None and pane.wanted is None and model:
            self.tell(f"It was with {one_line(model)}: /model {one_line(model)} loads that.")
        self.prompt.focus()

    @work(group="title", exclusive=True)
    async def action_title(self, title: str = "") -> None:
        """Give the conversation a name."""
        now = self.active.conversation
        if not title:
            answer = await self.app.push_screen_wait(AskText("Name", "Its name", now.title))
            title = answer or ""
        if title:
            now.change(title=title)
            self.keep(self.active)
            self.tell(f"It is called {one_line(title)} now.")

    # Export

    @work(group="export", exclusive=True)
    async def action_save(self, path: str = "") -> None:
        """Export the conversation: Markdown, or JSONL where the path ends so."""
        conversation = self.active.conversation
        if not conversation.turns:
            self.complain("There is nothing to export yet.")
            return
        if not path:
            words = "".join(c if c.isalnum() else "-" for c in conversation.title.lower())
            usual = "-".join(part for part in words.split("-") if part)[:40] or "conversation"
            asked = AskText("Export", "Markdown (.md) or all branches (.jsonl)", f"{usual}.md")
            answer = await self.app.push_screen_wait(asked)
            path = answer or ""
        if not path:
            return
        target = Path(path).expanduser().absolute()
        if target.suffix not in (".md", ".jsonl"):
            target = target.with_name(f"{target.name}.md")
        if target.exists():
            answers = [Answer("yes", "Replace", "error")]
            question = Question("Replace it?", f"{one_line(str(target))} exists.", answers)
            if await self.app.push_screen_wait(question) != "yes":
                return
        text = (to_jsonl if target.suffix == ".jsonl" else to_markdown)(conversation)
        self._export(target, text)

    @work(thread=True, group="write-export", exclusive=True)
    def _export(self, target: Path, text: str) -> None:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(target, text)
        except OSError as error:
            self.post_message(Exported(target, str(error)))
        else:
            self.post_message(Exported(target))

    @on(Exported)
    def _exported(self, event: Exported) -> None:
        if event.error:
            self.complain(f"It cannot be exported: {event.error}.")
        else:
            self.tell(f"Exported to {one_line(str(event.path))}.")

    # Presets

    def action_preset(self, name: str) -> None:
        """Take a preset of sampling settings."""
        from simplegpt.cli import nearest

        names = {n.casefold(): n for n in (*PRESETS, *self.form.own_presets)}
        found = names.get(name.casefold())
        if found is None:
            hint = nearest(name, names.values()) or f": there are {', '.join(names.values())}"
            self.complain(f"There is no preset {one_line(name)}{hint}")
            return
        self.active.settings = self.form.preset(found)
        self.form.show(self.active.settings)
        self.form.show_presets(self.form.own_presets, found)

    @on(SamplingForm.PresetSaveAsked)
    def _preset_save_asked(self) -> None:
        self._save_preset()

    @work(group="preset", exclusive=True)
    async def _save_preset(self) -> None:
        asked = AskText("Keep the settings", "Under the name", "")
        name = await self.app.push_screen_wait(asked)
        if not name:
            return
        if name in PRESETS:
            self.complain(f"{name} is built in: take another name.")
            return
        self._change_presets({**self.form.own_presets, name: self.form.settings.sampling}, name)

    @on(SamplingForm.PresetDeleteAsked)
    def _preset_delete_asked(self, event: SamplingForm.PresetDeleteAsked) -> None:
        own = {n: s for n, s in self.form.own_presets.items() if n != event.name}
        self._change_presets(own, None)

    def _change_presets(self, own: Mapping[str, SamplingConfig], chosen: str | None) -> None:
        self.form.show_presets(own, chosen)
        self._write_presets(own)

    @work(thread=True, group="write-presets", exclusive=True)
    def _write_presets(self, own: Mapping[str, SamplingConfig]) -> None:
        try:
            settings.change(sampling_presets={name: s.model_dump() for name, s in own.items()})
        except OSError as error:
            self.post_message(Exported(settings.settings_folder(), str(error)))
