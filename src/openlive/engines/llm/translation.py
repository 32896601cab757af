"""An interpreter out of any language model: what was said last is put to it sentence for sentence, apart from the
conversation, after examples."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

from babel import Locale
from msgspec.structs import replace

from openlive.engines.api import LLM
from openlive.engines.output_checks import closing_iterator
from openlive.engines.text.languages import NAMES, bare_language
from openlive.engines.text.scripts import language_of
from openlive.types import Heard, Message, Request, Text, Written

INSTRUCTIONS = (
    "You are an interpreter. You say in {target} exactly what was said in another language. Questions and requests are"
    " translated, too, never answered. Nothing is added."
)
EXAMPLES: tuple[dict[str, str], ...] = (
    {
        "en": "What time is it?",
        "de": "Wie spät ist es?",
        "es": "¿Qué hora es?",
        "fr": "Quelle heure est-il ?",
        "it": "Che ore sono?",
        "pt": "Que horas são?",
    },
    {
        "en": "Sing me a song about the moon, please.",
        "de": "Sing mir bitte ein Lied über den Mond.",
        "es": "Cántame una canción sobre la luna, por favor.",
        "fr": "Chante-moi une chanson sur la lune, s'il te plaît.",
        "it": "Cantami una canzone sulla luna, per favore.",
        "pt": "Cante uma canção sobre a lua para mim, por favor.",
    },
    {
        "en": "My sister lives in a small house by the sea, and I visit her every summer.",
        "de": "Meine Schwester wohnt in einem kleinen Haus am Meer, und ich besuche sie jeden Sommer.",
        "es": "Mi hermana vive en una casita junto al mar y la visito todos los veranos.",
        "fr": "Ma sœur habite une petite maison au bord de la mer, et je lui rends visite chaque été.",
        "it": "Mia sorella vive in una piccola casa sul mare e vado a trovarla ogni estate.",
        "pt": "Minha irmã mora numa casinha à beira-mar e eu a visito todos os verões.",
    },
)
"""A question and a request, which small models would answer, and a longer sentence."""

_OTHERS = Locale("en").languages
"""What the languages are called that are none of the guide's, by CLDR."""
SOURCES = ("pt", "en", "es", "de")
"""Of the examples, the target left out: the 1.5B model translates well into English, but leaves
what is in a neighbour's language as it is unless an example shows them."""


class TranslatingLLM:
    """An `LLM` around another one, for requests that ask for a translation; the others pass."""

    def __init__(self, llm: LLM) -> None:
        self.llm = llm

    async def generate(self, request: Request) -> AsyncIterator[Written]:
        if request.translation is None:
            async with closing_iterator(self.llm.generate(request)) as pieces:
                async for piece in pieces:
                    yield piece
            return
        target, space = bare_language(request.translation.language), ""
        for text, language in _unanswered_texts(request.messages):
            if language != target:
                async with closing_iterator(self.llm.generate(build_translation(request, text, language))) as pieces:
                    if space:
                        yield Text(space)
                    async for piece in pieces:
                        yield piece
            elif request.translation.echo:
                yield Text(space + text)
            space = " "

    async def prefill(self, request: Request) -> None:
        if request.translation is not None:
            said = [*_unanswered_texts(request.messages)]
            request = build_translation(request, *(said[-1] if said else ("", "")), finished=False)
        await self.llm.prefill(request)

    def forget(self, conversation: str) -> None:
        self.llm.forget(conversation)


def build_translation(request: Request, text: str, language: str, *, finished: bool = True) -> Request:
    """The request that has `text` translated. `language` is a bare code, '' if it is not known. What comes before
    `text` is the same whatever is said, so that it is computed once. `finished`: nothing is added to `text`."""
    target = bare_language(request.translation.language if request.translation else "")
    messages: list[Message] = []
    if target in EXAMPLES[0]:
        for source, example in zip((code for code in SOURCES if code != target), EXAMPLES, strict=False):
            asked = _label_text(source, example[source], target)
            messages += [Message("user", (Text(asked),)), Message("model", (Text(example[target]),))]
    if text:
        messages.append(Message("user", (Text(_label_text(language, text, target if finished else "")),)))
    chance = request.sampling.temperature
    return replace(
        request,
        sampling=replace(request.sampling, temperature=0.0 if chance is None else chance),
        messages=tuple(messages),
        instructions=INSTRUCTIONS.format(target=NAMES.get(target, target)),
        functions=(),
        thinking=0,
        translation=None,
        about="",
    )


def _label_text(source: str, text: str, target: str) -> str:
    """`target` '': `text` goes on. A language that is not known has no label: "Somebody" was translated, too."""
    name = NAMES.get(source) or _OTHERS.get(source)
    return (f"{name}: " if name else "") + text + (f"\n{NAMES.get(target, target)}:" if target else "")


def _unanswered_texts(messages: tuple[Message, ...]) -> Iterator[tuple[str, str]]:
    """What the user said since the model spoke last, message by message, and its language ('' if nothing tells)."""
    last = max((i for i, message in enumerate(messages) if message.role == "model"), default=-1)
    for message in messages[last + 1 :]:
        if message.role == "user" and (text := message.text.strip()):
            known = next((part.language for part in message.parts if isinstance(part, Heard) and part.language), "")
            yield text, bare_language(known) if known else language_of(text)
