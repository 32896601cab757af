"""What a client's messages hold: events for the core, and audio apart from them."""

from __future__ import annotations

import msgspec

from openlive.audio import AudioError, InputAudio
from openlive.core.events import BadRequest, Event, MessageReceived
from openlive.wire.client import ClientMessage, RealtimeInput, parse_message
from openlive.wire.content import Blob
from openlive.wire.errors import ProtocolError
from openlive.wire.size import MAX_VALUES, values_at_most

LARGE = 256 * 1024
"""Bytes from which a frame is read in a thread: a megabyte of base64 would hold up the loop for milliseconds."""
MANY, SHORT = 4096, 8192
"""Values from which one is read there, too, as they take a microsecond each; and bytes that cannot hold so many."""


def is_dear(frame: str | bytes) -> bool:
    """Whether reading the frame would hold up the loop."""
    return len(frame) > LARGE or (len(frame) > SHORT and values_at_most(frame) > MANY)


class Frames:
    """Of one connection, in order: audio of another rate is resampled on from message to message. `values`: how many a
    message may hold."""

    def __init__(self, values: int = MAX_VALUES) -> None:
        self._values = values
        self._audio = InputAudio()

    def read(self, frame: str | bytes) -> list[Event | bytes]:
        """What a frame holds, in order: events, and audio as s16le mono 16 kHz."""
        try:
            message = parse_message(frame, self._values)
            said = message.realtime_input
            return [MessageReceived(message)] if said is None else self._realtime(message, said)
        except ProtocolError as error:
            return [BadRequest(error.code, error.reason)]
        except AudioError as error:
            return [BadRequest(1007, str(error))]

    def _realtime(self, message: ClientMessage, said: RealtimeInput) -> list[Event | bytes]:
        """Takes the audio out of the message. An activity begins before the audio beside it, and ends after it."""
        images: list[RealtimeInput] = []
        pcm = b""
        for path, blob in _blobs(said):
            if path == "audio" or (blob.mime_type or "audio/").lstrip()[:6].lower() == "audio/":
                pcm += self._audio.push(blob.data or b"", blob.mime_type or "audio/pcm", f"realtime_input.{path}")
            else:
                images.append(RealtimeInput(media_chunks=(blob,)))
        if pcm and said == RealtimeInput(audio=said.audio):  # nothing else is in almost every message
            return [pcm]
        if said.audio_stream_end or said.activity_end is not None:
            pcm += self._audio.flush()
        start = RealtimeInput(activity_start=said.activity_start)
        rest = msgspec.structs.replace(said, audio=None, media_chunks=(), activity_start=None)
        read: list[Event | bytes] = [pcm] if pcm else []
        read += [MessageReceived(msgspec.structs.replace(message, realtime_input=image)) for image in images]
        if start != _NOTHING:
            read.insert(0, MessageReceived(msgspec.structs.replace(message, realtime_input=start)))
        if rest != _NOTHING or not read:  # an empty message counts as one
            read.append(MessageReceived(msgspec.structs.replace(message, realtime_input=rest)))
        return read


_NOTHING = RealtimeInput()


def _blobs(said: RealtimeInput) -> list[tuple[str, Blob]]:
    """The media of a message with their paths. Of the deprecated chunks the original reads only the first; we all."""
    chunks = [(f"media_chunks[{i}]", chunk) for i, chunk in enumerate(said.media_chunks)]
    return [*chunks, ("audio", said.audio)] if said.audio is not None else chunks
