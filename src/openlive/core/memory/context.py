"""What the next request is made of: the settings, the conversation so far, and what is not in it yet."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from openlive.core.listening import affect
from openlive.core.listening.pending_turn import PendingTurn
from openlive.core.memory import tokens
from openlive.core.memory.history import History, count_image_bytes, message_weight
from openlive.core.setup.declarations import missing_tools_notice
from openlive.core.setup.settings import SessionSettings
from openlive.types import FunctionDeclaration, Heard, Message, Part, Request
from openlive.wire.errors import ProtocolError


class Context:
    """`conversation` is the key under which engines keep their caches. `images`: bytes that images may come to, those
    of the history and those of what waits."""

    def __init__(self, settings: SessionSettings, conversation: str, images: int = 64 * 1024 * 1024) -> None:
        self.settings = settings
        self.history = History(settings.window, images)
        self.pending_turn = PendingTurn(settings.window, images, all_video=settings.all_video)
        self._images = images
        self._loaded = self._loaded_images = 0
        """Tokens, and bytes of images, of the history that the client loads."""
        self.conversation = conversation
        self._preamble: int | None = None
        """Tokens before the messages; None: not counted yet."""
        self.names = settings.model_names

    def build_request(self, messages: tuple[Message, ...]) -> Request:
        settings = self.settings
        return Request(
            conversation=self.conversation,
            messages=messages,
            instructions="\n\n".join(
                filter(None, (settings.instructions, missing_tools_notice(settings.missing_tools)))
            ),
            functions=settings.functions,
            sampling=settings.sampling,
            voice=affect.style_voice(settings.voice, messages),
            language=settings.language,
            thinking=settings.thinking,
            translation=settings.translation,
            names=self.names,
        )

    def request_so_far(self) -> Request:
        """What is answered if nothing more is said."""
        return self.build_request(self.history.messages)

    def request_with_turn(self, *parts: Part) -> Request:
        """What is answered if the user says this now."""
        said = self.pending_turn.build_turn(parts)
        return self.build_request((*self.history.messages, *((said,) if said.parts else ())))

    def addressee_request(self, heard: Heard, saying: Message | None) -> Request:
        """For the judgement whom `heard` is meant for. `saying`: an answer under way."""
        request = self.request_with_turn(heard)
        between = () if saying is None else (saying,)
        return replace(request, messages=(*request.messages[:-1], *between, request.messages[-1]))

    def scene_request(self) -> Request | None:
        """For the judgement whether the newest frame is worth a word; None where none waits for a turn."""
        seen = tuple(self.pending_turn.frames[-1:])
        return self.build_request((*self.history.messages, Message("user", seen))) if seen else None

    def slide_window(self) -> None:
        """Raises `ContextFullError`."""
        self.history.slide_window(self._preamble_tokens())

    @property
    def preamble_fits(self) -> bool:
        """Instructions and functions alone are not more than the window: else no request can be made of them."""
        return self._preamble_tokens() <= self.settings.window.limit

    def _preamble_tokens(self) -> int:
        if self._preamble is None:
            self._preamble = tokens.of_preamble(self.build_request(()))
        return self._preamble

    def load_history(self, messages: Sequence[Message]) -> None:
        """The history of an earlier conversation stays for ever, so it has to leave room. Raises `ProtocolError`."""
        limit = self.settings.window.limit
        self._loaded += sum(map(message_weight, messages))
        self._loaded_images += count_image_bytes([part for message in messages for part in message.parts])
        where = "Invalid value at 'client_content.turns': the history"
        if self._loaded > limit:
            raise ProtocolError(f"{where} has {self._loaded} tokens, the window {limit}; send the latest turns.")
        if self._loaded_images > self._images:
            raise ProtocolError(f"{where} has images of {self._loaded_images} bytes; {self._images} are the most.")
        self.history.load_messages(messages)

    def count_restored_history(self) -> None:
        """The history is that of an earlier connection."""
        kept = self.history.messages[: self.history.pinned_count]
        self._loaded = sum(map(message_weight, kept))
        self._loaded_images = count_image_bytes([part for message in kept for part in message.parts])

    def take_waiting(self) -> bool:
        """Moves what waited into the history; tells whether any of it wants an answer."""
        waiting = self.pending_turn.take_waiting()
        for message, _ in waiting:
            self.history.add(message)
        return any(wanted for _, wanted in waiting)

    def update_setup(
        self,
        instructions: str | None,
        functions: tuple[FunctionDeclaration, ...] | None,
        missing_tools: tuple[str, ...] = (),
    ) -> None:
        """`missing_tools` comes with `functions`."""
        self._preamble = None
        if instructions is not None:
            self.settings = replace(self.settings, instructions=instructions)
            self.names = self.settings.model_names
        if functions is not None:
            self.settings = replace(self.settings, functions=functions, missing_tools=missing_tools)
