"""PCM at the door: mime types, WAV headers, resampling, samples and time.

Clients send what they have: `audio/pcm;rate=N` at any rate, or a whole WAV file labelled as if it were bare samples
(docs/protocol.md#media-types). Everything behind this module sees s16le mono at 16 kHz.
"""

from __future__ import annotations

import io
import wave
from pathlib import Path
from typing import Any

import numpy as np
import soxr
from msgspec import Struct
from numpy.typing import NDArray

from openlive.types import INPUT_RATE

LOWEST_RATE = 8_000
HIGHEST_RATE = 192_000

LIVE_QUALITY, FILE_QUALITY = "LQ", "HQ"
"""Of the resampler. Measured with 20 ms chunks at 24 to 48 kHz: LQ holds back 11 ms on average (20 at most), HQ and MQ
21 (37); at 8 kHz 32 against 63. LQ lets pass what speech has up to 6 kHz (3 dB less at 6.5) and nothing folds back;
QQ holds back nothing but folds everything above 8 kHz into the speech."""

_PCM_TYPES = frozenset({"audio/pcm", "audio/l16", "audio/x-raw", "audio/raw"})
_WAV_TYPES = frozenset({"audio/wav", "audio/x-wav", "audio/wave", "audio/vnd.wave"})
_HEADER_LIMIT = 64 * 1024
"""Bytes of chunks before a WAV file's samples (a LIST of tags, say) that are put up with."""
_UNKNOWN_LENGTH = 0x7FFF_F000
"""Writers that stream put 0 or a huge number where the length of the samples belongs."""


class AudioError(ValueError):
    """Audio that cannot be taken. The message is a close reason: it names the field and the cause."""


class PCMFormat(Struct, frozen=True):
    """How samples lie in a stream of bytes: signed little-endian integers, or IEEE floats (8 bits: unsigned)."""

    rate: int = INPUT_RATE
    channels: int = 1
    bits: int = 16
    floating: bool = False
    wav: bool = False
    """A WAV header is expected, whose own format then counts."""

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of all channels."""
        return self.channels * self.bits // 8

    @property
    def is_mono_16_bit(self) -> bool:
        """Nothing has to be done to it but resampling."""
        return self.channels == 1 and self.bits == 16 and not self.floating


# --- mime types -------------------------------------------------------------------------------------------------------


def parse_mime(mime: str, path: str = "realtime_input.audio") -> PCMFormat:
    """What a mime type says. '' and a type without a rate mean 16 kHz mono; parameters we do not know are passed over.

    `audio/l16` is read as little-endian, as the API's users send it, not as RFC 2586 has it. `path` names the blob in
    the message of an `AudioError`.
    """
    kind, *parameters = (part.strip() for part in mime.split(";"))
    kind = kind.lower()
    field = f"Invalid value at '{path}.mime_type'"
    if kind not in _PCM_TYPES and kind not in _WAV_TYPES and kind:
        raise AudioError(f"{field}: {kind[:24]} is not supported; send audio/pcm;rate=N.")
    values = {"rate": INPUT_RATE, "channels": 1}
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        name, value = name.strip().lower(), value.strip().strip('"')
        if name not in values:
            continue
        if not (value.isascii() and value.isdigit()):
            raise AudioError(f"{field}: {name} {value[:20]!r} is not a number.")
        values[name] = int(value[:9])
    _check_rate_and_channels(field, values["rate"], values["channels"])
    return PCMFormat(rate=values["rate"], channels=values["channels"], wav=kind in _WAV_TYPES)


def _check_rate_and_channels(field: str, rate: int, channels: int) -> None:
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise AudioError(f"{field}: rate {rate} is outside {LOWEST_RATE} to {HIGHEST_RATE} Hz.")
    if not 1 <= channels <= 8:
        raise AudioError(f"{field}: {channels} channels; 1 to 8 are supported.")


# --- WAV headers ------------------------------------------------------------------------------------------------------


class _WavHeader(Struct, frozen=True):
    """A WAV header: the format, where the samples begin, how many bytes of them follow (None: to the end), and of tags
    after those."""

    format: PCMFormat
    start: int
    length: int | None
    tags: int


def _is_wav(data: bytes) -> bool:
    return data[:4] == b"RIFF" and data[8:12] == b"WAVE"


def _read_header(data: bytes, field: str) -> _WavHeader | None:
    """The header that `data` begins with, or None while it is incomplete."""
    found: PCMFormat | None = None
    at = 12
    while len(data) >= at + 8:
        name, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        body = at + 8
        if name == b"data":
            if found is None:
                raise AudioError(f"{field}: a WAV file whose samples come before their format.")
            if not 0 < size < _UNKNOWN_LENGTH:
                return _WavHeader(found, body, None, 0)
            tags = int.from_bytes(data[4:8], "little") + 8 - body - size
            return _WavHeader(found, body, size, tags if 0 < tags <= _HEADER_LIMIT else 0)
        if name == b"fmt ":
            if len(data) < body + min(size, 40):
                return None
            found = _read_format(data[body : body + size], field)
        at = body + size + size % 2
        if at > _HEADER_LIMIT:
            break
    if max(at, len(data)) > _HEADER_LIMIT:
        raise AudioError(f"{field}: a WAV file without samples in its first {_HEADER_LIMIT} bytes.")
    return None


def _read_format(chunk: bytes, field: str) -> PCMFormat:
    if len(chunk) < 16:
        raise AudioError(f"{field}: a WAV file with a format of {len(chunk)} bytes.")
    code, channels = int.from_bytes(chunk[:2], "little"), int.from_bytes(chunk[2:4], "little")
    rate, bits = int.from_bytes(chunk[4:8], "little"), int.from_bytes(chunk[14:16], "little")
    if code == 0xFFFE and len(chunk) >= 26:  # extensible: the code proper stands in the sub-format
        code = int.from_bytes(chunk[24:26], "little")
    if (code, bits) not in {(1, 8), (1, 16), (1, 24), (1, 32), (3, 32), (3, 64)}:
        raise AudioError(f"{field}: WAV encoding {code} with {bits} bits is not supported; send 16-bit PCM.")
    _check_rate_and_channels(f"{field} (WAV header)", rate, channels)
    return PCMFormat(rate=rate, channels=channels, bits=bits, floating=code == 3, wav=True)


# --- samples ----------------------------------------------------------------------------------------------------------


def _to_floats(data: bytes, form: PCMFormat) -> NDArray[Any]:
    """Whole frames as float32[n] mono between -1 and 1."""
    if form.floating:
        samples = np.frombuffer(data, f"<f{form.bits // 8}").astype(np.float32)
        samples = np.clip(np.nan_to_num(samples), -1.0, 1.0)
    elif form.bits == 8:
        samples = (np.frombuffer(data, np.uint8).astype(np.float32) - 128.0) / 128.0
    elif form.bits == 24:
        wide = np.zeros((len(data) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        samples = wide.view("<i4").reshape(-1).astype(np.float32) / 2147483648.0
    else:
        samples = np.frombuffer(data, f"<i{form.bits // 8}").astype(np.float32) / float(1 << (form.bits - 1))
    return samples.reshape(-1, form.channels).mean(axis=1) if form.channels > 1 else samples


def _to_pcm(floats: NDArray[Any]) -> NDArray[Any]:
    return np.clip(np.rint(floats * 32768.0), -32768, 32767).astype("<i2")


def _to_mono(data: bytes, form: PCMFormat) -> bytes:
    """Whole frames as s16le mono at their own rate; `data` itself where that is what it is."""
    return data if form.is_mono_16_bit else _to_pcm(_to_floats(data, form)).tobytes()


class InputAudio:
    """The audio that one session receives, made s16le mono at 16 kHz. Keeps what belongs to the next blob.

    Blobs may be cut anywhere, in the middle of a sample as well (docs/protocol.md#media-types: chunks of 641 bytes):
    the beginning of a sample waits for its rest, until the type changes or the stream ends.
    """

    def __init__(self, rate: int = INPUT_RATE) -> None:
        self._rate = rate
        self._stream: soxr.ResampleStream | None = None
        self._stream_rate = rate
        self._head: bytes | None = None  # the beginning of a WAV file while its header is incomplete
        self._wav: PCMFormat | None = None  # the format of the WAV file whose samples are being read
        self._left: int | None = None  # bytes of its samples still to come; None: until the end of the stream
        self._rest = b""  # the beginning of a sample
        self._tags = 0  # bytes to pass over after its samples
        self._mime = ("", PCMFormat())

    def push(self, data: bytes, mime: str, path: str = "realtime_input.audio") -> bytes:
        """What can be given out once `data` has come; at 16 kHz mono, `data` itself. Raises `AudioError`."""
        if self._mime[0] != mime:
            form, before = parse_mime(mime, path), self._mime[1]
            self._mime = (mime, form)
            if form != before and self._wav is None:
                self._rest = b""
        form = self._mime[1]
        field = f"Invalid value at '{path}.data'"
        if self._head is not None:
            data = self._head + data
            return self._open_wav(data, field)
        if _is_wav(data):
            return self._open_wav(data, field)
        if self._wav is not None:
            return self._continue_wav(data)
        if self._tags:
            skipped = min(self._tags, len(data))
            self._tags -= skipped
            data = data[skipped:]
        if form.wav and data:
            if not b"RIFF".startswith(data[:4]):
                raise AudioError(f"{field}: no RIFF header although the type says WAV.")
            return self._open_wav(data, field)
        return self._resample_pcm(_to_mono(self._take_whole_frames(data, form), form), form.rate)

    def flush(self) -> bytes:
        """The end of the stream (`audioStreamEnd`): what was held back. The next `push` begins anew."""
        self._head, self._wav, self._left, self._rest, self._tags = None, None, None, b"", 0
        return self._drain_resampler()

    def _open_wav(self, data: bytes, field: str) -> bytes:
        self._wav, self._rest, self._tags = None, b"", 0
        if len(data) >= 12 and not _is_wav(data):
            self._head = None
            raise AudioError(f"{field}: a RIFF file that is no WAV.")
        header = _read_header(data, field) if len(data) >= 12 else None
        if header is None:
            self._head = data
            return b""
        self._head, self._wav, self._left, self._tags = None, header.format, header.length, header.tags
        return self._continue_wav(data[header.start :])

    def _continue_wav(self, data: bytes) -> bytes:
        form = self._wav
        assert form is not None
        if self._left is not None:
            data, tags = data[: self._left], data[self._left :]
            self._left -= len(data)
            self._tags = max(0, self._tags - len(tags))
        data = self._take_whole_frames(data, form)
        if self._left == 0:
            self._wav, self._left, self._rest = None, None, b""
        return self._resample_pcm(_to_mono(data, form), form.rate)

    def _take_whole_frames(self, data: bytes, form: PCMFormat) -> bytes:
        """The samples that are complete with `data`."""
        if self._rest:
            data = self._rest + data
        over = len(data) % form.frame_bytes
        if not over:
            self._rest = b""
            return data
        self._rest = data[-over:]
        return data[:-over]

    def _resample_pcm(self, pcm: bytes, rate: int) -> bytes:
        before = self._drain_resampler() if rate != self._stream_rate else b""
        self._stream_rate = rate
        if rate == self._rate:
            return before + pcm if before else pcm
        if not pcm:
            return before
        if self._stream is None:
            self._stream = soxr.ResampleStream(rate, self._rate, 1, dtype="int16", quality=LIVE_QUALITY)
        made: bytes = self._stream.resample_chunk(np.frombuffer(pcm, "<i2")).tobytes()
        return before + made

    def _drain_resampler(self) -> bytes:
        stream, self._stream = self._stream, None
        if stream is None:
            return b""
        tail: bytes = stream.resample_chunk(np.zeros(0, np.int16), last=True).tobytes()
        return tail


# --- time -------------------------------------------------------------------------------------------------------------


def count_samples(pcm: bytes) -> int:
    """How many samples s16le mono audio has."""
    return len(pcm) // 2


def samples_to_ms(count: int, rate: int) -> float:
    """Milliseconds that `count` samples last."""
    return count * 1000 / rate


def ms_to_samples(ms: float, rate: int) -> int:
    """Samples of `ms` milliseconds, to the nearest."""
    return round(ms * rate / 1000)


# --- files ------------------------------------------------------------------------------------------------------------


def read_wav(source: Path | bytes, rate: int = INPUT_RATE) -> bytes:
    """A WAV file (8 to 32 bits, floats, any channels) as s16le mono at `rate`. Raises `AudioError`, `OSError`."""
    data = source if isinstance(source, bytes) else source.read_bytes()
    name = "the audio" if isinstance(source, bytes) else str(source)
    if not _is_wav(data):
        raise AudioError(f"{name}: not a WAV file.")
    header = _read_header(data, name)
    if header is None:
        raise AudioError(f"{name}: a WAV file that ends before its samples.")
    form = header.format
    end = len(data) if header.length is None else header.start + header.length
    body = data[header.start : end]
    body = body[: len(body) - len(body) % form.frame_bytes]
    if form.is_mono_16_bit and form.rate == rate:
        return body
    floats = _to_floats(body, form)
    if form.rate != rate:
        floats = soxr.resample(floats, form.rate, rate, quality=FILE_QUALITY)
    return _to_pcm(floats).tobytes()


def to_wav(pcm: bytes, rate: int) -> bytes:
    """A WAV file of s16le mono audio."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(pcm)
    return out.getvalue()


def write_wav(path: Path, pcm: bytes, rate: int) -> None:
    """Writes s16le mono audio as a WAV file."""
    path.write_bytes(to_wav(pcm, rate))
