"""Words for what a language model cannot see: every image of a request is looked at once, and told."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import AsyncIterator
from typing import cast

import anyio
from msgspec.structs import replace

from openlive.engines.api import LLM, Eyes, Watcher
from openlive.engines.output_checks import closing_iterator
from openlive.types import Image, Message, Part, Request, Written

LOOKS = 8
"""Images of one message that are looked at, the newest ones. Of the others it is said that they were not."""
REMEMBERED = 4096
"""Images of which the words are kept, those of all sessions together."""
PATIENCE = 15.0
"""Seconds after which an answer goes without what an image shows."""
SHOWN = "(I am showing you a picture. {})"
"""In the words of the user: of eight wordings the 1.5B model makes most of this one. What is told as a note
(`[image: …]`), it repeats less exactly, and of an image with nothing in it it makes something up."""
NOTHING = "There is no text in it, and you cannot make out anything else."
UNREADABLE = "It is broken, so that you cannot see anything of it."
PASSED_OVER = "(I have shown you earlier pictures, which you did not look at.)"

_LOG = logging.getLogger(__name__)
_Key = tuple[int, int]


class CaptioningLLM:
    """An `LLM` around one that cannot see. The words for an image stay the same for as long as they are remembered, so
    that a prompt continues the one before it. The newest image is looked at first; `prefill` looks too, so that the
    answer need not wait."""

    def __init__(self, llm: LLM, eyes: Eyes) -> None:
        self.llm = llm
        self._eyes = eyes
        self._captions: OrderedDict[_Key, str] = OrderedDict()
        self._last_judged: dict[str, tuple[str, str]] = {}
        """Of each conversation, the instructions and the words of the image that was judged last."""

    async def generate(self, request: Request) -> AsyncIterator[Written]:
        async with closing_iterator(self.llm.generate(await self._caption_request(request))) as pieces:
            async for piece in pieces:
                yield piece

    async def prefill(self, request: Request) -> None:
        await self.llm.prefill(await self._caption_request(request))

    def forget(self, conversation: str) -> None:
        self._last_judged.pop(conversation, None)
        self.llm.forget(conversation)

    async def notices(self, request: Request) -> float:
        """The model has to be a `Watcher`. It is asked where there are words, and others than the last time."""
        seen = await self._caption_request(request)
        image = seen.messages[-1].parts[-1]
        words = image.words if isinstance(image, Image) else ""
        told = request.instructions, words
        if told == self._last_judged.get(request.conversation):
            return 0.0
        told_something = words not in ("", SHOWN.format(NOTHING), SHOWN.format(UNREADABLE))
        likely = await cast("Watcher", self.llm).notices(seen) if told_something else 0.0
        self._last_judged[request.conversation] = told
        return likely

    async def _caption_request(self, request: Request) -> Request:
        messages = [await self._caption_message(message) for message in reversed(request.messages)]
        return replace(request, messages=tuple(reversed(messages)))

    async def _caption_message(self, message: Message) -> Message:
        """The message with words in its images. Of images that come to the same the newest stands for all."""
        if not any(isinstance(part, Image) for part in message.parts):
            return message
        parts: list[Part] = []
        told: set[str] = set()
        looks = 0
        for part in reversed(message.parts):
            if isinstance(part, Image):
                words = await self._caption_image(part) if looks < LOOKS else PASSED_OVER
                looks += 1
                if words in told:
                    continue
                told.add(words)
                part = replace(part, words=words)  # noqa: PLW2901
            parts.append(part)
        return Message(message.role, tuple(reversed(parts)))

    async def _caption_image(self, image: Image) -> str:
        """What the image shows, '' where the eyes fail."""
        key = len(image.data), hash(image.data)  # bytes keep their hash: the next request need not compute it again
        if key in self._captions:
            self._captions.move_to_end(key)
            return self._captions[key]
        try:
            with anyio.fail_after(PATIENCE):
                words = SHOWN.format(await self._eyes.describe(image) or NOTHING)
        except ValueError as error:
            _LOG.info("An image cannot be read: %s", error)
            words = SHOWN.format(UNREADABLE)
        except Exception as error:
            _LOG.warning("An image could not be looked at: %r", error)
            return ""
        self._captions[key] = words
        if len(self._captions) > REMEMBERED:
            self._captions.popitem(last=False)
        return words
