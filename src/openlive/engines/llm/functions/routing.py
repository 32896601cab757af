"""Which functions a request of the user's asks for: told by the embedded model in Python, apart from the conversation.

Small models that are told of functions in their system turn call them for a greeting, talk about them instead of
calling them, and spoil their other answers with it. Completing a program is what these weights were trained for most:
the functions stand there as stubs, after another assistant's with examples, and the model writes the calls that the
latest line of the user asks for. `chat` among them stands for none; where its name is not likely, the calls are
written within a grammar of the declarations.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence

from openlive.engines.llm.functions.currencies import find_currencies
from openlive.engines.llm.functions.stubs import build_stub, read_signature
from openlive.engines.llm.llamacpp.server import TokenProbability
from openlive.engines.llm.prompt.conversation import PromptPiece, render_call
from openlive.types import FunctionCall, FunctionDeclaration, Heard, Message, Request

CHAT = 0.15
"""Nothing is called where the model finds `chat` this likely. Of 59 requests of our own in four languages, those that a
function fits had less, with three exceptions, and greetings, thanks, stories and questions of knowledge more, with two.
"""
_USER, _CLOSED = 'user: "', '"\n'
"""Around a line of the user's."""
MEMORY, STEP = 4, 8
"""Lines of the conversation that are shown at least, and how many are dropped at once: what stays is computed."""
_LINE, _TOPIC, _TOLD = 400, 40, 800
"""Characters of a line, of an answer as a topic, of the instructions."""

_CHAT_STUB = '''def chat(topic: str):
    """Talks: greetings, thanks, small talk, jokes, questions about the world, and everything that no other function\
 does."""
'''
EXAMPLES = f'''# A voice assistant. After each thing the user says come the calls of the functions that do it.
# Arguments that the user did not mention are left out.

# Functions of the first assistant:
def open_door(door: Literal["garage", "front", "back"], seconds: int = None):
    """Opens a door, for a while."""

def book_taxi(destination: str, time: str = None):
    """Orders a taxi.
    time: HH:MM
    """

def feed(animal: str, grams: int):
    """Feeds an animal."""

def heating(room: Literal["attic", "cellar"], on: bool, degrees: int = None):
    """Switches the heating of a room on or off, or sets how warm it gets."""

def price(item: str):
    """Tells what something costs."""

def note(person: str, text: str):
    """Leaves a note for somebody."""

{_CHAT_STUB}
user: "hi there"
calls: [chat(topic="greeting")]
user: "open the garage please"
calls: [open_door(door="garage")]
user: "who painted the mona lisa"
calls: [chat(topic="art")]
user: "what is the capital of norway"
calls: [chat(topic="geography")]
user: "I need a cab to the opera at half past seven in the evening, and give the cat fifty grams"
calls: [book_taxi(destination="the opera", time="19:30"), feed(animal="cat", grams=50)]
user: "thank you, that was nice of you"
calls: [chat(topic="thanks")]
user: "öffne die vordertür und die hintertür"
calls: [open_door(door="front"), open_door(door="back")]
user: "schalt die heizung im keller aus und gib dem vogel dreißig gramm"
calls: [heating(room="cellar", on=False), feed(animal="vogel", grams=30)]
user: "wer hat faust geschrieben"
calls: [chat(topic="literature")]
user: "can you play a song"
calls: [chat(topic="there is no function for music")]
user: "order a pizza for me"
calls: [chat(topic="there is no function for pizza")]
user: "leave the front door open for ten seconds"
calls: [open_door(door="front", seconds=10)]
user: "¿por qué llueve?"
calls: [chat(topic="science")]
user: "liga o aquecimento do sótão e chama um táxi para o hotel"
calls: [heating(room="attic", on=True), book_taxi(destination="hotel")]
user: "pide un taxi al aeropuerto"
calls: [book_taxi(destination="aeropuerto")]
user: "feed the dog"
calls: [chat(topic="how many grams?")]
assistant: "How much should it get?"
user: "eighty grams"
calls: [feed(animal="dog", grams=80)]
user: "it is too warm in the cellar, twelve degrees are enough"
calls: [heating(room="cellar", on=True, degrees=12)]
user: "are apples cheaper than pears"
calls: [price(item="apples"), price(item="pears")]
user: "richte opa aus, dass der hund noch raus muss"
calls: [note(person="opa", text="der hund muss noch raus")]
user: "preciso de um táxi para a praia às seis da tarde"
calls: [book_taxi(destination="praia", time="18:00")]
user: "do you also feed animals"
calls: [chat(topic="what the functions do")]
user: "what can you do"
calls: [chat(topic="what the functions do")]

# Functions of the second assistant:
'''


def has_user_request(messages: Sequence[Message]) -> bool:
    """Whether the user has just said something: results are answered in words."""
    return bool(messages) and messages[-1].role == "user" and bool(messages[-1].text.strip())


def needs_function(likely: Sequence[TokenProbability]) -> bool:
    """Whether a function fits, by what the model finds likely to follow the prompt."""
    return sum(one.p for one in likely if len(one.text) > 1 and "chat(".startswith(one.text)) < CHAT


def build_prompt(
    functions: Sequence[FunctionDeclaration], instructions: str, messages: Sequence[Message]
) -> list[PromptPiece]:
    """The program so far, up to where the name of the first function comes."""
    lines = _conversation_lines(messages, takes_currencies(functions))
    return [
        *build_prompt_start(functions, instructions),
        *lines,
        PromptPiece("calls:", "text"),
        PromptPiece(" [", "text"),
    ]


def build_settled_prompt(
    functions: Sequence[FunctionDeclaration], instructions: str, messages: Sequence[Message]
) -> list[PromptPiece]:
    """The program as far as it is settled while the user is talking: a last message of the user may go on."""
    pieces = build_prompt(functions, instructions, messages)[:-2]
    if has_user_request(messages):
        while pieces and pieces.pop().text != _CLOSED:
            pass
    return pieces


def build_prompt_start(functions: Sequence[FunctionDeclaration], instructions: str) -> list[PromptPiece]:
    """What stands there before anything was said."""
    stubs = "\n".join(build_stub(function) for function in functions)
    told = json.dumps(instructions.strip()[:_TOLD], ensure_ascii=False)
    return [PromptPiece(EXAMPLES, "text"), PromptPiece(f"{stubs}\n{_CHAT_STUB}\n# It was told: {told}\n\n", "text")]


def _conversation_lines(messages: Sequence[Message], currencies: bool) -> Iterator[PromptPiece]:
    """The latest of the conversation. A request is what the user said since the model last spoke: a turn that was
    interrupted before a word of its answer, or a question that a client sends twice, is no answer to the one before.
    An earlier one is followed by the calls that it led to."""
    lines: list[list[str]] = []
    asked: list[str] = []
    for message in messages:
        text, calls = message.text.strip(), [part for part in message.parts if isinstance(part, FunctionCall)]
        overheard = any(isinstance(part, Heard) and part.overheard for part in message.parts)
        if message.role == "user" and text and not overheard:
            asked.append(text)
        elif message.role == "model" and (text or calls):
            if asked:
                chat = f"chat(topic={json.dumps(text[:_TOPIC], ensure_ascii=False)})"
                made = f"calls: [{', '.join(map(render_call, calls)) or chat}]\n"
                lines += [_request_line(asked, currencies), [made]]
                asked = []
            if text and not calls:
                lines.append([f"assistant: {_quote_line(text[:_LINE])}\n"])
    if asked:
        lines.append(_request_line(asked, currencies))
    keep = lines[max(0, (len(lines) - MEMORY - 1) // STEP * STEP) :]
    while keep and keep[0][0] != _USER:
        keep.pop(0)
    for line in keep:
        yield from (PromptPiece(text, "text") for text in line if text)


def _request_line(asked: Sequence[str], currencies: bool) -> list[str]:
    """What the user said, each thing once, in a line; the earliest is left out of what is too long for one."""
    said = list(dict.fromkeys(text[:_LINE] for text in asked))
    while len(said) > 1 and sum(map(len, said)) > _LINE:
        del said[0]
    line = " ".join(said)
    return [_USER, _quote_line(line)[1:-1], _CLOSED, _currency_hint(line) if currencies else ""]


def _quote_line(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _currency_hint(said: str) -> str:
    """A comment that tells the codes of the currencies in it."""
    codes = ", ".join(f"{words} = {code}" for words, code in find_currencies(said).items())
    return f"# {codes}\n" if codes else ""


_CURRENCY = re.compile(r"currenc|währung|moneda|moeda|devise|valuta", re.IGNORECASE)
_CODE = re.compile(r"\b[A-Z]{3}\b|4217|(?i:code)", re.ASCII)


def takes_currencies(functions: Sequence[FunctionDeclaration]) -> bool:
    """Whether one of them has an argument for the code of a currency, by what it is named and described as."""
    for function in functions:
        for name, schema in read_signature(function.parameters)[0].items():
            described = f"{name} {schema.get('description', '')}"
            if _CURRENCY.search(described) and _CODE.search(f"{described} {schema.get('enum', '')}"):
                return True
    return False


def argument_sources(functions: Sequence[FunctionDeclaration], messages: Sequence[Message]) -> str:
    """The latest lines of the user, and what was told of them: what arguments may come from."""
    lines = [message.text for message in messages[-5:] if message.role == "user"]
    hints = [_currency_hint(line) for line in lines] if takes_currencies(functions) else []
    return " ".join([*lines, *hints])


# --- stubs ------------------------------------------------------------------------------------------------------------


# --- the grammar, and what is written within it -----------------------------------------------------------------------


def build_instructions(request: Request) -> str:
    """What the talk begins with: who the model is, the instructions, and what can be done."""
    return "\n\n".join(
        filter(None, (request.about, request.instructions.strip(), describe_functions(request.functions)))
    )


def describe_functions(functions: Sequence[FunctionDeclaration]) -> str:
    """What the model is told of its functions where it talks: that they are there, not how to call them."""
    if not functions:
        return ""
    described = "\n".join(f"- {function.description or function.name}" for function in functions)
    return (
        f"What you can do for the user, besides talking:\n{described}\n"
        "It is done for you where the user asks for it. Never say that it was done unless its result says so; ask for"
        " what is missing."
    )
