"""How much a JSON document holds, before anything is made of it.

A value takes up to a hundred times the memory of its text (`{}` is two bytes of JSON, and 64 and more in Python), so a
message is bounded by its values and not by its length alone. They are counted by the marks between them, at the speed
of `bytes.count`; only where those are too many is it asked which of them stand in strings.
"""

from __future__ import annotations

MAX_VALUES = 65_536
"""Values (objects, lists, strings, numbers and so on) that one message may hold. 512 functions with 25 arguments each,
or a history of 128k tokens in 13,000 turns; audio and images are one value, whatever their length."""
MAX_DEPTH = 100
"""Levels of objects and lists that one document may have, as in protobuf's own parsers."""


def values_at_most(text: str | bytes) -> int:
    """A bound of the values in a document, some hundred times as fast as reading them. Marks in strings count, too."""
    if isinstance(text, str):
        empty = text.count("{}") + text.count("[]")
        return text.count("{") + text.count("[") + text.count(",") + 1 - empty
    empty = text.count(b"{}") + text.count(b"[]")
    return text.count(b"{") + text.count(b"[") + text.count(b",") + 1 - empty


def has_too_many_values(text: str | bytes, limit: int) -> bool:
    """Whether a document has more than `limit` values. An empty list or object with spaces in it counts twice."""
    if values_at_most(text) <= limit:
        return False
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    bare = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    # Each string is a value or the name of one; so many would make a list of pieces that is itself too large.
    if bare.count(b'"') > 4 * limit:
        return True
    return values_at_most(b'"'.join(bare.split(b'"')[::2])) > limit


def may_be_too_deep(text: str | bytes) -> bool:
    """Whether a document has so many objects and lists that they may be nested too deeply."""
    if isinstance(text, str):
        return text.count("{") + text.count("[") > MAX_DEPTH
    return text.count(b"{") + text.count(b"[") > MAX_DEPTH


def is_too_deep(document: object) -> bool:
    level = [document] if isinstance(document, dict | list) else []
    for _ in range(MAX_DEPTH):
        level = [
            child
            for container in level
            for child in (container.values() if isinstance(container, dict) else container)
            if isinstance(child, dict | list)
        ]
        if not level:
            return False
    return True
