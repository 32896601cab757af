"""Tokens as the protocol counts them (docs/protocol.md#tokens): what usage tells, whatever the engine's own tokens
are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from msgspec import json

from openlive.types import (
    INPUT_RATE,
    OUTPUT_RATE,
    FunctionCall,
    FunctionResponse,
    Heard,
    Image,
    Message,
    Part,
    Request,
    Text,
    Thought,
)
from openlive.wire.server import MediaModality, ModalityTokenCount, UsageMetadata

AUDIO_PER_SECOND = 25
CHARACTERS = 4
"""Of text, per token."""


def of_text(text: str) -> int:
    return -(-len(text) // CHARACTERS)


def of_audio(samples: int, rate: int) -> int:
    return -(-samples * AUDIO_PER_SECOND // rate)


def of_speech(samples: int) -> int:
    """Of the model's audio."""
    return of_audio(samples, OUTPUT_RATE)


def of_call(call: FunctionCall) -> int:
    return of_text(call.name) + of_text(json.encode(call.args).decode())


def of_parts(parts: Iterable[Part]) -> tuple[int, int, int]:
    """Of text, of audio and of images."""
    text = audio = images = 0
    for part in parts:
        if isinstance(part, Text):
            text += of_text(part.text)
        elif isinstance(part, Heard):
            audio += of_audio(part.end - part.start, INPUT_RATE)
        elif isinstance(part, Image):
            images += part.tokens
        elif not isinstance(part, Thought):
            text += _of_exchange(part)
    return text, audio, images


def of_messages(messages: Iterable[Message]) -> Counter[MediaModality]:
    text, audio, images = of_parts(part for message in messages for part in message.parts)
    found = {MediaModality.TEXT: text, MediaModality.AUDIO: audio, MediaModality.IMAGE: images}
    return Counter({modality: count for modality, count in found.items() if count})


def _of_exchange(part: FunctionCall | FunctionResponse) -> int:
    if isinstance(part, FunctionCall):
        return of_call(part)
    return of_text(part.name) + of_text(json.encode(part.response).decode())


def of_words(message: Message) -> int:
    """What a language model that only reads gets of it, by our count."""
    count = 0
    for part in message.parts:
        if isinstance(part, Text | Heard):
            count += of_text(part.text)
        elif isinstance(part, FunctionCall | FunctionResponse):
            count += _of_exchange(part)
    return count


def of_request(request: Request) -> Counter[MediaModality]:
    count = of_messages(request.messages)
    count[MediaModality.TEXT] += of_preamble(request)
    return count


def of_preamble(request: Request) -> int:
    """What comes before the messages: instructions and functions."""
    declared = sum(
        of_text(f.name + f.description) + of_text(json.encode(f.parameters).decode()) for f in request.functions
    )
    return of_text(request.instructions) + declared


Counts = Mapping[MediaModality, int]


def build_usage(prompt: Counts, response: Counts, thoughts: int = 0) -> UsageMetadata:
    """The message: sums are those of the lists, and the lists are always there (docs/protocol.md#message-fields)."""
    prompt_sum, response_sum = sum(prompt.values()), sum(response.values())
    return UsageMetadata(
        prompt_token_count=prompt_sum,
        response_token_count=response_sum,
        thoughts_token_count=thoughts,
        total_token_count=prompt_sum + response_sum,
        prompt_tokens_details=_modality_details(prompt),
        response_tokens_details=_modality_details(response),
    )


def _modality_details(counts: Counts) -> tuple[ModalityTokenCount, ...]:
    """At least one entry: programs read the first one unasked."""
    found = [(m, n) for m, n in counts.items() if n] or [(next(iter(counts), MediaModality.TEXT), 0)]
    return tuple(ModalityTokenCount(modality=m, token_count=n) for m, n in sorted(found))
