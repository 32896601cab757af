"""What the requests for function calls came to, as tables."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jiwer
from msgspec import Struct
from rich.console import Group
from rich.table import Table
from rich.text import Text

from tests.bench.callset import Request, arguments_match, contains, matches, normal, pairs

NAMES = {"en": "English", "de": "German", "es": "Spanish", "pt": "Portuguese"}
MARKUP = ("tool_call", "tool_response", '"name"', '"arguments"')
"""Nobody wants to hear these read out."""
REFUSALS = (
    *("sorry", "can't", "cannot", "unable", "don't have the ability"),
    *("tut mir leid", "kann nicht", "kann ich nicht", "kann dir nicht"),
    *("lo siento", "no puedo", "desculp", "sinto muito", "não posso", "não consigo"),
)
"""What is no answer where the function did its work."""


class Got(Struct):
    """What a request came to. `after_ms`: from the end of what was said to the first call."""

    heard: str = ""
    calls: list[tuple[str, dict[str, Any]]] = []
    answer: str = ""
    after_ms: float | None = None
    error: str = ""


class Row(Struct, frozen=True):
    request: Request
    got: Got

    @property
    def function(self) -> bool:
        """Each call that was expected and no other, in whatever order."""
        return Counter(name for name, _ in self.got.calls) == Counter(call.name for call in self.request.calls)

    @property
    def arguments(self) -> bool:
        paired = zip(pairs(self.request.calls, self.got.calls), self.got.calls, strict=True)
        return self.function and all(call and arguments_match(call.args, args) for call, (_, args) in paired)

    @property
    def answered(self) -> bool:
        """Something was said: the result where it can be told, no refusal of what was done, and no mark-up."""
        request, answer = self.request, self.got.answer
        if request.answer is not None:
            told = matches(request.answer, answer)
        else:
            told = not (request.calls and any(contains(answer, refusal) for refusal in REFUSALS))
        return bool(normal(answer)) and told and not any(mark in answer for mark in MARKUP)

    @property
    def wrong(self) -> str:
        """What is wrong first, '' if nothing is."""
        checks = {
            "error": not self.got.error,
            "function": self.function,
            "arguments": self.arguments,
            "answer": self.answered,
        }
        return next((name for name, fine in checks.items() if not fine), "")

    @property
    def misheard(self) -> float | None:
        """The share of words that were not understood; None where nothing was spoken."""
        if self.request.how == "typed":
            return None
        return float(jiwer.wer(normal(self.request.say), normal(self.got.heard)))


def report(rows: Sequence[Row]) -> Group:
    """The failures, the tables and the total."""
    right = sum(not row.wrong for row in rows)
    return Group(
        *(failure(row) for row in rows if row.wrong),
        by_language(rows),
        "",
        by_ability(rows),
        "",
        *(f"median time to the call, {how}: {median}" for how, median in times(rows).items()),
        f"right in all: {share(right, len(rows))}",
    )


def by_language(rows: Sequence[Row]) -> Table:
    table = _table("language", "right", "%", "words misheard %")
    for language, name in NAMES.items():
        for how in ("typed", "spoken"):
            chosen = [r for r in rows if (r.request.language, r.request.how) == (language, how)]
            misheard = [r.misheard for r in chosen if r.misheard is not None]
            heard = f"{100 * statistics.mean(misheard):.0f}" if misheard else ""
            _add(table, f"{name}, {how}", [not r.wrong for r in chosen], heard)
    return table


def by_ability(rows: Sequence[Row]) -> Table:
    """Each over the requests that ask for it."""
    abilities: dict[str, tuple[Callable[[Row], bool], Callable[[Row], bool]]] = {
        "the right function, or functions": (lambda r: bool(r.request.calls), lambda r: r.function),
        "right arguments, where the function is": (
            lambda r: bool(r.request.calls) and r.function,
            lambda r: r.arguments,
        ),
        "no call where none fits": (lambda r: not r.request.calls, lambda r: not r.got.calls and not r.got.error),
        "two calls at once": (lambda r: len(r.request.calls) > 1, lambda r: r.arguments),
        "the result in the answer": (lambda r: r.request.answer is not None, lambda r: r.arguments and r.answered),
        "what was said before is needed": (lambda r: r.request.continues, lambda r: not r.wrong),
    }
    table = _table("ability", "right", "%")
    for name, (asked, fine) in abilities.items():
        _add(table, name, [fine(row) for row in rows if asked(row)])
    return table


def times(rows: Iterable[Row]) -> dict[str, str]:
    found = {
        how: [r.got.after_ms for r in rows if r.request.how == how and r.got.after_ms] for how in ("typed", "spoken")
    }
    return {how: f"{statistics.median(values):,.0f} ms" for how, values in found.items() if values}


def failure(row: Row) -> Text:
    request, got = row.request, row.got
    expected = [(call.name, call.args) for call in request.calls]
    lines = [("said", request.say)]
    if request.how == "spoken":
        lines.append(("heard", got.heard))
    lines.append(
        ("expected", made_calls(expected) + (f"; answer {request.answer}" if request.answer is not None else ""))
    )
    lines.append(("got", made_calls(got.calls)))
    lines.append(("answer", got.answer))
    if got.error:
        lines.append(("error", got.error))
    text = Text(f"{request.id}: {row.wrong}\n", style="bold")
    for name, value in lines:
        text.append(f"  {name:<9}{value}\n", style="not bold")
    return text


def made_calls(made: Iterable[tuple[str, dict[str, Any]]]) -> str:
    told = (f"{name}({', '.join(f'{key}={value!r}' for key, value in args.items())})" for name, args in made)
    return ", ".join(told) or "no call"


def share(right: int, total: int) -> str:
    return f"{right}/{total} ({100 * right / total:.0f} %)" if total else "0/0"


def as_json(row: Row) -> dict[str, Any]:
    return {"request": row.request, "got": row.got, "wrong": row.wrong, "misheard": row.misheard}


def _table(*columns: str) -> Table:
    table = Table(*columns, box=None, pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    return table


def _add(table: Table, name: str, fine: Sequence[bool], *more: str) -> None:
    """A row, if there is anything to tell."""
    if fine:
        table.add_row(name, f"{sum(fine)}/{len(fine)}", f"{100 * sum(fine) / len(fine):.0f}", *more)
