"""How many values a message may hold, and what that bounds."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openlive.wire.client import parse_message
from openlive.wire.errors import ProtocolError
from openlive.wire.size import MAX_VALUES, has_too_many_values, values_at_most
from tests.wire.test_fuzz import JSON


def values(document: Any) -> int:
    if isinstance(document, dict):
        return 1 + sum(map(values, document.values()))
    return 1 + sum(map(values, document)) if isinstance(document, list) else 1


@given(JSON | st.lists(st.text(alphabet='[]{},"\\ ')))
def test_they_are_never_counted_short_and_marks_in_strings_do_not_count(document: Any) -> None:
    for text in (json.dumps(document), json.dumps(document, ensure_ascii=False, separators=(",", ":"))):
        for sent in (text, text.encode("utf-8", "surrogatepass")):
            number = values(document)
            assert values_at_most(sent) >= number
            assert has_too_many_values(sent, number - 1)
            assert not has_too_many_values(sent, number)


@pytest.mark.parametrize("make", [str, str.encode])
def test_a_message_has_as_many_as_it_may(make: Any) -> None:
    def message(number: int) -> Any:
        return make('{"setup":{"labels":{' + ",".join(f'"{i}":"a,[]"' for i in range(number - 3)) + "}}}")

    parse_message(message(100), values=100)
    with pytest.raises(ProtocolError, match=r"Too many values: one message may hold 100 \(limits.message_values\)."):
        parse_message(message(101), values=100)


def test_long_texts_and_media_are_one_value() -> None:
    parse_message(json.dumps({"clientContent": {"turns": [{"parts": [{"text": 'a, "b", [c], {d} ' * 100_000}]}]}}))
    parse_message(json.dumps({"realtimeInput": {"video": {"data": "AAAA" * 1_000_000}}}))


@pytest.mark.parametrize(
    "message",
    [
        '{"setup":{"tools":[' + ",".join(["{}"] * 350_000) + "]}}",
        '{"setup":{"labels":{' + ",".join(f'"{i}":""' for i in range(90_000)) + "}}}",
        '{"setup":{"tools":[{"retrieval":{"a":[' + ",".join(['""'] * 350_000) + "]}}]}}",
    ],
)
def test_what_is_too_much_is_refused_before_anything_is_made_of_it(message: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(ProtocolError, match="Too many values"):
            parse_message(message)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 6 * len(message)


def test_what_is_allowed_takes_little_memory() -> None:
    message = '{"setup":{"tools":[' + ",".join(["{}"] * (MAX_VALUES - 4)) + "]}}"
    tracemalloc.start()
    try:
        kept = parse_message(message)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept.setup is not None
    assert held < 1_000_000


def test_base64_with_blanks_is_no_list_of_pieces() -> None:
    message = json.dumps({"realtimeInput": {"video": {"data": "AA AA\r\n" * 200_000}}})
    tracemalloc.start()
    try:
        parse_message(message)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * len(message)
