"""Google's published protobufs as a judge: what they say of a message, and messages made from their descriptors."""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from random import Random
from typing import Any, NamedTuple

from google.ai.generativelanguage_v1beta.types import generative_service
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message as Proto

from openlive.wire.proto import Enum, Message

CLIENT: type[Proto] = generative_service.BidiGenerateContentClientMessage.pb()
SERVER: type[Proto] = generative_service.BidiGenerateContentServerMessage.pb()

INTEGERS = (FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_INT64)
FLOATS = (FieldDescriptor.CPPTYPE_FLOAT, FieldDescriptor.CPPTYPE_DOUBLE)


def judge(document: object) -> Proto | None:
    """The message that a document is, None if it is none."""
    try:
        return json_format.ParseDict(document, CLIENT())
    except Exception:  # it raises whatever Python raises on what it reads
        return None


def name_of(field: FieldDescriptor) -> str:
    """Our attribute for a field. The Python package has renamed `type` and `format` to `type_` and `format_`."""
    return field.name.rstrip("_")


# What a message says, in plain values that both sides can be brought to


def value_of(message: Proto) -> dict[str, Any]:
    """The fields that are set; without presence, those that aren't zero."""
    said = {name_of(field): _proto_field(field, value) for field, value in message.ListFields()}
    return {name: value for name, value in said.items() if value is not None}


def _proto_field(field: FieldDescriptor, value: Any) -> Any:
    if _is_map(field):
        return {key: value_of(item) for key, item in value.items()}
    return [_proto_value(field, item) for item in value] if field.is_repeated else _proto_value(field, value)


def _proto_value(field: FieldDescriptor, value: Any) -> Any:
    kind = field.message_type.full_name if field.message_type else ""
    match kind:
        case "google.protobuf.Struct" | "google.protobuf.Value":
            return json_format.MessageToDict(value)
        case "google.protobuf.Duration":
            return int(value.ToNanoseconds())
        case "google.protobuf.Timestamp":
            return int(value.ToMicroseconds())
    return value_of(value) if kind else value


def our_value_of(message: Message, descriptor: Descriptor) -> dict[str, Any]:
    said = {}
    for field in descriptor.fields:
        value = getattr(message, name_of(field), None)  # we leave out a few fields of server messages
        if value is None or (field.is_repeated and not value):
            continue
        plain = _our_field(field, value)
        if field.has_presence or field.is_repeated or plain not in (0, "", b"", False):
            said[name_of(field)] = plain
    return said


def _our_field(field: FieldDescriptor, value: Any) -> Any:
    if _is_map(field):
        entry = field.message_type.fields_by_name["value"]
        return {key: _our_value(entry, item) for key, item in value.items()}
    return [_our_value(field, item) for item in value] if field.is_repeated else _our_value(field, value)


def _our_value(field: FieldDescriptor, value: Any) -> Any:
    match value:
        case Message():
            return our_value_of(value, field.message_type)
        case Enum():
            return value.number
        case datetime():
            return round(value.timestamp() * 1_000_000)
    if field.message_type and field.message_type.full_name == "google.protobuf.Duration":
        return int(Decimal(value[:-1]) * 10**9)
    if field.cpp_type == FieldDescriptor.CPPTYPE_FLOAT:
        return struct.unpack("f", struct.pack("f", value))[0]
    return value


def _is_map(field: FieldDescriptor) -> bool:
    return bool(field.message_type and field.message_type.GetOptions().map_entry)


# Messages


class Site(NamedTuple):
    """A field that was written: `holder[key]` is its value."""

    holder: dict[str, Any]
    key: str
    field: FieldDescriptor


class Writer:
    """Writes random documents of a message type, and remembers where its fields are."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.sites: list[Site] = []

    def message(self, descriptor: Descriptor, depth: int = 0) -> dict[str, Any]:
        document: dict[str, Any] = {}
        taken: set[str] = set()
        fields = list(descriptor.fields)
        if depth == 0:
            fields = [self.random.choice(fields)]
        share = 1.0 if depth == 0 else 0.7 / (1 + depth / 3)
        for field in self.random.sample(fields, len(fields)):
            group = field.containing_oneof.full_name if field.containing_oneof else field.full_name
            if self.random.random() > share or group in taken or (depth > 6 and field.message_type):
                continue
            taken.add(group)
            key = spelling(field, self.random)
            document[key] = self._field(field, depth)
            self.sites.append(Site(document, key, field))
        return document

    def _field(self, field: FieldDescriptor, depth: int) -> Any:
        if _is_map(field):
            entry = field.message_type.fields_by_name["value"]
            return {f"k{number}": self.value(entry, depth) for number in range(self.random.randrange(3))}
        if field.is_repeated:
            return [self.value(field, depth) for _ in range(self.random.randrange(3))]
        return self.value(field, depth)

    def value(self, field: FieldDescriptor, depth: int = 0) -> Any:
        random = self.random
        match field.cpp_type:
            case FieldDescriptor.CPPTYPE_MESSAGE:
                return self._message_value(field.message_type, depth)
            case FieldDescriptor.CPPTYPE_INT32:
                return random.choice([0, 1, -1, 40, 2**31 - 1, -(2**31)])
            case FieldDescriptor.CPPTYPE_INT64:
                return random.choice([0, "0", 5, "500", 2**53 + 1, str(2**63 - 1), -(2**63)])
            case FieldDescriptor.CPPTYPE_FLOAT | FieldDescriptor.CPPTYPE_DOUBLE:
                return random.choice([0, 0.0, 1, 0.5, -0.1, 1e-3, 1e30])
            case FieldDescriptor.CPPTYPE_BOOL:
                return random.random() < 0.5
            case FieldDescriptor.CPPTYPE_ENUM:
                return random.choice(list(field.enum_type.values)).name
        if field.type == FieldDescriptor.TYPE_BYTES:
            return base64.b64encode(random.randbytes(random.randrange(8))).decode()
        return random.choice(["", "a", "models/x", "ü 😀", "AAAA", "5", 'x"\n'])

    def _message_value(self, descriptor: Descriptor, depth: int) -> Any:
        match descriptor.full_name:
            case "google.protobuf.Struct":
                return {"a_b": self.free(), "c": {"": self.free()}}
            case "google.protobuf.Value":
                return self.free()
            case "google.protobuf.Duration":
                return self.random.choice(["0s", "1.2s", "-0.5s", "3600s", "1.000000001s"])
            case "google.protobuf.Timestamp":
                return self.random.choice(["2026-01-02T03:04:05Z", "2026-01-02T03:04:05.678901+01:30"])
        return self.message(descriptor, depth + 1)

    def free(self) -> Any:
        return self.random.choice([None, True, 5, 1.5, "x", [], {}, [None, {"data": "-__-"}], {"type": "object"}])


def spelling(field: FieldDescriptor, random: Random) -> str:
    # The package's own renaming applies to the snake_case spelling only, and isn't the API's.
    return field.json_name if random.random() < 0.5 or field.name.endswith("_") else field.name


# Mutations: each changes one written field and says whether it could


def null(site: Site, random: Random) -> bool:
    site.holder[site.key] = None
    return True


def unknown_name(site: Site, random: Random) -> bool:
    site.holder[random.choice(["nope", "Model", "top-p", "", "generation_Config", "[x.y]"])] = random.choice(
        [None, 1, {}]
    )
    return True


def wrong_type(site: Site, random: Random) -> bool:
    if _is_map(site.field):
        return _replace(site, random.choice([5, "x", True]))
    wrong = _wrong_values(site.field)
    if not site.field.is_repeated:
        return bool(wrong) and _replace(site, random.choice(wrong))
    if not site.holder[site.key] or not wrong:
        return False
    site.holder[site.key][-1] = random.choice([*wrong, None])
    return True


def _replace(site: Site, value: object) -> bool:
    site.holder[site.key] = value
    return True


def _wrong_values(field: FieldDescriptor) -> list[Any]:
    kind = field.message_type.full_name if field.message_type else ""
    if kind == "google.protobuf.Value":
        return []
    if kind in ("google.protobuf.Duration", "google.protobuf.Timestamp"):
        return ["x", "5", 5, [], {}, True]
    if kind:
        # A bare string for an instruction is ours to take: see the table of differences.
        return [5, True, [1], 1.5] + ([] if field.name == "system_instruction" else ["nope"])
    if field.cpp_type in INTEGERS:
        bits = 31 if field.cpp_type == FieldDescriptor.CPPTYPE_INT32 else 63
        return [1.5, True, "x", "1.5", "", " 1", [], {}, 2**bits, str(-(2**bits) - 1), 1e30]
    if field.cpp_type in FLOATS:
        return ["x", "", [], {}, "1,5"] + ([1e39] if field.cpp_type == FieldDescriptor.CPPTYPE_FLOAT else [])
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return [0, 1, "true", "", [], {}]
    if field.cpp_type == FieldDescriptor.CPPTYPE_ENUM:
        return ["NOPE", "", "1.5", [], {}]
    return [1, 1.5, True, [], {}, *(["A", "AAAAA"] if field.type == FieldDescriptor.TYPE_BYTES else [])]


def number_as_string(site: Site, random: Random) -> bool:
    value = site.holder[site.key]
    if site.field.cpp_type not in INTEGERS + FLOATS or site.field.is_repeated:
        return False
    return _replace(site, random.choice([str(value), str(float(value))]))


def integer_as_float(site: Site, random: Random) -> bool:
    if site.field.cpp_type not in INTEGERS or site.field.is_repeated:
        return False
    return _replace(site, random.choice([40.0, -1.0, 0.0, 2.0**31]))


def enum_as_number(site: Site, random: Random) -> bool:
    if site.field.cpp_type != FieldDescriptor.CPPTYPE_ENUM:
        return False
    number = random.choice(list(site.field.enum_type.values)).number
    value = random.choice([number, str(number), float(number)])
    return _replace(site, [value] if site.field.is_repeated else value)


def base64_dialect(site: Site, random: Random) -> bool:
    if site.field.type != FieldDescriptor.TYPE_BYTES:
        return False
    data = random.choice([b"\xfb\xff", b"\xff" * 64, b"\xfb\xff\xbf\xfe"])
    text = random.choice([base64.standard_b64encode, base64.urlsafe_b64encode])(data).decode()
    return _replace(site, random.choice([text, text.rstrip("="), base64.encodebytes(data).decode()]))


def both_spellings(site: Site, random: Random) -> bool:
    # Without presence the judge takes the last one: see the table of differences.
    if site.field.name == site.field.json_name or site.field.containing_oneof is None:
        return False
    site.holder[{site.field.name, site.field.json_name}.difference({site.key}).pop()] = site.holder[site.key]
    return True


def two_of_a_oneof(site: Site, random: Random) -> bool:
    oneof = site.field.containing_oneof
    others = [field for field in oneof.fields if field is not site.field] if oneof else []
    if not others:
        return False
    other = random.choice(others)
    site.holder[spelling(other, random)] = Writer(random).value(other, depth=4)
    return True


def empty(site: Site, random: Random) -> bool:
    if site.field.is_repeated:
        return _replace(site, {} if _is_map(site.field) else [])
    return bool(site.field.message_type) and _replace(site, {})


Mutation = Callable[[Site, Random], bool]
MUTATIONS: list[Mutation] = [
    null,
    unknown_name,
    wrong_type,
    number_as_string,
    integer_as_float,
    enum_as_number,
    base64_dialect,
    both_spellings,
    two_of_a_oneof,
    empty,
]
