"""Messages about what was heard and about the session itself."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from openlive.core.commands import Send
from openlive.core.memory.snapshot import ToolFindings
from openlive.core.setup.settings import SessionSettings
from openlive.types import INPUT_RATE, Word
from openlive.wire.server import (
    GoAway,
    GroundingChunk,
    GroundingMetadata,
    SearchEntryPoint,
    ServerContent,
    ServerMessage,
    SessionResumptionUpdate,
    SetupComplete,
    Transcription,
    UrlContextMetadata,
    UrlMetadata,
    UrlRetrievalStatus,
    VadSignalType,
    VoiceActivity,
    VoiceActivityDetectionSignal,
    VoiceActivityType,
    WebChunk,
    WordInfo,
    format_duration,
)


def setup_complete_message(session: str) -> Send:
    return Send(ServerMessage(setup_complete=SetupComplete(session_id=session)))


def input_transcript(
    settings: SessionSettings, text: str, language: str, words: Sequence[Word] = (), *, last: bool = False
) -> list[Send]:
    """A piece of the user's transcript; with its last one come the offsets of all the utterance's `words`. Interpreters
    tell the `language` (a bare code) as well (docs/protocol.md#translation)."""
    timed = tuple(
        WordInfo(word=w.text, start_offset=_to_offset(w.start), end_offset=_to_offset(w.end))
        for w in (words if settings.words else ())
    )
    if not settings.transcribe_input or not (text or timed):
        return []
    finished = last and settings.profile.transcript_end == "with_text"
    code = language if settings.translation is not None and language else None
    return [_transcription_message(Transcription(text=text, words=timed, finished=finished, language_code=code))]


def input_transcript_end(settings: SessionSettings) -> list[Send]:
    """The transcript of the turn is complete, where that was not told with its last piece."""
    told = settings.transcribe_input and settings.profile.transcript_end != "never"
    return [_transcription_message(TRANSCRIPT_END)] if told else []


TRANSCRIPT_END = Transcription(text="", finished=True)
"""Of either side. Its text is empty, since some clients skip the text beside `finished`
(docs/protocol.md#the-end-of-a-transcript), but there, since others read it unasked
(docs/protocol.md#the-end-of-a-transcript)."""


def interim_input_transcript(settings: SessionSettings, text: str) -> list[Send]:
    """What may still change."""
    if not settings.interim or not text:
        return []
    content = ServerContent(interim_input_transcription=Transcription(text=text))
    return [Send(ServerMessage(server_content=content))]


def activity_messages(settings: SessionSettings, *, started: bool, at: int) -> list[Send]:
    """`at`: samples since the session began."""
    out = []
    if settings.voice_activity:
        kind = VoiceActivityType.ACTIVITY_START if started else VoiceActivityType.ACTIVITY_END
        out.append(Send(ServerMessage(voice_activity=VoiceActivity(type=kind, audio_offset=_to_offset(at)))))
    if settings.vad_signal:
        signal = VadSignalType.VAD_SIGNAL_TYPE_SOS if started else VadSignalType.VAD_SIGNAL_TYPE_EOS
        message = VoiceActivityDetectionSignal(vad_signal_type=signal)
        out.append(Send(ServerMessage(voice_activity_detection_signal=message)))
    return out


def grounding_messages(what: ToolFindings) -> list[Send]:
    """What the tools of the turn brought, in a message of its own before the generation is told complete."""
    if what == ToolFindings():
        return []
    chunks = tuple(GroundingChunk(web=WebChunk(uri=s.uri, title=s.title or None)) for s in what.sources)
    grounding = GroundingMetadata(
        search_entry_point=SearchEntryPoint(rendered_content=_render_suggestions(what.queries)),
        grounding_chunks=chunks,
        web_search_queries=what.queries,
    )
    pages = tuple(UrlMetadata(retrieved_url=p.uri, url_retrieval_status=_STATUS[p.status]) for p in what.pages)
    content = ServerContent(
        grounding_metadata=grounding if what.queries or chunks else None,
        url_context_metadata=UrlContextMetadata(url_metadata=pages) if pages else None,
    )
    return [Send(ServerMessage(server_content=content))]


_STATUS = {
    "success": UrlRetrievalStatus.URL_RETRIEVAL_STATUS_SUCCESS,
    "error": UrlRetrievalStatus.URL_RETRIEVAL_STATUS_ERROR,
    "unsafe": UrlRetrievalStatus.URL_RETRIEVAL_STATUS_UNSAFE,
}


def _render_suggestions(queries: Sequence[str]) -> str:
    """The queries as HTML that a client may show as it is."""
    return "<ul>" + "".join(f"<li>{escape(query)}</li>" for query in queries) + "</ul>"


def resumption_update(handle: str, consumed: int | None) -> Send:
    """`consumed`: the client's messages so far, where it asked for transparent resumption."""
    index = None if consumed is None else str(consumed)
    update = SessionResumptionUpdate(new_handle=handle, resumable=True, last_consumed_client_message_index=index)
    return Send(ServerMessage(session_resumption_update=update))


def go_away_message(seconds: float) -> Send:
    return Send(ServerMessage(go_away=GoAway(time_left=format_duration(max(0.0, seconds)))))


def _to_offset(samples: int) -> str:
    return format_duration(samples / INPUT_RATE)


def _transcription_message(transcription: Transcription) -> Send:
    return Send(ServerMessage(server_content=ServerContent(input_transcription=transcription)))
