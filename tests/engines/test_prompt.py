from openlive.engines.prompt import RESULTS, content, pieces, worded
from openlive.types import FunctionCall, FunctionResponse, Heard, Image, Message, Text, Thought


def test_heard_and_written_text_is_joined_as_it_is() -> None:
    message = Message("user", (Heard(" What is ", 0, 9), Text("the capital"), Text(" of France? ")))
    assert content(message) == "What is the capital of France?"


def test_thoughts_are_left_out() -> None:
    assert content(Message("model", (Thought("Hm."), Text("Paris.")))) == "Paris."
    assert content(Message("model", (Thought("Hm."),))) == ""


def test_an_image_is_mentioned() -> None:
    message = Message("user", (Text("What is this?"), Image("image/jpeg", b"\xff\xd8"), Text("Tell me.")))
    assert content(message) == "What is this?\n[image: image/jpeg, which you cannot see]\nTell me."


def test_calls_and_results_are_in_the_format_of_qwen() -> None:
    call = Message("model", (Text("One moment."), FunctionCall("1", "weather", {"city": "München"})))
    assert content(call) == (
        'One moment.\n<tool_call>\n{"name": "weather", "arguments": {"city": "München"}}\n</tool_call>'
    )
    result = Message("user", (FunctionResponse("1", "weather", {"celsius": 3}),))
    told = '<tool_response>\n{"name": "weather", "result": {"celsius": 3}}\n</tool_response>'
    assert content(result) == told


def test_results_are_followed_by_what_was_asked() -> None:
    result = FunctionResponse("1", "weather", {"celsius": 3})
    told = '<tool_response>\n{"name": "weather", "result": {"celsius": 3}}\n</tool_response>'
    messages = (
        Message("user", (result,)),
        Message("user", (Heard("Wie kalt ist es?", 0, 9),)),
        Message("model", (FunctionCall("1", "weather", {}),)),
        Message("user", (result, result)),
        Message("user", (result, Text("And now?"))),
    )
    said = ["".join(piece.text for piece in words) for _, words in worded(messages)]
    assert said[0] == told
    assert said[3] == f"{told}\n{told}\n{RESULTS}Wie kalt ist es?"
    assert said[4] == f"{told}\nAnd now?"


def test_calls_are_pieces_of_their_own_and_keep_their_tokens() -> None:
    message = Message("model", (Text("One moment. "), FunctionCall("1", "a", {}), FunctionCall("2", "b", {})))
    assert [(piece.kind, piece.text) for piece in pieces(message)] == [
        ("reply", "One moment."),
        ("control", "\n<tool_call>\n"),
        ("reply", '{"name": "a", "arguments": {}}'),
        ("control", "\n</tool_call>"),
        ("control", "\n<tool_call>\n"),
        ("reply", '{"name": "b", "arguments": {}}'),
        ("control", "\n</tool_call>"),
    ]
