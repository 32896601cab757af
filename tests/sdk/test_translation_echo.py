"""An interpreter, as a client asks for it over the wire: what is in the target language already is echoed, or not."""

from __future__ import annotations

from typing import Any

import pytest
from google.genai import types
from msgspec.structs import replace

from openlive.engines.llm.translation import TranslatingLLM
from openlive.engines.responder.cascade import Cascade
from openlive.testing.scripted import ScriptedLLM, ScriptedTTS
from tests.sdk.live import receive, session
from tests.serving import Scripted, serving

pytestmark = pytest.mark.anyio
INTERPRETER = "gemini-3.5-live-translate-preview"


@pytest.mark.parametrize(("echo", "said"), [(True, "Guten Tag!"), (False, "")])
async def test_what_is_in_the_target_language_already(echo: bool, said: str) -> None:
    llm, tts = ScriptedLLM(replies=("Never asked.",)), ScriptedTTS()
    engines = replace(Scripted().engines, responder=Cascade(TranslatingLLM(llm), tts))
    config: dict[str, Any] = {
        "response_modalities": [types.Modality.AUDIO],
        "translation_config": {"target_language_code": "de", "echo_target_language": echo},
    }
    with serving(engines) as server:
        async with session(server, config, INTERPRETER) as opened:
            await opened.send_client_content(turns=types.Content(role="user", parts=[types.Part(text="Guten Tag!")]))
            await receive(opened)
    assert "".join(text for text, _ in tts.spoken) == said
    assert llm.requests == []
