"""A dialogue that outlives its connection: its state as a snapshot, and a dialogue that goes on from one."""

from __future__ import annotations

from msgspec.structs import replace

from openlive.core.memory.snapshot import Asking, Ears, Snapshot
from openlive.core.replying.dialogue import Dialogue
from openlive.core.replying.function_calls import Calls
from openlive.core.replying.reply import Reply
from openlive.types import FunctionDeclaration, Message
from openlive.wire.server import MediaModality

Setting = tuple[str, tuple[FunctionDeclaration, ...]]
"""Instructions and functions."""


class Kept(Dialogue):
    def snapshot(self, first: Setting, ears: Ears) -> Snapshot:
        """The state now. `first`: what the setup said. An answer in progress is cut: what was heard of it is kept."""
        reply = self._reply if self._reply is not None and not self._reply.held else None
        cut, waiting, asking = None, list(self._unsaid.waiting), self._asking
        pending, results = self._calls.pending, tuple(self._calls.results)
        if reply is not None:
            cut, calls = self._cut(reply), self._sent_calls(reply)
            if calls and not self._blocked:
                waiting.insert(0, (self._calls.untold(self._first) or Message("user", ()), True))
                pending, results = tuple(replace(p, told=True) for p in pending), ()
            elif calls and not self.settings.profile.turn_complete_after_call:
                asking = reply
        if self._unsaid.typed and not self.settings.transparent:  # such a client says it again
            waiting.append((Message("user", tuple(self._unsaid.typed)), True))
        if self._unsaid.begun is not None:
            waiting.append((Message("user", (self._unsaid.begun,)), True))
        return Snapshot(
            session=self._context.conversation,
            messages=self.history.messages + ((cut,) if cut is not None and cut.parts else ()),
            kept=self.history.kept,
            engine_ratio=self.history.engine_ratio,
            waiting=tuple(waiting),
            loading=self.loading,
            seen=tuple(self._unsaid.seen),
            calls=tuple(replace(p, asked_at=p.asked_at - self.now) for p in pending),
            call_number=self._calls.number,
            turn=self._turn,
            first=self._first,
            asking=None if asking is None else self._as_asked(asking),
            instructions=(first[0], self.settings.instructions),
            functions=(first[1], self.settings.functions),
            results=results,
            found=self._calls.found,
            ears=ears,
        )

    def _as_asked(self, reply: Reply) -> Asking:
        spent = reply.spent()
        left = replace(spent, plays_until=max(0.0, spent.plays_until - self.now))
        return Asking(left, {modality.name: count for modality, count in reply.prompt.items()})

    def restore(self, snapshot: Snapshot, first: Setting) -> None:
        """Goes on from `snapshot`. `first`: what the new setup says; its changes since hold where it says the same."""
        self.history.restore(snapshot.messages, snapshot.kept, snapshot.engine_ratio)
        self._context.restored()
        for message, answered in snapshot.waiting:
            self._unsaid.wait(message, answered=answered)
        self.loading = snapshot.loading
        self._unsaid.seen = list(snapshot.seen)
        self._calls = Calls(
            self.out,
            self._limits,
            self.settings.window,
            number=snapshot.call_number,
            pending=(replace(p, asked_at=p.asked_at + self.now) for p in snapshot.calls),
            results=snapshot.results,
            found=snapshot.found,
        )
        self._calls.run_again()
        self._turn, self._first = snapshot.turn, snapshot.first
        self._context.update(
            snapshot.instructions[1] if snapshot.instructions[0] == first[0] else None,
            snapshot.functions[1] if snapshot.functions[0] == first[1] else None,
            self.settings.missing_tools if snapshot.functions[0] == snapshot.functions[1] else (),
        )
        if snapshot.asking is not None:
            spent, counts = snapshot.asking.spent, snapshot.asking.prompt
            spent = replace(spent, plays_until=spent.plays_until + self.now)
            prompt = {MediaModality[name]: count for name, count in counts.items()}
            self._asking = Reply.resumed(snapshot.turn, self._context.request(()), spent, prompt)
