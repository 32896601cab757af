"""An engine that raises, hangs or answers late costs one turn at most: the client is told, the session lives."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager

import anyio
import pytest

from openlive.config.model import LimitSettings
from openlive.engines.api import Judged
from openlive.server.engines import Engines
from openlive.testing.scripted import Fault, ScriptedLLM, ScriptedSTT, ScriptedTTS, ScriptedVAD, ScriptedVADStream
from openlive.types import Request, Speech, Text, Transcript, Voice, Written
from tests.faults.neighbour import Talkative, undisturbed
from tests.raw import MANUAL, TALK, TEXT, Raw, audio, client, kinds, reason, text, transcript
from tests.serving import Scripted, Server, serving, silence, tone

pytestmark = pytest.mark.anyio

LIMITS = LimitSettings(detector_seconds=1.0, recogniser_seconds=1.0, reply_seconds=1.0)
FAULTS: list[Fault] = ["raise", "hang", "late"]
SENTENCE = tone(0.5) + silence(0.8)
FAILED = ("vad 1 failed", "stt 1 failed", "reply 1 failed", "turn 1: nothing came from the model for 1 s")


@contextmanager
def with_neighbour(scripted: Scripted) -> Iterator[tuple[Server, Talkative]]:
    talkative = Talkative(scripted)
    engines = Engines(vad=scripted.vad, stt=scripted.stt, responder=talkative)
    with serving(engines, limits=LIMITS, fails=FAILED) as server:
        yield server, talkative


async def works(raw: Raw) -> None:
    """A spoken turn goes as it should."""
    await raw.speak(SENTENCE)
    turn = await raw.turn()
    assert reason(turn) is None
    assert transcript(turn) == "hello"
    assert audio(turn)
    assert "generationComplete" in kinds(turn)


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_recogniser(fault: Fault) -> None:
    with with_neighbour(Scripted(stt=ScriptedSTT(faults={1: fault}))) as (server, talkative):
        async with undisturbed(server, talkative), client(server, TALK) as raw:
            await raw.speak(SENTENCE)
            turn = await raw.turn()
            assert reason(turn) == "INPUT_OTHER"
            assert kinds(turn)[-1] == "turnComplete"
            await works(raw)


async def test_a_recogniser_that_breaks_while_the_user_speaks() -> None:
    class Broken(ScriptedSTT):
        async def transcribe(
            self,
            audio: AsyncIterator[bytes],
            *,
            languages: Sequence[str] = (),
            phrases: Sequence[str] = (),
            words: bool = False,
        ) -> AsyncIterator[Transcript]:
            async for heard in super().transcribe(audio):
                yield heard
                if self.uses == 1:
                    raise OSError("the microphone's other end")

    with with_neighbour(Scripted(stt=Broken(transcripts=("one two three", "hello"), pace=0.1))) as (server, talkative):
        async with undisturbed(server, talkative), client(server, TALK) as raw:
            for _ in range(10):
                await raw.speak(tone(0.1))
            assert reason(await raw.turn()) == "INPUT_OTHER"
            await raw.speak(silence(1))
            await works(raw)


async def test_a_recogniser_that_cannot_be_had() -> None:
    """It raises before it gives anything to iterate over."""

    class Absent(ScriptedSTT):
        def transcribe(
            self,
            audio: AsyncIterator[bytes],
            *,
            languages: Sequence[str] = (),
            phrases: Sequence[str] = (),
            words: bool = False,
        ) -> AsyncIterator[Transcript]:
            if self.begin_use():
                raise OSError("no such model")
            self.uses -= 1
            return super().transcribe(audio)

    stt = Absent(faults={1: "raise"})
    with with_neighbour(Scripted(stt=stt)) as (server, talkative):
        async with undisturbed(server, talkative), client(server, TALK) as raw:
            await raw.speak(SENTENCE)
            assert reason(await raw.turn()) == "INPUT_OTHER"
            stt.faults = {}
            await works(raw)


@pytest.mark.parametrize("manual", [False, True])
async def test_a_recogniser_that_ends_without_a_word(manual: bool) -> None:
    class Mute(ScriptedSTT):
        async def transcribe(
            self,
            audio: AsyncIterator[bytes],
            *,
            languages: Sequence[str] = (),
            phrases: Sequence[str] = (),
            words: bool = False,
        ) -> AsyncIterator[Transcript]:
            if self.begin_use():
                return
            self.uses -= 1
            async for heard in super().transcribe(audio):
                yield heard

    stt = Mute(faults={1: "hang"})
    with with_neighbour(Scripted(stt=stt)) as (server, talkative):
        async with undisturbed(server, talkative), client(server, MANUAL if manual else TALK) as raw:
            for told in ("INPUT_OTHER", None):
                if manual:
                    await raw.say({"realtimeInput": {"activityStart": {}}})
                await raw.speak(SENTENCE)
                if manual:
                    await raw.say({"realtimeInput": {"activityEnd": {}}})
                assert reason(await raw.turn()) == told
                stt.faults = {}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_language_model(fault: Fault) -> None:
    with with_neighbour(Scripted(llm=ScriptedLLM(faults={1: fault}))) as (server, talkative):
        async with undisturbed(server, talkative), client(server, TEXT) as raw:
            await raw.ask("hello there")
            turn = await raw.turn()
            assert reason(turn) == "RESPONSE_REJECTED"
            assert text(turn) == ("You said:" if fault == "raise" else "")
            assert "generationComplete" not in kinds(turn)
            await raw.ask("again")
            turn = await raw.turn()
            assert text(turn) == "You said: again"
            assert reason(turn) is None


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_voice(fault: Fault) -> None:
    with with_neighbour(Scripted(tts=ScriptedTTS(character=0.01, faults={1: fault}))) as (server, talkative):
        async with undisturbed(server, talkative), client(server, TALK) as raw:
            await raw.ask("hello there")
            turn = await raw.turn()
            assert reason(turn) == "RESPONSE_REJECTED"
            assert audio(turn) == b""
            await works(raw)


@pytest.mark.parametrize("stage", ["stt", "llm", "tts"])
async def test_late_but_not_too_late(stage: str) -> None:
    late: dict[int, Fault] = {1: "late"}
    kinds = {"stt": ScriptedSTT, "llm": ScriptedLLM, "tts": ScriptedTTS}
    with with_neighbour(Scripted(**{stage: kinds[stage](faults=late, lateness=0.2)})) as (server, talkative):
        async with undisturbed(server, talkative), client(server, TALK) as raw:
            await works(raw)


@pytest.mark.parametrize("ending", ["raise", "hang"])
@pytest.mark.parametrize("speaks", [False, True])
async def test_a_model_in_the_middle_of_its_reply(ending: Fault, speaks: bool) -> None:
    class Halting(ScriptedLLM):
        async def generate(self, request: Request) -> AsyncIterator[Written]:
            fault = self.faults.get(self.uses + 1)
            async for piece in super().generate(request):
                yield piece
                if fault and isinstance(piece, Text) and piece.text.endswith("."):
                    await self.simulate_work(ending)

    llm = Halting(replies=("It is one. It is two.",))
    with with_neighbour(Scripted(llm=llm)) as (server, talkative):
        async with undisturbed(server, talkative), client(server, TALK if speaks else TEXT) as raw:
            llm.faults = {1: "late"}
            llm.lateness = 0
            await raw.ask("hello")
            turn = await raw.turn()
            assert reason(turn) == "RESPONSE_REJECTED"
            said = transcript(turn, "outputTranscription") if speaks else text(turn)
            assert said.strip() in (
                ("", "It is one.") if speaks else ("It is one.",)
            )  # a clause ends with what follows
            await raw.ask("hello")
            turn = await raw.turn()
            assert reason(turn) is None
            assert (transcript(turn, "outputTranscription") if speaks else text(turn)) == "It is one. It is two."


@pytest.mark.parametrize("ending", ["raise", "hang", "end"])
async def test_a_voice_in_the_middle_of_its_reply(ending: str) -> None:
    class Halting(ScriptedTTS):
        async def speak(self, text: AsyncIterator[str], voice: Voice) -> AsyncIterator[Speech]:
            fault = self.begin_use()
            async for clause in text:
                yield self.render_clause(clause)
                if fault and ending == "end":
                    return
                await self.simulate_work(fault)

    tts = Halting(character=0.01, faults={1: "hang" if ending == "hang" else "raise"})
    llm = ScriptedLLM(replies=("It is one. It is two. It is three.",))
    with with_neighbour(Scripted(llm=llm, tts=tts)) as (server, talkative):
        async with undisturbed(server, talkative), client(server, TALK) as raw:
            await raw.ask("hello")
            turn = await raw.turn()
            assert reason(turn) == "RESPONSE_REJECTED"
            assert transcript(turn, "outputTranscription").startswith("It is one.")
            assert audio(turn)
            await raw.ask("hello")
            turn = await raw.turn()
            assert reason(turn) is None
            assert transcript(turn, "outputTranscription") == "It is one. It is two. It is three."


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_model_that_fails_while_its_answer_is_held_costs_nothing(fault: Fault) -> None:
    """It answers before the end of the turn is decided; that answer is thrown away, and another one asked for."""
    with with_neighbour(Scripted(llm=ScriptedLLM(faults={1: fault}))) as (server, talkative):
        async with undisturbed(server, talkative), client(server, TALK) as raw:
            for piece in (tone(0.5), *[silence(0.1)] * 10):
                await raw.speak(piece)
                await anyio.sleep(0.1)  # a microphone
            turn = await raw.turn()
            assert reason(turn) is None or fault != "raise"
            await works(raw)


# --- detectors --------------------------------------------------------------------------------------------------------


class Moody(ScriptedVAD):
    """Its first stream fails at push number `at`, or cannot be made where that is 0."""

    at: int = 1
    fault: Fault = "raise"

    def stream(self, tell: Callable[[Judged], None]) -> ScriptedVADStream:
        if self.begin_use() == "late":
            if self.at == 0:
                raise OSError("no more streams")
            return MoodyStream(self, None, tell, self.at)
        return ScriptedVADStream(self, None, tell)


class MoodyStream(ScriptedVADStream):
    def __init__(self, script: Moody, fault: Fault | None, tell: Callable[[Judged], None], left: int) -> None:
        super().__init__(script, fault, tell)
        self._moody = script
        self._left = left

    async def judge_frames(self, audio: bytes) -> Sequence[tuple[float, int]]:
        self._left -= 1
        if self._left == 0:
            await self._moody.simulate_work(self._moody.fault)
        return await super().judge_frames(audio)

    def close(self) -> None:
        super().close()
        raise OSError("cannot even be closed")


async def started_anew(server: Server) -> None:
    assert await server.comes_to(lambda: any(s._hearing and s._hearing._detector_stream == 2 for s in server.sessions))


@pytest.mark.parametrize(("at", "fault"), [(0, "raise"), (1, "raise"), (1, "hang"), (1, "late")])
async def test_a_detector_from_the_start(at: int, fault: Fault) -> None:
    """A turn may have been missed, so the client is told; what is said next is heard."""
    vad = Moody(at=at, fault=fault, faults={1: "late"}, lateness=2.0)
    with with_neighbour(Scripted(vad=vad)) as (server, talkative):
        async with undisturbed(server, talkative), client(server, TALK) as raw:
            await raw.speak(SENTENCE)
            await started_anew(server)
            assert reason(await raw.turn()) == "INPUT_OTHER"
            await works(raw)


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_detector_while_the_user_speaks(fault: Fault) -> None:
    """What was heard so far is answered; what the new detector hears before anything of the answer is told goes on."""
    vad = Moody(at=6, fault=fault, faults={1: "late"}, lateness=2.0)
    with with_neighbour(Scripted(vad=vad)) as (server, talkative):
        async with undisturbed(server, talkative), client(server, TALK) as raw:
            for _ in range(8):
                await raw.speak(tone(0.1))
            turn = await raw.turn()
            assert reason(turn) is None
            assert transcript(turn) in ("hello", "hello hello")
            await works(raw)


async def test_a_detector_over_and_over() -> None:
    """Each costs its own audio only, and the session never ends."""
    vad = ScriptedVAD(faults=dict.fromkeys(range(1, 6), "raise"))
    with serving(Scripted(vad=vad).engines, limits=LIMITS, fails=("vad",)) as server:
        async with client(server, TALK) as raw:
            for failures in range(1, 6):
                await raw.speak(SENTENCE)
                hearing = server.sessions[0]._hearing
                assert hearing is not None
                assert await server.comes_to(lambda n=failures, h=hearing: h._detector_stream == n + 1)  # type: ignore[misc]
                assert reason(await raw.turn()) == "INPUT_OTHER"
            await works(raw)
