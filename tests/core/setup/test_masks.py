"""What a token locks (docs/protocol.md#ephemeral-tokens)."""

from __future__ import annotations

from typing import Any

import pytest

from openlive.core.setup.masks import apply_token_locks
from openlive.wire.json import parse
from openlive.wire.setup import Setup

CLIENT = {"model": "models/c", "generationConfig": {"temperature": 1, "topP": 0.5}, "systemInstruction": "client"}
TOKEN = {"model": "models/t", "generationConfig": {"temperature": 0}}


def effective(client: dict[str, Any], token: dict[str, Any] | None, *mask: str) -> Setup:
    return apply_token_locks(parse(Setup, client), None if token is None else parse(Setup, token), mask or None)


def same(setup: Setup, document: dict[str, Any]) -> None:
    assert setup == parse(Setup, document)


def test_nothing_is_locked() -> None:
    same(effective(CLIENT, None), CLIENT)


def test_everything_is_locked() -> None:
    same(effective(CLIENT, TOKEN), TOKEN)


def test_a_model_that_is_not_named_is_the_clients() -> None:
    same(effective(CLIENT, {"tools": []}), {"model": "models/c"})


def test_some_fields_are_locked() -> None:
    both = {"temperature": 0, "topP": 0.5}
    setup = effective(CLIENT, TOKEN, "model", "generation_config.temperature")
    same(setup, CLIENT | {"model": "models/t", "generationConfig": both})


def test_a_field_that_the_token_does_not_set_is_locked_to_nothing() -> None:
    same(effective(CLIENT, None, "generation_config.top_p"), CLIENT | {"generationConfig": {"temperature": 1}})
    same(effective(CLIENT, TOKEN, "system_instruction"), {k: CLIENT[k] for k in ("model", "generationConfig")})


def test_a_field_of_a_message_that_the_client_does_not_send() -> None:
    setup = effective({"model": "m"}, TOKEN, "generation_config.temperature")
    same(setup, {"model": "m", "generationConfig": {"temperature": 0}})


@pytest.mark.parametrize("mask", [(), ("session_resumption",), ("model",)])
def test_a_client_resumes_its_session_whatever_is_locked(mask: tuple[str, ...]) -> None:
    asked = {"model": "m", "sessionResumption": {"handle": "h"}}
    setup = effective(asked, TOKEN | {"sessionResumption": {}}, *mask)
    assert setup.session_resumption is not None
    assert setup.session_resumption.handle == "h"


@pytest.mark.parametrize("mask", [(), ("session_resumption",)])
def test_a_token_may_be_for_one_session(mask: tuple[str, ...]) -> None:
    asked = {"model": "m", "sessionResumption": {"handle": "h"}}
    setup = effective(asked, TOKEN | {"sessionResumption": {"handle": "its"}}, *mask)
    assert setup.session_resumption is not None
    assert setup.session_resumption.handle == "its"


def test_a_token_may_forbid_resumption() -> None:
    asked = {"model": "m", "sessionResumption": {"handle": "h"}}
    assert effective(asked, TOKEN, "session_resumption").session_resumption is None
    setup = effective(asked, TOKEN, "session_resumption.handle")
    assert setup.session_resumption is not None
    assert setup.session_resumption.handle is None
