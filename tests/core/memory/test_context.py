"""What a conversation holds: contents, instructions, images, and how much of it."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from openlive.core.commands import CloseConnection, Prefill
from openlive.core.memory.history import ContextWindow, History
from openlive.core.setup.limits import SessionLimits
from openlive.core.setup.profile import ModelProfile
from openlive.types import FunctionCall, FunctionResponse, Heard, Image, Message, Text, Usage
from tests.core.world import MODEL, TALK, Script, World, conversation, speech, words

JPEG = {"mimeType": "image/jpeg", "data": "/9j/4AAQ"}
PNG = {"mimeType": "image/png", "data": "iVBORw0KGgo="}
WEBP = {"mimeType": "image/webp", "data": "UklGRhAAAABXRUJQ"}
TEXT: dict[str, Any] = {"model": MODEL, "generationConfig": {"responseModalities": ["TEXT"]}}


def say(length: int) -> Script:
    return [(0.1, Text("b" * length))]


LOOK: Script = [(0.1, FunctionCall("", "look", {}))]


class TestInstructions:
    def test_a_system_turn_replaces_them(self) -> None:
        world = World({**TEXT, "systemInstruction": "Be brief."}, replies=[say(4)])
        turn = {"role": "system", "parts": [{"text": "Speak like a pirate."}]}
        world.client({"clientContent": {"turns": [turn], "turnComplete": False}})
        world.text("Hello")
        assert world.requests[0].instructions == "Speak like a pirate."
        assert conversation(world.requests[0]) == [("user", "Hello")]

    def test_a_context_update_replaces_them_and_the_tools(self) -> None:
        world = World({**TEXT, "tools": [{"functionDeclarations": [{"name": "f"}]}]}, replies=[say(4), say(4)])
        world.text("Hello")
        assert [f.name for f in world.requests[0].functions] == ["f"]
        world.run(1)
        update = {"systemInstruction": {"parts": [{"text": "New."}]}, "tools": {"tools": []}}
        world.client({"contextUpdate": update})
        assert world.of(Prefill)[-1].request.instructions == "New."
        world.text("Again")
        assert world.requests[1].instructions == "New."
        assert world.requests[1].functions == ()

    def test_an_update_of_one_leaves_the_other(self) -> None:
        world = World({**TEXT, "systemInstruction": "Old."})
        world.client({"contextUpdate": {"tools": {"tools": [{"functionDeclarations": [{"name": "g"}]}]}}})
        world.text("Hello")
        assert world.requests[0].instructions == "Old."
        assert [f.name for f in world.requests[0].functions] == ["g"]


class TestHistoryConfig:
    def test_it_is_computed_before_anybody_speaks(self) -> None:
        world = World({**TEXT, "historyConfig": {"initialHistoryInClientContent": True}})
        world.text("A long story.")
        assert conversation(world.of(Prefill)[-1].request) == [("user", "A long story.")]
        world.text("It goes on.", complete=False)
        assert conversation(world.of(Prefill)[-1].request)[-1] == ("user", "It goes on.")

    def test_thoughts_in_it_are_left_out(self) -> None:
        world = World({**TEXT, "historyConfig": {"initialHistoryInClientContent": True}})
        parts = [{"text": "Hm, who is that?", "thought": True}, {"text": "Hello."}]
        turns = [{"role": "user", "parts": [{"text": "Hi."}]}, {"role": "model", "parts": parts}]
        world.client({"clientContent": {"turns": turns, "turnComplete": True}})
        assert world.history == [("user", "Hi."), ("model", "Hello.")]

    @pytest.mark.parametrize("role", ["function", "user", "", None])
    def test_results_in_it_are_the_users(self, role: str | None) -> None:
        world = World({**TEXT, "historyConfig": {"initialHistoryInClientContent": True}})
        turns = [
            {"role": "user", "parts": [{"text": "Look."}]},
            {"role": "model", "parts": [{"functionCall": {"id": "1", "name": "look", "args": {}}}]},
            {"role": role, "parts": [{"functionResponse": {"id": "1", "name": "look", "response": {"seen": "it"}}}]},
        ]
        world.client({"clientContent": {"turns": turns, "turnComplete": True}})
        assert [m.role for m in world.session.messages] == ["user", "model", "user"]
        assert world.session.messages[-1].parts == (FunctionResponse("1", "look", {"seen": "it"}),)

    def test_the_first_contents_are_loaded_without_an_answer(self) -> None:
        world = World({**TEXT, "historyConfig": {"initialHistoryInClientContent": True}})
        world.text("I am Anna.", complete=False)
        turns = [{"role": "model", "parts": [{"text": "Hello Anna."}]}]
        world.client({"clientContent": {"turns": turns, "turnComplete": True}})
        world.run(5)
        assert world.kinds() == ["setupComplete"]
        world.client({"realtimeInput": {"text": "Who am I?"}})
        assert [text for _, text in conversation(world.requests[0])] == ["I am Anna.", "Hello Anna.", "Who am I?"]


class TestImages:
    @pytest.mark.parametrize("sent", [JPEG, PNG, WEBP], ids=lambda sent: str(sent["mimeType"]))
    @pytest.mark.parametrize(("resolution", "price"), [("LOW", 64), ("MEDIUM", 256), ("HIGH", 256), (None, 258)])
    @pytest.mark.parametrize("way", ["contents", "video", "chunks", "result"])
    def test_of_each_type_are_taken_in_each_way(
        self, way: str, resolution: str | None, price: int, sent: dict[str, str]
    ) -> None:
        generation = {"mediaResolution": f"MEDIA_RESOLUTION_{resolution}"} if resolution else {}
        tools = [{"functionDeclarations": [{"name": "look"}]}]
        world = World({"model": MODEL, "generationConfig": generation, "tools": tools}, replies=[LOOK, say(4)])
        if way == "contents":
            world.client({"clientContent": {"turns": [{"parts": [{"inlineData": sent}]}], "turnComplete": True}})
        elif way == "result":
            world.text("Look.")
            world.run(1)
            answer = {"name": "look", "response": {}, "parts": [{"inlineData": sent}]}
            world.client({"toolResponse": {"functionResponses": [answer]}})
        else:
            world.client({"realtimeInput": {"video": sent} if way == "video" else {"mediaChunks": [sent]}})
            world.client({"realtimeInput": {"text": "What is it?"}})
        [image] = [p for m in world.requests[-1].messages for p in m.parts if isinstance(p, Image)]
        assert (image.mime, image.tokens) == (sent["mimeType"], price)

    @pytest.mark.parametrize("mime", ["image/heic", "IMAGE/HEIF"])
    @pytest.mark.parametrize("way", ["contents", "video"])
    def test_heic_is_taken_where_it_can_be_decoded(self, mime: str, way: str) -> None:
        sent = {"mimeType": mime, "data": base64.b64encode(b"\x00\x00\x00\x18ftypheic").decode()}
        message: dict[str, Any] = {"realtimeInput": {"video": sent}}
        if way == "contents":
            message = {"clientContent": {"turns": [{"parts": [{"inlineData": sent}]}], "turnComplete": True}}
        world = World(TALK, replies=[say(4)], profile=ModelProfile(MODEL, heic=True))
        world.client(message)
        world.client({"realtimeInput": {"text": "What is it?"}})
        assert [p.mime for m in world.requests[-1].messages for p in m.parts if isinstance(p, Image)] == [mime.lower()]
        without = World(TALK)
        without.client(message)
        assert without.closed is not None
        assert without.closed.code == 1007
        assert without.closed.reason.endswith(f".mime_type': {mime.lower()} needs openlive[heic] installed.")

    def test_what_is_no_heic_is_refused_by_its_first_bytes(self) -> None:
        world = World(TALK, profile=ModelProfile(MODEL, heic=True))
        world.client({"realtimeInput": {"video": {**JPEG, "mimeType": "image/heic"}}})
        assert world.closed is not None
        assert "realtime_input.video.data': not a HEIC image (it begins with ffd8" in world.closed.reason

    def test_of_a_result_are_counted(self) -> None:
        world = World({**TALK, "tools": [{"functionDeclarations": [{"name": "look"}]}]}, replies=[LOOK])
        world.text("Look.")
        world.run(1)
        answer = {"name": "look", "response": {}, "parts": [{"inlineData": WEBP}, {"inlineData": JPEG}]}
        world.client({"toolResponse": {"functionResponses": [answer]}})
        world.run(3)
        usage = world.messages[-1].usage_metadata
        assert usage is not None
        assert {d.modality.name: d.token_count for d in usage.prompt_tokens_details if d.modality}["IMAGE"] == 2 * 258

    @pytest.mark.parametrize(("resolution", "price"), [("LOW", 64), ("MEDIUM", 256), ("HIGH", 256), (None, 258)])
    def test_have_their_price(self, resolution: str | None, price: int) -> None:
        generation: dict[str, Any] = {"responseModalities": ["TEXT"]}
        if resolution:
            generation["mediaResolution"] = f"MEDIA_RESOLUTION_{resolution}"
        world = World({"model": MODEL, "generationConfig": generation}, replies=[say(4)])
        turn = {"role": "user", "parts": [{"text": "What is it?"}, {"inlineData": JPEG}]}
        world.client({"clientContent": {"turns": [turn], "turnComplete": True}})
        world.run(1)
        usage = world.messages[-1].usage_metadata
        assert usage is not None
        details = {d.modality.name: d.token_count for d in usage.prompt_tokens_details if d.modality}
        assert details == {"IMAGE": price, "TEXT": 3}

    @pytest.mark.parametrize(
        ("coverage", "frames"),
        [
            ("TURN_INCLUDES_ONLY_ACTIVITY", 3),
            ("TURN_INCLUDES_AUDIO_ACTIVITY_AND_ALL_VIDEO", 5),
            ("TURN_INCLUDES_ALL_INPUT", 5),
        ],
    )
    def test_of_a_spoken_turn(self, coverage: str, frames: int) -> None:
        """Three frames before the speech, two during it."""
        setup = {**TALK, "realtimeInputConfig": {"turnCoverage": coverage}}
        world = World(setup, plan=words("what do you see", 3.5))
        for _ in range(3):
            world.client({"realtimeInput": {"video": JPEG}})
            world.stream(1)
        for _ in range(2):
            world.stream(0.8)
            world.client({"realtimeInput": {"video": JPEG}})
        world.stream(4)
        seen = [p for p in world.requests[-1].messages[0].parts if isinstance(p, Image)]
        assert len(seen) == frames
        [heard] = [p for p in world.session.messages[0].parts if isinstance(p, Heard)]
        assert (heard.start == 0) == (coverage == "TURN_INCLUDES_ALL_INPUT")


class TestWindow:
    """Turns of 4000 characters: 1000 tokens each."""

    def filled(self, turns: int, **setup: Any) -> World:
        world = World({**TEXT, **setup}, replies=[say(4000)] * turns)
        for i in range(turns):
            world.text(f"{i:04}" + "a" * 3996)
            world.run(1)
        return world

    def test_a_full_one_ends_the_session_with_the_reason(self) -> None:
        world = self.filled(17)
        assert world.closed is not None
        assert world.closed.reason.startswith("The context window is full: 33000 of 32768 tokens.")

    def test_compression_drops_the_oldest_turns(self) -> None:
        compression = {"triggerTokens": "10000", "slidingWindow": {"targetTokens": "4000"}}
        world = self.filled(12, contextWindowCompression=compression, systemInstruction="Keep me.")
        assert world.closed is None
        for request in world.requests:
            assert request.messages[0].role == "user"
            assert request.instructions == "Keep me."
            assert sum(len(m.text) for m in request.messages) / 4 <= 10000
        assert world.requests[-1].messages[-1].text.startswith("0011")

    @pytest.mark.parametrize("target", [3500, 4500])
    def test_what_is_left_begins_with_a_turn_of_the_user(self, target: int) -> None:
        """Of 1000 tokens each, as the answers: the one target is reached at an answer, the other at a question."""
        compression = {"triggerTokens": 9500, "slidingWindow": {"targetTokens": target}}
        world = self.filled(9, contextWindowCompression=compression)
        assert len(world.requests[5].messages) < 5, "it has slid"
        assert {request.messages[0].role for request in world.requests} == {"user"}

    def test_a_result_is_never_parted_from_its_call(self) -> None:
        """The target would be reached with the result of the first question's call, which is a message of the user."""
        compression = {"triggerTokens": 2500, "slidingWindow": {"targetTokens": 2300}}
        setup = {
            **TEXT,
            "contextWindowCompression": compression,
            "tools": [{"functionDeclarations": [{"name": "look"}]}],
        }
        world = World(setup, replies=[LOOK, say(4000), say(4)])
        world.text("0000" + "a" * 3996)
        world.run(1)
        world.client({"toolResponse": {"functionResponses": [{"name": "look", "response": {"seen": "it"}}]}})
        world.run(1)
        assert [type(p) for p in world.requests[1].messages[-1].parts] == [FunctionResponse]
        world.text("1111" + "a" * 3996)
        assert [m.text[:4] for m in world.requests[2].messages] == ["1111"]

    @pytest.mark.parametrize("what", ["instructions", "functions"])
    def test_what_comes_before_the_messages_counts(self, what: str) -> None:
        long = "x" * 4 * 32_000
        tools = [{"functionDeclarations": [{"name": "f", "description": long}]}]
        world = World({**TEXT, **({"systemInstruction": long} if what == "instructions" else {"tools": tools})})
        world.text("a" * 4 * 500)
        assert len(world.requests) == 1
        world.text("a" * 4 * 500)
        assert world.closed is not None
        assert "context window is full" in world.closed.reason

    def test_it_slides_for_a_prepared_answer_too(self) -> None:
        """Each answer is a thousand tokens; the turns are spoken, so their replies are held before they are sent."""
        plan = [word for i in range(8) for word in words("tell me more", 0.5 + 4 * i)]
        compression = {"triggerTokens": "4000", "slidingWindow": {"targetTokens": "1500"}}
        setup = {**TEXT, "contextWindowCompression": compression}
        world = World(setup, plan=plan, replies=[say(4000)] * 8)
        world.stream(33)
        assert len(world.requests) == 8
        assert max(sum(len(m.text) for m in r.messages) / 4 for r in world.requests) <= 4100

    def test_old_images_go_before_old_turns(self) -> None:
        """Turns of 158 tokens with a frame of 258 each."""
        compression = {"triggerTokens": 2500, "slidingWindow": {"targetTokens": 2000}}
        world = World({**TEXT, "contextWindowCompression": compression}, replies=[say(400)] * 9)
        for i in range(9):
            world.client({"realtimeInput": {"video": JPEG}})
            world.client({"realtimeInput": {"text": f"{i}" + "a" * 231}})
            world.run(1)
        asked = [m for m in world.requests[-1].messages if m.role == "user"]
        assert [m.text[0] for m in asked] == list("012345678")
        shown = [any(isinstance(p, Image) for p in m.parts) for m in asked]
        assert shown == sorted(shown), "those of the oldest turns are gone"
        assert 1 < sum(shown) < 6

    @pytest.mark.parametrize(("turns", "shown", "left"), [(5, 5, 5), (7, 1, 7), (20, 1, 9)])
    def test_the_engines_limit_drops_them_first_too(self, turns: int, shown: int, left: int) -> None:
        """The engine counts as the protocol does: 358 a turn, 100 without its image; it can hold 2400."""
        history = History(ContextWindow(engine=2400))
        history.engine_ratio = 1.0
        for _ in range(turns):
            history.add(Message("user", (Image("image/jpeg", b""), Text("a" * 400))))
        history.slide_window(0)
        seen = [len(message.parts) == 2 for message in history.messages]
        assert (sum(seen), len(seen)) == (shown, left)
        assert seen == sorted(seen)

    def test_what_was_loaded_stays(self) -> None:
        setup = {"historyConfig": {"initialHistoryInClientContent": True}}
        world = World({**TEXT, **setup, "contextWindowCompression": {"triggerTokens": 5000}}, replies=[say(4000)] * 9)
        world.text("I am Anna.", complete=True)
        for i in range(9):
            world.text(f"{i}" + "a" * 3999)
            world.run(1)
        assert world.requests[-1].messages[0].text == "I am Anna."
        assert len(world.requests[-1].messages) < 8

    def test_the_engines_own_count_moves_it_too(self) -> None:
        """The engine counts twice as many tokens as the protocol, and can hold 12000."""
        world = World(TEXT, profile=ModelProfile(MODEL, engine_token_limit=12_000))
        for i in range(12):
            world._replies = [
                [(0.1, Text("b" * 400)), (0.1, Usage(prompt=2 * self.asked(world, 4000), completion=200))]
            ]
            world.text(f"{i:04}" + "a" * 3996)
            world.run(1)
        assert world.closed is None
        assert max(2 * sum(len(m.text) for m in r.messages) / 4 for r in world.requests) <= 12_000

    def asked(self, world: World, more: int) -> int:
        return (sum(len(text) for _, text in world.history) + more) // 4

    @pytest.mark.parametrize(
        ("compression", "path"),
        [
            ({"triggerTokens": 0}, "trigger_tokens"),
            ({"triggerTokens": 100, "slidingWindow": {"targetTokens": 100}}, "sliding_window.target_tokens"),
        ],
    )
    def test_impossible_numbers_are_refused(self, compression: dict[str, Any], path: str) -> None:
        world = World({**TEXT, "contextWindowCompression": compression})
        assert world.closed is not None
        assert f"'setup.context_window_compression.{path}'" in world.closed.reason


class TestActivityMessages:
    def test_come_where_the_client_asks(self) -> None:
        world = World({**TALK, "explicitVadSignal": True}, plan=words("what is it", 1.0), vertex=True)
        world.stream(4)
        kinds = world.kinds()
        assert kinds.index("ACTIVITY_START") < kinds.index("VAD_SIGNAL_TYPE_SOS") < kinds.index("heard")
        assert kinds.index("ACTIVITY_END") < kinds.index("heardFinished")
        offsets = [m.voice_activity.audio_offset for m in world.messages if m.voice_activity]
        times = [float((offset or "").rstrip("s")) for offset in offsets]
        assert times == [pytest.approx(1.0, abs=0.04), pytest.approx(1.9, abs=0.04)]

    def test_come_unasked_with_the_3x_generation_only(self) -> None:
        for told in (True, False):
            world = World(TALK, plan=words("what is it", 1.0), profile=ModelProfile(MODEL, voice_activity=told))
            world.stream(4)
            assert ("ACTIVITY_START" in world.kinds()) is told
            assert "VAD_SIGNAL_TYPE_SOS" not in world.kinds()

    def test_interim_transcripts_where_the_profile_has_them(self) -> None:
        world = World(
            TALK, plan=words("what is it that you want", 1.0), profile=ModelProfile(MODEL, interim_transcripts=True)
        )
        world.stream(5)
        interim = [m.server_content.interim_input_transcription for m in world.messages if m.server_content]
        texts = [i.text for i in interim if i is not None]
        question = "what is it that you want"
        assert texts[-1] == question, "nothing of it is held back"
        assert all(question.startswith(text or "?") for text in texts)
        assert len(set(texts)) > 2, "each is all that was heard"


@pytest.mark.parametrize(
    ("setup", "path"),
    [
        ({"avatarConfig": {"avatarName": "a"}}, "setup.avatar_config"),
        (
            {"generationConfig": {"speechConfig": {"multiSpeakerVoiceConfig": {}}}},
            "setup.generation_config.speech_config.multi_speaker_voice_config",
        ),
    ],
)
def test_what_is_not_to_be_had_is_refused_by_its_path(setup: dict[str, Any], path: str) -> None:
    world = World({"model": MODEL, **setup})
    assert world.closed is not None
    assert f"'{path}'" in world.closed.reason


def test_a_connection_with_a_limit_says_goodbye_after_it_gave_a_handle() -> None:
    hello: Script = [(0.1, speech(1.0, "Hi"))]
    world = World({**TALK, "sessionResumption": {}}, limits=SessionLimits(connection=100), replies=[hello])
    world.run(39)
    world.text("Hello")
    world.run(0.5)
    assert "goAway" not in world.kinds()
    world.run(2)
    kinds = world.kinds()
    assert kinds[kinds.index("goAway") - 1] == "sessionResumptionUpdate"
    [left] = [m.go_away.time_left for m in world.messages if m.go_away]
    assert left == "60s"
    world.run(70)
    assert world.closed == CloseConnection(1011, "Deadline expired before operation could complete.")
