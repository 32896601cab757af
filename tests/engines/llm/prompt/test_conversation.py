import pytest

from openlive.engines.llm.prompt.conversation import (
    DONE,
    FAILED,
    LOOK,
    REMARKS,
    RUNNING,
    TELL,
    render_message,
    render_messages,
)
from openlive.types import FunctionCall, FunctionResponse, Heard, Image, Message, Text, Thought


def test_heard_and_written_text_is_joined_as_it_is() -> None:
    message = Message("user", (Heard(" What is ", 0, 9), Text("the capital"), Text(" of France? ")))
    assert render_message(message) == "What is the capital of France?"


def test_thoughts_are_left_out() -> None:
    assert render_message(Message("model", (Thought("Hm."), Text("Paris.")))) == "Paris."
    assert render_message(Message("model", (Thought("Hm."),))) == ""


def test_an_image_is_mentioned() -> None:
    message = Message("user", (Text("What is this?"), Image("image/jpeg", b"\xff\xd8"), Text("Tell me.")))
    assert render_message(message) == "What is this?\n[image: image/jpeg, which you cannot see]\nTell me."


def test_results_say_what_was_called_and_ask_for_words() -> None:
    question = Message("user", (Text("Wie ist das Wetter?"),))
    call = Message("model", (Text("One moment."), FunctionCall("1", "weather", {"city": "München", "now": True})))
    result = Message("user", (FunctionResponse("1", "weather", {"celsius": 3}),))
    assert [words for _, words in render_messages([question, call, result])] == [
        "Wie ist das Wetter?",
        "One moment.",
        (
            '[weather(city="München", now=True) came to {"celsius": 3}]\n'
            f"{TELL} Speak German. I had said: Wie ist das Wetter?"
        ),
    ]


def test_a_result_beside_words_is_only_told() -> None:
    result = Message("user", (FunctionResponse("9", "weather", {"celsius": 3}), Text("And tomorrow?")))
    assert [words for _, words in render_messages([result])] == ['[weather came to {"celsius": 3}]\nAnd tomorrow?']


def test_of_a_call_beside_the_talk_the_first_response_says_that_it_runs() -> None:
    question = Message("user", (Text("Look it up."),))
    call = Message("model", (FunctionCall("1", "search", {}),))
    responses = [Message("user", (FunctionResponse("1", "search", {"part": n}),)) for n in range(3)]
    told = [words for _, words in render_messages([question, call, *responses], beside={"search"})][2:]
    assert [RUNNING in words for words in told] == [True, False, False]
    assert [TELL in words for words in told] == [False, True, True]


def test_an_error_is_told_as_one() -> None:
    call = Message("model", (FunctionCall("1", "taxi", {}),))
    failed = Message("user", (FunctionResponse("1", "taxi", {"error": "none is free"}),))
    told = [words for _, words in render_messages([Message("user", (Text("A cab, please."),)), call, failed])][-1]
    assert told.startswith('[taxi() came to {"error": "none is free"}]\n' + FAILED)


def test_a_result_of_a_word_says_what_was_done() -> None:
    call = Message("model", (FunctionCall("1", "taxi", {}),))
    done = Message("user", (FunctionResponse("1", "taxi", {"result": "ordered"}),))
    told = [words for _, words in render_messages([Message("user", (Text("A cab, please."),)), call, done])][-1]
    assert told == f'[taxi() came to {{"result": "ordered"}}]\n{DONE} Speak English. I had said: A cab, please.'


def test_how_it_was_said_comes_behind_the_words() -> None:
    plain, glad = (Message("user", (Heard("I got the job.", 0, 9, *mood),)) for mood in ((), ("en", "excited", True)))
    assert render_message(plain) == "I got the job."
    assert render_message(glad) == "I got the job. (My voice is agitated.)"
    assert glad.text == "I got the job."


def test_images_that_are_all_of_a_turn_are_to_be_told() -> None:
    image = Image("image/jpeg", b"", words="(a sign)")
    messages = [Message("user", (image,)), Message("user", (image, Text("What is it?"))), Message("model", (image,))]
    assert [words for _, words in render_messages(messages)] == [
        f"(a sign)\n{LOOK}",
        "(a sign)\nWhat is it?",
        "(a sign)",
    ]


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", "My voice is agitated"),
        ("de", "Meine Stimme klingt sehr aufgeregt"),
        ("", "Meine Stimme"),
        ("fi", "My voice"),
    ],
)
def test_how_something_was_said_is_told_in_the_language_that_was_spoken(language: str, words: str) -> None:
    said = Heard("Ich habe gestern die neue Stelle bekommen.", 0, 1, language, "excited", strong=True)
    assert words in render_message(Message("user", (said,)))
    assert all(set(moods) == set(REMARKS["en"]) for moods in REMARKS.values())
