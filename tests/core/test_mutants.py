"""The state machine has to notice when the core is wrong: each mutant here is one way in which it could be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from openlive.core import turn_taking
from openlive.core.commands import CancelReply, Command
from openlive.core.listening.activity import ActivityTracker
from openlive.core.listening.user_turn import UserTurnTracker
from openlive.core.listening.utterance import Utterance
from openlive.core.memory import tokens
from openlive.core.memory.context import Context
from openlive.core.replying.dialogue import Dialogue
from openlive.core.replying.reply import Reply
from openlive.core.session import Session
from tests.core.mutants import Mutate, run_machine
from tests.core.test_state_machine import AnyOrder


def never_stops_the_engine(patch: pytest.MonkeyPatch) -> None:
    take = Session.handle

    def handle(self: Session, *arguments: Any) -> list[Command]:
        return [c for c in take(self, *arguments) if not isinstance(c, CancelReply)]

    patch.setattr(Session, "handle", handle)


def lets_late_output_through(patch: pytest.MonkeyPatch) -> None:
    interrupt = Dialogue.interrupt

    def keep(self: Dialogue, **arguments: Any) -> None:
        reply = self._reply
        interrupt(self, **arguments)
        self._reply = self._reply or reply

    patch.setattr(Dialogue, "interrupt", keep)


def ends_the_turn_before_playback(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Reply, "plays_until", property(lambda self: self.progress_at))


def forgets_gaps_in_the_audio(patch: pytest.MonkeyPatch) -> None:
    speak = Reply._send_speech

    def gapless(self: Reply, output: Any, now: float) -> list[Command]:
        return speak(self, output, min(now, self._plays_until))

    patch.setattr(Reply, "_send_speech", gapless)


def tells_the_interruption_last(patch: pytest.MonkeyPatch) -> None:
    interrupt = Dialogue.interrupt

    def backwards(self: Dialogue, **arguments: Any) -> None:
        before = len(self.out)
        interrupt(self, **arguments)
        self.out[before:] = reversed(self.out[before:])

    patch.setattr(Dialogue, "interrupt", backwards)


def forgets_the_lists_of_usage(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(tokens, "_modality_details", lambda counts: ())


def leaves_an_utterance_open(patch: pytest.MonkeyPatch) -> None:
    def timers(self: UserTurnTracker) -> Iterator[Any]:
        return iter(())

    patch.setattr(UserTurnTracker, "_timers", timers)


def drops_what_waits(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Context, "take_waiting", lambda self: bool(self.pending_turn.take_waiting()[:0]))


def never_releases(patch: pytest.MonkeyPatch) -> None:
    release = Reply.release_output

    def held(self: Reply) -> Any:
        out = release(self)
        self.held = True
        return out

    patch.setattr(Reply, "release_output", held)


def sends_what_is_held(patch: pytest.MonkeyPatch) -> None:
    def leak(self: Dialogue, output: Any) -> None:
        assert self._reply is not None
        self.out += self._reply.send_output(output, self.now)

    patch.setattr(Dialogue, "take_output", leak)


def believes_an_old_transcript(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Utterance, "resume", lambda self: setattr(self, "horizon", None))


def never_hears_an_end(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ActivityTracker, "_check_silence", lambda self: None)
    patch.setattr(UserTurnTracker, "_commit_turn", lambda self, now: None)


def interrupts_by_the_onset(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Dialogue, "is_answering", property(lambda self: False))


def takes_back_channels_for_words(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(turn_taking, "wants_the_floor", lambda text, *, final: text != "")


def loses_words_beside_an_answer(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(turn_taking, "wants_the_floor", lambda text, *, final: False)


MUTANTS: list[Mutate] = [
    never_stops_the_engine,
    lets_late_output_through,
    ends_the_turn_before_playback,
    forgets_gaps_in_the_audio,
    tells_the_interruption_last,
    forgets_the_lists_of_usage,
    leaves_an_utterance_open,
    drops_what_waits,
    never_releases,
    sends_what_is_held,
    believes_an_old_transcript,
    never_hears_an_end,
    interrupts_by_the_onset,
    takes_back_channels_for_words,
    loses_words_beside_an_answer,
]


@pytest.mark.parametrize("mutate", MUTANTS, ids=lambda mutate: mutate.__name__)
def test_is_killed(mutate: Mutate, monkeypatch: pytest.MonkeyPatch) -> None:
    mutate(monkeypatch)
    with pytest.raises((AssertionError, KeyError)):
        run_machine(AnyOrder, examples=800)
