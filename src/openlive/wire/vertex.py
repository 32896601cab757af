"""What Vertex's door says differently: names of usage fields, and the type of audio
(docs/protocol.md#vertex)."""

from __future__ import annotations

from msgspec.structs import replace

from openlive.wire import server
from openlive.wire.content import Part
from openlive.wire.server import ServerContent, ServerMessage, UsageMetadata


def encode(message: ServerMessage) -> bytes:
    """As `server.encode`."""
    if message.usage_metadata is not None:
        message = replace(message, usage_metadata=_vertex_usage(message.usage_metadata))
    if message.server_content is not None:
        message = replace(message, server_content=_vertex_content(message.server_content))
    return server.encode(message)


def _vertex_usage(usage: UsageMetadata) -> UsageMetadata:
    """SDKs read the answer's tokens under these names there, and no others."""
    return replace(
        usage,
        response_token_count=0,
        response_tokens_details=(),
        candidates_token_count=usage.response_token_count,
        candidates_tokens_details=usage.response_tokens_details,
    )


def _vertex_content(content: ServerContent) -> ServerContent:
    turn = content.model_turn
    if turn is None or not any(part.inline_data for part in turn.parts):
        return content
    return replace(content, model_turn=replace(turn, parts=tuple(map(_vertex_part, turn.parts))))


def _vertex_part(part: Part) -> Part:
    blob = part.inline_data
    if blob is None or not (blob.mime_type or "").startswith("audio/pcm"):
        return part
    return replace(part, inline_data=replace(blob, mime_type="audio/pcm"))
