"""What the next request is made of: the settings, the conversation so far, and what is not in it yet."""

from __future__ import annotations

from msgspec.structs import replace

from openlive.core import affect, tokens
from openlive.core.history import History
from openlive.core.settings import Settings
from openlive.core.unsaid import Unsaid
from openlive.types import FunctionDeclaration, Heard, Message, Part, Request


class Context:
    """`conversation` is the key under which engines keep their caches."""

    def __init__(self, settings: Settings, conversation: str) -> None:
        self.settings = settings
        self.history = History(settings.window)
        self.unsaid = Unsaid(settings.window.room, all_video=settings.all_video)
        self.conversation = conversation

    def request(self, messages: tuple[Message, ...]) -> Request:
        settings = self.settings
        return Request(
            conversation=self.conversation,
            messages=messages,
            instructions=settings.instructions,
            functions=settings.functions,
            sampling=settings.sampling,
            voice=affect.styled(settings.voice, messages),
            language=settings.language,
            thinking=settings.thinking,
            translation=settings.translation,
        )

    def so_far(self) -> Request:
        """What is answered if nothing more is said."""
        return self.request(self.history.messages)

    def with_turn(self, *parts: Part) -> Request:
        """What is answered if the user says this now."""
        said = self.unsaid.turn(parts)
        return self.request((*self.history.messages, *((said,) if said.parts else ())))

    def question(self, heard: Heard, saying: Message | None) -> Request:
        """For the judgement whom `heard` is meant for. `saying`: an answer under way."""
        request = self.with_turn(heard)
        between = () if saying is None else (saying,)
        return replace(request, messages=(*request.messages[:-1], *between, request.messages[-1]))

    def scene(self) -> Request | None:
        """For the judgement whether the newest frame is worth a word; None where none waits for a turn."""
        seen = tuple(self.unsaid.seen[-1:])
        return self.request((*self.history.messages, Message("user", seen))) if seen else None

    def slide(self) -> None:
        """Raises `ContextFullError`."""
        self.history.slide(tokens.of_preamble(self.request(())))

    def take_waiting(self) -> bool:
        """Moves what waited into the history; tells whether any of it wants an answer."""
        waiting, self.unsaid.waiting = self.unsaid.waiting, []
        for message, _ in waiting:
            self.history.add(message)
        return any(wanted for _, wanted in waiting)

    def update(self, instructions: str | None, functions: tuple[FunctionDeclaration, ...] | None) -> None:
        if instructions is not None:
            self.settings = replace(self.settings, instructions=instructions)
        if functions is not None:
            self.settings = replace(self.settings, functions=functions)
