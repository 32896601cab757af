"""What the messages are made of: the base of all structs, enums with numbers, and the scalars of protobuf.

The structs say by their annotations how `json` reads them:

- `X | None = None` is a singular field. None is unset; a message that is there but empty (`{}`) is an instance.
- `tuple[X, ...] = ()` is a repeated field, `dict[str, X]` a map.
- `JsonObject` is a google.protobuf.Struct and `Any` a google.protobuf.Value: both are kept untouched.
- Booleans and counts that a server sends default to False and 0, so that they are left out unless set.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from enum import Enum as PlainEnum
from enum import StrEnum
from typing import Annotated, Any, ClassVar

from msgspec import Struct

PACKAGE = "google.ai.generativelanguage.v1beta"
"""The protobuf package that error texts name."""


class Message(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A message of the API. It is written in camelCase and without what is unset."""

    PROTO: ClassVar[str] = ""
    """The type's protobuf name inside PACKAGE, where it isn't the class's name."""
    ONEOFS: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """Groups of which at most one field may be set: the group's protobuf name, its attributes."""


class Enum(StrEnum):
    """An enum whose members are their names on the wire, each with its protobuf number.

    The number is left out where none is published; such a member can't be sent by number.
    """

    number: int | None
    proto: ClassVar[str]

    def __init_subclass__(cls, proto: str = "", **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.proto = proto or cls.__name__

    def __new__(cls, name: str, number: int | None = None) -> Enum:
        member = str.__new__(cls, name)
        member._value_ = name
        member.number = number
        return member


class Scalar(PlainEnum):
    """Scalars that Python's types don't tell apart, by the name that error texts give them."""

    INT32 = "TYPE_INT32"
    INT64 = "TYPE_INT64"
    FLOAT = "TYPE_FLOAT"
    DOUBLE = "TYPE_DOUBLE"
    DURATION = "type.googleapis.com/google.protobuf.Duration"
    TIMESTAMP = "type.googleapis.com/google.protobuf.Timestamp"


Int32 = Annotated[int, Scalar.INT32]
Int64 = Annotated[int, Scalar.INT64]
Float = Annotated[float, Scalar.FLOAT]
Double = Annotated[float, Scalar.DOUBLE]
Duration = Annotated[str, Scalar.DURATION]
"""Seconds as text, `1.880s`; checked when read, kept as it is."""
Timestamp = Annotated[datetime, Scalar.TIMESTAMP]
"""Always with a time zone."""
JsonObject = dict[str, Any]


class FromText(Struct, frozen=True):
    """Marks a message that may also come as a bare string, and says how to make one of it."""

    build: Callable[[str], Message]
