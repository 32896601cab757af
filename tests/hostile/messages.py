"""One message, or a conversation, that costs more than it is long."""

from __future__ import annotations

import base64
import json
from typing import Any

from tests.hostile.kinds import Attack, kind
from tests.hostile.sockets import SAID, TALK, TEXT, frame, message, turns

WINDOW = {**TEXT, "contextWindowCompression": {"triggerTokens": 4000, "slidingWindow": {"targetTokens": 2000}}}
LARGE = {**TALK, "model": "models/gemini-2.5-flash-preview-native-audio-dialog"}
"""A window of 131,072 tokens."""
WORKS = {"type": "object", "properties": {}}


def _functions(*schemas: Any, field: str = "parametersJsonSchema") -> dict[str, Any]:
    declared = [{"name": f"f{i}", field: schema} for i, schema in enumerate(schemas)]
    return {**TEXT, "tools": [{"functionDeclarations": declared}]}


def branching(levels: int = 22) -> dict[str, Any]:
    """Each level is one of two references to the next."""
    defs: dict[str, Any] = {f"l{i}": {"anyOf": [{"$ref": f"#/$defs/l{i + 1}"}] * 2} for i in range(levels)}
    defs[f"l{levels}"] = {"type": "string"}
    return {"type": "object", "properties": {"a": {"$ref": "#/$defs/l0"}}, "$defs": defs}


def wide(levels: int = 12) -> dict[str, Any]:
    """Each level has four properties of the next."""
    defs: dict[str, Any] = {
        f"l{i}": {"type": "object", "properties": {n: {"$ref": f"#/$defs/l{i + 1}"} for n in "abcd"}}
        for i in range(levels)
    }
    defs[f"l{levels}"] = {"type": "string"}
    return {"type": "object", "properties": {"a": {"$ref": "#/$defs/l0"}}, "$defs": defs}


def hops(references: int = 20_000, length: int = 98) -> dict[str, Any]:
    """Many properties, each at the beginning of the same long chain of references."""
    defs: dict[str, Any] = {f"h{i}": {"$ref": f"#/$defs/h{i + 1}"} for i in range(length)}
    defs[f"h{length}"] = {"type": "string"}
    return {"type": "object", "properties": {f"p{i}": {"$ref": "#/$defs/h0"} for i in range(references)}, "$defs": defs}


def nested(levels: int, key: str = "items") -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        inner: Any = [schema] if key in ("anyOf", "allOf", "prefixItems") else schema
        schema = {"type": "array", key: inner} if key != "properties" else {"type": "object", key: {"a": inner}}
    return schema


SCHEMAS: dict[str, Any] = {
    "schema that branches": lambda: _functions(branching()),
    "schema that branches, in all places": lambda: _functions(
        *(
            {
                "type": "object",
                "properties": {"a": {key: branching()["$defs"]["l0"]["anyOf"]}},
                "$defs": branching()["$defs"],
            }
            for key in ("anyOf", "oneOf", "allOf", "prefixItems")
        )
    ),
    "schema that is wide": lambda: _functions(wide()),
    "schema of long chains": lambda: _functions(hops()),
    "schema of itself": lambda: _functions(
        {"type": "object", "properties": {"a": {"$ref": "#"}, "b": {"$ref": "#"}, "c": {"$ref": "#/properties/a"}}}
    ),
    "schema of a loop of references": lambda: _functions(
        {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}
    ),
    "schema of many levels": lambda: _functions(*(nested(90 // 2, key) for key in ("items", "properties", "anyOf"))),
    "schema of many words": lambda: _functions(
        {"type": "object", "properties": {"a": {"type": "string", "enum": [f"w{i}" for i in range(50_000)]}}}
    ),
    "schema of many properties": lambda: _functions(
        {
            "type": "object",
            "properties": {f"p{i}": {"type": "string"} for i in range(9_000)},
            "required": [f"p{i}" for i in range(9_000)],
        }
    ),
    "schema of patterns": lambda: _functions(
        {"type": "object", "properties": {"a": {"type": "string", "pattern": "(a+)+$" * 20_000, "minLength": 10**18}}}
    ),
    "schema of pointers": lambda: _functions(
        {
            "type": "object",
            "properties": {f"p{i}": {"$ref": "#/" + "/".join(["properties", "a"] * 40)} for i in range(1_500)},
        }
    ),
    "schema of the API's own kind": lambda: _functions(
        {
            "type": "OBJECT",
            "properties": {f"p{i}": {"type": "STRING", "anyOf": [{"type": "STRING"}] * 40} for i in range(300)},
        },
        field="parameters",
    ),
    "many functions": lambda: _functions(*([WORKS] * 6_000)),
    "answers that branch": lambda: _functions(branching(), field="responseJsonSchema"),
    "response schema that branches": lambda: {
        **TEXT,
        "generationConfig": {"responseModalities": ["TEXT"], "responseJsonSchema": branching()},
    },
    "many languages and phrases": lambda: {
        **TALK,
        "inputAudioTranscription": {"languageCodes": ["en-US"] * 20_000, "customVocabulary": ["x"] * 40_000},
    },
    "many labels": lambda: {**TEXT, "labels": {f"l{i}": "x" for i in range(50_000)}},
    "long instructions": lambda: {**TEXT, "systemInstruction": {"parts": [{"text": "Be 1.5 brief. " * 60_000}]}},
}


def _register_schemas() -> None:
    for name, made in SCHEMAS.items():

        async def large(attack: Attack, made: Any = made) -> None:
            """A setup that is dear to read; where it is taken, a question follows."""
            socket = await attack.send(None, message({"setup": made()}), message(turns("hello")), wait=2.5)
            if socket is not None and not socket.end and not any("setupComplete" in told for told in socket.said):
                attack.told["no answer in time"] += 1
            if socket is not None and "setup" in socket.end and "time" in socket.end:
                attack.faults.append(f"the sender is told that it was late: {socket.end}")

        kind(name, 2, seconds=6.0)(large)


_register_schemas()


@kind("calls of a schema that branches", 2, seconds=10.0)
async def called(attack: Attack) -> None:
    """The model of an endpoint calls a function with arguments that fit in none of four million ways."""
    for schema in (branching(), wide(), {"type": "object", "properties": {"a": {"$ref": "#"}, "b": {"$ref": "#"}}}):
        setup = {**TEXT, "tools": [{"functionDeclarations": [{"name": "f", "parametersJsonSchema": schema}]}]}
        await attack.ask(setup, turns("endpoint: calls"), 3, lives=False)


def _contents(content: object, count: int, *, complete: bool = True) -> bytes:
    text = json.dumps(content).encode()
    return frame(
        SAID,
        b'{"clientContent":{"turns":['
        + b",".join([text] * count)
        + b'],"turnComplete":%b}}' % str(complete).lower().encode(),
    )


RESPONDED = {"functionResponse": {"id": "1", "name": "f", "response": {"a": 1}}}
RESPONSE = {"role": "user", "parts": [RESPONDED]}
SHORT = {"role": "user", "parts": [{"text": "abc"}]}
ANSWERED = {"role": "model", "parts": [{"text": "abc"}]}
CALLS = {"role": "model", "parts": [{"functionCall": {"id": "1", "name": "f", "args": {}}}]}
HISTORIES: dict[str, Any] = {
    "4,000 function responses": lambda: (TEXT, [_contents(RESPONSE, 4_000)]),
    "calls and their responses": lambda: (
        TEXT,
        [_contents(CALLS, 1, complete=False) + _contents(RESPONSE, 1, complete=False)] * 2_000 + [message(turns("x"))],
    ),
    "4,000 responses of one turn": lambda: (TEXT, [_contents({"role": "user", "parts": [RESPONDED] * 4_000}, 1)]),
    "6,600 turns of a token, sliding": lambda: (WINDOW, [_contents(SHORT, 6_600), message(turns("hello"))]),
    "110,000 turns of a token, sliding": lambda: (WINDOW, [_contents(SHORT, 110_000), message(turns("hello"))]),
    "110,000 turns of a token": lambda: (TEXT, [_contents(SHORT, 110_000), message(turns("hello"))]),
    "6,600 turns of a token in parts, sliding": lambda: (
        WINDOW,
        [_contents(SHORT, 2_000, complete=False)] * 3 + [_contents(SHORT, 600), message(turns("hello"))],
    ),
    "110,000 turns of a token in parts, sliding": lambda: (
        WINDOW,
        [_contents(SHORT, 2_000, complete=False)] * 55 + [message(turns("hello"))],
    ),
    "turns of a token one by one, sliding": lambda: (
        WINDOW,
        [_contents(ANSWERED, 1, complete=False) * 100] * 150 + [message(turns("hello"))],
    ),
    "empty turns": lambda: (WINDOW, [_contents({}, 300_000), message(turns("hello"))]),
    "turns of empty parts": lambda: (WINDOW, [_contents({"role": "user", "parts": [{"text": ""}] * 100}, 1_000)]),
    "100,000 parts": lambda: (TEXT, [_contents({"role": "user", "parts": [{"text": "x"}] * 100_000}, 1)]),
    "a conversation of 128,000 tokens": lambda: (
        {**LARGE, "contextWindowCompression": {"slidingWindow": {}}},
        [_contents({"role": "user", "parts": [{"text": "Tell me more. " * 30}]}, 600, complete=False)] * 2
        + [message(turns("hello"))] * 3,
    ),
    "history of the setup": lambda: (
        {**TEXT, "historyConfig": {"initialHistoryInClientContent": True}},
        [_contents(SHORT, 60_000), message(turns("hello"))],
    ),
    "tool responses to nothing": lambda: (
        TEXT,
        [message({"toolResponse": {"functionResponses": [{"id": "x", "name": "f", "response": {}}] * 60_000}})],
    ),
    "media chunks of nothing": lambda: (
        TALK,
        [message({"realtimeInput": {"mediaChunks": [{"mimeType": "audio/pcm"}] * 200_000}})],
    ),
    "images of nothing": lambda: (
        TALK,
        [message({"realtimeInput": {"mediaChunks": [{"mimeType": "image/png", "data": "AAAA"}] * 60_000}})],
    ),
    "objects in a response": lambda: (
        TEXT,
        [
            frame(
                SAID,
                b'{"toolResponse":{"functionResponses":[{"name":"f","response":{"a":['
                + b",".join([b"{}"] * 4_000_000)
                + b"]}}]}}",
            )
        ],
    ),
    "lists in a response": lambda: (
        TEXT,
        [
            frame(
                SAID,
                b'{"toolResponse":{"functionResponses":[{"name":"f","response":{"a":'
                + b"[" * 4_000_000
                + b"]" * 4_000_000
                + b"}}]}}",
            )
        ],
    ),
    "a long number": lambda: (TEXT, [frame(SAID, b'{"clientContent":{"turnComplete":' + b"9" * 8_000_000 + b"}}")]),
    "a long unknown name": lambda: (TEXT, [frame(SAID, b'{"' + b"a" * 8_000_000 + b'":1}')]),
    "130,000 typed characters, spoken": lambda: (LARGE, [message(turns("ein langer Text über alles " * 4_900))]),
    "130,000 typed signs, spoken": lambda: (LARGE, [message(turns("1/2 $3.50 (a|b) ##*_` " * 6_000))]),
    "480,000 characters of realtime text": lambda: (
        LARGE,
        [message({"realtimeInput": {"text": "日本 word 1.5 " * 40_000}})],
    ),
}


def _register_histories() -> None:
    for name, made in HISTORIES.items():

        async def long(attack: Attack, made: Any = made) -> None:
            """A conversation that is dear to keep, to cut or to read."""
            setup, messages = made()
            await attack.send(setup, *messages, wait=2.5)

        kind(name, 2, seconds=8.0)(long)


_register_histories()


def _audio(data: str, mime: str = "audio/pcm;rate=16000") -> bytes:
    return message({"realtimeInput": {"audio": {"data": data, "mimeType": mime}}})


@kind("audio of strange rates and forms", 2)
async def audio(attack: Attack) -> None:
    """4 MB of silence at 1 Hz, at 10^9 Hz, as WAV with a header that lies, in base64 that is broken at its end."""
    silence = base64.b64encode(bytes(3_000_000)).decode()
    header = b"RIFF" + b"\xff" * 4 + b"WAVEfmt \x10\0\0\0\x01\0\xff\xff\x01\0\0\0" + b"\xff" * 8 + b"data" + b"\xff" * 4
    for data, mime in (
        (silence, "audio/pcm;rate=1"),
        (silence, "audio/pcm;rate=1000000000"),
        (silence, "audio/pcm;rate=44101"),
        (silence[:-1] + "*", "audio/pcm"),
        (base64.b64encode(header + bytes(3_000_000)).decode(), "audio/wav"),
        (silence, "audio/" + ";rate=1" * 100_000),
        ("AAAA", "audio/pcm;rate=-5"),
    ):
        await attack.send(TALK, _audio(data, mime), wait=0.7)


@kind("16 MB of audio at once", 2)
async def much_audio(attack: Attack) -> None:
    """Six minutes of silence in one message, four times."""
    silence = base64.b64encode(bytes(attack.share(11_900_000))).decode()
    await attack.send(TALK, *[_audio(silence)] * 4, wait=3)


@kind("a new setup again and again", 2)
async def again(attack: Attack) -> None:
    """Contexts that change: 2,000 messages with instructions of 20 kB."""
    update = message({"clientContent": {"turns": [{"role": "system", "parts": [{"text": "Be brief. " * 2_000}]}]}})
    await attack.flood(TEXT, update, 40_000_000)
