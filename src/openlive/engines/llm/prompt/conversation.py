"""What every text model is told of a conversation: parts put into words, and the pieces a prompt is made of."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal

from msgspec import Struct

from openlive.engines.text.languages import NAMES
from openlive.engines.text.scripts import language_of
from openlive.private import without_secrets
from openlive.types import FunctionCall, FunctionResponse, Heard, Image, Message, Mood, Part, Request, Text


class LLMError(RuntimeError):
    """A reply could not be generated; the message says why. It ends with the words of somebody else, which may repeat
    what was said; `plain` is for logs."""

    def __init__(self, plain: str, words: str = "") -> None:
        self.plain = without_secrets(plain)
        super().__init__(f"{self.plain}: {words}" if words else self.plain)


class PromptTooLongError(LLMError):
    """The prompt does not fit into the model's context. The caller has to shorten the history."""

    def __init__(self, tokens: int, context: int) -> None:
        super().__init__(f"The prompt has {tokens} tokens; the model's context holds {context}.")
        self.tokens = tokens
        self.context = context


class MalformedCallError(LLMError):
    """The model called a function that is not declared, or with arguments that its declaration does not allow."""


OVERHEARD = '(You overhear somebody say to somebody else: "{}")'
"""What was not said to the model."""
_NO_CALLS: Mapping[str, FunctionCall] = MappingProxyType({})
TELL = "Tell me this in a plain sentence or two."
"""Follows the results of calls, before what the user said last: without it small models explain the function, in
English."""
DONE = "Tell me in a short sentence what was done."
"""The same where a result says no more than that."""
FAILED = "Tell me in a short sentence that it did not work, and why."
RUNNING = "Tell me in one short sentence that you are on it."
"""And where it is an error, or there is none yet."""
LOOK = "Tell me now what you see there."
"""Follows images that are all of a turn: to them alone the 1.5B model said "Goodbye!"."""
WISH = "Told what to say: {}"
"""What a client wishes for the next answer. Small models answer it ("Sure! When were you born?") unless examples show
them to say it."""
_WISHED = (
    ("Ask the user for their name.", "May I have your name, please?"),
    ("Say this to the user: We are closed on Sundays.", "We are closed on Sundays."),
)
_QUESTION = 300
"""Characters of it that are repeated."""


class PromptPiece(Struct, frozen=True):
    """A stretch of a prompt, tokenised on its own so that the tokens before it never depend on what follows.

    `control` is the model's own mark-up, where names of special tokens count as such. `text` is what users and
    operators wrote, where they are nothing but letters: nobody ends a turn by writing "<|im_end|>". `reply` is text
    that the model generated itself: its original tokens are used where they are still known.
    """

    text: str
    kind: Literal["control", "text", "reply"]


def render_request(request: Request) -> Iterator[tuple[Message, str]]:
    """The messages of a request, as `render_messages` puts them."""
    return render_messages(request.messages, {f.name for f in request.functions if not f.blocking})


def render_messages(messages: Sequence[Message], beside: Collection[str] = ()) -> Iterator[tuple[Message, str]]:
    """The messages in words, as a model that only reads sees them. Thoughts are left out, and so are calls: their
    results say what was called. `beside`: functions whose first response only says that the call runs."""
    question = ""
    asked: dict[str, str] = {}
    calls: dict[str, FunctionCall] = {}
    told: set[str] = set()
    for i, message in enumerate(messages):
        if message.role == "system" and i == len(messages) - 1:
            yield from _render_wish(message)
            continue
        if message.role == "user":
            question = message.text.strip() or question
        for part in message.parts:
            if isinstance(part, FunctionCall):
                asked[part.id], calls[part.id] = question, part
        started = _only_reports_start(message, told, beside)
        words = render_message(message, calls)
        questions = [asked.get(part.id, "") for part in message.parts if isinstance(part, FunctionResponse)]
        if not message.text and any(questions):
            question = _repeat_question(next(filter(None, questions))[:_QUESTION])
            words += f"\n{_result_instruction(message, started)} {question}"
        if message.role == "user" and message.parts and all(isinstance(part, Image) for part in message.parts):
            words += f"\n{LOOK}"
        yield message, words


def _render_wish(message: Message) -> Iterator[tuple[Message, str]]:
    """As long as it has no answer; after that it stands where it was."""
    for wish, answer in _WISHED:
        yield Message("user", ()), WISH.format(wish)
        yield Message("model", ()), answer
    yield Message("user", message.parts), WISH.format(render_message(message))


def _result_instruction(message: Message, started: bool) -> str:
    if started:
        return RUNNING
    results = [part.response for part in message.parts if isinstance(part, FunctionResponse)]
    if any("error" in result for result in results):
        return FAILED
    return TELL if any(map(_tells_more, results)) else DONE


def _tells_more(result: Mapping[str, Any]) -> bool:
    """A result of a word or two is none to be told."""
    return len(result) > 1 or any(
        not isinstance(value, bool | str) or len(str(value)) > 20 for value in result.values()
    )


def _repeat_question(question: str) -> str:
    name = NAMES.get(language_of(question, otherwise="en"))
    return f"Speak {name}. I had said: {question}" if name else f"Speak the language in which I had said: {question}"


def _only_reports_start(message: Message, told: set[str], beside: Collection[str]) -> bool:
    """Whether it only says of calls beside the conversation that they run; `told` are those of which something was said
    before, and now."""
    responses = [part for part in message.parts if isinstance(part, FunctionResponse)]
    running = [r for r in responses if r.name in beside and r.id not in told and "error" not in r.response]
    told.update(r.id for r in responses)
    return bool(responses) and len(running) == len(responses)


def render_message(message: Message, calls: Mapping[str, FunctionCall] = _NO_CALLS) -> str:
    """One message in words. `calls`: those that results in it may answer, by id."""
    words = ""
    for part in message.parts:
        if block := _render_block(part, calls):
            words += f"\n{block}\n" if words and not words.endswith("\n") else f"{block}\n"
        elif isinstance(part, Heard) and part.overheard:
            words += OVERHEARD.format(part.text)
        elif isinstance(part, Text | Heard):
            words += part.text + mood_remark(part)
    return words.strip() if message.role != "model" else words.rstrip()


REMARKS: Mapping[str, Mapping[Mood, tuple[str, str]]] = {
    "en": {
        "excited": ("My voice is lively", "My voice is agitated"),
        "subdued": ("My voice is subdued", "My voice sounds sad or tired"),
        "flat": ("My voice is flat", "My voice is very flat"),
    },
    "de": {
        "excited": ("Meine Stimme klingt lebhaft", "Meine Stimme klingt sehr aufgeregt"),
        "subdued": ("Meine Stimme klingt gedämpft", "Meine Stimme klingt traurig oder müde"),
        "flat": ("Meine Stimme klingt eintönig", "Meine Stimme klingt sehr eintönig"),
    },
    "es": {
        "excited": ("Mi voz suena animada", "Mi voz suena muy agitada"),
        "subdued": ("Mi voz suena apagada", "Mi voz suena triste o cansada"),
        "flat": ("Mi voz suena monótona", "Mi voz suena muy monótona"),
    },
    "fr": {
        "excited": ("Ma voix est animée", "Ma voix est très agitée"),
        "subdued": ("Ma voix est éteinte", "Ma voix semble triste ou fatiguée"),
        "flat": ("Ma voix est monotone", "Ma voix est très monotone"),
    },
    "it": {
        "excited": ("La mia voce è vivace", "La mia voce è molto agitata"),
        "subdued": ("La mia voce è spenta", "La mia voce suona triste o stanca"),
        "flat": ("La mia voce è monotona", "La mia voce è molto monotona"),
    },
    "pt": {
        "excited": ("A minha voz está animada", "A minha voz está muito agitada"),
        "subdued": ("A minha voz está apagada", "A minha voz soa triste ou cansada"),
        "flat": ("A minha voz está monótona", "A minha voz está muito monótona"),
    },
}
"""By the language that was spoken: behind German or Spanish an English remark makes the 1.5B answer in English. Lively
voices may be glad or angry, so none is called excited: the model then congratulates whoever complains."""


def mood_remark(part: Text | Heard) -> str:
    """How something was said, for models that only read. Behind the words, so that what was computed of the prompt
    while they were spoken stays valid."""
    if not isinstance(part, Heard) or not part.mood:
        return ""
    language = part.language or language_of(part.text)
    return f" ({REMARKS.get(language, REMARKS['en'])[part.mood][part.strong]}.)"


def render_call(call: FunctionCall) -> str:
    """A call in Python, as far as JSON is that."""
    return f"{call.name}({', '.join(f'{name}={to_python_literal(value)}' for name, value in call.args.items())})"


def to_python_literal(value: Any) -> str:
    return str(value) if isinstance(value, bool) else json.dumps(value, ensure_ascii=False)


def _render_block(part: Part, calls: Mapping[str, FunctionCall]) -> str:
    """A part that stands on lines of its own, or ''."""
    match part:
        case Image():
            return part.words or f"[image: {part.mime}, which you cannot see]"
        case FunctionResponse():
            done = render_call(calls[part.id]) if part.id in calls else part.name
            return f"[{done} came to {json.dumps(part.response, ensure_ascii=False)}]"
        case _:
            return ""
