"""The set of requests for function calls (`calls.json`): what is in it, and when a call or an answer is as expected.

An expected value is

- a text: equal but for case, accents and punctuation; a number or a truth value: equal;
- a list: one of these;
- `{"contains": "late"}`: words that begin so are in the text (`["10", "ten"]`: one of them);
- `{"all": […]}`: each of these; `{"any": true}`: whatever it is.

An argument whose name ends with `?` may be left out; one that is not named must be.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

FILE = Path(__file__).parent / "sets" / "calls.json"
LANGUAGES = {"en": "en-US", "de": "de-DE", "es": "es-ES", "pt": "pt-BR"}
"""How a client names them to the server."""


class Call(Struct, frozen=True, forbid_unknown_fields=True):
    """A call that is expected, and what the function gives back (default: the set's `results`)."""

    name: str
    args: dict[str, Any]
    result: dict[str, Any] | None = None


class Request(Struct, frozen=True, forbid_unknown_fields=True):
    """Something a user says, and the calls that it should lead to; none where no function fits or something is missing.

    `answer` is what the model should say once it has the results; `continues`: in the session of the request before.
    """

    id: str
    language: Literal["en", "de", "es", "pt"]
    how: Literal["typed", "spoken"]
    say: str
    calls: tuple[Call, ...]
    answer: Any = None
    modality: Literal["TEXT", "AUDIO"] = "TEXT"
    continues: bool = False

    @property
    def tags(self) -> frozenset[str]:
        """Words that select it."""
        kind = "two" if len(self.calls) > 1 else "one" if self.calls else "none"
        result = {"result"} if self.answer is not None else set()
        return frozenset({self.id, self.language, self.how, kind, *result, *(c.name for c in self.calls)})


Conversation = tuple[Request, ...]
"""The requests of one session."""


class CallSet(Struct, frozen=True, forbid_unknown_fields=True):
    instructions: str
    functions: tuple[dict[str, Any], ...]
    """Declarations, as a client sends them."""
    results: dict[str, dict[str, Any]]
    """What each function gives back where a request says nothing else."""
    requests: tuple[Request, ...]

    @property
    def conversations(self) -> list[Conversation]:
        sessions: list[list[Request]] = []
        for request in self.requests:
            if request.continues:
                sessions[-1].append(request)
            else:
                sessions.append([request])
        return [tuple(session) for session in sessions]

    def result(self, name: str, expected: Call | None) -> dict[str, Any]:
        if expected is not None and expected.result is not None:
            return expected.result
        return self.results.get(name, {"error": f"there is no function named {name}"})


def load(file: Path = FILE) -> CallSet:
    return msgspec.json.decode(file.read_bytes(), type=CallSet)


def normal(text: str) -> str:
    """Letters and digits in lower case without their accents, one space between words."""
    letters = unicodedata.normalize("NFKD", text.replace("º", " ").casefold())
    return " ".join(re.findall(r"\w+", "".join(c for c in letters if not unicodedata.combining(c))))


def contains(text: str, words: str) -> bool:
    """Whether a word of `text`, or several, begin so; a number has to be the whole of it."""
    return re.search(rf"\b{re.escape(normal(words))}(?!\d)", normal(text)) is not None


def matches(expected: Any, value: Any) -> bool:
    match expected:
        case {"any": True}:
            return True
        case {"all": [*each]}:
            return all(matches(one, value) for one in each)
        case {"contains": [*words]}:
            return isinstance(value, str) and any(contains(value, w) for w in words)
        case {"contains": str(words)}:
            return isinstance(value, str) and contains(value, words)
        case [*choices]:
            return any(matches(one, value) for one in choices)
        case str():
            return isinstance(value, str) and normal(value) == normal(expected)
        case bool() | int() | float():
            alike = isinstance(value, bool) == isinstance(expected, bool)
            return alike and isinstance(value, int | float) and value == expected
        case _:
            raise ValueError(f"{expected!r} is no expectation")


def arguments_match(expected: dict[str, Any], args: dict[str, Any]) -> bool:
    """An empty text counts as left out."""
    given = {name: value for name, value in args.items() if value not in ("", None)}
    wanted = {name.removesuffix("?"): value for name, value in expected.items()}
    needed = {name for name in expected if not name.endswith("?")}
    return needed <= given.keys() <= wanted.keys() and all(matches(wanted[n], v) for n, v in given.items())


def pairs(expected: Sequence[Call], made: Sequence[tuple[str, dict[str, Any]]]) -> list[Call | None]:
    """For each call that was made the expected one that it answers to: the same function, with right arguments where
    there is a choice. None: nothing (more) of the kind was expected."""
    open_ = list(expected)
    found: list[Call | None] = []
    for name, args in made:
        alike = [call for call in open_ if call.name == name]
        best = next((call for call in alike if arguments_match(call.args, args)), alike[0] if alike else None)
        if best is not None:
            open_.remove(best)
        found.append(best)
    return found
