"""Contents: what both sides say to each other, part by part (docs/protocol.md#frames-of-python, #message-fields)."""

from __future__ import annotations

from typing import ClassVar

from openlive.wire.proto import Double, Duration, Enum, Int32, JsonObject, Message


class Language(Enum, proto="ExecutableCode.Language"):
    LANGUAGE_UNSPECIFIED = "LANGUAGE_UNSPECIFIED", 0
    PYTHON = "PYTHON", 1


class Outcome(Enum, proto="CodeExecutionResult.Outcome"):
    OUTCOME_UNSPECIFIED = "OUTCOME_UNSPECIFIED", 0
    OUTCOME_OK = "OUTCOME_OK", 1
    OUTCOME_FAILED = "OUTCOME_FAILED", 2
    OUTCOME_DEADLINE_EXCEEDED = "OUTCOME_DEADLINE_EXCEEDED", 3


class FunctionResponseScheduling(Enum, proto="FunctionResponse.Scheduling"):
    SCHEDULING_UNSPECIFIED = "SCHEDULING_UNSPECIFIED", 0
    SILENT = "SILENT", 1
    WHEN_IDLE = "WHEN_IDLE", 2
    INTERRUPT = "INTERRUPT", 3


class PartMediaResolutionLevel(Enum, proto="PartMediaResolution.Level"):
    MEDIA_RESOLUTION_UNSPECIFIED = "MEDIA_RESOLUTION_UNSPECIFIED", 0
    MEDIA_RESOLUTION_LOW = "MEDIA_RESOLUTION_LOW", 1
    MEDIA_RESOLUTION_MEDIUM = "MEDIA_RESOLUTION_MEDIUM", 2
    MEDIA_RESOLUTION_HIGH = "MEDIA_RESOLUTION_HIGH", 3
    MEDIA_RESOLUTION_ULTRA_HIGH = "MEDIA_RESOLUTION_ULTRA_HIGH", 4


class Blob(Message, frozen=True, kw_only=True):
    """Media. `data` is decoded from base64 already; `mime_type` as sent (`audio/pcm;rate=16000`, `image/jpeg`)."""

    mime_type: str | None = None
    data: bytes | None = None
    display_name: str | None = None


class FileData(Message, frozen=True, kw_only=True):
    mime_type: str | None = None
    file_uri: str | None = None
    display_name: str | None = None


class VideoMetadata(Message, frozen=True, kw_only=True):
    start_offset: Duration | None = None
    end_offset: Duration | None = None
    fps: Double | None = None
    content_layers: tuple[str, ...] = ()


class PartMediaResolution(Message, frozen=True, kw_only=True):
    level: PartMediaResolutionLevel | None = None
    num_tokens: Int32 | None = None


class FunctionCall(Message, frozen=True, kw_only=True):
    id: str | None = None
    name: str | None = None
    args: JsonObject | None = None
    partial_args: tuple[JsonObject, ...] = ()
    will_continue: bool | None = None


class FunctionResponseBlob(Message, frozen=True, kw_only=True):
    mime_type: str | None = None
    data: bytes | None = None
    display_name: str | None = None


class FunctionResponseFileData(Message, frozen=True, kw_only=True):
    mime_type: str | None = None
    file_uri: str | None = None
    display_name: str | None = None


class FunctionResponsePart(Message, frozen=True, kw_only=True):
    ONEOFS: ClassVar = {"data": ("inline_data", "file_data")}

    inline_data: FunctionResponseBlob | None = None
    file_data: FunctionResponseFileData | None = None
    media_resolution: PartMediaResolution | None = None
    video_metadata: VideoMetadata | None = None
    media_processing: str | None = None
    document_metadata: JsonObject | None = None
    spreadsheet_metadata: JsonObject | None = None
    audio_metadata: JsonObject | None = None


class FunctionResponse(Message, frozen=True, kw_only=True):
    """What a call came to. `response` is kept as it was sent.

    Some clients put `scheduling` inside `response` (docs/protocol.md#function-calling): `effective_scheduling` looks
    there too.
    """

    id: str | None = None
    name: str | None = None
    response: JsonObject | None = None
    parts: tuple[FunctionResponsePart, ...] = ()
    will_continue: bool | None = None
    scheduling: FunctionResponseScheduling | None = None

    @property
    def effective_scheduling(self) -> FunctionResponseScheduling | None:
        if self.scheduling is not None or self.response is None:
            return self.scheduling
        inside = self.response.get("scheduling")
        return FunctionResponseScheduling.__members__.get(inside.upper()) if isinstance(inside, str) else None


class ExecutableCode(Message, frozen=True, kw_only=True):
    language: Language | None = None
    code: str | None = None
    id: str | None = None


class CodeExecutionResult(Message, frozen=True, kw_only=True):
    outcome: Outcome | None = None
    output: str | None = None
    id: str | None = None


class Part(Message, frozen=True, kw_only=True):
    """One piece of a content; of the fields of the group `data` it has at most one."""

    ONEOFS: ClassVar = {
        "data": (
            "text",
            "inline_data",
            "function_call",
            "function_response",
            "file_data",
            "executable_code",
            "code_execution_result",
        )
    }

    text: str | None = None
    inline_data: Blob | None = None
    function_call: FunctionCall | None = None
    function_response: FunctionResponse | None = None
    file_data: FileData | None = None
    executable_code: ExecutableCode | None = None
    code_execution_result: CodeExecutionResult | None = None
    thought: bool = False
    thought_signature: bytes | None = None
    video_metadata: VideoMetadata | None = None
    media_resolution: PartMediaResolution | None = None
    part_metadata: JsonObject | None = None
    # Newer fields of the SDKs that have no use in a live session.
    tool_call: JsonObject | None = None
    tool_response: JsonObject | None = None
    audio_transcription: JsonObject | None = None
    media_processing: str | None = None
    speech_metadata: JsonObject | None = None
    document_metadata: JsonObject | None = None
    spreadsheet_metadata: JsonObject | None = None
    audio_metadata: JsonObject | None = None


class Content(Message, frozen=True, kw_only=True):
    """What one side says. `role` is `user`, `model`, on Vertex also `system`; None where it was left out."""

    parts: tuple[Part, ...] = ()
    role: str | None = None

    @staticmethod
    def from_text(text: str) -> Content:
        return Content(parts=(Part(text=text),))

    @property
    def texts(self) -> tuple[str, ...]:
        """The texts of its parts, thoughts left out."""
        return tuple(part.text for part in self.parts if part.text is not None and not part.thought)
