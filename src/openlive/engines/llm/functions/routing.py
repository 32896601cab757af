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
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any

from openlive.engines.llm.functions import schemas
from openlive.engines.llm.functions.currencies import find_currencies
from openlive.engines.llm.functions.literals import convert_python_strings
from openlive.engines.llm.llamacpp.server import TokenProbability
from openlive.engines.llm.prompt.conversation import MalformedCallError, PromptPiece, render_call, to_python_literal
from openlive.types import FunctionCall, FunctionDeclaration, Heard, Message, Request

CHAT = 0.15
"""Nothing is called where the model finds `chat` this likely. Of 59 requests of our own in four languages, those that a
function fits had less, with three exceptions, and greetings, thanks, stories and questions of knowledge more, with two.
"""
MAX_CALLS = 8
ARGUMENT = 32
"""Characters of room that an argument takes in a grammar, beside its schema."""
IN_ORDER = 64
"""Optional arguments of a function up to which a grammar has them in their order, each once at most. The rule of each
refers to that of the next, and llguidance follows such references on the stack of its thread: 8000 end the process."""
_USER, _CLOSED = 'user: "', '"\n'
"""Around a line of the user's."""
MEMORY, STEP = 4, 8
"""Lines of the conversation that are shown at least, and how many are dropped at once: what stays is computed."""
_LINE, _TOPIC, _TOLD, _EXCERPT = 400, 40, 800, 200
"""Characters of a line, of an answer as a topic, of the instructions, of a broken call in an error."""

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
    stubs = "\n".join(_build_stub(function) for function in functions)
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
        for name, schema in _read_signature(function.parameters)[0].items():
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


def _build_stub(function: FunctionDeclaration) -> str:
    properties, listed = _read_signature(_normalise_parameters(function))
    required = set(listed)
    arguments = ", ".join(
        f"{name}: {_type_hint(schema)}" + ("" if name in required else " = None") for name, schema in properties.items()
    )
    told = [f"    {name}: {s['description']}" for name, s in properties.items() if s.get("description")]
    more = "\n".join(["", *told, "    "]) if told else ""
    return f'def {function.name}({arguments}):\n    """{function.description}{more}"""\n'


def _read_signature(schema: dict[str, Any]) -> tuple[dict[str, Any], Sequence[str]]:
    """The properties of a function's parameters, the required ones first, and the names of these."""
    properties = schema.get("properties") if isinstance(schema, dict) else None
    properties = properties if isinstance(properties, dict) else {}
    listed = schema.get("required") if properties else None
    listed = listed if isinstance(listed, list) else []
    required = list(dict.fromkeys(name for name in listed if isinstance(name, str) and name in properties))
    ordered = dict.fromkeys([*required, *properties])
    return {name: properties[name] if isinstance(properties[name], dict) else {} for name in ordered}, required


def _normalise_parameters(function: FunctionDeclaration) -> dict[str, Any]:
    schema = schemas.normalise_schema(function.parameters)
    return schema if isinstance(schema, dict) else {}


_TYPES = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "object": "dict", "null": "None"}


def _type_hint(schema: Any) -> str:
    """A type hint, as near as it comes."""
    if not isinstance(schema, dict):
        return "Any"
    if schema.get("enum"):
        return f"Literal[{', '.join(map(to_python_literal, schema['enum']))}]"
    kind = schema.get("type")
    if isinstance(kind, list):
        return " | ".join(_type_hint({**schema, "type": k}) for k in kind) or "Any"
    if kind == "array":
        return f"list[{_type_hint(schema.get('items', {}))}]"
    if kind == "object" and isinstance(schema.get("properties"), dict):
        return "{" + ", ".join(f'"{n}": {_type_hint(s)}' for n, s in schema["properties"].items()) + "}"
    return _TYPES.get(str(kind), "Any")


# --- the grammar, and what is written within it -----------------------------------------------------------------------


def build_grammar(functions: Sequence[FunctionDeclaration]) -> str:
    """What may follow the prompt, for llguidance: calls with arguments that their declarations allow. Rules: `f0` is a
    call of the first function, `v0` the first kind of value, whosever argument it is."""
    room = schemas.GrammarBudget()
    values: dict[str, str] = {_BOOLEAN: "v0", "%json {}": "v1"}
    calls = " | ".join(f"f{i}" for i in range(len(functions)))
    rules = [f'start: call (", " call){{0,{MAX_CALLS - 1}}} "]\\n"', f"call: {calls}"]
    for i, function in enumerate(functions):
        rules += _function_rules(f"f{i}", function, values, room)
    rules += ['any: (one (", " one)*)?', "one: /[^ =()]{1,64}=/ v1"]
    rules += [f"{name}: {value}" for value, name in values.items()]
    return "%llguidance {}\n" + "\n".join(rules) + "\n"


_BOOLEAN = '"True" | "False"'
_COMMA = ' ", " '


def _function_rules(
    rule: str, function: FunctionDeclaration, values: dict[str, str], room: schemas.GrammarBudget
) -> list[str]:
    """Those of one function. What its arguments may be is added to `values`, by the names of their rules."""
    whole = _normalise_parameters(function)
    properties, required = _read_signature(whole)
    start = f"{rule}: {_quote_json(function.name + '(')}"
    if not room.take_characters(ARGUMENT * len(properties)):
        return [f'{start} any ")"']
    held = schemas.ArgumentSchemas(whole, room)
    named = []
    for name, schema in properties.items():
        value = _BOOLEAN if schema.get("type") == "boolean" else f"%json {json.dumps(held.build_schema(schema))}"
        named.append(f"{_quote_json(name + '=')} {values.setdefault(value, f'v{len(values)}')}")
    must, may = named[: len(required)], named[len(required) :]
    arguments, rules = _optional_rules(rule, may, first=not must)
    return [f'{start} {_COMMA.join(must)} {arguments} ")"', *rules]


def _optional_rules(rule: str, named: Sequence[str], *, first: bool) -> tuple[str, list[str]]:
    """What may follow the required arguments, or where there are none (`first`) stand in their place; and the rules for
    it: `f0_m1` for the arguments from the first one on behind another, `f0_o1` where there is none before."""
    if not named:
        return "", []
    if len(named) > IN_ORDER:
        more = f'(", " {rule}_m)*'
        return f"({rule}_m {more})?" if first else more, [f"{rule}_m: {' | '.join(named)}"]
    rules = []
    for i, one in enumerate(named):
        more = f" {rule}_m{i + 1}" if i + 1 < len(named) else ""
        rules.append(f'{rule}_m{i}: (", " {one})?{more}')
        if first:
            other = f" | {rule}_o{i + 1}" if i + 1 < len(named) else ""
            rules.append(f"{rule}_o{i}: {one}{more}{other}")
    return f"{rule}_o0?" if first else f"{rule}_m0", rules


def _quote_json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def parse_calls(text: str, functions: Sequence[FunctionDeclaration]) -> list[FunctionCall]:
    """The calls that were written up to the closing bracket. Raises `MalformedCallError`."""
    calls: list[FunctionCall] = []
    at = 0
    try:
        while text[at] != "]":
            call, at = _parse_call(text, at, functions)
            calls.append(call)
            at += 2 * text.startswith(", ", at)
    except (IndexError, ValueError, StopIteration, RecursionError):
        raise MalformedCallError("The model wrote a function call that cannot be read", text[:_EXCERPT]) from None
    calls = [_convert_arguments(call, functions) for call in calls]
    for call in calls:
        parameters = next(f.parameters for f in functions if f.name == call.name)
        if wrong := schemas.find_argument_violation(call.args, parameters):
            raise MalformedCallError(f"The model called {call.name} with arguments that are not valid", wrong)
    return [call for i, call in enumerate(calls) if call not in calls[:i]]


def _convert_arguments(call: FunctionCall, functions: Sequence[FunctionDeclaration]) -> FunctionCall:
    properties, _ = _read_signature(next(f.parameters for f in functions if f.name == call.name))
    described = {name: f"{name} {schema.get('description', '')}" for name, schema in properties.items()}
    args = {name: convert_python_strings(value, described.get(name, name)) for name, value in call.args.items()}
    return FunctionCall(call.id, call.name, args)


def drop_ungrounded(
    calls: Sequence[FunctionCall], functions: Sequence[FunctionDeclaration], said: str
) -> list[FunctionCall]:
    """The calls without what the model made up: optional arguments of which nobody has said anything are left out, and
    so is a call with a required number where `said`, the latest lines of the user, holds none (it has to be asked for),
    and one of whose arguments none was said.
    """
    kept = []
    for call in calls:
        properties, required = _read_signature(next(f.parameters for f in functions if f.name == call.name))
        made_up = {name for name, value in call.args.items() if _is_made_up(value, properties.get(name, {}), said)}
        if any(name in required and not isinstance(call.args[name], str) for name in made_up):
            continue
        if made_up and made_up == call.args.keys():
            continue  # nothing in it was said
        kept.append(
            FunctionCall("", call.name, {k: v for k, v in call.args.items() if k in required or k not in made_up})
        )
    return kept


_NUMBERS = re.compile(
    r"\d|\b(one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\w+teen|twenty|thirty|forty|fifty|sixty|hundred|"
    r"half|halb\w*|quarter|viertel|dozen|couple|both|hour|ein\w*|zwei|drei|vier|fünf|sechs|sieben|acht|neun|zehn|elf|zwölf|"
    r"\w+zehn|\w+zig|dreißig|hundert|stunde|un[oa]?|dos|tres|cuatro|cinco|seis|siete|ocho|nueve|diez|once|doce|quince|veinte|"
    r"treinta|cien\w*|medi[oa]|cuarto|hora|um[a]?|dois|duas|três|quatro|sete|oito|nove|dez|onze|doze|quinze|vinte|trinta|"
    r"cem|mei[oa]|quarto|deux|trois|cinq|sept|huit|neuf|dix|vingt|demi\w*|due|tre|quattro|otto|dieci|venti|mezz[oa])\b",
    re.IGNORECASE,
)
"""Something that may be a number: digits, or its words in the languages of Kokoro's voices and German."""


def _is_made_up(value: Any, schema: dict[str, Any], said: str) -> bool:
    """Numbers need a number; texts a word that begins like one of theirs, in whatever form. What is chosen from a list
    may be said in other words."""
    if isinstance(value, bool) or schema.get("enum"):
        return False
    if isinstance(value, int | float):
        return not _NUMBERS.search(said)
    if not isinstance(value, str) or schema.get("format"):
        return False
    heard = {word[:3] for word in _content_words(said)}
    words = {word[:3] for word in _content_words(value)}
    return bool(words) and not words & heard


def _content_words(text: str) -> list[str]:
    """Its words, without accents and case."""
    letters = unicodedata.normalize("NFKD", text.casefold())
    return re.findall(r"[^\W_]{3,}", "".join(c for c in letters if not unicodedata.combining(c)))


def _parse_call(text: str, at: int, functions: Sequence[FunctionDeclaration]) -> tuple[FunctionCall, int]:
    name = next(f.name for f in functions if text.startswith(f.name + "(", at))
    at += len(name) + 1
    args: dict[str, Any] = {}
    while text[at] != ")":
        equals = text.index("=", at)
        key = text[at:equals]
        args[key], at = _parse_value(text, equals + 1)
        at += 2 * text.startswith(", ", at)
    return FunctionCall("", name, args), at + 1


def _parse_value(text: str, at: int) -> tuple[Any, int]:
    for word, value in (("True", True), ("False", False), ("None", None)):
        if text.startswith(word, at):
            return value, at + len(word)
    return json.JSONDecoder().raw_decode(text, at)


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
