"""A dialogue that outlives its connection: its state as a snapshot, and a dialogue that goes on from one."""

from __future__ import annotations

from msgspec.structs import replace

from openlive.core.memory.snapshot import HearingState, Snapshot, SuspendedTurn
from openlive.core.replying.dialogue import Dialogue
from openlive.core.replying.function_calls import FunctionCalls
from openlive.core.replying.reply import Reply
from openlive.types import FunctionDeclaration, Message
from openlive.wire.server import MediaModality

SetupContext = tuple[str, tuple[FunctionDeclaration, ...]]
"""Instructions and functions."""


class ResumableDialogue(Dialogue):
    def take_snapshot(self, first: SetupContext, ears: HearingState) -> Snapshot:
        """The state now. `first`: what the setup said. An answer in progress is cut: what was heard of it is kept."""
        reply = self._reply if self._reply is not None and not self._reply.held else None
        cut, waiting, asking = None, list(self._pending_turn.waiting_messages), self._suspended_reply
        pending, results = self._calls.pending_calls, tuple(self._calls.results)
        if reply is not None:
            cut, calls = self._build_interrupted_message(reply), self._sent_calls(reply)
            if calls and not self._is_blocked:
                waiting.insert(0, (self._calls.build_results_message(self._first_part) or Message("user", ()), True))
                pending, results = tuple(replace(p, told=True) for p in pending), ()
            elif calls and not self.settings.profile.turn_complete_after_call:
                asking = reply
        if self._pending_turn.typed_parts and not self.settings.transparent:  # such a client says it again
            waiting.append((Message("user", tuple(self._pending_turn.typed_parts)), True))
        if self._pending_turn.resumed_utterance is not None:
            waiting.append((Message("user", (self._pending_turn.resumed_utterance,)), True))
        return Snapshot(
            session=self._context.conversation,
            messages=self.history.messages + ((cut,) if cut is not None and cut.parts else ()),
            kept=self.history.pinned_count,
            engine_ratio=self.history.engine_ratio,
            waiting=tuple(waiting),
            loading=self.loading_history,
            seen=tuple(self._pending_turn.frames),
            calls=tuple(replace(p, asked_at=p.asked_at - self.now) for p in pending),
            call_number=self._calls.number,
            turn=self._turn,
            first=self._first_part,
            asking=None if asking is None else self._to_suspended_turn(asking),
            instructions=(first[0], self.settings.instructions),
            functions=(first[1], self.settings.functions),
            results=results,
            found=self._calls.findings,
            ears=ears,
        )

    def _to_suspended_turn(self, reply: Reply) -> SuspendedTurn:
        spent = reply.output_so_far()
        left = replace(spent, plays_until=max(0.0, spent.plays_until - self.now))
        return SuspendedTurn(left, {modality.name: count for modality, count in reply.prompt_tokens.items()})

    def restore_snapshot(self, snapshot: Snapshot, first: SetupContext) -> None:
        """Goes on from `snapshot`. `first`: what the new setup says; its changes since hold where it says the same."""
        self.history.restore(snapshot.messages, snapshot.kept, snapshot.engine_ratio)
        self._context.count_restored_history()
        for message, answered in snapshot.waiting:
            self._pending_turn.queue_message(message, answered=answered)
        self.loading_history = snapshot.loading
        self._pending_turn.frames = list(snapshot.seen)
        self._calls = FunctionCalls(
            self.out,
            self._limits,
            self.settings.window,
            number=snapshot.call_number,
            pending=(replace(p, asked_at=p.asked_at + self.now) for p in snapshot.calls),
            results=snapshot.results,
            found=snapshot.found,
        )
        self._calls.rerun_tools()
        self._turn, self._first_part = snapshot.turn, snapshot.first
        self._context.update_setup(
            snapshot.instructions[1] if snapshot.instructions[0] == first[0] else None,
            snapshot.functions[1] if snapshot.functions[0] == first[1] else None,
            self.settings.missing_tools if snapshot.functions[0] == snapshot.functions[1] else (),
        )
        if snapshot.asking is not None:
            spent, counts = snapshot.asking.spent, snapshot.asking.prompt
            spent = replace(spent, plays_until=spent.plays_until + self.now)
            prompt = {MediaModality[name]: count for name, count in counts.items()}
            self._suspended_reply = Reply.create_resumed(snapshot.turn, self._context.build_request(()), spent, prompt)
