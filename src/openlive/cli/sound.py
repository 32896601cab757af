"""The sound devices of this machine, where it has any. Needs the library `sounddevice`; without it there are none."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any, Literal

from openlive.types import INPUT_RATE, OUTPUT_RATE

CHUNK_MS = 40


class NoDeviceError(Exception):
    """There is nothing to record or play with; the message says why."""


class Player:
    """Plays s16le mono at 24 kHz as it arrives; without a device it takes the audio and is silent."""

    def __init__(self, sounds: Any | None) -> None:
        self._waiting = bytearray()
        self._lock = threading.Lock()
        self._empty = threading.Event()
        self._empty.set()
        self._stream = sounds and sounds.RawOutputStream(
            samplerate=OUTPUT_RATE, channels=1, dtype="int16", callback=self._fill
        )

    @property
    def audible(self) -> bool:
        return self._stream is not None

    def feed(self, pcm: bytes) -> None:
        if self._stream is not None and pcm:
            with self._lock:
                self._waiting += pcm
                self._empty.clear()

    def clear(self) -> None:
        """Falls silent at once: the answer was interrupted."""
        with self._lock:
            self._waiting.clear()
            self._empty.set()

    async def drain(self, seconds: float = 60.0) -> None:
        """Until everything was played."""
        await asyncio.to_thread(self._empty.wait, seconds)

    def _fill(self, out: Any, frames: int, *_: object) -> None:
        """Called by the device's own thread."""
        wanted = frames * 2
        with self._lock:
            pcm = bytes(self._waiting[:wanted])
            del self._waiting[:wanted]
            if not self._waiting:
                self._empty.set()
        out[:] = pcm.ljust(wanted, b"\0")

    def __enter__(self) -> Player:
        if self._stream is not None:
            self._stream.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._stream is not None:
            self._stream.stop()
            self._stream.close()


def player() -> Player:
    """Of the default device; a silent one where there is none."""
    try:
        sounds = device("output")
    except NoDeviceError:
        return Player(None)
    try:
        return Player(sounds)
    except sounds.PortAudioError:  # it is there, but cannot play this
        return Player(None)


@contextmanager
def microphone() -> Iterator[AsyncIterator[bytes]]:
    """What is said into the default device, s16le mono at 16 kHz, as it is said. Raises `NoDeviceError`."""
    sounds = device("input")
    loop = asyncio.get_running_loop()
    chunks: asyncio.Queue[bytes] = asyncio.Queue()

    def arrived(data: Any, *_: object) -> None:
        loop.call_soon_threadsafe(chunks.put_nowait, bytes(data))

    async def heard() -> AsyncIterator[bytes]:
        while True:
            yield await chunks.get()

    frames = INPUT_RATE * CHUNK_MS // 1000
    with sounds.RawInputStream(samplerate=INPUT_RATE, channels=1, dtype="int16", blocksize=frames, callback=arrived):
        yield heard()


def device(kind: Literal["input", "output"]) -> Any:
    """The library, if this machine has a device of that kind. Raises `NoDeviceError`."""
    try:
        import sounddevice
    except ImportError:
        raise NoDeviceError("the Python package sounddevice is not installed") from None
    except OSError as error:  # the library it stands on (PortAudio) is a package of the system
        raise NoDeviceError(str(error)) from None
    try:
        sounddevice.query_devices(kind=kind)
    except (ValueError, sounddevice.PortAudioError) as error:
        raise NoDeviceError(str(error)) from None
    return sounddevice
