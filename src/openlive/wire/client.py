"""What clients send (docs/protocol.md#client-messages)."""

from __future__ import annotations

from typing import ClassVar

import msgspec
from msgspec import UNSET, UnsetType

from openlive.wire.content import Blob, Content, FunctionResponse
from openlive.wire.errors import ProtocolError
from openlive.wire.json import InvalidError, build_reader, parse
from openlive.wire.proto import Message
from openlive.wire.setup import Instruction, Setup
from openlive.wire.size import MAX_VALUES
from openlive.wire.tools import Tool


class ClientContent(Message, frozen=True, kw_only=True):
    """Turns to append to the history; `turn_complete` asks for an answer. Interrupts the model, always."""

    PROTO: ClassVar = "BidiGenerateContentClientContent"

    turns: tuple[Content, ...] = ()
    turn_complete: bool | None = None


class ActivityStart(Message, frozen=True, kw_only=True):
    PROTO: ClassVar = "BidiGenerateContentRealtimeInput.ActivityStart"


class ActivityEnd(Message, frozen=True, kw_only=True):
    PROTO: ClassVar = "BidiGenerateContentRealtimeInput.ActivityEnd"


class RealtimeInput(Message, frozen=True, kw_only=True):
    """A piece of what the user says, shows or types. May hold several fields at once
    (docs/protocol.md#frames-of-javascript)."""

    PROTO: ClassVar = "BidiGenerateContentRealtimeInput"

    media_chunks: tuple[Blob, ...] = ()
    audio: Blob | None = None
    video: Blob | None = None
    text: str | None = None
    audio_stream_end: bool | None = None
    activity_start: ActivityStart | None = None
    activity_end: ActivityEnd | None = None


class ToolResponse(Message, frozen=True, kw_only=True):
    PROTO: ClassVar = "BidiGenerateContentToolResponse"

    function_responses: tuple[FunctionResponse, ...] = ()


class ContextUpdateTools(Message, frozen=True, kw_only=True):
    """Replaces the tools; empty, it clears them."""

    tools: tuple[Tool, ...] = ()


class ContextUpdate(Message, frozen=True, kw_only=True):
    """Replaces the fields that it has, in the middle of a session."""

    system_instruction: Instruction | None = None
    tools: ContextUpdateTools | None = None


class ClientMessage(Message, frozen=True, kw_only=True):
    """Has exactly one of its fields."""

    PROTO: ClassVar = "BidiGenerateContentClientMessage"
    ONEOFS: ClassVar = {
        "message_type": ("setup", "client_content", "realtime_input", "tool_response", "context_update")
    }

    setup: Setup | None = None
    client_content: ClientContent | None = None
    realtime_input: RealtimeInput | None = None
    tool_response: ToolResponse | None = None
    context_update: ContextUpdate | None = None


def parse_message(frame: str | bytes, values: int = MAX_VALUES) -> ClientMessage:
    """Reads one frame, text or binary, of at most so many values. Raises ProtocolError, whatever the frame holds, and
    nothing else."""
    message = _parse_audio_only(frame) or parse(ClientMessage, frame, values=values)
    if message == _EMPTY:
        raise ProtocolError(
            "Invalid JSON payload received. A message has one of setup, clientContent, realtimeInput, toolResponse, "
            "contextUpdate.",
            field="",
        )
    return message


_EMPTY = ClientMessage()


# --- almost every message ---------------------------------------------------------------------------------------------


class _Blob(msgspec.Struct, forbid_unknown_fields=True):
    data: str
    camel: str | UnsetType = msgspec.field(default=UNSET, name="mimeType")
    snake: str | UnsetType = msgspec.field(default=UNSET, name="mime_type")


class _Input(msgspec.Struct, forbid_unknown_fields=True):
    audio: _Blob


class _Audio(msgspec.Struct, forbid_unknown_fields=True):
    camel: _Input | UnsetType = msgspec.field(default=UNSET, name="realtimeInput")
    snake: _Input | UnsetType = msgspec.field(default=UNSET, name="realtime_input")


_decoder = msgspec.json.Decoder(_Audio)
_data = build_reader(bytes)


def _parse_audio_only(frame: str | bytes) -> ClientMessage | None:
    """A message with one piece of audio and nothing else, read by a typed decoder: a fifth of what the walk takes.

    None for every other frame, broken ones included: the walk has the rules and the errors.
    """
    try:
        found = _decoder.decode(frame)
        said = found.camel or found.snake
        if not said or (found.camel and found.snake):
            return None
        blob = said.audio
        mime = blob.snake if blob.camel is UNSET else blob.camel
        if mime is UNSET or (blob.camel is not UNSET and blob.snake is not UNSET):
            return None
        audio = Blob(mime_type=mime, data=_data(blob.data))
    except (msgspec.DecodeError, UnicodeError, InvalidError):
        return None
    return ClientMessage(realtime_input=RealtimeInput(audio=audio))
