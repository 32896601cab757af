from collections.abc import Sequence

import pytest

from openlive.engines.llm.prompt import template
from openlive.engines.llm.prompt.conversation import LLMError
from openlive.types import FunctionDeclaration, Message, Request, Role, Text


def render(messages: Sequence[dict[str, str]]) -> str:
    return "".join(f"[{m['role']}]{m['content']}[/]" for m in messages) + "[assistant]"


def strict(messages: Sequence[dict[str, str]]) -> str:
    """Like many a template: no system role, user and assistant in turn."""
    for i, message in enumerate(messages):
        if message["role"] != ("user", "assistant")[i % 2]:
            raise LLMError("Conversation roles must alternate")
    return render(messages)


def request(*messages: tuple[Role, str], instructions: str = "") -> Request:
    return Request("c", tuple(Message(role, (Text(text),)) for role, text in messages), instructions)


def prompt(request: Request, render: template.Render = render, *, unfinished: bool = False) -> str:
    return "".join(piece.text for piece in template.build_prompt(request, render, unfinished=unfinished))


def test_a_conversation() -> None:
    said = request(("user", "Hello"), ("model", "Hi!"), ("user", "You?"), instructions="Be brief.")
    assert prompt(said) == "[system]Be brief.[/][user]Hello[/][assistant]Hi![/][user]You?[/][assistant]"


def test_text_keeps_its_own_pieces() -> None:
    pieces = template.build_prompt(request(("user", "Hello"), ("model", "Hi!"), ("user", "[/]")), render)
    assert [(p.text, p.kind) for p in pieces] == [
        ("[user]", "control"),
        ("Hello", "text"),
        ("[/][assistant]", "control"),
        ("Hi!", "reply"),
        ("[/][user]", "control"),
        ("[/]", "text"),
        ("[/][assistant]", "control"),
    ]


def test_the_instructions_open_the_first_message_where_there_is_no_system_role() -> None:
    said = request(("user", "Hello"), ("model", "Hi!"), ("user", "You?"), instructions="Be brief.")
    assert prompt(said, strict) == "[user]Be brief.\n\nHello[/][assistant]Hi![/][user]You?[/][assistant]"


@pytest.mark.parametrize(
    "said",
    [
        request(),
        request(("model", "Welcome!")),
        request(("user", "One"), ("user", "Two")),
        request(("user", "One"), ("system", "Hurry."), ("user", "Two"), ("model", "Yes?")),
    ],
)
def test_user_and_assistant_always_take_turns(said: Request) -> None:
    assert prompt(said, strict)


def test_a_template_that_fails_fails() -> None:
    def broken(messages: Sequence[dict[str, str]]) -> str:
        raise LLMError("no")

    with pytest.raises(LLMError, match="no"):
        prompt(request(("user", "Hello")), broken)


def test_what_is_unfinished_is_a_prefix_of_what_follows() -> None:
    start = prompt(request(instructions="Be brief."), unfinished=True)
    partial = prompt(request(("user", "What is"), instructions="Be brief."), unfinished=True)
    whole = prompt(request(("user", "What is the time?"), instructions="Be brief."))
    assert partial.startswith(start)
    assert whole.startswith(partial)


def test_functions_are_mentioned_after_the_instructions() -> None:
    weather = FunctionDeclaration("w", "Tells the weather.")
    pieces = template.build_prompt(Request("c", (Message("user", (Text("Well?"),)),), "Be brief.", (weather,)), render)
    assert pieces[1].text.startswith("Be brief.\n\nWhat you can do")
    assert "- Tells the weather." in pieces[1].text
