from __future__ import annotations

import pytest

from openlive.engines import output_checks
from openlive.engines.responder.cascade import Cascade
from openlive.engines.text.control_tokens import ControlTokenFilter, strip_control_tokens
from openlive.testing.scripted import ScriptedLLM, ScriptedTTS
from openlive.types import Message, Output, Request, Speech, Text, Voice, Written
from tests.serving import Told

MARKS = (
    *("<|im_end|>", "<|im_start|>", "<|endoftext|>", "<|eot_id|>", "<|end|>", "<|END_OF_TURN_TOKEN|>"),
    *("<｜end▁of▁sentence｜>", "<s>", "</s>", "<bos>", "<end_of_turn>", "<start_of_turn>", "[INST]", "[/INST]"),
    *("<<SYS>>", "<</SYS>>", "[TOOL_CALLS]"),
)
PLAIN = (
    *("a < b and b > c", "x[0] <= y[i]", "<b>bold</b>", "<i|j>", "if (a <| b)", "[1, 2, 3]", "[inst]", "<strong>"),
    *("List<String>", "a << b", "<think>", "cat a | sort > b", "f <| g |> h", "<", "[", "<|", "<|im_end"),
)


@pytest.mark.parametrize("mark", MARKS)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_no_control_token_leaves_however_it_is_cut(mark: str, size: int) -> None:
    text = f"Hello{mark} you{mark}"
    marks = ControlTokenFilter()
    said = "".join(marks.feed(text[i : i + size]) for i in range(0, len(text), size)) + marks.flush()
    assert said == "Hello you"


@pytest.mark.parametrize("text", PLAIN)
@pytest.mark.parametrize("size", [1, 2, 5, 100])
def test_other_signs_stay(text: str, size: int) -> None:
    marks = ControlTokenFilter()
    assert "".join(marks.feed(text[i : i + size]) for i in range(0, len(text), size)) + marks.flush() == text


def test_little_is_held_back() -> None:
    marks = ControlTokenFilter()
    assert marks.feed("All of this [") == "All of this "
    assert marks.feed("1]") == "[1]"
    assert marks.feed("and <" + 100 * "a") == "and <" + 100 * "a"


def test_one_inside_another_goes_too() -> None:
    assert strip_control_tokens("<|im_<|im_end|>end|>") == ""


class Model(ScriptedLLM):
    async def generate(self, request: Request):  # type: ignore[no-untyped-def]
        for text in ("Yes", ".<|im", "_end|>", " [INS", "T]", " And no <"):
            yield Text(text)


@pytest.mark.anyio
@pytest.mark.parametrize("voice", [None, Voice("Puck")])
async def test_neither_a_text_nor_a_voice_has_them(voice: Voice | None) -> None:
    out: list[Output] = Told()
    await Cascade(Model(), ScriptedTTS()).reply(Request("c", (Message("user", (Text("Hi"),)),), voice=voice), out)  # type: ignore[arg-type]
    assert "".join(o.text for o in out if isinstance(o, Text)) == "Yes.  And no <"
    assert not any("|" in o.text for o in out if isinstance(o, Speech))


@pytest.mark.parametrize("piece", [Text("Yes<|im_end|>"), Text("Yes")])
def test_what_any_engine_hands_over_has_none(piece: Written) -> None:
    assert output_checks.check_output(piece) == Text("Yes")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
