"""The Chat screen: a text, a model that continues it, and its sampling settings."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.events import DescendantFocus
from textual.message import Message
from textual.reactive import reactive
from textual.widgets import Input, TextArea

from simplegpt.cli import UserError, nearest, one_line
from simplegpt.config.schema import SamplingConfig
from simplegpt.files import write_atomically
from simplegpt.inference.protocol import Loaded, LoadRequest
from tui.chat import slash_commands
from tui.chat.alternatives import AlternativesDialog
from tui.chat.checkpoint_comparison import CheckpointComparison
from tui.chat.conversation_list import ConversationList
from tui.chat.conversations import Conversation, ConversationStore, Turn, to_jsonl, to_markdown
from tui.chat.engine import ENGINE_COMMAND, EngineError, EngineExitError, EngineProcess, new_id
from tui.chat.live_run import LiveRun, examine, newest_checkpoint
from tui.chat.model import ChatModel
from tui.chat.model_info import ModelInfo
from tui.chat.model_list import ModelChoice, ModelList, RunList
from tui.chat.pane import ChatPane
from tui.chat.prompt import PromptArea
from tui.chat.prompt_history import PromptHistory
from tui.chat.sampling import PRESETS, GenerationSettings, format_settings, label, parse_settings
from tui.chat.sampling_form import SamplingForm
from tui.chat.session import ChatSession
from tui.chat.transcript import Transcript
from tui.shell import settings as user_settings
from tui.shell.dialogs import Answer, Question, TextDialog
from tui.shell.modes import Mode
from tui.shell.screen import WorkbenchScreen

# What each action needs before it can be taken.
NEED_IDLE = frozenset(
    {"continue", "regenerate", "repeat", "undo", "new", "compare", "fork", "show_answer", "edit"}
)
NEED_MODEL = frozenset({"continue", "regenerate", "repeat"})
NEED_TEXT = frozenset(
    {"regenerate", "repeat", "undo", "fork", "show_answer", "edit", "copy", "export", "new"}
    | {"rename"}
)


@dataclass(frozen=True)
class Edit:
    """A turn of the user's that is being edited in the prompt."""

    pane: ChatPane
    turn: Turn


@dataclass
class ModelChanged(Message):
    """A model is being loaded, was loaded, or failed."""

    model: ChatModel


class ChatScreen(WorkbenchScreen):
    """One or two panes above the prompt, the sampling settings at the right."""

    MODE: ClassVar[Mode] = "chat"
    CSS_PATH = "screen.tcss"
    HELP = """\
A base model continues a text: write a beginning, press **Enter**, and the model's text follows
yours. **Ctrl+G** continues it, **Ctrl+R** regenerates the answer from the next seed (all answers
are kept: `[` and `]` show the previous and the next one), **Esc** stops and keeps what was
generated.

The title of the text names the model; below the text are the seed, the context used, the speed
and the time to first token (TTFT). When the context is full, its older half is dropped, the newer
half is read again, and the text continues.

With the text in focus (**Shift+Tab**, or a click): **p** colours tokens by probability, **Enter**
on a token shows the alternatives, before and after the sampling settings, and continues from the
one you choose. **e** edits your text and resends it, **b** forks at the turn under the cursor,
**m** shows Markdown, **c** copies the answer (over SSH too, by OSC 52; in tmux,
`set -g set-clipboard on`), **x** compares two models or settings from the same seed, **t** runs
this prompt through all checkpoints of a run.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f7", "model", "Model", tooltip="Choose a model"),
        Binding("f8", "conversations", "History", tooltip="Find an earlier conversation"),
        Binding("f9", "send", "Send", tooltip="Send the prompt"),
        Binding("escape", "stop", "Stop", key_display="Esc", tooltip="Stop generating or loading"),
        Binding("escape", "focus_prompt", "Go to the prompt", show=False, tooltip="Leave the text"),
        Binding("ctrl+g", "continue", "Continue", tooltip="Continue the text"),
        Binding("ctrl+r", "regenerate", "Regenerate", tooltip="Another answer, next seed"),
        Binding("ctrl+t", "sampling", "Sampling", tooltip="Show or hide the sampling settings"),
        Binding("ctrl+l", "switch_side", "Other side", show=False, tooltip="Switch sides"),
        Binding("R", "repeat", "Repeat", show=False, tooltip="Same seed again, compared"),
        Binding("e", "edit", "Edit & resend", show=False, tooltip="Edit your text"),
        Binding("b", "fork", "Fork here", show=False, tooltip="End the text at this turn"),
        Binding("left_square_bracket", "show_answer(-1)", "Previous answer", show=False),
        Binding("right_square_bracket", "show_answer(1)", "Next answer", show=False),
        Binding("u", "undo", "Undo", show=False, tooltip="Take the last exchange back"),
        Binding("n", "new", "New chat", show=False, tooltip="Start a new conversation"),
        Binding("a", "prefill", "Prefill", show=False, tooltip="Write the answer's beginning"),
        Binding("m", "markdown", "Markdown", show=False, tooltip="Markdown or plain text"),
        Binding("p", "probabilities", "Token probabilities", show=False, tooltip="Colour tokens"),
        Binding("c", "copy", "Copy answer", show=False, tooltip="To the clipboard"),
        Binding("C", "copy('all')", "Copy all", show=False, tooltip="To the clipboard"),
        Binding("s", "export", "Export", show=False, tooltip="As Markdown or JSONL"),
        Binding("T", "rename", "Rename chat", show=False, tooltip="Change its title"),
        Binding("x", "compare", "Compare", show=False, tooltip="Two models or settings"),
        Binding("t", "compare_checkpoints", "Compare checkpoints", show=False, tooltip="Of a run"),
        Binding("f", "load_newest", "Load newest checkpoint", show=False, tooltip="Of a live run"),
    ]

    active_side: reactive[str] = reactive("left", init=False)
    """Id of the pane that the settings and the cursor's actions belong to."""
    settings: reactive[GenerationSettings] = reactive(GenerationSettings)
    """Of the active side."""
    loaded: reactive[Loaded | None] = reactive(None)
    """The model of the active side."""
    probabilities: reactive[bool] = reactive(False)
    markdown: reactive[bool] = reactive(False)
    own_presets: reactive[Mapping[str, SamplingConfig]] = reactive(dict)
    live_run: reactive[LiveRun | None] = reactive(None, init=False)
    """The live run whose checkpoint the left side uses."""
    edited: reactive[Edit | None] = reactive(None, init=False)

    def __init__(self, engine_command: Sequence[str] = ENGINE_COMMAND) -> None:
        super().__init__()
        self.engine_command = engine_command
        folder = user_settings.data_folder()
        self.store = ConversationStore(folder / "conversations")
        self.history = PromptHistory(folder / "prompts.jsonl")
        self.repeated: Turn | None = None
        """The answer that is being repeated, to be compared with."""

    def compose_body(self) -> ComposeResult:
        with Horizontal(id="chat"):
            with Vertical(id="main"):
                with Horizontal(id="panes"):
                    yield self._new_pane("left", ChatSession(self._new_model("left")))
                with Vertical(id="prompt-box"):
                    yield Input(
                        id="prefill",
                        placeholder="The answer begins with …",
                        compact=True,
                        tooltip="Your text, which the answer continues",
                    )
                    yield PromptArea(self.history, id="prompt")
            with Vertical(id="side"):
                yield SamplingForm(id="sampling").data_bind(
                    ChatScreen.settings, ChatScreen.own_presets
                )
                yield ModelInfo(id="model-info").data_bind(ChatScreen.loaded)

    def _new_pane(self, side: str, session: ChatSession) -> ChatPane:
        pane = ChatPane(session, id=side)
        pane.probabilities, pane.markdown = self.probabilities, self.markdown
        return pane

    def _new_model(self, side: str) -> ChatModel:
        def changed(model: ChatModel) -> None:
            self.post_message(ModelChanged(model))

        return ChatModel(side, self._new_engine(side), changed)

    def _new_engine(self, name: str) -> EngineProcess:
        log = user_settings.data_folder() / f"engine-{name}.log"
        return EngineProcess(log, command=self.engine_command)

    def on_mount(self) -> None:
        self.prefill.display = False
        self.form.border_title = "Sampling"
        self._describe_prompt()
        self.prompt.focus()
        self._read_stored()

    @work(group="stored")
    async def _read_stored(self) -> None:
        stored = await asyncio.to_thread(user_settings.Settings.load)
        self.own_presets = stored.sampling_presets
        self.history.insert_earlier(await asyncio.to_thread(self.history.read))

    # Parts

    @property
    def panes(self) -> list[ChatPane]:
        """One side, or two."""
        return list(self.query(ChatPane))

    @property
    def left(self) -> ChatPane:
        return self.query_one("#left", ChatPane)

    @property
    def right(self) -> ChatPane | None:
        """The second side, while comparing."""
        return next((pane for pane in self.panes if pane.id == "right"), None)

    @property
    def active(self) -> ChatPane:
        """The side that the settings and the cursor's actions belong to."""
        return self.query_one(f"#{self.active_side}", ChatPane)

    @property
    def session(self) -> ChatSession:
        """The active side's session."""
        return self.active.session

    @property
    def prompt(self) -> PromptArea:
        return self.query_one(PromptArea)

    @property
    def prefill(self) -> Input:
        return self.query_one("#prefill", Input)

    @property
    def form(self) -> SamplingForm:
        return self.query_one(SamplingForm)

    @property
    def side(self) -> Vertical:
        """The settings beside the text, or over it where there is no room."""
        return self.query_one("#side", Vertical)

    # For the shell

    def open_model(self, model: str, beside_run: Path | None = None) -> None:
        """Chat with `model`, or with the newest checkpoint of a live run."""
        self._load_choice(self.left, ModelChoice(model, live_run=beside_run), newest=True)

    def leave(self) -> None:
        for pane in self.panes:
            pane.interrupt()
            pane.session.model.engine.kill()
            if pane.conversation.turns:
                try:
                    self.store.save(pane.conversation)
                except OSError as error:
                    self.warn(f"Cannot save the conversation: {error}.")

    # What can be done now

    @property
    def is_busy(self) -> bool:
        return any(pane.session.is_busy for pane in self.panes)

    @property
    def can_generate(self) -> bool:
        return all(pane.session.can_generate for pane in self.panes)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if not self.is_mounted:
            return True
        if action in ("stop", "send"):  # in the footer, one replaces the other
            return self.is_busy == (action == "stop")
        if action == "switch_side":
            return self.right is not None
        if action == "load_newest":
            return True if self.live_run is not None and self.live_run.has_newer else None
        unavailable = (
            (action in NEED_IDLE and self.is_busy)
            or (action in NEED_MODEL and not self.can_generate)
            or (action in NEED_TEXT and not self.active.conversation.turns)
        )
        return None if unavailable else True

    def warn(self, message: str) -> None:
        """Show why something did not work."""
        self.notify(message, severity="warning", markup=False)

    def confirm(self, message: str) -> None:
        """Show that something was done."""
        self.notify(message, markup=False, timeout=3)

    # Models

    @work(group="model", exclusive=True)
    async def action_model(self, model: str = "") -> None:
        """Load a model into the active side: the one named, or one chosen."""
        choice: ModelChoice | None = ModelChoice(model)
        if not model:
            choice = await self.app.push_screen_wait(ModelList(self.runs or ()))
        if choice is not None:
            self.prompt.focus()
            self._load_choice(self.active, choice)

    def _load_choice(self, pane: ChatPane, choice: ModelChoice, newest: bool = False) -> None:
        if pane is self.left:
            self.live_run = None
            self.workers.cancel_group(self, "live-run")
            if choice.live_run is not None:
                wanted = None if newest else Path(choice.model)
                self._load_live(choice.live_run, wanted)
                return
        request = LoadRequest(
            id=new_id(), model=choice.model, device=choice.device, precision=choice.precision
        )
        self._load(pane, request)

    def _load(self, pane: ChatPane, request: LoadRequest, niceness: int = 0) -> None:
        if pane is self.right and self._shares_model:
            pane.session.model = self._new_model("right")
        self._start_load(pane.session.model, request, niceness)

    def _reload(self, model: ChatModel, reason: str) -> None:
        assert model.request is not None
        request = model.request.model_copy(update={"id": new_id()})
        self._start_load(model, request, model.engine.niceness, reason)

    def _start_load(
        self, model: ChatModel, request: LoadRequest, niceness: int, reason: str = ""
    ) -> None:
        for pane in self.panes:
            if pane.session.model is model:
                pane.interrupt()
        model.begin_load(request, reason)
        group = f"load-{model.name}"
        self.run_worker(model.finish_load(niceness), group=group, exclusive=True)

    @property
    def _shares_model(self) -> bool:
        """Whether both sides use one engine."""
        return self.right is not None and self.right.session.model is self.left.session.model

    @on(ModelChanged)
    def _model_changed(self, event: ModelChanged) -> None:
        event.stop()
        for pane in self.panes:
            if pane.session.model is event.model:
                pane.show_state()
        self._update()
        if event.model.state == "crashed":
            self._reload(event.model, event.model.error)

    @on(ChatPane.StateChanged)
    def _update(self) -> None:
        self.loaded = self.session.model.loaded
        self.refresh_bindings()

    # A live run's model

    @work(group="live-run", exclusive=True)
    async def _load_live(self, run: Path, wanted: Path | None = None) -> None:
        """Load a checkpoint of a live run, with the resources that the run does not need."""
        self.left.interrupt()
        self.live_run = LiveRun(run)
        found = await asyncio.to_thread(examine, run, wanted)
        self.live_run = found
        if found.loaded is not None and found.resources is not None:
            resources = found.resources
            request = LoadRequest(
                id=new_id(),
                model=str(found.loaded.path),
                device=resources.device,
                threads=resources.threads,
            )
            self._load(self.left, request, resources.niceness)

    def watch_runs(self) -> None:
        self.look_for_checkpoint()

    @work(group="newest", exclusive=True)
    async def look_for_checkpoint(self) -> None:
        """Notice a live run's newer checkpoint; load its first one."""
        known = self.live_run
        if known is None or known.resources is None:
            return
        newest = await asyncio.to_thread(newest_checkpoint, known.path)
        if self.live_run is known and newest != known.newest:
            if known.loaded is None:
                self._load_live(known.path)
            else:
                self.live_run = replace(known, newest=newest)

    def action_load_newest(self) -> None:
        """Load the live run's newest checkpoint; the text stays."""
        if self.live_run is not None:
            self._load_live(self.live_run.path)

    def watch_live_run(self, run: LiveRun | None) -> None:
        self.left.note = run.note if run is not None else ""
        self.refresh_bindings()

    # The prompt

    @on(PromptArea.Submitted)
    @on(Input.Submitted, "#prefill")
    async def action_send(self) -> None:
        """Run the command or send the prompt that was typed."""
        text = self.prompt.text
        if slash_commands.is_command(text):
            await self._run_command(text)
        elif self.is_busy:
            self.warn("Wait for the answer, or press Esc to stop it. The prompt is kept.")
        elif not self.can_generate:
            self.action_model()
        else:
            self._send(slash_commands.unescape(self.prompt.take()))

    def _send(self, text: str) -> None:
        if text:
            self._store_prompt(text)
        prefill, self.prefill.value = self.prefill.value, ""
        self.prefill.display = False
        edited, self.edited = self.edited, None
        if edited is not None and edited.pane in self.panes:
            pane = edited.pane
            pane.generate(pane.session.send(text, prefill, edited.turn.parent))
            return
        self._share_seed()
        for pane in self.panes:
            pane.generate(pane.session.send(text, prefill, pane.conversation.leaf))

    @work(group="store-prompt")
    async def _store_prompt(self, text: str) -> None:
        try:
            await asyncio.to_thread(self.history.write, text)
        except OSError as error:
            self.warn(f"Cannot save the prompt: {error}.")

    def _share_seed(self) -> None:
        """While comparing, give the right side the left one's seed."""
        seed = self.left.session.settings.sampling.seed
        for pane in self.panes:
            pane.session.settings = pane.session.settings.with_seed(seed)
        self.settings = self.session.settings

    @on(TextArea.Changed, "#prompt")
    def _describe_prompt(self) -> None:
        """Show below the prompt what Enter does, or the command that is being typed."""
        box = self.query_one("#prompt-box")
        text = self.prompt.text
        if slash_commands.is_command(text):
            box.border_subtitle = slash_commands.hint(text).replace("[", r"\[")
        elif self.edited is not None:
            box.border_subtitle = "Enter to resend · Esc to cancel"
        else:
            box.border_subtitle = "Enter to send · Ctrl+N new line · / commands"
        box.border_title = "Prompt" if self.edited is None else "Edit & resend"

    def watch_edited(self) -> None:
        self._describe_prompt()

    def action_focus_prompt(self) -> None:
        """Leave the text, the settings or an edit."""
        if self.edited is not None and self.prompt.has_focus:
            self.edited = None
            self.prompt.text = ""
        if self.has_class("-narrow"):
            self._show_side(False)
        self.prompt.focus()

    def action_prefill(self, text: str = "") -> None:
        """Show the field for the answer's beginning, or hide it."""
        self.prefill.display = bool(text) or not self.prefill.display
        self.prefill.value = text
        if self.prefill.display and not text:
            self.prefill.focus()
        else:
            self.prompt.focus()

    # Typed commands

    async def _run_command(self, text: str) -> None:
        try:
            call = slash_commands.parse(text)
            if self.check_action(call.command.action, call.arguments) is not True:
                raise UserError(f"/{call.command.name} is not available now")
        except UserError as error:
            self.warn(str(error)[:1].upper() + str(error)[1:])
            return
        self.prompt.take()
        await self.app.run_action(("", call.command.action, call.arguments), self)

    def action_list_commands(self) -> None:
        from tui.shell.help import HelpDialog  # Markdown costs 50 ms: not at the start

        self.app.push_screen(HelpDialog(f"## Commands\n\n{slash_commands.table()}"))

    def action_set(self, name: str, value: str) -> None:
        """Change one setting of the active side."""
        changed, _ = parse_settings({**format_settings(self.settings), name: value})
        if changed is not None:
            self._set_settings(changed)
            self.confirm(f"{label(name)} set to {value}.")

    # Answers

    def action_stop(self) -> None:
        """Stop what is under way; what was generated is kept."""
        models = {pane.session.model for pane in self.panes}
        for model in models:
            model.cancel_load()
        for model in {pane.session.model for pane in self.panes if pane.stop()}:
            model.engine.kill()
            self._reload(model, "Stopped at once.")

    def action_continue(self) -> None:
        self._share_seed()
        for pane in self.panes:
            pane.generate(pane.session.continue_text())

    def action_regenerate(self) -> None:
        for pane in self.panes:
            turn = pane.session.answer_at(pane.current_turn)
            if turn is not None:
                pane.generate(pane.session.regenerate(turn))

    def action_repeat(self) -> None:
        turn = self.session.answer_at(self.active.current_turn)
        if turn is not None and turn.sampling is not None:
            self.repeated = turn
            self.active.generate(self.session.repeat(turn))

    @on(ChatPane.AnswerEnded)
    def _answer_ended(self, event: ChatPane.AnswerEnded) -> None:
        event.stop()
        self._update()
        self._save(event.pane.conversation)
        repeated, self.repeated = self.repeated, None
        turn = event.turn
        if repeated is None or turn is None or turn.parent != repeated.parent:
            return
        if turn.ids == repeated.ids:
            self.confirm("The same seed gave the same answer, token for token.")
        elif turn.reason != "cancelled":
            pairs = zip(repeated.ids, turn.ids, strict=False)
            n_same = next((i for i, (a, b) in enumerate(pairs) if a != b), len(turn.ids))
            self.warn(f"Differs from token {n_same + 1} on: other model, device or precision.")

    @on(Transcript.TokenSelected)
    @work(group="alternatives", exclusive=True)
    async def _show_alternatives(self, event: Transcript.TokenSelected) -> None:
        """Show the alternatives to a token; continue from the one chosen."""
        pane = next(pane for pane in self.panes if pane.transcript is event.transcript)
        session, index = pane.session, event.piece.token
        turn = session.conversation.turns.get(event.piece.turn)
        if turn is None or index is None:
            self.confirm("This is your own text: e to edit it, b to fork here.")
            return
        if not session.can_generate:
            busy = "Wait for the answer, or press Esc to stop it."
            self.warn(busy if session.is_busy else "No model is loaded: F7 to choose one.")
            return
        try:
            found = await session.alternatives(turn, index)
        except EngineExitError:
            return  # the model reports it, and is loaded again
        except EngineError as error:
            self.warn(str(error))
            return
        before = "".join(each.text for each in session.conversation.path(turn.id)[:-1])
        dialog = AlternativesDialog(
            before + "".join(turn.pieces[:index]),
            turn,
            index,
            session.settings.sampling,
            found.alternatives,
        )
        choice = await self.app.push_screen_wait(dialog)
        if choice is not None and session.can_generate:
            pane.generate(session.choose(turn, index, choice, found.prompt_ids))

    # The tree of turns

    def action_edit(self) -> None:
        turn = self.session.own_turn_at(self.active.current_turn)
        if turn is not None:
            self.edited = Edit(self.active, turn)
            self.prompt.put(turn.text)
            self.prompt.focus()

    def action_fork(self) -> None:
        """End the text after the turn under the cursor; the rest stays as a branch."""
        turn, conversation = self.active.current_turn, self.active.conversation
        if turn is not None and turn.id != conversation.leaf:
            conversation.show_to(turn.id)
            self._show_changed(self.active)
            self.prompt.focus()
            self.confirm("Forked here. ] shows what followed.")

    def action_show_answer(self, offset: int) -> None:
        """Show the previous or next answer (or text) in the place of the one under the cursor."""
        turn = self.active.current_turn
        if turn is not None and self.active.conversation.show_sibling(turn, offset):
            self._show_changed(self.active)

    def action_undo(self) -> None:
        for pane in self.panes:
            undone = pane.session.undo()
            self._show_changed(pane)
            if undone is not None:
                self.prompt.put(undone.text)
                self.prefill.value = undone.prefill
                self.prefill.display = bool(undone.prefill)
                self.prompt.focus()

    def _show_changed(self, pane: ChatPane) -> None:
        pane.show_text()
        self._save(pane.conversation)

    # Conversations

    def action_new(self) -> None:
        for pane in self.panes:
            pane.open(Conversation())
        self.edited = None
        self.refresh_bindings()
        self.prompt.focus()

    @work(group="conversations", exclusive=True)
    async def action_conversations(self, words: str = "") -> None:
        """Open an earlier conversation in the active side."""
        chosen = await self.app.push_screen_wait(ConversationList(self.store, words))
        if chosen is None or chosen == self.active.conversation.id:
            return
        conversation = await asyncio.to_thread(self.store.load, chosen)
        if conversation is None:
            self.warn("Cannot read this conversation.")
            return
        self.active.open(conversation)
        self.refresh_bindings()
        model = one_line(conversation.header.model)
        if self.session.model.state == "none" and model:
            self.confirm(f"Its model was {model}: /model {model} to load it.")
        self.prompt.focus()

    @work(group="rename", exclusive=True)
    async def action_rename(self, title: str = "") -> None:
        conversation = self.active.conversation
        if not title:
            dialog = TextDialog("Rename chat", "Title", conversation.title, accept="Rename")
            typed = await self.app.push_screen_wait(dialog)
            title = typed or ""
        if title:
            conversation.change(title=title)
            self._save(conversation)
            self.confirm(f"Renamed to {one_line(title)}.")

    def _save(self, conversation: Conversation) -> None:
        if conversation.turns:
            self._write(conversation.snapshot())

    @work(group="save")
    async def _write(self, snapshot: Conversation) -> None:
        try:
            await asyncio.to_thread(self.store.save, snapshot)
        except OSError as error:
            self.warn(f"Cannot save the conversation: {error}.")

    @work(group="export", exclusive=True)
    async def action_export(self, path: str = "") -> None:
        """Export the conversation: Markdown, or all branches as JSONL."""
        conversation = self.active.conversation.snapshot()
        if not path:
            text = "Markdown (.md), or all branches (.jsonl)"
            dialog = TextDialog("Export", text, f"{file_name(conversation)}.md", accept="Export")
            typed = await self.app.push_screen_wait(dialog)
            path = typed or ""
        if not path:
            return
        target = Path(path).expanduser().absolute()
        if target.suffix not in (".md", ".jsonl"):
            target = target.with_name(f"{target.name}.md")
        if target.exists():
            replace_it = Answer("replace", "Replace", "error")
            question = Question("Replace?", f"{one_line(str(target))} exists.", [replace_it])
            if await self.app.push_screen_wait(question) is None:
                return
        text = to_jsonl(conversation) if target.suffix == ".jsonl" else to_markdown(conversation)
        try:
            await asyncio.to_thread(target.parent.mkdir, parents=True, exist_ok=True)
            await asyncio.to_thread(write_atomically, target, text)
        except OSError as error:
            self.warn(f"Cannot export: {error}.")
        else:
            self.confirm(f"Exported to {one_line(str(target))}.")

    def action_copy(self, what: str = "") -> None:
        """Copy the answer under the cursor, or the last one; ``all``: the whole text."""
        answer = self.session.answer_at(self.active.current_turn)
        text = answer.text if answer is not None else ""
        if what == "all":
            text = self.active.conversation.text
        if text:
            self.app.copy_to_clipboard(text)
            self.confirm(f"Copied {len(text):,} characters.")

    # Views

    def action_probabilities(self) -> None:
        self.probabilities = not self.probabilities

    def watch_probabilities(self, probabilities: bool) -> None:
        for pane in self.panes:
            pane.probabilities = probabilities

    def action_markdown(self) -> None:
        self.markdown = not self.markdown

    def watch_markdown(self, markdown: bool) -> None:
        for pane in self.panes:
            pane.markdown = markdown

    def action_sampling(self) -> None:
        """Show the sampling settings, or hide them."""
        is_shown = self.side.display
        self._show_side(not is_shown)
        if is_shown:
            self.prompt.focus()
        else:
            self.form.query(Input).first().focus()

    def _show_side(self, is_shown: bool) -> None:
        self.side.set_class(is_shown, "-shown")
        self.side.set_class(not is_shown, "-hidden")

    # Sampling settings

    @on(SamplingForm.Changed)
    def _form_changed(self, event: SamplingForm.Changed) -> None:
        event.stop()
        self._set_settings(event.settings)

    def _set_settings(self, changed: GenerationSettings) -> None:
        self.session.settings = self.settings = changed

    def action_preset(self, name: str) -> None:
        """Apply a preset."""
        names = {each.casefold(): each for each in self.form.presets}
        found = names.get(name.casefold())
        if found is None:
            hint = nearest(name, names.values()) or f"; expected {', '.join(names.values())}"
            self.warn(f"Unknown preset {one_line(name)}{hint}")
            return
        self._set_settings(self.settings.with_preset(self.form.presets[found]))
        self.form.select_preset(found)

    @on(SamplingForm.SavePreset)
    @work(group="preset", exclusive=True)
    async def _save_preset(self) -> None:
        def error_in(name: str) -> str | None:
            if not name:
                return "A preset needs a name."
            return f"{name} is a built-in preset." if name in PRESETS else None

        dialog = TextDialog("Save preset", "Name", accept="Save", error_in=error_in)
        name = await self.app.push_screen_wait(dialog)
        if name is not None:
            await self._set_presets({**self.own_presets, name: self.settings.sampling})
            self.form.select_preset(name)

    @on(SamplingForm.DeletePreset)
    @work(group="preset", exclusive=True)
    async def _delete_preset(self, event: SamplingForm.DeletePreset) -> None:
        kept = {name: each for name, each in self.own_presets.items() if name != event.name}
        await self._set_presets(kept)

    async def _set_presets(self, presets: Mapping[str, SamplingConfig]) -> None:
        self.own_presets = presets
        values = {name: sampling.model_dump() for name, sampling in presets.items()}
        try:
            await asyncio.to_thread(user_settings.change, sampling_presets=values)
        except OSError as error:
            self.warn(f"Cannot save the presets: {error}.")

    # Comparing

    @work(group="compare", exclusive=True)
    async def action_compare(self, model: str = "") -> None:
        """Open a second side beside the first, or close it."""
        if self.right is not None:
            await self._close_right(self.right)
            return
        choice: ModelChoice | None = ModelChoice(model) if model else None
        if choice is None:
            answers = [Answer("settings", "Settings", "primary"), Answer("model", "Model")]
            text = "Both sides answer the same prompts from the same seed. What should differ?"
            what = await self.app.push_screen_wait(Question("Compare", text, answers))
            if what is None:
                return
            if what == "model":
                choice = await self.app.push_screen_wait(ModelList(self.runs or ()))
                if choice is None:
                    return
        await self._open_right(choice)

    async def _open_right(self, choice: ModelChoice | None) -> None:
        """Open the right side, with a model of its own or with the left one's."""
        left = self.left.session
        model = left.model if choice is None else self._new_model("right")
        session = ChatSession(model, left.conversation.fork())
        session.settings = left.settings
        right = self._new_pane("right", session)
        await self.query_one("#panes").mount(right)
        self.add_class("-comparing")
        if choice is None:
            self.activate(right)
            self._show_side(True)
            self.confirm("Change the right side's settings, then send a prompt to both.")
        else:
            self.activate(self.left)
            self._load_choice(right, choice)

    async def _close_right(self, right: ChatPane) -> None:
        right.interrupt()
        self._save(right.conversation)
        if not self._shares_model:
            self.workers.cancel_group(self, "load-right")
            await right.session.model.engine.close()
        self.remove_class("-comparing")
        self.active_side = "left"
        await right.remove()
        self.activate(self.left)
        self.prompt.focus()

    def activate(self, pane: ChatPane) -> None:
        """Make a side the one that the settings and the cursor's actions belong to."""
        assert pane.id is not None
        self.active_side = pane.id
        self.settings = pane.session.settings
        comparing = self.right is not None
        self.form.border_title = f"Sampling · {pane.id} side (^l)" if comparing else "Sampling"
        for each in self.panes:
            each.set_class(comparing and each is pane, "-active")
        self._update()

    def action_switch_side(self) -> None:
        if self.right is not None:
            self.activate(self.right if self.active is self.left else self.left)

    @on(DescendantFocus)
    def _focus_moved(self, event: DescendantFocus) -> None:
        for pane in self.panes:
            if pane in event.widget.ancestors and pane is not self.active:
                self.activate(pane)

    @work(group="checkpoints", exclusive=True)
    async def action_compare_checkpoints(self, run: str = "") -> None:
        """Run the prompt, or the text's first, through all checkpoints of a run."""
        first = next(iter(self.active.conversation.path()), None)
        prompt = self.prompt.text or (first.text if first and first.role == "you" else "")
        if not prompt:
            self.warn("Write a prompt first: each checkpoint answers it.")
            return
        if run and not Path(run).is_dir():
            self.warn(f"Not a directory: {one_line(run)}")
            return
        folder = Path(run) if run else self._run_of_model()
        if folder is None:
            folder = await self.app.push_screen_wait(RunList(self.runs or ()))
        if folder is not None:
            engine = self._new_engine("checkpoints")
            dialog = CheckpointComparison(folder, prompt, self.settings, engine)
            await self.app.push_screen_wait(dialog)

    def _run_of_model(self) -> Path | None:
        """The run that the active side's model is a checkpoint of."""
        loaded = self.session.model.loaded
        folder = Path(loaded.source).parent if loaded is not None else None
        return folder.parent if folder is not None and folder.name == "ckpts" else None


def file_name(conversation: Conversation) -> str:
    """A file's name made of the conversation's title, without a suffix."""
    words = "".join(c if c.isalnum() else "-" for c in conversation.title.lower())
    return "-".join(part for part in words.split("-") if part)[:40] or "conversation"
