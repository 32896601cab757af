"""What many prompts of a model begin with, computed once: later it is read from a file.

For calls of functions these are 860 tokens, which take the 1.5B model 10 s of a fast core and 75 of a slow one; the
file has 25 MB, and is read in some 10 ms. It holds nothing of any session.
"""

from __future__ import annotations

import hashlib
import logging
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock

from openlive.engines.llm.llamacpp.server import CompletionChunk, LlamaServer
from openlive.engines.llm.prompt.conversation import LLMError

AT_MOST = 8
"""Files in the folder: those of other models and versions. The ones that were not used for longest go."""

_LOG = logging.getLogger(__name__)


class PromptPrefix:
    """`tokens` in the cache of whichever slot works on a prompt that begins with them. `folder` is that of `server`
    (`LlamaServer.folder`). Thread-safe for different slots."""

    def __init__(self, server: LlamaServer, tokens: Sequence[int], name: str) -> None:
        self.tokens = list(tokens)
        self._server = server
        digest = hashlib.sha256(f"{name} {self.tokens}".encode()).hexdigest()[:32]
        self._file = server.folder / f"{digest}.kv" if server.folder else None
        self._slots_holding: set[int] = set()
        self._lock = Lock()
        self._verified = False
        self._failed = False

    def ensure_in_slot(self, slot: int, prompt: Sequence[int], on: Callable[[CompletionChunk], bool]) -> bool:
        """Sees that `slot` holds it if `prompt` begins with it. Blocks; where it has to be computed, `on` is asked
        after every step whether to stop. False: it said so."""
        if list(prompt[: len(self.tokens)]) != self.tokens:
            self._slots_holding.discard(slot)
            return True
        if slot in self._slots_holding:
            return True
        if not self._restore_slot(slot):
            stopped = False

            def on_chunk(chunk: CompletionChunk) -> bool:
                nonlocal stopped
                stopped = on(CompletionChunk(cached=chunk.cached or 0, computed=chunk.computed))
                return stopped

            self._server.run_completion(self.tokens, slot, {"n_predict": 0}, on_chunk)
            if stopped:
                return False
            self._save_slot(slot)
        self._slots_holding.add(slot)
        return True

    def is_saved(self) -> bool:
        """Whether it was computed earlier, and can be read. Blocks: 25 MB are hashed."""
        return self._file is not None and self._is_intact(self._file)

    def forget_slot(self, slot: int) -> None:
        """The slot was emptied."""
        self._slots_holding.discard(slot)

    def _restore_slot(self, slot: int) -> bool:
        if self._file is None or not self._is_intact(self._file):
            return False
        try:
            self._server.restore_slot(slot, self._file.name)
        except LLMError as error:
            _LOG.warning("%s cannot be used: %s", self._file, error)
            return False
        with suppress(OSError):
            self._file.touch()
        return True

    def _is_intact(self, file: Path) -> bool:
        """llama.cpp ends the process at a damaged file. Once it is known to be whole it is only ever replaced."""
        with self._lock:
            if not self._verified:
                try:
                    self._verified = _hash_file(file) == _checksum_path(file).read_text()
                except OSError:
                    return False
            return self._verified and file.exists()

    def _save_slot(self, slot: int) -> None:
        """Fails quietly but for a line in the log: then it is computed again at the next start."""
        if self._file is None or self._failed:
            return
        try:
            with tempfile.NamedTemporaryFile(dir=self._file.parent, suffix=".new", delete=False) as fresh:
                path = Path(fresh.name)
            try:
                self._server.save_slot(slot, path.name)
                digest = _hash_file(path)
                with self._lock:
                    _checksum_path(self._file).write_text(digest)
                    path.replace(self._file)
                    self._verified = True
            finally:
                path.unlink(missing_ok=True)
            self._remove_oldest_files(self._file.parent)
        except (LLMError, OSError) as error:
            self._failed = True
            _LOG.warning("What prompts begin with cannot be kept in %s: %s", self._file.parent, error)

    def _remove_oldest_files(self, folder: Path) -> None:
        files = sorted(folder.glob("*.kv"), key=lambda file: file.stat().st_mtime, reverse=True)
        for file in files[AT_MOST:]:
            file.unlink(missing_ok=True)
            _checksum_path(file).unlink(missing_ok=True)


def _checksum_path(file: Path) -> Path:
    return file.with_suffix(".sha256")


def _hash_file(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
