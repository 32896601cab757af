"""The system under test `speech-to-speech`: Hugging Face's server of OpenAI's Realtime API.

Runs in an environment of its own (speech-to-speech.txt). Two things that it fetches when it starts are given to it: the
detector of speech (Silero, from PyPI instead of GitHub) and NLTK's cutter of sentences (a plain one).
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

import nltk
import torch

SOFT = 64
"""Milliseconds of silence after which it begins to answer, by default; it says nothing before the rest has passed."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--endpoints", required=True)
    parser.add_argument("--instructions", default="Be brief.")
    parser.add_argument("--silence", type=float, default=0.5, help="seconds that end a turn")
    given = parser.parse_args()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.hub.load = _silero
    nltk.data.find = lambda *_, **__: None
    nltk.sent_tokenize = _sentences
    threading.Thread(target=_announce, args=(port,), daemon=True).start()
    threading.Thread(target=_end_with_input, daemon=True).start()
    sys.argv = ["speech-to-speech", *_arguments(given, port)]
    from speech_to_speech.s2s_pipeline import main as run

    run()


def _arguments(given: argparse.Namespace, port: int) -> list[str]:
    return [
        *("serve", "--port", str(port), "--no_smart_turn"),
        *("--min_silence_ms", str(SOFT), "--speculative_reopen_ms", str(round(1000 * given.silence) - SOFT)),
        *("--stt", "openai", "--openai_stt_base_url", given.endpoints, "--openai_stt_model", "ears"),
        *("--llm_backend", "chat-completions", "--model_name", "model"),
        *("--responses_api_base_url", given.endpoints, "--responses_api_api_key", "none"),
        *("--tts", "openai", "--openai_tts_base_url", given.endpoints, "--openai_tts_model", "voice"),
        *("--openai_tts_voice", "alloy", "--log_level", "warning", "--torch_num_threads", "1"),
    ]


def _silero(*_: Any, **__: Any) -> Any:
    # The package itself wants torchaudio, which nothing here needs.
    [folder] = importlib.util.find_spec("silero_vad").submodule_search_locations
    model = torch.jit.load(Path(folder) / "data" / "silero_vad.jit", map_location="cpu")
    return model.eval(), None


def _sentences(text: str, *_: Any, **__: Any) -> list[str]:
    return re.findall(r"\S.*?[.!?]+(?=\s|$)|\S.*$", text, re.DOTALL)


def _announce(port: int) -> None:
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.1)
    print(f"ws://127.0.0.1:{port}/", flush=True)


def _end_with_input() -> None:
    while os.read(0, 1):
        pass
    os._exit(0)


if __name__ == "__main__":
    main()
