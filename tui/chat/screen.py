"""The Chat screen: a text, the model that continues it, and the sampling settings."""

import asyncio
import os
from collections.abc import Sequence
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
from textual.widget import Widget
from textual.widgets import Input
from textual.worker import WorkerCancelled

from simplegpt.cli import UserError, one_line
from simplegpt.config.schema import PRETRAINED_NAMES
from simplegpt.files import write_atomically
from simplegpt.inference.protocol import Loaded, LoadRequest
from tui.chat import slash_commands
from tui.chat.alternatives import AlternativesDialog
from tui.chat.answer_list import AnswerList
from tui.chat.checkpoint_comparison import CheckpointComparison
from tui.chat.conversation_list import ConversationList
from tui.chat.conversations import (
    Conversation,
    ConversationStore,
    Turn,
    text_of,
    to_jsonl,
    to_markdown,
)
from tui.chat.engine import ENGINE_COMMAND, EngineError, EngineExitError, EngineProcess, new_id
from tui.chat.live_run import LiveRun, examine, newest_checkpoint
from tui.chat.model import ChatModel
from tui.chat.model_info import ModelInfo
from tui.chat.model_list import (
    ModelChoice,
    ModelList,
    Offer,
    RunList,
    download_size,
    is_downloaded,
    newest_best,
    reopen,
)
from tui.chat.pane import ChatPane
from tui.chat.prompt import PromptArea
from tui.chat.prompt_box import PromptBox
from tui.chat.prompt_history import PromptHistory
from tui.chat.sampling import (
    GenerationSettings,
    describe_difference,
    format_settings,
    label,
    parse_settings,
)
from tui.chat.sampling_form import SamplingForm
from tui.chat.session import ChatSession
from tui.chat.transcript import Transcript
from tui.shared.paths import expand_home, path_to_write
from tui.shell import settings as user_settings
from tui.shell.bindings import Shortcut, shortcuts_of
from tui.shell.dialogs import Answer, Question, TextDialog
from tui.shell.modes import Mode
from tui.shell.screen import WorkbenchScreen

# What each action requires.
NEED_IDLE = frozenset(
    {"continue", "regenerate", "answers", "repeat", "undo", "redo", "new", "compare", "branch"}
    | {"show_answer", "edit", "system"}
)
NEED_MODEL = frozenset({"continue", "regenerate", "answers", "repeat"})
NEED_TEXT = frozenset(
    {"regenerate", "answers", "repeat", "undo", "branch", "show_answer", "edit", "copy", "export"}
    | {"new", "rename"}
)


MAX_ANSWERS = 64
"""Limit of one command."""


@dataclass(frozen=True)
class Edit:
    """A turn of the user's that is being edited in the prompt."""

    pane: ChatPane
    turn: Turn
    focused_before: Widget | None


@dataclass
class ModelChanged(Message):
    """A model is being loaded, was loaded, or failed."""

    model: ChatModel


class ChatScreen(WorkbenchScreen):
    """One or two panes above the prompt, the sampling settings at the right."""

    MODE: ClassVar[Mode] = "chat"
    CSS_PATH = "screen.tcss"
    HELP = """\
A base model continues your text; a chat model, whose title names its template, answers your
messages in turns. Type something and press **Enter**. **Ctrl+G** continues the answer, **Ctrl+R**
regenerates it from the next seed (all answers are kept: `[` and `]` show the previous and the next
one, `/answers 4` generates several), **Esc** stops and keeps what was generated.

The title shows the conversation and the model; below the text are the seed, the context used, the
throughput and the time to first token (TTFT). When the context is full, its older half is dropped
and generation continues with the newer half.

With the text focused (**Shift+Tab**, or a click), letters are commands: **p** colours tokens by
probability, **Enter** on a token shows the alternatives, before and after the sampling settings,
and continues from the one you choose. **e** edits your text and resends it, **b** branches at the
turn under the cursor, **m** shows Markdown, **y** copies the answer (over SSH too, by OSC 52; in
tmux, `set -g set-clipboard on`), **x** compares two models or settings from the same seed, **X**
runs this prompt through all checkpoints of a run. **Tab** or **Esc** returns to the prompt.

`/system` sets the system prompt, which chat models read before this conversation. The model can be
changed at any time: a chat model then takes the parts of a text as messages, and a base model
continues a chat as the text that is shown, headings included.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f7", "model", "Model", tooltip="Choose a model"),
        Binding("f8", "conversations", "History", tooltip="Find an earlier conversation"),
        Binding("f9", "load_offer", "Load", tooltip="Load the newest run's best checkpoint"),
        Binding("f9", "send", "Send", tooltip="Send the prompt"),
        Binding("escape", "stop", "Stop", key_display="Esc", tooltip="Stop generating or loading"),
        Binding(
            "escape",
            "leave",
            "Back to the prompt",
            show=False,
            key_display="Esc",
            tooltip="Return to the prompt; cancel an edit",
        ),
        Binding("ctrl+g", "continue", "Continue", tooltip="Continue the answer"),
        Binding("ctrl+r", "regenerate", "Regenerate", tooltip="Regenerate from the next seed"),
        Binding("ctrl+t", "sampling", "Sampling", tooltip="Go to the sampling settings and back"),
        Binding("ctrl+l", "switch_side", "Other side", show=False, tooltip="Switch sides"),
    ]

    active_side: reactive[str] = reactive("left", init=False)
    """ID of the pane that settings and actions apply to."""
    settings: reactive[GenerationSettings] = reactive(GenerationSettings)
    """Of the active side."""
    loaded: reactive[Loaded | None] = reactive(None)
    """The model of the active side."""
    probabilities: reactive[bool] = reactive(False)
    markdown: reactive[bool] = reactive(False)
    live_run: reactive[LiveRun | None] = reactive(None, init=False)
    """The live run whose checkpoint the left side uses."""
    offer: reactive[Offer | None] = reactive(None, init=False)
    """The model to load by one key while there is none."""
    edited: reactive[Edit | None] = reactive(None, init=False)

    def __init__(self, engine_command: Sequence[str] = ENGINE_COMMAND) -> None:
        super().__init__()
        self.engine_command = engine_command
        folder = user_settings.data_folder()
        self.store = ConversationStore(folder / "conversations")
        self.history = PromptHistory(folder / "prompts.jsonl")
        self.repeated: Turn | None = None
        """The answer that is being repeated, to compare with."""
        self.focused_before_sampling: Widget | None = None
        self.can_save = True
        """Whether conversations can be saved; False after the first error, which is shown."""

    def compose_body(self) -> ComposeResult:
        with Horizontal(id="chat"):
            with Vertical(id="main"):
                with Horizontal(id="panes"):
                    yield self._new_pane("left", ChatSession(self._new_model("left")))
                yield PromptBox(self.history, id="prompt-box")
            with Vertical(id="side"):
                yield SamplingForm(id="sampling").data_bind(ChatScreen.settings)
                yield ModelInfo(id="model-info").data_bind(ChatScreen.loaded)

    def _new_pane(self, side: str, session: ChatSession) -> ChatPane:
        pane = ChatPane(session, id=side)
        pane.probabilities, pane.markdown = self.probabilities, self.markdown
        return pane

    def _new_model(self, side: str) -> ChatModel:
        def changed(model: ChatModel) -> None:
            self.post_message(ModelChanged(model))

        return ChatModel(side, EngineProcess(command=self.engine_command), changed)

    def on_mount(self) -> None:
        self.form.border_title = "Sampling"
        self.prompt.focus()
        self._reopen_model()

    @work(group="stored")
    async def _reopen_model(self) -> None:
        """Load the last model, unless another one was opened meanwhile."""
        last = (await asyncio.to_thread(user_settings.Settings.load)).chat_model
        choice = await asyncio.to_thread(reopen, last) if last else None
        if choice is not None and self._has_no_model:
            self._load_choice(self.left, choice)

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
        """The side that settings and actions apply to."""
        return self.query_one(f"#{self.active_side}", ChatPane)

    @property
    def session(self) -> ChatSession:
        """The active side's session."""
        return self.active.session

    @property
    def box(self) -> PromptBox:
        return self.query_one(PromptBox)

    @property
    def prompt(self) -> PromptArea:
        return self.box.prompt

    @property
    def prefill(self) -> Input:
        return self.box.prefill

    @property
    def form(self) -> SamplingForm:
        return self.query_one(SamplingForm)

    @property
    def side(self) -> Vertical:
        """The settings beside the text, or over it in a narrow terminal."""
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

    def shortcuts(self) -> list[Shortcut]:
        return [*super().shortcuts(), *shortcuts_of(ChatPane, self.app)]

    # Available actions

    @property
    def is_busy(self) -> bool:
        return any(pane.session.is_busy for pane in self.panes)

    @property
    def can_generate(self) -> bool:
        return all(pane.session.can_generate for pane in self.panes)

    @property
    def _has_no_model(self) -> bool:
        """Whether no model was opened yet."""
        return self.left.session.model.state == "none" and self.live_run is None

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if not self.is_mounted:
            return True
        if action in ("stop", "load_offer", "send"):  # in the footer, one replaces the others
            shown = "stop" if self.is_busy else "load_offer" if self.offer else "send"
            if action != shown:
                return False
            return None if shown == "send" and not self.can_generate else True
        if action == "switch_side":
            return self.right is not None
        if action == "load_newest":
            return True if self.live_run is not None and self.live_run.has_newer else None
        if action == "redo":
            return True if any(pane.session.undone for pane in self.panes) else None
        unavailable = (
            (action in NEED_IDLE and self.is_busy)
            or (action in NEED_MODEL and not self.can_generate)
            or (action == "continue" and any(pane.session.needs_message for pane in self.panes))
            or (action in NEED_TEXT and not self.active.conversation.turns)
        )
        return None if unavailable else True

    def warn(self, message: str) -> None:
        """Notify of an error."""
        self.notify(message, severity="warning", markup=False)

    def confirm(self, message: str) -> None:
        """Notify of a success."""
        self.notify(message, markup=False, timeout=3)

    def _focus_again(self, widget: Widget | None) -> None:
        """Return the focus to where it was, or to the prompt."""
        (widget if widget is not None and widget.is_attached else self.prompt).focus()

    # Models

    @work(group="model", exclusive=True)
    async def action_model(self, model: str = "") -> None:
        """Load a model into the active side; without a name, choose one."""
        choice: ModelChoice | None = ModelChoice(model)
        if not model:
            choice = await self.app.push_screen_wait(ModelList(self.runs or ()))
        if choice is not None:
            self._load_choice(self.active, choice)

    def _load_choice(self, pane: ChatPane, choice: ModelChoice, newest: bool = False) -> None:
        if pane is self.left:
            self.offer = None
            self.workers.cancel_group(self, "live-run")
            self.live_run = LiveRun(choice.live_run) if choice.live_run is not None else None
            if choice.live_run is not None:
                self._load_live(choice.live_run, None if newest else Path(choice.model))
                return
        request = LoadRequest(
            id=new_id(), model=choice.model, device=choice.device, precision=choice.precision
        )
        if choice.model in PRETRAINED_NAMES:
            self._load_pretrained(pane, request)
        else:
            self._load(pane, request)

    @work(group="pretrained", exclusive=True)
    async def _load_pretrained(self, pane: ChatPane, request: LoadRequest) -> None:
        """Load a model of the hub; ask first if it has to be downloaded."""
        if not await asyncio.to_thread(is_downloaded, request.model):
            size = download_size(request.model)
            text = f"{request.model} is not on this machine. Download {size} from Hugging Face?"
            answers = [Answer("download", "Download", "primary")]
            if await self.app.push_screen_wait(Question("Download", text, answers)) is None:
                return
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
        model = event.model
        for pane in self.panes:
            if pane.session.model is model:
                pane.show_state()
        self._update()
        if model.state == "crashed":
            self._reload(model, model.error)
        elif model.state == "ready" and model is self.left.session.model and model.loaded:
            self._remember_model(model.loaded.model)

    @work(group="remember", exclusive=True)
    async def _remember_model(self, model: str) -> None:
        """Store the model, to be opened the next time."""
        try:
            await asyncio.to_thread(user_settings.change, chat_model=model)
        except OSError as error:
            self._cannot_save(error)

    @on(ChatPane.StateChanged)
    def _update(self) -> None:
        self.loaded = self.session.model.loaded
        self._name_sides()
        self.refresh_bindings()

    # The model that is offered while there is none

    def watch_runs(self) -> None:
        if self.live_run is not None:
            self.check_for_checkpoint()
        elif self.is_mounted and self._has_no_model:
            self._find_offer()

    @work(group="offer", exclusive=True)
    async def _find_offer(self) -> None:
        found = await asyncio.to_thread(newest_best, self.runs or ())
        if self._has_no_model:
            self.offer = found

    def watch_offer(self, offer: Offer | None) -> None:
        self.left.note = offer.note if offer is not None else ""
        self.refresh_bindings()

    def action_load_offer(self) -> None:
        """Load the newest run's best checkpoint."""
        if self.offer is not None:
            self._load_choice(self.left, self.offer.choice)

    # A live run's model

    @work(group="live-run", exclusive=True)
    async def _load_live(self, run: Path, wanted: Path | None = None) -> None:
        """Load a checkpoint of a live run, using only idle resources."""
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

    @work(group="newest", exclusive=True)
    async def check_for_checkpoint(self) -> None:
        """Check for a newer checkpoint of the live run; load its first one."""
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
            self.warn("Still generating. Press Esc to stop. The prompt is kept.")
        elif not self.can_generate:
            self.action_model()
        elif not text and any(pane.session.needs_message for pane in self.panes):
            self.confirm("Type a message: this model answers in turns.")
        elif self._draw_seed():
            self._send(slash_commands.unescape(self.box.take()))

    def _send(self, text: str) -> None:
        prefill = self.box.take_prefill()
        edited, self.edited = self.edited, None
        if edited is not None and edited.pane in self.panes:
            pane = edited.pane
            pane.generate(pane.session.send(text, prefill, edited.turn.parent))
            self._focus_again(edited.focused_before)
            return
        for pane in self.panes:
            pane.generate(pane.session.send(text, prefill, pane.conversation.leaf))

    def _draw_seed(self) -> bool:
        """Give all sides the left one's seed, drawn anew if it is random.

        Returns False, and says why, where a setting is invalid.
        """
        if self.form.error:
            self.warn(self.form.error)
            return False
        seed = self.left.session.settings.drawn().sampling.seed
        for pane in self.panes:
            pane.session.settings = pane.session.settings.with_seed(seed)
        self.settings = self.session.settings
        return True

    def watch_edited(self, edited: Edit | None) -> None:
        self.box.is_edit = edited is not None

    def action_leave(self) -> None:
        """Leave the settings or the text, cancel an edit, or clear a command."""
        prompt, edited = self.prompt, self.edited
        if self.form.has_focus_within:
            if self.has_class("-narrow"):
                self._show_side(False)
            self._focus_again(self.focused_before_sampling)
        elif edited is not None and self.box.has_focus_within:
            self.edited = None
            prompt.text = ""
            self._focus_again(edited.focused_before)
        elif prompt.has_focus and slash_commands.suggestions(prompt.text):
            prompt.text = ""
        else:
            prompt.focus()

    def action_prefill(self, text: str = "") -> None:
        """Show the field for the answer's beginning, or hide it."""
        was_shown = self.prefill.display
        self.box.show_prefill(text)
        if text or was_shown:
            self.prompt.focus()
        else:
            self.prefill.display = True
            self.prefill.focus()

    # Typed commands

    async def _run_command(self, text: str) -> None:
        try:
            call = slash_commands.parse(text)
            if self.check_action(call.command.action, call.arguments) is not True:
                raise UserError(f"/{call.command.name} is not available now")
        except UserError as error:
            self.warn(str(error)[:1].upper() + str(error)[1:])
            return
        self.box.take()
        await self.app.run_action(("", call.command.action, call.arguments), self)

    def action_list_commands(self) -> None:
        """List all commands above the prompt."""
        self.prompt.put("/")

    def action_set(self, name: str, value: str) -> None:
        """Change one setting of the active side."""
        changed, _ = parse_settings({**format_settings(self.settings), name: value})
        if changed is not None:
            self._set_settings(changed)
            self.confirm(f"{label(name)} set to {value}.")

    # Answers

    def action_stop(self) -> None:
        """Stop loading or generating; what was generated is kept."""
        models = {pane.session.model for pane in self.panes}
        for model in models:
            model.cancel_load()
        for model in {pane.session.model for pane in self.panes if pane.stop()}:
            model.engine.kill()
            self._reload(model, "Stopped by restarting the engine.")

    def action_continue(self) -> None:
        if self._draw_seed():
            for pane in self.panes:
                pane.generate(pane.session.continue_text())

    def action_regenerate(self) -> None:
        """Regenerate the answer under the cursor, or the last one."""
        if self.form.error:
            self.warn(self.form.error)
            return
        for pane in self.panes:
            pane.generate(pane.session.regenerate(pane.current_turn))

    @work(group="answers", exclusive=True)
    async def action_answers(self, count: str = "") -> None:
        """Generate `count` more answers from the next seeds, then list all in their place."""
        pane = self.active
        turn = pane.session.answer_at(pane.current_turn)
        if turn is None:
            self.warn("No answer yet: send a prompt first.")
            return
        if count and not (count.isdecimal() and 1 <= int(count) <= MAX_ANSWERS):
            self.warn(f"/answers expects a number from 1 to {MAX_ANSWERS}, got {one_line(count)}")
            return
        for _ in range(int(count or 0)):
            draft = pane.session.regenerate(turn)
            try:
                await pane.generate(draft).wait()
            except WorkerCancelled:
                return
            answer = pane.conversation.turns.get(draft.turn.id)
            if answer is None or answer.reason in ("cancelled", None):
                return
        siblings = pane.conversation.siblings(turn)
        chosen = await self.app.push_screen_wait(AnswerList(siblings))
        if chosen is not None:
            pane.conversation.show_branch(chosen)
            self._show_changed(pane)

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
            self.confirm("Same seed, same answer: all tokens match.")
        elif turn.reason != "cancelled":
            pairs = zip(repeated.ids, turn.ids, strict=False)
            n_same = next((i for i, (a, b) in enumerate(pairs) if a != b), len(turn.ids))
            self.warn(f"Differs from token {n_same + 1} on. Is the model or precision different?")

    @on(Transcript.TokenSelected)
    @work(group="alternatives", exclusive=True)
    async def _show_alternatives(self, event: Transcript.TokenSelected) -> None:
        """Show the alternatives to a token; continue from the one chosen."""
        pane = next(pane for pane in self.panes if pane.transcript is event.transcript)
        session, index = pane.session, event.piece.token
        turn = session.conversation.turns.get(event.piece.turn)
        if turn is None or index is None:
            self.confirm("This is your text: e to edit it, b to branch here.")
            return
        if not session.can_generate:
            busy = "Still generating. Press Esc to stop."
            self.warn(busy if session.is_busy else "No model is loaded: F7 to choose one.")
            return
        try:
            found = await session.alternatives(turn, index)
        except EngineExitError:
            return  # the model reports it and is reloaded
        except EngineError as error:
            self.warn(str(error))
            return
        before = text_of(session.conversation.path(turn.id)[:-1])
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
        if turn is None and self.active.is_at_system_prompt:
            self.action_system()
        elif turn is None:
            self.confirm("There is no text of yours before the cursor.")
        else:
            self._edit(turn)

    def _edit(self, turn: Turn) -> None:
        self.edited = Edit(self.active, turn, self.focused)
        self.prompt.put(turn.text)
        self.prompt.focus()

    def action_branch(self) -> None:
        """End the text after the turn under the cursor; the rest stays as a branch."""
        turn, conversation = self.active.current_turn, self.active.conversation
        if turn is None or turn.id == conversation.leaf:
            self.confirm("The text ends here: the next prompt continues it.")
            return
        conversation.show_to(turn.id)
        self._show_changed(self.active)
        self.confirm("Branched here. Ctrl+Z shows what followed.")

    def action_show_answer(self, offset: int) -> None:
        """Show the previous or next answer (or text) in the place of the one under the cursor."""
        turn = self.active.current_turn
        if turn is None:
            return
        if self.active.conversation.show_sibling(turn, offset):
            self._show_changed(self.active)
        else:
            self.confirm(f"This is the {'first' if offset < 0 else 'last'} answer.")

    def action_undo(self) -> None:
        """Undo the last exchange; the user's part of it returns to the prompt."""
        for pane in self.panes:
            undone = pane.session.undo()
            self._show_changed(pane)
            if undone is not None:
                self.prompt.put(undone.text)
                self.box.show_prefill(undone.prefill)

    def action_redo(self) -> None:
        """Show the exchange that was undone last."""
        for pane in self.panes:
            undone = pane.session.redo()
            self._show_changed(pane)
            if undone is not None and self.prompt.text == undone.text:
                self.prompt.text = ""
                self.box.show_prefill("")

    def _show_changed(self, pane: ChatPane) -> None:
        pane.show_text()
        self._save(pane.conversation)
        self.refresh_bindings()

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
            self.confirm(f"This conversation used {model}. /model {model} to load it.")

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
            self.active.show_state()
            self.confirm(f"Renamed to {one_line(title)}.")

    @work(group="system", exclusive=True)
    async def action_system(self, text: str = "") -> None:
        """Change the system prompt of the active side's conversation."""
        pane, conversation = self.active, self.active.conversation
        if not text:
            about = "Read by chat models before the conversation; empty for none"
            value = conversation.header.system
            dialog = TextDialog("System prompt", about, value, accept="Set")
            typed = await self.app.push_screen_wait(dialog)
            if typed is None:
                return
            text = typed
        conversation.change(system=text)
        self._show_changed(pane)
        self.confirm("System prompt set for the next answers." if text else "No system prompt.")

    def _save(self, conversation: Conversation) -> None:
        if conversation.turns:
            self._write(conversation.snapshot())

    @work(group="save")
    async def _write(self, snapshot: Conversation) -> None:
        try:
            await asyncio.to_thread(self.store.save, snapshot)
        except OSError as error:
            self._cannot_save(error)

    def _cannot_save(self, error: OSError) -> None:
        """Show the first error of the data folder; the chat works without it."""
        if self.can_save:
            self.can_save = False
            self.warn(f"Conversations cannot be saved: {error}.")

    @work(group="export", exclusive=True)
    async def action_export(self, path: str = "") -> None:
        """Save the conversation to a file: as Markdown, or all branches as JSONL."""
        conversation = self.active.conversation.snapshot()
        if not path:
            text = "Markdown (.md), or all branches (.jsonl)"
            name = f"{file_name(conversation)}.md"
            dialog = TextDialog("Save the conversation", text, name, accept="Save")
            typed = await self.app.push_screen_wait(dialog)
            path = typed or ""
        if not path:
            return
        try:
            target = path_to_write(path).absolute()
        except UserError as error:
            self.warn(f"Cannot save: {error}.")
            return
        if target.suffix not in (".md", ".jsonl"):
            target = target.with_name(f"{target.name}.md")
        if await asyncio.to_thread(os.path.lexists, target):
            overwrite = Answer("overwrite", "Overwrite", "error")
            text = f"{one_line(str(target))} already exists."
            question = Question("Overwrite the file?", text, [overwrite])
            if await self.app.push_screen_wait(question) is None:
                return
        text = to_jsonl(conversation) if target.suffix == ".jsonl" else to_markdown(conversation)
        try:
            await asyncio.to_thread(target.parent.mkdir, parents=True, exist_ok=True)
            await asyncio.to_thread(write_atomically, target, text)
        except OSError as error:
            self.warn(f"Cannot save: {error}.")
        else:
            self.confirm(f"Saved to {one_line(str(target))}.")

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
        """Focus the sampling settings; where they have the focus, close them."""
        if self.form.has_focus_within:
            self._show_side(False)
            self._focus_again(self.focused_before_sampling)
        else:
            self.focused_before_sampling = self.focused
            self._show_side(True)
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
        self._name_sides()

    def action_preset(self, name: str) -> None:
        """Apply a preset."""
        try:
            self.form.apply_preset(name)
        except UserError as error:
            self.warn(str(error))

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
            text = "Both sides get the same prompts and seed. Compare two settings or two models?"
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
            self.confirm("Ctrl+T changes the right side's settings. A prompt goes to both sides.")
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
        had_focus = right.has_focus_within
        await right.remove()
        self.activate(self.left)
        if had_focus:
            self.prompt.focus()

    def activate(self, pane: ChatPane) -> None:
        """Make a side the one that settings and actions apply to."""
        assert pane.id is not None
        self.active_side = pane.id
        self.settings = pane.session.settings
        comparing = self.right is not None
        title = f"Sampling · {pane.id} side · Ctrl+L" if comparing else "Sampling"
        self.form.border_title = title
        for each in self.panes:
            each.set_class(comparing and each is pane, "-active")
        self._update()

    def _name_sides(self) -> None:
        """Title each side with the settings that differ from the other's."""
        left, right = self.left, self.right
        if right is None:
            left.side = ""
            return
        for pane, other in ((left, right), (right, left)):
            differing = describe_difference(pane.session.settings, other.session.settings)
            pane.side = " · ".join([(pane.id or "").capitalize(), *differing])

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
            self.warn("Type a prompt first: every checkpoint continues it.")
            return
        folder = expand_home(run) if run else self._run_of_model()
        if run and not await asyncio.to_thread(os.path.isdir, expand_home(run)):
            self.warn(f"Not a directory: {one_line(run)}")
            return
        if folder is None:
            folder = await self.app.push_screen_wait(RunList(self.runs or ()))
        if folder is not None:
            engine = EngineProcess(command=self.engine_command)
            dialog = CheckpointComparison(folder, prompt, self.settings, engine)
            await self.app.push_screen_wait(dialog)

    def _run_of_model(self) -> Path | None:
        """The run that the active side's model is a checkpoint of."""
        loaded = self.session.model.loaded
        folder = Path(loaded.source).parent if loaded is not None else None
        return folder.parent if folder is not None and folder.name == "ckpts" else None


def file_name(conversation: Conversation) -> str:
    """A file name from the conversation's title, without a suffix."""
    words = "".join(c if c.isalnum() else "-" for c in conversation.title.lower())
    return "-".join(part for part in words.split("-") if part)[:40] or "conversation"
