"""What clients send (protocol.md 2)."""

from __future__ import annotations

from typing import ClassVar

from openlive.wire.content import Blob, Content, FunctionResponse
from openlive.wire.errors import ProtocolError
from openlive.wire.json import parse
from openlive.wire.proto import Message
from openlive.wire.setup import Instruction, Setup
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
    """A piece of what the user says, shows or types. May hold several fields at once (protocol.md 2.3)."""

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


def parse_message(frame: str | bytes) -> ClientMessage:
    """Reads one frame, text or binary. Raises ProtocolError, whatever the frame holds, and nothing else."""
    message = parse(ClientMessage, frame)
    if message == _EMPTY:
        raise ProtocolError(
            "Invalid JSON payload received. A message has one of setup, clientContent, realtimeInput, toolResponse, "
            "contextUpdate.",
            field="",
        )
    return message


_EMPTY = ClientMessage()
