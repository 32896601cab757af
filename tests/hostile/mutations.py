"""Messages as no client sends them, made from such as clients send. Everything comes from the random numbers given."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from openlive.wire.client import ClientMessage
from tests.wire.fields import names

NAMES = sorted(names(ClientMessage, set()))
RECORDED = [
    json.loads(line)
    for path in sorted((Path(__file__).parent.parent / "wire").glob("frames_*.jsonl"))
    for line in path.read_text().splitlines()
    if line.startswith("{")
]
"""What the SDKs send."""
MODEL = "models/gemini-live-2.5-flash-preview"
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "room": {"type": "string", "enum": ["attic", "cellar"]},
        "degrees": {"type": ["integer", "null"], "minimum": 5, "maximum": 30},
        "at": {"anyOf": [{"type": "string", "format": "time"}, {"$ref": "#/$defs/moment"}]},
        "tags": {"type": "array", "items": {"type": "string", "pattern": "^[a-z]+$"}, "uniqueItems": True},
    },
    "required": ["room"],
    "$defs": {"moment": {"type": "object", "properties": {"next": {"$ref": "#/$defs/moment"}}}},
}
SETUPS: list[dict[str, Any]] = [
    {"model": MODEL, "generationConfig": {"responseModalities": ["TEXT"]}},
    {
        "model": MODEL,
        "generationConfig": {"responseModalities": ["AUDIO"], "speechConfig": {"languageCode": "en-US"}},
        "inputAudioTranscription": {"languageCodes": ["en", "de"], "customVocabulary": ["openlive"]},
        "outputAudioTranscription": {},
        "realtimeInputConfig": {"automaticActivityDetection": {"disabled": True}},
        "sessionResumption": {},
    },
    {
        "model": MODEL,
        "generationConfig": {"responseModalities": ["AUDIO"], "thinkingConfig": {"thinkingBudget": 0}},
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "tools": [
            {
                "functionDeclarations": [
                    {"name": "heat", "description": "Heats.", "parametersJsonSchema": SCHEMA},
                    {
                        "name": "light",
                        "behavior": "NON_BLOCKING",
                        "parameters": {
                            "type": "OBJECT",
                            "properties": {"room": {"type": "STRING", "nullable": True}, "on": {"type": "BOOLEAN"}},
                            "required": ["room"],
                        },
                    },
                ]
            }
        ],
        "contextWindowCompression": {"triggerTokens": "200", "slidingWindow": {"targetTokens": 100}},
        "historyConfig": {"initialHistoryInClientContent": True},
    },
]
IMAGE = "/9j/4AAQSkZJRgABAQ=="
SAID: list[dict[str, Any]] = [
    {"clientContent": {"turns": [{"role": "user", "parts": [{"text": "hello"}]}], "turnComplete": True}},
    {
        "clientContent": {
            "turns": [
                {
                    "role": "user",
                    "parts": [{"text": "hello"}, {"inlineData": {"mimeType": "image/jpeg", "data": IMAGE}}],
                },
                {"role": "model", "parts": [{"functionCall": {"id": "1", "name": "heat", "args": {"room": "attic"}}}]},
                {
                    "role": "user",
                    "parts": [{"functionResponse": {"id": "1", "name": "heat", "response": {"ok": True}}}],
                },
            ]
        }
    },
    {"clientContent": {"turns": [{"role": "system", "parts": [{"text": "Be kind."}]}]}},
    {"realtimeInput": {"audio": {"data": "AAAA" * 200, "mimeType": "audio/pcm;rate=16000"}}},
    {"realtimeInput": {"video": {"data": IMAGE, "mimeType": "image/jpeg"}}},
    {"realtimeInput": {"mediaChunks": [{"data": "AAAA", "mimeType": "audio/pcm"}], "text": "hi"}},
    {"realtimeInput": {"activityStart": {}}},
    {"realtimeInput": {"activityEnd": {}}},
    {"realtimeInput": {"audioStreamEnd": True}},
    {"toolResponse": {"functionResponses": [{"id": "function-call-1", "name": "heat", "response": {"ok": True}}]}},
    {"contextUpdate": {"tools": {"tools": SETUPS[2]["tools"]}, "systemInstruction": {"parts": [{"text": "x"}]}}},
]
MESSAGES: list[dict[str, Any]] = [*RECORDED, *({"setup": setup} for setup in SETUPS), *SAID]
LEAVES: list[Any] = [
    *(None, True, False, 0, 1, -1, 2**31, 2**63, -(2**63), 1e308, 1.5, "", "user", "model", "system", "AUDIO", "audio"),
    *("1.2s", "-__-", "AAAA", IMAGE, "audio/pcm;rate=1", "audio/pcm;rate=44100", "image/png", "#", "#/$defs/moment"),
    *(
        "#/properties/room",
        "OBJECT",
        "array",
        "heat",
        "function-call-1",
        "en",
        "🙂",
        "\x00",
        "1e400",
        "9" * 400,
        "^(a+)+$",
    ),
    *({}, []),
]
Pick = tuple[Any, Any]
"""A container of a message, and a key or an index in it."""


def places(message: Any) -> list[Pick]:
    found: list[Pick] = []
    todo = [message]
    while todo:
        container = todo.pop()
        keys = list(container) if isinstance(container, dict) else range(len(container))
        for key in keys:
            found.append((container, key))
            if isinstance(container[key], dict | list):
                todo.append(container[key])
    return found


def _leaf(_: Any, rng: random.Random) -> Any:
    return rng.choice(LEAVES)


def _other(_: Any, rng: random.Random) -> Any:
    """A piece of another message."""
    message = rng.choice(MESSAGES)
    container, key = rng.choice(places(message))
    return container[key]


def _many(value: Any, rng: random.Random) -> Any:
    """The same, over and over."""
    return [value] * (4 ** rng.randrange(6))


def _named(value: Any, rng: random.Random) -> Any:
    return {f"{rng.choice(NAMES)}{i}": value for i in range(4 ** rng.randrange(5))}


def _deep(value: Any, rng: random.Random) -> Any:
    name = rng.choice(["a", "items", "parts", "anyOf", "properties", rng.choice(NAMES)])
    for _ in range(rng.choice([1, 2, 10, 40, 120])):
        value = {name: value} if rng.random() < 0.7 else [value]
    return value


def _long(value: Any, rng: random.Random) -> Any:
    text = value if isinstance(value, str) and value else rng.choice(['"', "\\", "a", "{}", "é", "🙂", ", "])
    return text * (4 ** rng.randrange(7))


CHANGES: list[Callable[[Any, random.Random], Any]] = [_leaf, _leaf, _other, _other, _many, _named, _deep, _long]


def change(message: Any, rng: random.Random) -> None:
    """Changes one place of a message."""
    found = places(message)
    if not found:
        return
    container, key = rng.choice(found)
    kind = rng.randrange(8)
    if kind == 0:
        del container[key]
    elif kind == 1 and isinstance(container, dict):
        container[rng.choice(NAMES)] = container.pop(key)
    elif kind == 2 and isinstance(container, dict):
        container[rng.choice(NAMES)] = rng.choice(CHANGES)(container[key], rng)
    else:
        container[key] = rng.choice(CHANGES)(container[key], rng)


def spoil(frame: bytes, rng: random.Random) -> bytes:
    """Changes some bytes."""
    start = rng.randrange(len(frame) + 1)
    end = min(len(frame), start + rng.choice([0, 1, 1, 8, len(frame)]))
    put = rng.choice([b"", rng.randbytes(rng.randrange(1, 9)), frame[start:end] * 2, b'"', b"\\", b"{", b"]", b"\xff"])
    return frame[:start] + put + frame[end:]


def mutated(message: Any, rng: random.Random, most: int, *, sound: bool = False) -> bytes:
    """A message with some changes (`sound`: with none), of at most so many bytes."""
    text = json.dumps(message)
    if sound:
        return text.encode()
    for _ in range(rng.choice([1, 1, 2, 3, 6])):
        copy = json.loads(text)
        if isinstance(copy, dict | list):
            change(copy, rng)
            if _size(copy, most) < most:  # else without this one
                text = json.dumps(copy)
    if rng.random() < 0.5:
        text = json.dumps(json.loads(text), ensure_ascii=False, separators=(",", ":"))
    frame = text.encode("utf-8", "surrogatepass")
    if rng.random() < 0.1:
        frame = spoil(frame, rng)
    return frame[:most]


def _size(value: Any, most: int) -> int:
    """Roughly its bytes as JSON; not counted on beyond `most`."""
    size = 0
    todo = [value]
    while todo and size <= most:
        one = todo.pop()
        if isinstance(one, dict):
            todo += one.values()
            size += sum(map(len, one)) + 4 * len(one)
        elif isinstance(one, list):
            todo += one
            size += len(one) + 2
        else:
            size += len(one) if isinstance(one, str) else 4
    return size
