"""One side of the chat: what a person can do with a text and a model that goes on with it."""

from dataclasses import dataclass, field

from textual import work
from textual.message import Message

from simplegpt.config.schema import SamplingConfig
from simplegpt.inference.protocol import Alternative, Alternatives, AlternativesRequest
from tui.chat.answers import Given, answer_after, next_seed, other_choice
from tui.chat.conversations import Conversation, Turn
from tui.chat.engine import EngineExitError
from tui.chat.engine_pane import EngineLost, EnginePane, EngineSaid
from tui.chat.sampling_form import GenerationSettings


@dataclass(frozen=True)
class TakenBack:
    """The last exchange, out of the text: what a person had written in it."""

    text: str
    prefill: str


class ChatPane(EnginePane):
    """Every method that generates needs `can_generate`; those that return a bool say whether
    there was something to do."""

    @dataclass
    class AlternativesArrived(Message):
        """What else could have come at a token."""

        pane: "ChatPane" = field(repr=False)
        turn: Turn
        token: int
        answer: Alternatives

    BORDER_TITLE = "No model"

    def send(self, text: str, prefill: str = "", parent: str | None = None) -> None:
        """Add a person's text (and the answer's given beginning) after `parent`; answer it."""
        for role, written in (("you", text), ("prefill", prefill)):
            if written:
                turn = Turn.model_validate({"role": role, "text": written, "parent": parent})
                parent = self.conversation.add(turn).id
        self._answer(parent, self.settings)

    def go_on(self) -> None:
        """Generate what follows the text as it stands."""
        self._answer(self.conversation.leaf, self.settings)

    def again(self) -> bool:
        """Another answer in the place of the one under the cursor, from the next seed.

        The form's settings act; of the old answer only the place is kept.
        """
        turn = self.last_answer()
        if turn is None:
            return False
        seed = next_seed(self.conversation, turn).seed
        sampling = self.settings.sampling.model_copy(update={"seed": seed})
        self._answer(turn.parent, self.settings.model_copy(update={"sampling": sampling}))
        return True

    def repeat(self) -> Turn | None:
        """The same answer once more, from its own seed and settings; returns the old one."""
        turn = self.last_answer()
        if turn is None or turn.sampling is None:
            return None
        settings = GenerationSettings(
            n_tokens_to_generate=max(1, turn.n_tokens_to_generate), sampling=turn.sampling
        )
        given = None
        if turn.n_given:
            n = turn.n_given
            ids_before = list(turn.prompt_ids)
            given = Given(ids_before, turn.ids[:n], turn.pieces[:n], turn.logprobs[:n])
        self._answer(turn.parent, settings, given)
        return turn

    def choose(self, turn: Turn, token: int, choice: Alternative, ids_before: list[int]) -> None:
        """Go on from another token in the place of an answer's own."""
        given = other_choice(turn, token, choice, ids_before)
        sampling = turn.sampling or SamplingConfig()
        settings = self.settings.model_copy(
            update={"sampling": self.settings.sampling.model_copy(update={"seed": sampling.seed})}
        )
        self._answer(turn.parent, settings, given)

    def _answer(
        self, parent: str | None, settings: GenerationSettings, given: Given | None = None
    ) -> None:
        assert self.loaded is not None
        self.generate(answer_after(self.conversation, parent, settings, self.loaded, given))

    # The tree

    def open(self, conversation: Conversation) -> None:
        """Show another conversation."""
        self.conversation = conversation
        self.show()

    def last_answer(self) -> Turn | None:
        """The answer under the cursor; without one, the last of the text."""
        turn = self.current_turn()
        if turn is not None and turn.role == "model":
            return turn
        answers = [t for t in self.conversation.path() if t.role == "model"]
        return answers[-1] if answers else None

    def undo(self) -> TakenBack | None:
        """Take the last exchange out of the text, into a branch of its own."""
        path = self.conversation.path()
        if not path:
            return None
        prefill = ""
        while path:
            turn = path.pop()
            if turn.role == "prefill":
                prefill = turn.text
            if turn.role == "you" or not path or path[-1].role == "model":
                break
        self.conversation.go_to(turn.parent)
        self.show()
        return TakenBack(turn.text if turn.role == "you" else "", prefill)

    def own_turn(self) -> Turn | None:
        """The person's turn under the cursor, or the last before it."""
        turn = self.current_turn()
        path = self.conversation.path(turn.id) if turn is not None else []
        written = [t for t in path if t.role == "you"]
        return written[-1] if written else None

    def branch(self) -> bool:
        """End the text after the turn under the cursor; what followed stays as a branch."""
        turn = self.current_turn()
        if turn is None or turn.id == self.conversation.leaf:
            return False
        self.conversation.go_to(turn.id)
        self.show()
        return True

    def show_sibling(self, offset: int) -> bool:
        """Show the answer (or text) before or after the one under the cursor."""
        turn = self.current_turn()
        if turn is None or not self.conversation.show_sibling(turn, offset):
            return False
        self.show()
        return True

    # Looking inside

    def ask_alternatives(self, turn: Turn, token: int) -> None:
        """Ask what else could have come at a token; the answer is an `AlternativesArrived`."""
        if self.can_generate:
            self._run_alternatives(self._job, turn, token, self.settings)

    @work(group="alternatives", exclusive=True)
    async def _run_alternatives(
        self, job: int, turn: Turn, token: int, settings: GenerationSettings
    ) -> None:
        path = self.conversation.path(turn.id)[:-1]
        earlier = 0
        for before in reversed(path):
            if before.role != "model" or not before.ids:
                break
            earlier += len(before.ids)
        try:
            ids = turn.prompt_ids
            if not ids:
                text = "".join(t.text for t in path)
                ask = AlternativesRequest(id=self.engine.new_id(), prompt=text, k=1)
                async for answer in self.engine.answers(ask):
                    if not isinstance(answer, Alternatives):
                        self.post_message(EngineSaid(job, answer))
                        return
                    ids = answer.prompt_ids
            ask = AlternativesRequest(
                id=self.engine.new_id(),
                prompt_ids=[*ids, *turn.ids[:token]],
                k=40,
                sampling=settings.sampling,
                n_generated=earlier + token,
            )
            async for answer in self.engine.answers(ask):
                if isinstance(answer, Alternatives):
                    self.post_message(self.AlternativesArrived(self, turn, token, answer))
                else:
                    self.post_message(EngineSaid(job, answer))
        except EngineExitError as error:
            self.post_message(EngineLost(job, str(error)))
