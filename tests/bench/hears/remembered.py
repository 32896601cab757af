"""The recogniser of the embedded default, whose networks remember what they said of the same audio: a rule about what
they say is tried again in seconds. Kept in the user's cache folder, by the audio and the arguments."""

from __future__ import annotations

import hashlib
import pickle
import sqlite3
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from msgspec import Struct

from openlive.engines.runtime.workers import WorkerPool
from openlive.engines.stt import moonshine, whisper
from openlive.engines.stt.auto import AutoSTT
from openlive.engines.stt.segment import Samples
from openlive.models import ensure
from openlive.models.cache import root


class Memory:
    """`fresh`: nothing that was kept before is used."""

    def __init__(self, *, fresh: bool) -> None:
        folder = root().parent / "bench"
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._kept = sqlite3.connect(folder / "heard.sqlite", check_same_thread=False, isolation_level=None)
        self._kept.execute("CREATE TABLE IF NOT EXISTS heard (key TEXT PRIMARY KEY, value BLOB)")
        if fresh:
            self._kept.execute("DELETE FROM heard")

    def get(self, work: Callable[[], Any], *what: object) -> Any:
        key = hashlib.sha256(repr(what).encode()).hexdigest()
        with self._lock:
            found = self._kept.execute("SELECT value FROM heard WHERE key = ?", (key,)).fetchone()
        if found:
            return pickle.loads(found[0])
        value = work()
        with self._lock:
            self._kept.execute("INSERT OR REPLACE INTO heard VALUES (?, ?)", (key, pickle.dumps(value)))
        return value


def digest(samples: Samples) -> str:
    return hashlib.sha256(np.ascontiguousarray(samples).tobytes()).hexdigest()


class English(moonshine.MoonshineModel):
    def __init__(self, memory: Memory) -> None:
        super().__init__(ensure("moonshine-tiny-en"))
        self._memory = memory

    def decode_samples(self, samples: Samples, draft: Any, abort: Any) -> moonshine.MoonshineReading:
        work = super().decode_samples
        found: moonshine.MoonshineReading = self._memory.get(
            lambda: work(samples, draft, abort), "read", digest(samples), draft
        )
        return found

    def score_texts(self, samples: Samples, texts: Any, abort: Any) -> Any:
        work = super().score_texts
        return self._memory.get(lambda: work(samples, texts, abort), "likelihoods", digest(samples), texts)


class Encoded(Struct, frozen=True):
    """What was encoded, and how to do that when it is needed."""

    key: str
    work: Callable[[], Any]
    done: list[Any]

    @property
    def value(self) -> Any:
        if not self.done:
            self.done.append(self.work())
        return self.done[0]


class Others(whisper.WhisperModel):
    def __init__(self, memory: Memory) -> None:
        super().__init__(ensure("whisper-base"), 1)
        self._memory = memory

    def encode(self, samples: Samples, *, final: bool) -> Any:
        work = super().encode
        return Encoded(f"{digest(samples)} {final}", lambda: work(samples, final=final), [])

    def detect_language(self, encoded: Any) -> Any:
        work = super().detect_language
        return self._memory.get(lambda: work(encoded.value), "detect", encoded.key)

    def find_hypotheses(self, encoded: Any, *args: Any) -> Any:
        self.load_weights()
        work = super().find_hypotheses
        return self._memory.get(lambda: work(encoded.value, *args), "hypotheses", encoded.key, args)

    def align_words(self, encoded: Any, *args: Any) -> Any:
        return super().align_words(encoded.value, *args)


def ears(*, fresh: bool = False) -> AutoSTT:
    memory = Memory(fresh=fresh)
    return AutoSTT(English(memory), Others(memory), WorkerPool(1, "listener"))
