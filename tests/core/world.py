"""A world for the core: a client, scripted engines and a clock, all virtual. No sleeps, no sockets."""

from __future__ import annotations

import base64
import heapq
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from openlive import types
from openlive.core.commands import (
    CallMark,
    CancelReply,
    CancelSceneJudgement,
    CloseConnection,
    Command,
    DetectSpeech,
    EndGeneration,
    EndRecognition,
    FeedRecognition,
    FlushRecognition,
    JudgeAddressee,
    JudgeScene,
    JudgeTurn,
    Prefill,
    RestoreState,
    RunTool,
    SaveState,
    Send,
    SpeculationOutcome,
    StartRecognition,
    StartReply,
    StopTool,
    TrimAudio,
    TurnMark,
)
from openlive.core.events import (
    AddresseeJudged,
    AudioArrived,
    ConnectionOpened,
    Event,
    FramesJudged,
    MessageReceived,
    OutputProduced,
    ReplyFinished,
    SceneJudged,
    StageFailed,
    StateSaved,
    ToolFinished,
    Transcribed,
    TurnJudged,
)
from openlive.core.listening import backchannel
from openlive.core.memory.snapshot import Snapshot
from openlive.core.session import Session
from openlive.core.setup.limits import SessionLimits
from openlive.core.setup.profile import ModelProfile
from openlive.types import (
    INPUT_RATE,
    OUTPUT_RATE,
    Heard,
    Message,
    Output,
    Request,
    Speech,
    Text,
    ToolResult,
    Transcript,
)
from openlive.wire.client import parse_message
from openlive.wire.server import ServerMessage, encode

FRAME = 512
MODEL = "gemini-live-2.5-flash-preview"
PROFILES = {MODEL: ModelProfile(MODEL)}
TALK: dict[str, Any] = {
    "model": f"models/{MODEL}",
    "generationConfig": {"responseModalities": ["AUDIO"]},
    "inputAudioTranscription": {},
    "outputAudioTranscription": {},
}


class Word(msgspec.Struct, frozen=True):
    """Spoken from `start` to `end`, in seconds of the client's audio."""

    start: float
    end: float
    text: str


def words(text: str, start: float = 0.0, each: float = 0.3) -> list[Word]:
    """`text` spoken without a pause from `start` on."""
    return [Word(start + i * each, start + (i + 1) * each, w) for i, w in enumerate(text.split())]


def speech(seconds: float, text: str) -> Output:
    return Speech(bytes(2 * round(seconds * OUTPUT_RATE)), text)


Script = Sequence[tuple[float, Output]]
"""What a reply produces: seconds since the piece before, and the piece."""


def spoken(text: str, *, seconds: float = 1.0, delay: float = 0.2) -> Script:
    return [(delay, Text(text)), (delay, speech(seconds, text))]


class World:
    """Runs a session against a plan. `log` has what the client saw: (time, message)."""

    def __init__(
        self,
        setup: dict[str, Any] | None = None,
        *,
        plan: Sequence[Word] = (),
        replies: Sequence[Script | None] = (),
        limits: SessionLimits | None = None,
        profile: ModelProfile | None = None,
        stt_delay: float | None = 0.05,
        vad_delay: float = 0.001,
        dead_streams: Sequence[int] = (),
        vertex: bool = False,
        tools: Mapping[str, tuple[float, ToolResult]] | None = None,
        judge: Callable[[float], float] = lambda _: 0.5,
        judge_delay: float | None = 0.03,
        make: type[Session] = Session,
        prosody: Callable[[float], types.Prosody | None] = lambda _: None,
        version: str = "v1beta",
        aside: str = "",
        addressee_delay: float | None = 0.04,
        notable: bytes = b"!",
        scene_delay: float | None = 0.5,
    ) -> None:
        """`tools`: how long each takes, and what it comes to. `judge`: how likely the user has finished at a time;
        `prosody`: how what was said up to then sounds. `aside`: what has this in it is not meant for the model.
        `notable`: a frame with this in it is worth a word."""
        self.notable = notable
        self.scene_delay = scene_delay
        self.aside = aside
        self.addressee_delay = addressee_delay
        self.tools = tools or {}
        self.profile = profile or PROFILES[MODEL]
        self.judge = judge
        self.judge_delay = judge_delay
        self.prosody = prosody
        self.now = 0.0
        self.session = make({profile.name: profile} if profile else PROFILES, limits)
        self.plan = plan
        self.stt_delay = stt_delay
        self.vad_delay = vad_delay
        self.dead_streams = dead_streams
        self.log: list[tuple[float, ServerMessage]] = []
        self.commands: list[tuple[float, Command]] = []
        self.steps: list[tuple[Event | None, list[Command]]] = []
        self.closed: CloseConnection | None = None
        self.saved: Snapshot | None = None
        self._replies = list(replies)
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._sent = 0
        self._judged: dict[int, int] = {}
        self._heard: dict[int, int] = {}
        self._listening: dict[int, int] = {}
        self._timing: dict[int, bool] = {}
        """Whether the words of an utterance are to be told with their offsets."""
        self._measured: dict[int, bool] = {}
        """Whether it is to be told how an utterance sounds."""
        self._answering: set[int] = set()
        self.requests: list[Request] = []
        self.finished: set[int] = set()
        """Turns whose engine is done, because it said so or because it was stopped."""
        self.injected: set[int] = set()
        """Utterances of which a test said something itself."""
        self._guesses: dict[int, int] = {}
        self._over: dict[int, str] = {}
        if setup is not None:
            self.event(ConnectionOpened("s", version, vertex=vertex))
            self.client({"setup": setup})

    # What a test does.

    def event(self, event: Event | None) -> list[Command]:
        match event:
            case ReplyFinished(turn) | StageFailed("reply", turn):
                self.finished.add(turn)
        commands = self.session.handle(event, self.now)
        self.steps.append((event, commands))
        for command in commands:
            assert self.closed is None, f"{command} after {self.closed}"
            self.commands.append((self.now, command))
            self._do(command)
        return commands

    def client(self, message: dict[str, Any]) -> list[Command]:
        return self.event(MessageReceived(parse_message(msgspec.json.encode(message))))

    def text(self, text: str, *, complete: bool = True) -> list[Command]:
        turns = [{"role": "user", "parts": [{"text": text}]}]
        return self.client({"clientContent": {"turns": turns, "turnComplete": complete}})

    def frame(self, shows: str) -> list[Command]:
        data = base64.b64encode(b"\xff\xd8" + shows.encode()).decode()
        return self.client({"realtimeInput": {"video": {"mimeType": "image/jpeg", "data": data}}})

    def blob(self, seconds: float) -> None:
        """The next `seconds` of the client's audio in one message."""
        self.event(AudioArrived(round(seconds * INPUT_RATE)))

    def stream(self, seconds: float, *, chunk: float = 0.1) -> None:
        """The same as from a microphone: a message every `chunk` seconds from now on, while the world runs."""
        end = self.now + seconds
        while self.now < end - 1e-9:
            self.run(min(chunk, end - self.now))
            self.blob(chunk)

    def run(self, seconds: float) -> None:
        """Lets time pass: engines answer, deadlines are kept."""
        until = self.now + seconds
        for _ in range(100_000):
            at = self._agenda[0][0] if self._agenda else float("inf")
            deadline = self.session.deadline
            due = min(at, deadline if deadline is not None else float("inf"))
            if due > until:
                break
            if deadline is not None and deadline <= at:
                self.now = max(self.now, deadline)
                self.event(None)
                again = self.session.deadline
                assert again is None or again > deadline, f"a deadline at {deadline} that does not pass"
            else:
                self.now = max(self.now, at)
                heapq.heappop(self._agenda)[2]()
        else:
            raise AssertionError("the world does not come to rest")
        self.now = until

    def later(self, delay: float, event: Event) -> None:
        heapq.heappush(self._agenda, (self.now + delay, next(self._order), lambda: void(self.event(event))))

    # What the client saw.

    @property
    def messages(self) -> list[ServerMessage]:
        return [message for _, message in self.log]

    def kinds(self) -> list[str]:
        """Each message as a word; runs of audio or text are told once."""
        kinds = [kind(message) for message in self.messages]
        return [k for i, k in enumerate(kinds) if i == 0 or k != kinds[i - 1] or k not in ("audio", "text", "heard")]

    def at(self, what: str) -> list[float]:
        return [at for at, message in self.log if kind(message) == what]

    @property
    def transcript(self) -> str:
        """Of the user, as a client joins it."""
        contents = [m.server_content for m in self.messages if m.server_content]
        return "".join(c.input_transcription.text or "" for c in contents if c.input_transcription)

    @property
    def history(self) -> list[tuple[str, str]]:
        return [(m.role, m.text) for m in self.session.messages]

    def of(self, kind: type[Command]) -> list[Any]:
        return [command for _, command in self.commands if isinstance(command, kind)]

    # The engines.

    def _do(self, command: Command) -> None:
        match command:
            case Send(message, turn):
                encode(message)
                guessed = self._guesses.get(turn)
                assert guessed not in self._heard, "an answer to a turn that is not decided"
                self.log.append((self.now, message))
            case CloseConnection():
                self.closed = command
            case DetectSpeech(stream, start, end):
                self._detect(stream, start, end)
            case StartRecognition() | FeedRecognition() | FlushRecognition() | EndRecognition() | JudgeTurn():
                self._listen(command)
            case JudgeAddressee() | JudgeScene():
                self._judge(command)
            case StartReply(turn, request):
                assert self.finished.issuperset(range(1, turn)), "two replies at work"
                self.requests.append(request)
                self._check_heard(turn, request)
                self._answering.add(turn)
                script = self._replies.pop(0) if self._replies else spoken(f"Answer {turn}.")
                if script is not None:
                    self._reply(turn, list(script))
            case CancelReply(turn) | EndGeneration(turn):
                self._answering.discard(turn)
                self.finished.add(turn)
            case SaveState(snapshot, tell, consumed):
                self.saved = snapshot
                if tell:
                    self.later(0, StateSaved(f"handle-{len(self.of(SaveState))}", consumed))
            case RunTool(tool, call):
                if tool in self.tools:
                    delay, result = self.tools[tool]
                    self.later(delay, ToolFinished(call.id, result))
            case (
                CancelSceneJudgement()
                | Prefill()
                | TurnMark()
                | SpeculationOutcome()
                | CallMark()
                | TrimAudio()
                | RestoreState()
                | StopTool()
            ):
                pass

    def _judge(self, command: JudgeAddressee | JudgeScene) -> None:
        match command:
            case JudgeAddressee(utterance, number, request):
                if self.addressee_delay is not None:
                    meant = 0.1 if self.aside and self.aside in request.messages[-1].text else 0.9
                    self.later(self.addressee_delay, AddresseeJudged(utterance, number, meant))
            case JudgeScene(number, request):
                if self.scene_delay is not None:
                    image = request.messages[-1].parts[-1]
                    assert isinstance(image, types.Image)
                    self.later(self.scene_delay, SceneJudged(number, 0.6 if self.notable in image.data else 0.4))

    def _listen(
        self, command: StartRecognition | FeedRecognition | FlushRecognition | EndRecognition | JudgeTurn
    ) -> None:
        match command:
            case StartRecognition(utterance, words=words, prosody=prosody):
                self._heard[utterance], self._timing[utterance], self._measured[utterance] = -1, words, prosody
            case FeedRecognition(utterance, start, end):
                self._hear(utterance, start, end)
            case FlushRecognition(utterance):
                self._transcribe(utterance, final=True)
            case EndRecognition(utterance):
                self._over[utterance] = self._said(utterance)
                self._heard.pop(utterance)
            case JudgeTurn(utterance, _, end):
                if self.judge_delay is not None:
                    self.later(self.judge_delay, TurnJudged(utterance, end, self.judge(end / INPUT_RATE)))

    def _detect(self, stream: int, start: int, end: int) -> None:
        if stream in self.dead_streams:
            return
        first = self._judged.setdefault(stream, start)
        last = end - (end - first) % FRAME
        self._judged[stream] = last
        frames = [(self._speech((i + FRAME / 2) / INPUT_RATE), FRAME) for i in range(first, last, FRAME)]
        if frames:
            self.later(self.vad_delay, FramesJudged(stream, tuple(frames)))

    def _speech(self, at: float) -> float:
        return 0.95 if any(w.start <= at < w.end for w in self.plan) else 0.02

    def _hear(self, utterance: int, start: int, end: int) -> None:
        assert start < end
        known = self._heard[utterance]
        if known < 0:
            self._listening[utterance] = start
        else:
            assert start == known, f"utterance {utterance} misses samples {known} to {start}"
        self._heard[utterance] = end
        if (end - self._listening[utterance]) // 8000 > (max(known, 0) - self._listening[utterance]) // 8000:
            self._transcribe(utterance, final=False)

    def _transcribe(self, utterance: int, *, final: bool) -> None:
        if self.stt_delay is None:
            return
        text = self._said(utterance)
        heard = max(self._heard[utterance], 0)
        words = self._timed(utterance) if final and self._timing[utterance] else ()
        prosody = self.prosody(heard / INPUT_RATE) if final and self._measured[utterance] else None
        self.later(self.stt_delay, Transcribed(utterance, Transcript(text, heard, final, "en", words, prosody)))

    def _said(self, utterance: int) -> str:
        return " ".join(w.text for w in self._words(utterance))

    def _words(self, utterance: int) -> list[Word]:
        start, end = self._listening.get(utterance, 0) / INPUT_RATE, self._heard[utterance] / INPUT_RATE
        return [w for w in self.plan if start <= w.start and (w.start + w.end) / 2 <= end]

    def _timed(self, utterance: int) -> tuple[types.Word, ...]:
        """As a recogniser counts: from the beginning of the utterance."""
        start = self._listening.get(utterance, 0)
        ends = [(w.text, round(w.start * INPUT_RATE), round(w.end * INPUT_RATE)) for w in self._words(utterance)]
        return tuple(types.Word(text, first - start, last - start) for text, first, last in ends)

    def _check_heard(self, turn: int, request: Request) -> None:
        """Is everything that was said in the open utterance in the request, and is its answer held until it is over?"""
        said = {**self._over, **{utterance: self._said(utterance) for utterance in self._heard}}
        for part in request.messages[-1].parts:
            if isinstance(part, Heard):
                of_it = [u for u in said if part.start <= self._listening.get(u, -1) < max(part.end, part.start + 1)]
                if of_it and part.start == self._listening[of_it[0]]:
                    self._guesses[turn] = of_it[-1]
                    whole = [text for u in of_it if (text := said[u])]
                    # What was said meanwhile beside an answer, and was none of its business, may have been left out.
                    meant = [t for i, t in enumerate(whole) if i in (0, len(whole) - 1) or not self._beside(t)]
                    assert self.injected.intersection(of_it) or part.text in (" ".join(whole), " ".join(meant))

    def _beside(self, text: str) -> bool:
        return bool(self.aside and self.aside in text) or not backchannel.wants_the_floor(text, final=True)

    def _reply(self, turn: int, script: list[tuple[float, Output]]) -> None:
        def step() -> None:
            if turn not in self._answering:
                return
            if not script:
                self._answering.discard(turn)
                self.event(ReplyFinished(turn))
                return
            _, output = script.pop(0)
            self.event(OutputProduced(turn, output))
            push(script[0][0] if script else 0.0)

        def push(delay: float) -> None:
            heapq.heappush(self._agenda, (self.now + delay, next(self._order), step))

        push(script[0][0] if script else 0.0)

    def fall_silent(self) -> None:
        """No engine says anything any more, whatever it was asked or will be."""
        self._agenda.clear()
        self._replies = [None] * 100
        self.dead_streams, self.tools = range(1000), {}
        self.stt_delay = self.judge_delay = self.addressee_delay = self.scene_delay = None

    def fail(self, turn: int) -> None:
        self._answering.discard(turn)
        self.event(StageFailed("reply", turn, "it broke"))


def void(_: object) -> None:
    return None


def kind(message: ServerMessage) -> str:
    content = message.server_content
    for name in ("setup_complete", "tool_call", "tool_call_cancellation", "session_resumption_update", "go_away"):
        if getattr(message, name) is not None:
            head, *rest = name.split("_")
            return head + "".join(part.title() for part in rest)
    if message.voice_activity is not None:
        return f"{message.voice_activity.type}"
    if message.voice_activity_detection_signal is not None:
        return f"{message.voice_activity_detection_signal.vad_signal_type}"
    if content is None:
        assert message.usage_metadata is not None, message
        return "usage"
    if content.interrupted:
        return "interrupted"
    if content.generation_complete:
        return "generationComplete"
    if content.turn_complete:
        assert message.usage_metadata is not None
        return "turnComplete"
    if content.input_transcription is not None:
        return "heardFinished" if content.input_transcription.finished else "heard"
    if content.interim_input_transcription is not None:
        return "heardPerhaps"
    if content.output_transcription is not None:
        return "saidFinished" if content.output_transcription.finished else "said"
    if content.grounding_metadata is not None or content.url_context_metadata is not None:
        return "found"
    assert content.model_turn is not None
    part = content.model_turn.parts[0]
    if part.thought:
        return "thought"
    if part.executable_code is not None or part.code_execution_result is not None:
        return "code"
    return "text" if part.text is not None else "audio"


def conversation(request: Request) -> list[tuple[str, str]]:
    return [(m.role, m.text) for m in request.messages]


__all__ = ["TALK", "Message", "Word", "World", "conversation", "kind", "speech", "spoken", "words"]
