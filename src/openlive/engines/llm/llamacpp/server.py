"""llama.cpp in this process, through xllamacpp: its server core, called directly for completions.

Tokenising and chat templates are only to be had over the server's HTTP port, which it always opens, on 127.0.0.1 and
behind a random key. Everything here blocks; nothing here knows about conversations.
"""

from __future__ import annotations

import math
import os
import secrets
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import httpx
from msgspec import Struct

from openlive.engines.api import EngineError
from openlive.engines.llm.llamacpp.token_cache import Tokens
from openlive.engines.llm.prompt.conversation import LLMError

BATCH = 32
"""Tokens per step of a prefill. It can be stopped between steps only, and others wait for a step to end. Measured with
1.5B on one core: 16 cost a quarter more time per token, 64 and 128 save none."""

WAITING = "passive"
"""How llama.cpp's threads wait for each other, dozens of times per token: asleep. In the busy loop that is OpenMP's
default, one that shares its core keeps all others spinning: beside one busy process, 8 tokens of the 1.5B took two
threads on two cores up to 27 s. Asleep, two threads take half as long as one where nobody else works (44 and 88 ms per
token of a prompt, 97 and 168 of an answer), and as long as one beside a busy process (82 and 90, 175 and 165).
A variable of the environment, `OMP_WAIT_POLICY`, that is set already is left as it is."""


class TokenProbability(Struct, frozen=True):
    """A token that might have come, and how likely it was."""

    token: int
    text: str
    p: float


class CompletionChunk(Struct, frozen=True):
    """A piece of a completion: some text, and the tokens that it was made of."""

    text: str = ""
    tokens: Tokens = ()
    cached: int | None = None
    """How many tokens of the prompt were found in the cache; told after every step of a prefill, before any text."""
    computed: int = 0
    """How many of the prompt are there by then, those of the cache among them."""
    likely: tuple[TokenProbability, ...] = ()
    """What might have come instead of the first of `tokens`, likeliest first; with the options `LIKELY` only."""
    finished: bool = False


LIKELY = {"n_probs": 20, "post_sampling_probs": False}
"""Options that tell what the model itself finds likely, whatever is drawn: 3 ms per token."""


class LlamaServer:
    """A loaded model with `slots` separate caches over one pool of `pool` tokens. Caches are saved to files in `folder`
    and restored from there."""

    def __init__(self, path: Path, *, threads: int, slots: int, pool: int, folder: Path | None = None) -> None:
        self._server, key = _start_server(path, threads, slots, pool, folder)
        self.folder = folder
        self._http = httpx.Client(
            base_url=self._server.listening_address,
            headers={"Authorization": f"Bearer {key}"},
            trust_env=False,  # a proxy has no business between us and ourselves
            timeout=30,
        )
        self._spell_cached = lru_cache(4096)(self._spell_tokens)
        defaults = self._call_server("GET", "/props")["default_generation_settings"]
        self.context = int(defaults["n_ctx"])
        """Tokens that one slot may hold: the pool, or what the model was trained on if that is less."""
        self.beginning: Tokens = self._request_tokens("", special=True, begin=True)
        """The tokens that every prompt of this model begins with."""

    def tokenize(self, text: str, special: bool) -> Tokens:
        """`special`: names of special tokens in the text count as such, else they are letters."""
        return self._request_tokens(text, special=special, begin=False)

    def render_template(self, messages: Sequence[dict[str, str]]) -> str:
        """The prompt by the chat template inside the GGUF, up to where the reply begins."""
        body = {"messages": messages, "chat_template_kwargs": {"enable_thinking": False}}
        return str(self._call_server("POST", "/apply-template", body)["prompt"])

    def run_completion(
        self, prompt: Sequence[int], slot: int, options: dict[str, Any], on: Callable[[CompletionChunk], bool]
    ) -> None:
        """Generates until the end of the reply or until `on` returns True, which is asked after every token and every
        step of the prefill. What was computed stays in the slot. Raises `LLMError`, and what `on` raised."""
        failure: list[Exception] = []

        def on_data(data: dict[str, Any]) -> bool:
            try:
                return on(self._parse_chunk(data))
            except Exception as error:  # llama.cpp would swallow it
                failure.append(error)
                return True

        body = {
            "prompt": prompt,
            "id_slot": slot,
            "cache_prompt": True,
            "stream": True,
            "return_progress": True,
            "n_probs": 1,
            "post_sampling_probs": True,  # the cheap way to learn the ids of the tokens
            **options,
        }
        self._server.handle_completions(body, on_data)
        if failure:
            raise failure[0]

    def clear_slot(self, slot: int) -> None:
        """Empties the slot, to a token or two: the only way that needs no folder on disk."""
        self.run_completion(self.beginning or (0,), slot, {"n_predict": 0}, lambda _: False)

    def save_slot(self, slot: int, name: str) -> None:
        """Writes what the slot holds to a file in `folder`. Raises `LLMError`."""
        self._call_server("POST", f"/slots/{slot}?action=save", {"filename": name})

    def restore_slot(self, slot: int, name: str) -> None:
        """Reads it back. llama.cpp ends the process where the file is damaged. Raises `LLMError`."""
        self._call_server("POST", f"/slots/{slot}?action=restore", {"filename": name})

    def close(self) -> None:
        """Unloads the model. No call may be running."""
        self._http.close()
        del self._server

    def _parse_chunk(self, data: dict[str, Any]) -> CompletionChunk:
        if error := data.get("error"):
            raise LLMError("llama.cpp reports an error", str(error.get("message", error)))
        if progress := data.get("prompt_progress"):
            return CompletionChunk(cached=progress["cache"], computed=progress.get("processed", 0))
        choice = data["choices"][0]
        tokens = (choice.get("logprobs") or {}).get("content") or ()
        text = choice["text"]
        ids = self._spell_cached(text, tokens[-1]["id"]) if text and tokens else ()
        return CompletionChunk(
            text, ids, likely=_parse_probabilities(tokens), finished=choice["finish_reason"] is not None
        )

    def _spell_tokens(self, text: str, last: int) -> Tokens:
        """The tokens of a piece of a reply. A character may be spread over several; only the last one is told."""
        if text.isascii():
            return (last,)
        tokens = self.tokenize(text, False)
        if tokens[-1] == last or self._call_server("POST", "/detokenize", {"tokens": [last]})["content"] != text:
            return tokens
        return (last,)

    def _request_tokens(self, text: str, *, special: bool, begin: bool) -> Tokens:
        body = {"content": text, "parse_special": special, "add_special": begin}
        return tuple(self._call_server("POST", "/tokenize", body)["tokens"])

    def _call_server(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        response = self._http.request(method, path, json=body)
        if response.is_error:
            raise LLMError(f"llama.cpp refused {path}", response.text[:300])
        answer: dict[str, Any] = response.json()
        return answer


def _parse_probabilities(tokens: Sequence[dict[str, Any]]) -> tuple[TokenProbability, ...]:
    """From the first of a chunk's tokens."""
    first = tokens[0].get("top_logprobs", ()) if tokens else ()
    return tuple(TokenProbability(t["id"], t["token"], math.exp(t["logprob"])) for t in first)


def _start_server(path: Path, threads: int, slots: int, pool: int, folder: Path | None) -> tuple[Any, str]:
    if not path.is_file():
        raise EngineError(f"There is no model file {path}.")
    with path.open("rb") as file:
        if file.read(4) != b"GGUF":
            raise EngineError(f"{path} is no GGUF file.")

    os.environ.setdefault("OMP_WAIT_POLICY", WAITING)
    import xllamacpp

    key = secrets.token_urlsafe(32)
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.api_keys = [key]
    params.port = 0
    params.ui = False
    params.verbosity = 0
    if folder is not None:
        params.slot_save_path = f"{folder}/"
    params.n_parallel = slots
    params.n_ctx = pool
    params.kv_unified = True
    params.n_batch = params.n_ubatch = BATCH
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    # With these two left on, a request for a slot finds that slot's cache moved away, and nothing is reused.
    params.cache_idle_slots = False
    params.cache_ram_mib = 0
    # Mapped weights stay resident beside the copy that is repacked for the CPU: 600 MB more for 1.5B.
    params.load_mode = xllamacpp.llama_load_mode.LLAMA_LOAD_MODE_NONE
    try:
        return xllamacpp.Server(params), key
    except RuntimeError as error:
        raise EngineError(f"llama.cpp cannot load {path}: it is damaged, or memory is short.") from error
