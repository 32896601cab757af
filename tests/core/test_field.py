"""What programs of the field send, as they send it (docs/protocol.md#contents)."""

from __future__ import annotations

from typing import Any

import pytest

from openlive.core.setup.profile import ModelProfile
from openlive.types import FunctionCall, FunctionResponse, Speech, Text
from tests.core.replying.test_function_calls import SUNNY, WEATHER, asked, tools
from tests.core.world import MODEL, TALK, World, conversation, spoken, words

HISTORY = {"historyConfig": {"initialHistoryInClientContent": True}}
SEED = [
    {"role": "user", "parts": [{"text": "My name is Ann."}]},
    {"role": "model", "parts": [{"text": "Hello Ann."}]},
]


def content(turns: list[dict[str, Any]], *, complete: bool) -> dict[str, Any]:
    return {"clientContent": {"turns": turns, "turnComplete": complete}}


def realtime(text: str) -> dict[str, Any]:
    return {"realtimeInput": {"text": text}}


# --- transcripts ---


def transcriptions(world: World) -> list[tuple[str, str | None, bool]]:
    """Side, text, finished."""
    found = []
    for message in world.messages:
        if (said := message.server_content) is not None:
            for side, piece in (("user", said.input_transcription), ("model", said.output_transcription)):
                if piece is not None:
                    found.append((side, piece.text, piece.finished))
    return found


def hear(**profile: Any) -> list[tuple[str, str | None, bool]]:
    plan = words("what is the capital", 0.5)
    world = World(TALK, plan=plan, replies=[spoken("Paris.")], profile=ModelProfile(MODEL, **profile))
    world.stream(6)
    return transcriptions(world)


def test_every_transcription_has_a_text() -> None:
    for end in ("alone", "with_text", "never"):
        pieces = hear(transcript_end=end)
        assert pieces
        assert all(text is not None for _, text, _ in pieces)


def test_the_end_of_a_transcript_is_told_as_the_profile_says() -> None:
    def ends(**profile: Any) -> list[tuple[str, str | None]]:
        return [(side, text) for side, text, finished in hear(**profile) if finished]

    assert ends() == ends(transcript_end="alone") == [("user", ""), ("model", "")]
    assert ends(transcript_end="never") == []
    user, model = ends(transcript_end="with_text")
    assert user[0] == "user"
    assert user[1], "the end stands beside the last of the text"
    assert model == ("model", "")


# --- history ---


def test_seeded_contexts_are_answered_where_history_is_not_loaded() -> None:
    """Pipecat's greeting: it sets the field for every model, and waits for the answer to its context."""
    world = World({**TALK, **HISTORY}, profile=ModelProfile(MODEL, loads_history=False), replies=[spoken("Hello.")])
    world.client(content([{"role": "user", "parts": [{"text": "Greet the user."}]}], complete=True))
    world.run(4)
    assert world.kinds()[-1] == "turnComplete"
    assert conversation(world.requests[0]) == [("user", "Greet the user.")]


def test_loaded_history_waits_for_the_user_where_it_is() -> None:
    world = World({**TALK, **HISTORY}, profile=ModelProfile(MODEL, loads_history=True))
    world.client(content(SEED, complete=True))
    world.run(4)
    assert world.kinds() == ["setupComplete"]
    world.client(realtime("Who am I?"))
    world.run(4)
    assert conversation(world.requests[0])[-1] == ("user", "Who am I?")


# --- results among contents ---


@pytest.mark.parametrize("by", ["id", "name"])
@pytest.mark.parametrize("role", ["function", "user"])
@pytest.mark.parametrize("queues", [True, False])
def test_results_in_contents_answer_the_call(role: str, queues: bool, by: str) -> None:
    profile = ModelProfile(MODEL, queues_during_calls=queues, turn_complete_after_call=not queues)
    world = World(tools("weather"), profile=profile, replies=[WEATHER, SUNNY])
    world.text("The weather in Paris?")
    world.run(2)
    [call] = asked(world)
    response = {"name": "weather", "response": {"sky": "blue"}, **({"id": call} if by == "id" else {})}
    world.client(content([{"role": role, "parts": [{"functionResponse": response}]}], complete=True))
    world.run(3)
    assert "toolCallCancellation" not in world.kinds()
    assert "interrupted" not in world.kinds()
    assert world.kinds()[-1] == "turnComplete"
    assert len(world.requests) == 2
    [result] = [p for m in world.requests[1].messages for p in m.parts if isinstance(p, FunctionResponse)]
    assert (result.id, result.response) == (call, {"sky": "blue"})


def test_words_beside_a_result_are_a_turn() -> None:
    world = World(tools("weather"), replies=[WEATHER, SUNNY])
    world.text("The weather in Paris?")
    world.run(2)
    [call] = asked(world)
    response = {"id": call, "name": "weather", "response": {"sky": "blue"}}
    parts = [{"functionResponse": response}, {"text": "In one word, please."}]
    world.client(content([{"role": "user", "parts": parts}], complete=True))
    world.run(3)
    assert "toolCallCancellation" not in world.kinds()
    told = conversation(world.requests[-1])
    assert told[-1] == ("user", "In one word, please.")
    assert sum("come to" in text for _, text in told) == 0, "the result is told once"


def test_results_of_an_earlier_conversation_are_history() -> None:
    world = World(tools("weather"), replies=[SUNNY])
    call = {"functionCall": {"id": "1", "name": "weather", "args": {}}}
    result = {"functionResponse": {"id": "1", "name": "weather", "response": {"sky": "grey"}}}
    turns = [
        {"role": "user", "parts": [{"text": "The weather?"}]},
        {"role": "model", "parts": [call]},
        {"role": "user", "parts": [result]},
    ]
    world.client(content(turns, complete=True))
    world.run(3)
    assert [type(p) for m in world.requests[0].messages for p in m.parts] == [Text, FunctionCall, FunctionResponse]


# --- kicks ---


@pytest.mark.parametrize("kick", [" ", "\n", ""])
def test_a_blank_leaves_the_answer_alone(kick: str) -> None:
    world = World(TALK, replies=[spoken("Hello there.", seconds=2.0)])
    world.text("Introduce yourself.")
    world.client(realtime(kick))
    world.run(1)
    world.client(realtime(kick))
    world.run(5)
    assert len(world.requests) == 1
    assert "interrupted" not in world.kinds()
    assert world.kinds().count("turnComplete") == 1


def test_a_blank_asks_for_the_answer_that_is_due() -> None:
    world = World({**TALK, **HISTORY}, replies=[spoken("Hello.")])
    world.client(content([{"role": "user", "parts": [{"text": "Greet me."}]}], complete=True))
    world.run(1)
    assert world.kinds() == ["setupComplete"]
    world.client(realtime(" "))
    world.run(4)
    assert conversation(world.requests[0]) == [("user", "Greet me.")]
    assert world.kinds()[-1] == "turnComplete"


def test_a_blank_while_the_user_speaks_is_nothing() -> None:
    world = World(TALK, plan=words("what is the capital", 0.5), replies=[spoken("Paris.")])
    world.stream(1)
    world.client(realtime(" "))
    world.stream(5)
    assert [conversation(r)[-1] for r in world.requests] == [("user", "what is the capital")]


# --- an end of the turn while the user speaks ---


@pytest.mark.parametrize("delay", [0.0, 0.1, 0.2, 0.4, 0.6])
@pytest.mark.parametrize("length", [1, 4])
def test_an_end_of_the_turn_soon_after_the_last_word_is_one_answer_to_all(delay: float, length: int) -> None:
    """Pipecat sends it once its own detector has heard the end. However early or late it comes, and however little of
    the speech was judged by then."""
    plan = words(" ".join(["name", "is", "my", "what"][-length:]), 0.5)
    world = World(TALK, plan=plan, replies=[spoken("Ann.", delay=0.5)], judge=lambda _: 0.99)
    world.client(content([*SEED, {"role": "user", "parts": [{"text": " "}]}], complete=False))
    world.stream(0.5 + 0.3 * length + delay)
    world.client(content([], complete=True))
    world.stream(4)
    assert conversation(world.requests[-1])[-1][1] == " ".join(w.text for w in plan)
    assert "interrupted" not in world.kinds()
    assert world.kinds().count("turnComplete") == 1


def test_an_end_of_the_turn_after_a_noise_answers_what_was_written() -> None:
    world = World(TALK, plan=[], replies=[spoken("Hello Ann.")])
    world.client(content(SEED[:1], complete=False))
    world.stream(0.5)
    world.blob(0.2)
    world.client(content([], complete=True))
    world.run(3)
    assert conversation(world.requests[-1]) == [("user", "My name is Ann.")]
    assert world.kinds()[-1] == "turnComplete"


# --- a reply without a sound ---


def test_a_spoken_reply_without_a_sound_ends_like_any() -> None:
    world = World(TALK, replies=[[(0.1, Text("👍")), (0.1, Speech(b"", "👍"))]])
    world.text("Well done.")
    world.run(2)
    assert world.kinds() == ["setupComplete", "said", "saidFinished", "generationComplete", "turnComplete"]


# --- instructions for the next answer ---

WISH = {"role": "model", "parts": [{"text": "Ask the caller for their date of birth."}]}


def requested(world: World) -> list[tuple[str, str]]:
    return [(message.role, message.text) for message in world.requests[-1].messages]


@pytest.mark.parametrize("kick", [".", " ", "", "…"])
def test_a_turn_of_the_model_with_a_wordless_one_of_the_user_behind_it_is_a_wish_for_the_answer(kick: str) -> None:
    """LiveKit's `generate_reply(instructions=...)`."""
    world = World(TALK, replies=[spoken("When were you born?"), spoken("Thank you.")])
    world.client(content([WISH, {"role": "user", "parts": [{"text": kick}]}], complete=True))
    assert requested(world) == [("system", "Ask the caller for their date of birth.")]
    world.run(10)
    assert [(m.role, m.text) for m in world.session.messages] == [
        ("system", "Ask the caller for their date of birth."),
        ("model", "When were you born?"),
    ]


def test_it_follows_the_conversation() -> None:
    world = World(TALK, replies=[spoken("Hello.")])
    world.client(content([*SEED, WISH, {"role": "user", "parts": [{"text": "."}]}], complete=True))
    assert requested(world)[2:] == [("system", "Ask the caller for their date of birth.")]


@pytest.mark.parametrize(
    "turns",
    [
        [*SEED, {"role": "user", "parts": [{"text": "."}]}],
        [WISH, {"role": "user", "parts": [{"text": "In May."}]}],
        [{"role": "user", "parts": [{"text": "."}]}],
    ],
)
def test_an_answer_of_the_model_stays_one_and_so_does_what_the_user_says(turns: list[dict[str, Any]]) -> None:
    world = World(TALK, replies=[spoken("Hello.")])
    world.client(content(turns, complete=True))
    assert requested(world) == [(turn["role"], turn["parts"][0]["text"]) for turn in turns]


def test_without_an_answer_to_give_there_is_no_wish() -> None:
    world = World(TALK, replies=[spoken("Hello.")])
    world.client(content([WISH, {"role": "user", "parts": [{"text": "."}]}], complete=False))
    assert [m.role for m in world.session.messages] == ["model", "user"]
