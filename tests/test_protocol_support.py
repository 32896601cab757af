"""docs/protocol-support.md says what every field comes to; this holds it against the code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec
import pytest

from openlive.wire.client import ClientMessage
from openlive.wire.server import ServerMessage
from tests.core.world import MODEL, World

DOCUMENT = Path(__file__).parent.parent / "docs" / "protocol-support.md"
STATES = {"From the client": {"supported", "ignored", "refused"}, "From the server": {"sent", "not sent"}}


def structs(hint: Any) -> Iterator[type[msgspec.Struct]]:
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        yield hint
    for inner in get_args(hint):
        yield from structs(inner)


def messages() -> dict[str, type[msgspec.Struct]]:
    """Every message that can be reached, by name, in the order of reading."""
    found: dict[str, type[msgspec.Struct]] = {}

    def walk(struct: type[msgspec.Struct]) -> None:
        if struct.__name__ not in found:
            found[struct.__name__] = struct
            for hint in get_type_hints(struct, include_extras=True).values():
                for inner in structs(hint):
                    walk(inner)

    walk(ClientMessage)
    walk(ServerMessage)
    return found


def tables() -> dict[str, dict[str, str]]:
    """Message -> field -> state."""
    found: dict[str, dict[str, str]] = {}
    states: set[str] = set()
    fields: dict[str, str] = {}
    for line in DOCUMENT.read_text("utf-8").splitlines():
        if line.startswith("## "):
            states = STATES[line[3:]]
        elif line.startswith("### "):
            assert line[4:] not in found, f"{line[4:]} has two tables"
            fields = found[line[4:]] = {}
        elif found and (row := re.fullmatch(r"\| (`.*`) \| ([a-z ]+) \|.*", line)):
            assert row[2] in states, line
            for name in re.findall(r"`(\w+)`", row[1]):
                assert name not in fields, f"{name} has two rows"
                fields[name] = row[2]
    return found


def test_every_field_of_every_message_has_a_row() -> None:
    documented = tables()
    known = {name: set(struct.__struct_fields__) for name, struct in messages().items() if struct.__struct_fields__}
    assert {name: set(fields) for name, fields in documented.items()} == known


REFUSED: dict[tuple[str, str], dict[str, Any]] = {
    ("Setup", "avatar_config"): {"setup": {"avatarConfig": {}}},
    ("SpeechConfig", "multi_speaker_voice_config"): {
        "setup": {"generationConfig": {"speechConfig": {"multiSpeakerVoiceConfig": {}}}}
    },
    ("VoiceConfig", "replicated_voice_config"): {
        "setup": {"generationConfig": {"speechConfig": {"voiceConfig": {"replicatedVoiceConfig": {}}}}}
    },
    ("Part", "file_data"): {"clientContent": {"turns": [{"parts": [{"fileData": {"fileUri": "gs://x"}}]}]}},
    ("FunctionResponsePart", "file_data"): {
        "toolResponse": {"functionResponses": [{"id": "1", "parts": [{"fileData": {"fileUri": "gs://x"}}]}]}
    },
}


def attempts() -> list[Any]:
    """(message, field, what to send) for each row that says `refused`."""
    rows = []
    for message, fields in tables().items():
        for field, state in fields.items():
            if state == "refused":
                sent = REFUSED.get((message, field), {"setup": {"tools": [{field: {}}]}})
                rows.append(pytest.param(field, sent, id=f"{message}.{field}"))
    return rows


@pytest.mark.parametrize(("field", "sent"), attempts())
def test_what_is_refused_ends_the_session_with_its_path(field: str, sent: dict[str, Any]) -> None:
    if "setup" in sent:
        if field == "mcp_servers":
            sent = {"setup": {"tools": [{field: [{}]}]}}
        world = World({"model": MODEL, **sent["setup"]}, version="v1alpha")
    else:
        from openlive.types import FunctionCall

        declared = [{"functionDeclarations": [{"name": "f"}]}]
        world = World({"model": MODEL, "tools": declared}, replies=[[(0.1, FunctionCall("1", "f", {}))]])
        world.text("Hello")
        world.run(1)
        world.client(sent)
    assert world.closed is not None
    assert world.closed.code == 1007
    assert f"{field}'" in world.closed.reason
