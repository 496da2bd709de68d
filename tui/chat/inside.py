"""The chat's look inside: probabilities, alternatives, and other views of the text."""

from textual import on, work

from tui.chat.alternatives import AlternativesWindow, Asked
from tui.chat.base import ChatBase
from tui.chat.chat_pane import ChatPane
from tui.chat.transcript import PieceChosen, Transcript


class InsideActions(ChatBase):
    """What one can see of an answer besides its text."""

    def action_probabilities(self) -> None:
        wanted = not self.active.transcript.probabilities
        for pane in self.panes:
            pane.transcript.probabilities = wanted
            pane.show_turn()

    async def action_markdown(self) -> None:
        wanted = not self.active.is_rendered
        for pane in self.panes:
            await pane.show_markdown(wanted)

    def action_copy(self, what: str = "") -> None:
        """Copy the answer under the cursor, or the last one; ``all``: the whole text."""
        if what == "all":
            text = self.active.conversation.text
        else:
            answer = self.active.last_answer()
            text = answer.text if answer is not None else ""
        if text:
            self.app.copy_to_clipboard(text)
            self.tell(f"Copied {len(text):,} characters.")

    @on(PieceChosen)
    def _piece_chosen(self, event: PieceChosen) -> None:
        event.stop()
        pane = self._pane_of(event.transcript)
        turn = pane.conversation.turns.get(event.piece.turn)
        if turn is None or event.piece.token is None:
            self.tell("That is your own text: e edits it, b branches from here.")
        elif pane.is_busy:
            self.complain("Wait for the answer, or stop it with Esc.")
        elif not pane.can_generate:
            self.complain("No model is loaded: F7 chooses one.")
        else:
            pane.ask_alternatives(turn, event.piece.token)

    def _pane_of(self, transcript: Transcript) -> ChatPane:
        return next(pane for pane in self.panes if pane.transcript is transcript)

    @on(ChatPane.AlternativesArrived)
    def _alternatives_arrived(self, event: ChatPane.AlternativesArrived) -> None:
        event.stop()
        self._choose(event)

    @work(group="alternatives", exclusive=True)
    async def _choose(self, event: ChatPane.AlternativesArrived) -> None:
        """Show the alternatives; go on from the one that was chosen."""
        turn, token, pane = event.turn, event.token, event.pane
        before = "".join(t.text for t in pane.conversation.path(turn.id)[:-1])
        asked = Asked(
            before + "".join(turn.pieces[:token]),
            turn.ids[token],
            turn.pieces[token],
            pane.settings.sampling,
        )
        window = AlternativesWindow(asked, event.answer.alternatives)
        choice = await self.app.push_screen_wait(window)
        if choice is not None and pane.can_generate:
            pane.choose(turn, token, choice, event.answer.prompt_ids)
