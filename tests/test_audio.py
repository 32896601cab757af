from __future__ import annotations

import contextlib
import itertools
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openlive.audio import (
    AudioError,
    InputAudio,
    count_samples,
    ms_to_samples,
    parse_mime,
    read_wav,
    samples_to_ms,
    to_wav,
    write_wav,
)

SPEECH = Path(__file__).parent / "speech" / "human" / "goforward.wav"


def tone(rate: int, seconds: float = 1.0, hz: float = 440.0) -> bytes:
    t = np.arange(int(rate * seconds)) / rate
    return (np.sin(2 * np.pi * hz * t) * 12000).astype("<i2").tobytes()


def riff(
    body: bytes,
    *,
    code: int = 1,
    channels: int = 1,
    rate: int = 16000,
    bits: int = 16,
    before: bytes = b"",
    after: bytes = b"",
    length: int | None = None,
) -> bytes:
    form = struct.pack("<HHIIHH", code, channels, rate, rate * channels * bits // 8, channels * bits // 8, bits)
    if code == 0xFFFE:
        form += struct.pack("<HHIH14s", 22, bits, 0, 1, b"")
    head = b"fmt " + struct.pack("<I", len(form)) + form + before
    data = b"data" + struct.pack("<I", len(body) if length is None else length) + body + after
    return b"RIFF" + struct.pack("<I", 4 + len(head) + len(data)) + b"WAVE" + head + data


def loudest_hz(pcm: bytes, rate: int = 16000) -> float:
    x = np.frombuffer(pcm, "<i2").astype(float)
    return float(np.abs(np.fft.rfft(x * np.hanning(len(x)))).argmax() * rate / len(x))


@pytest.mark.parametrize(
    ("mime", "rate"),
    [
        ("audio/pcm", 16000),
        ("", 16000),
        ("audio/pcm;rate=16000", 16000),
        ("Audio/PCM; Rate=24000", 24000),
        ("audio/pcm ; rate = 48000", 48000),
        ('audio/l16;rate="8000"', 8000),
        ("audio/pcm;encoding=signed-integer;rate=44100;bits=16", 44100),
        ("audio/pcm;rate=192000", 192000),
    ],
)
def test_mime_types_that_clients_send(mime: str, rate: int) -> None:
    form = parse_mime(mime)
    assert (form.rate, form.channels, form.wav) == (rate, 1, False)


@pytest.mark.parametrize(
    ("mime", "reason"),
    [
        (
            "audio/pcm;rate=5",
            "Invalid value at 'realtime_input.audio.mime_type': rate 5 is outside 8000 to 192000 Hz.",
        ),
        ("audio/pcm;rate=999999999999999", "rate 999999999 is outside"),
        ("audio/pcm;rate=0", "rate 0 is outside"),
        ("audio/pcm;rate=-16000", "rate '-16000' is not a number"),
        ("audio/pcm;rate=fast", "rate 'fast' is not a number"),
        ("audio/pcm;rate=", "rate '' is not a number"),
        ("audio/pcm;rate=١٦٠٠٠", "is not a number"),
        ("audio/pcm;channels=90", "90 channels; 1 to 8"),
        ("audio/mp3", "audio/mp3 is not supported; send audio/pcm;rate=N."),
        ("video/mp4", "video/mp4 is not supported"),
        ("x" * 500, "is not supported"),
    ],
)
def test_mime_types_refused_by_name_in_a_close_reason(mime: str, reason: str) -> None:
    with pytest.raises(AudioError) as caught:
        parse_mime(mime)
    assert reason in str(caught.value)
    assert len(str(caught.value).encode()) <= 123


def test_the_path_of_the_blob_is_named() -> None:
    with pytest.raises(AudioError, match=r"'realtime_input\.media_chunks\[1\]\.data': no RIFF header"):
        InputAudio().push(b"abc", "audio/wav", "realtime_input.media_chunks[1]")


def test_16_khz_passes_untouched_and_uncopied() -> None:
    audio, pcm = InputAudio(), tone(16000)
    assert audio.push(pcm, "audio/pcm;rate=16000") is pcm
    assert audio.flush() == b""
    assert audio.push(b"", "audio/pcm") == b""


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 24000, 44100, 48000, 96000, 192000])
def test_other_rates_keep_their_pitch_and_length(rate: int) -> None:
    audio, pcm = InputAudio(), tone(rate)
    step = rate // 50 * 2
    out = b"".join(audio.push(pcm[i : i + step], f"audio/pcm;rate={rate}") for i in range(0, len(pcm), step))
    assert samples_to_ms(16000 - count_samples(out), 16000) < 100, (
        "a resampler that holds back more would delay every turn"
    )
    out += audio.flush()
    assert abs(count_samples(out) - 16000) <= 2
    assert loudest_hz(out) == pytest.approx(440, abs=2)


def test_what_lies_above_8_khz_does_not_fold_into_the_speech() -> None:
    audio = InputAudio()
    out = audio.push(tone(48000, hz=10_000), "audio/pcm;rate=48000") + audio.flush()
    assert np.abs(np.frombuffer(out, "<i2")[800:-800]).max() < 50


def test_a_change_of_rate_loses_nothing() -> None:
    audio = InputAudio()
    out = audio.push(tone(48000), "audio/pcm;rate=48000")
    out += audio.push(tone(16000), "audio/pcm;rate=16000")
    out += audio.push(tone(24000), "audio/pcm;rate=24000") + audio.flush()
    assert abs(count_samples(out) - 48000) <= 3


@given(cuts=st.lists(st.integers(0, 3200), max_size=12), bits=st.sampled_from(["", ";channels=2"]))
def test_samples_may_be_cut_anywhere(cuts: list[int], bits: str) -> None:
    """Programs send chunks of 641 bytes (docs/protocol.md#media-types)."""
    pcm = tone(16000, 0.1)
    audio = InputAudio()
    pieces = itertools.pairwise([0, *sorted(cuts), len(pcm)])
    whole = InputAudio().push(pcm, f"audio/pcm;rate=16000{bits}")
    assert b"".join(audio.push(pcm[a:b], f"audio/pcm;rate=16000{bits}") for a, b in pieces) == whole


@pytest.mark.parametrize("end", ["flush", "type"])
def test_half_a_sample_does_not_outlive_its_stream(end: str) -> None:
    audio = InputAudio()
    assert audio.push(b"abc", "audio/pcm") == b"ab"
    if end == "flush":
        audio.flush()
    else:
        audio.push(b"", "audio/pcm;rate=16000;channels=2")
    assert audio.push(b"defg", "audio/pcm") == b"defg"


def test_a_wav_file_labelled_pcm_is_unpacked() -> None:
    audio = InputAudio()
    data = SPEECH.read_bytes()
    assert audio.push(data, "audio/pcm;rate=16000") + audio.flush() == read_wav(SPEECH)


@given(cuts=st.lists(st.integers(12, 4000), max_size=12), stereo=st.booleans())
def test_a_wav_file_may_be_cut_anywhere(cuts: list[int], stereo: bool) -> None:
    pcm = tone(16000, 0.05)
    body = np.repeat(np.frombuffer(pcm, "<i2"), 2).tobytes() if stereo else pcm
    tags = b"LIST\x05\x00\x00\x00hello\x00"
    file = riff(body, channels=1 + stereo, before=tags, after=tags)
    audio = InputAudio()
    pieces = itertools.pairwise([0, *sorted(cuts), len(file)])
    assert b"".join(audio.push(file[a:b], "audio/pcm") for a, b in pieces) == pcm
    assert audio.push(pcm, "audio/pcm") == pcm


def test_a_wav_files_own_rate_and_channels_win() -> None:
    left, right = tone(48000, hz=440), tone(48000, hz=440)
    both = np.stack([np.frombuffer(left, "<i2"), np.frombuffer(right, "<i2")], axis=1).tobytes()
    audio = InputAudio()
    out = audio.push(riff(both, channels=2, rate=48000), "audio/pcm;rate=16000") + audio.flush()
    assert abs(count_samples(out) - 16000) <= 2
    assert loudest_hz(out) == pytest.approx(440, abs=2)


def test_bare_samples_follow_a_finished_file_and_another_file_begins_anew() -> None:
    audio, pcm = InputAudio(), tone(16000, 0.1)
    assert audio.push(riff(pcm), "audio/wav") == pcm
    assert audio.push(pcm, "audio/pcm") == pcm
    assert audio.push(riff(pcm), "audio/pcm") == pcm
    assert audio.push(riff(pcm, length=len(pcm) * 2), "audio/pcm") == pcm
    assert audio.push(riff(pcm), "audio/pcm") == pcm, "a file cut short ends where the next begins"


@pytest.mark.parametrize("length", [0, 0xFFFFFFFF, 0x7FFFFFFF])
def test_a_streamed_wav_of_unknown_length_goes_on_until_the_flush(length: int) -> None:
    audio, pcm = InputAudio(), tone(16000, 0.1)
    assert audio.push(riff(pcm, length=length), "audio/wav") == pcm
    assert audio.push(b"\x01", "audio/wav") == b""
    assert audio.push(b"\x02", "audio/wav") == b"\x01\x02"
    assert audio.push(b"\x01", "audio/wav") + audio.flush() == b""
    assert audio.push(pcm, "audio/pcm") == pcm


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (riff(b"", code=85), "WAV encoding 85 with 16 bits is not supported"),
        (riff(b"", bits=12), "WAV encoding 1 with 12 bits"),
        (riff(b"", rate=100), "rate 100 is outside"),
        (riff(b"", channels=0), "0 channels"),
        (riff(b"")[:12] + riff(b"")[36:], "samples come before their format"),
        (b"RIFF\0\0\0\0WAVE" + b"LIST" + struct.pack("<I", 1 << 30), "without samples in its first"),
    ],
)
def test_wav_files_that_cannot_be_read(data: bytes, reason: str) -> None:
    with pytest.raises(AudioError) as caught:
        InputAudio().push(data, "audio/pcm")
    assert reason in str(caught.value)
    assert len(str(caught.value).encode()) <= 123


def test_wav_was_promised_and_something_else_came() -> None:
    with pytest.raises(AudioError, match="no RIFF header"):
        InputAudio().push(b"ID3\x04", "audio/wav")
    audio = InputAudio()
    assert audio.push(b"RI", "audio/wav") == b""
    with pytest.raises(AudioError, match="no WAV"):
        audio.push(b"FFxxxxAVI LIST", "audio/wav")


@given(
    data=st.binary(max_size=200),
    wavish=st.booleans(),
    mime=st.sampled_from(["audio/pcm", "audio/wav", "audio/pcm;rate=24000"]),
)
def test_no_input_raises_anything_but_an_audio_error(data: bytes, wavish: bool, mime: str) -> None:
    audio = InputAudio()
    with contextlib.suppress(AudioError):
        out = audio.push(b"RIFF1234WAVEfmt " + data if wavish else data, mime) + audio.flush()
        assert len(out) % 2 == 0


def test_every_kind_of_wav_file(tmp_path: Path) -> None:
    x = np.sin(np.arange(16000) / 10) * 0.5
    want = np.rint(x * 32768)
    wide = (x * 2**31).astype("<i4")
    kinds = {
        "8": riff((x * 128 + 128).astype(np.uint8).tobytes(), bits=8),
        "16": riff(want.astype("<i2").tobytes()),
        "24": riff(wide.view(np.uint8).reshape(-1, 4)[:, 1:].tobytes(), bits=24),
        "32": riff(wide.tobytes(), bits=32),
        "float": riff(x.astype("<f4").tobytes(), code=3, bits=32),
        "double": riff(x.astype("<f8").tobytes(), code=3, bits=64),
        "extensible": riff(want.astype("<i2").tobytes(), code=0xFFFE),
        "stereo": riff(np.repeat(want.astype("<i2"), 2).tobytes(), channels=2),
    }
    for name, data in kinds.items():
        path = tmp_path / f"{name}.wav"
        path.write_bytes(data)
        got = np.frombuffer(read_wav(path), "<i2").astype(float)
        assert np.abs(got - want).max() <= (256 if name == "8" else 1), name
        assert abs(count_samples(read_wav(data, 24000)) - 24000) <= 1


def test_files_are_written_and_named_in_errors(tmp_path: Path) -> None:
    path, pcm = tmp_path / "a.wav", tone(24000)
    write_wav(path, pcm, 24000)
    assert read_wav(path, 24000) == pcm
    assert read_wav(to_wav(pcm, 24000), 24000) == pcm
    (tmp_path / "b.wav").write_text("hello")
    with pytest.raises(AudioError, match=r"b\.wav: not a WAV file"):
        read_wav(tmp_path / "b.wav")
    with pytest.raises(AudioError, match="ends before its samples"):
        read_wav(to_wav(pcm, 24000)[:30])


def test_samples_and_time() -> None:
    assert samples_to_ms(count_samples(tone(16000)), 16000) == 1000
    assert ms_to_samples(20, 16000) == 320
    assert ms_to_samples(33.3333, 24000) == 800
