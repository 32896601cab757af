"""Reading proto3 JSON into the structs of this package, as leniently as the original does.

One walk, directed by the annotations of the structs (see `proto`). At every level it takes both spellings of a name,
null for unset, both base64 alphabets with and without padding, integers as strings and as floats, enums in any case and
as numbers, and a single value for a list. Everything else is a `ProtocolError` in the original's words, and nothing
but a `ProtocolError` is ever raised.

The walk works on decoded JSON rather than as a typed decoder because one message mixes both spellings: the Python SDK
sends `{"setup": {"generationConfig": {"speechConfig": {"voice_config": ...}}}}` (protocol.md 2.2).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from functools import cache, cached_property
from json import dumps
from types import NoneType, UnionType
from typing import Annotated, Any, Generic, NoReturn, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from openlive.wire.errors import ProtocolError
from openlive.wire.proto import PACKAGE, Enum, FromText, Message, Scalar

MAX_DEPTH = 100
"""Levels of objects and lists that one document may have, as in protobuf's own parsers."""

M = TypeVar("M", bound=Message)
Reader = Callable[[Any, str], Any]
"""Takes decoded JSON and its path (for errors), returns the value or raises ProtocolError."""


def parse(struct: type[M], document: object, path: str = "") -> M:
    """Reads a message from JSON text (str or UTF-8 bytes) or from decoded JSON.

    `path` is the snake_case path of the message, which errors start with; '' for a whole body.
    """
    if isinstance(document, str | bytes | bytearray | memoryview):
        document = decode(document)
    elif _too_deep(document):
        _fail_too_deep()
    if not path and not isinstance(document, dict):
        raise ProtocolError('Invalid JSON payload received. Unknown name "": Root element must be a message.', field="")
    message: M = reader(struct)(document, path)
    return message


def decode(text: str | bytes | bytearray | memoryview) -> object:
    """Decodes JSON of at most MAX_DEPTH levels."""
    try:
        document: object = _decoder.decode(text)
    except RecursionError:
        _fail_too_deep()
    except UnicodeError:
        raise ProtocolError("Invalid JSON payload received. Text is not valid UTF-8.", field="") from None
    except msgspec.DecodeError as error:
        raise ProtocolError(f"Invalid JSON payload received. {_malformed(error)}.", field="") from None
    if _too_deep(document):
        _fail_too_deep()
    return document


_decoder = msgspec.json.Decoder()


def _malformed(error: msgspec.DecodeError) -> str:
    text = str(error)
    if "truncated" in text:
        return "Unexpected end of input"
    return f"Unexpected token: {text.removeprefix('JSON is malformed: ').partition(' - at ')[0]}"


def _too_deep(document: object) -> bool:
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


# Errors


def _fail_too_deep() -> NoReturn:
    raise ProtocolError(
        f"Invalid JSON payload received. Message too deep. Max recursion depth of {MAX_DEPTH} reached.", field=""
    )


def _fail_name(name: str, path: str, why: str) -> NoReturn:
    """`path` is that of the message that holds `name`."""
    at = f" at '{path}'" if path else ""
    raise ProtocolError(f'Invalid JSON payload received. Unknown name "{name[:200]}"{at}: {why}', field=path)


def _fail_value(path: str, type_name: str, value: object) -> NoReturn:
    """`type_name` is a scalar's (`TYPE_INT32`) or a full type URL."""
    parent, _, name = path.rpartition(".")
    if isinstance(value, list):
        _fail_name(name, parent, "Proto field is not repeating, cannot start list.")
    if isinstance(value, dict):
        _fail_name(name, parent, "Proto field is not a message, cannot start object.")
    shown = f'"{value[:100]}"' if isinstance(value, str) else dumps(value)[:100]
    raise ProtocolError(f"Invalid value at '{path}' ({type_name}), {shown}", field=path)


def _fail_oneof(path: str, oneof: str, name: str) -> NoReturn:
    at = f" at '{path}'" if path else ""
    raise ProtocolError(
        f"Invalid value{at} (oneof), oneof field '{oneof}' is already set. Cannot set '{name}'", field=path
    )


def _type_url(name: str) -> str:
    return f"type.googleapis.com/{PACKAGE}.{name}"


# Readers


@cache
def reader(annotation: Any) -> Reader:
    """The reader for a field's annotation, made once."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (UnionType, Union):
        (kind,) = (each for each in arguments if each is not NoneType)
        return reader(kind)
    if origin is Annotated:
        kind, mark = arguments
        return _FROM_SCALAR[mark] if isinstance(mark, Scalar) else _read_from_text(reader(kind), mark)
    if origin is tuple:
        return _read_list(reader(arguments[0]))
    if origin is dict:
        return _read_struct if arguments[1] is Any else _read_map(reader(arguments[1]))
    if isinstance(annotation, type):
        if issubclass(annotation, Message):
            return _MessageReader(annotation)
        if issubclass(annotation, Enum):
            return _read_enum(annotation)
    return _FROM_TYPE[annotation]


class _MessageReader(Generic[M]):
    def __init__(self, struct: type[M]) -> None:
        self.struct = struct
        self.type_url = _type_url(struct.PROTO or struct.__name__)
        self.group = {attribute: oneof for oneof, attributes in struct.ONEOFS.items() for attribute in attributes}

    @cached_property
    def fields(self) -> dict[str, tuple[str, Reader]]:
        """Both spellings -> attribute and reader. Made late, because messages may hold their own kind."""
        hints = get_type_hints(self.struct, include_extras=True)
        fields = {}
        for attribute, camel in zip(self.struct.__struct_fields__, self.struct.__struct_encode_fields__, strict=True):
            fields[attribute] = fields[camel] = (attribute, reader(hints[attribute]))
        return fields

    def __call__(self, value: Any, path: str) -> M:
        if type(value) is not dict:
            _fail_value(path, self.type_url, value)
        fields = self.fields
        found: dict[str, Any] = {}
        for name, item in value.items():
            field = fields.get(name)
            if field is None:
                _fail_name(name, path, "Cannot find field.")
            if item is None:
                continue
            attribute, read = field
            if attribute in found:
                _fail_name(name, path, "Field is already set.")
            found[attribute] = read(item, f"{path}.{attribute}" if path else attribute)
        if self.group:
            self._check_oneofs(found, value, path)
        return self.struct(**found)

    def _check_oneofs(self, found: dict[str, Any], value: dict[str, Any], path: str) -> None:
        taken = set()
        for name in value:
            attribute, _ = self.fields[name]
            oneof = self.group.get(attribute)
            if oneof is None or attribute not in found:
                continue
            if oneof in taken:
                _fail_oneof(path, oneof, name)
            taken.add(oneof)


def _read_list(read: Reader) -> Reader:
    def read_list(value: Any, path: str) -> tuple[Any, ...]:
        if type(value) is not list:
            value = [value]  # Google's own samples send "response_modalities": "audio", "parts": {"text": ...}
        return tuple([read(item, f"{path}[{index}]") for index, item in enumerate(value)])

    return read_list


def _read_map(read: Reader) -> Reader:
    def read_map(value: Any, path: str) -> dict[str, Any]:
        if type(value) is not dict:
            _fail_value(path, "map", value)
        # The original's paths show a map as the list of entries that it is in protobuf.
        return {key: read(item, f"{path}[{index}].value") for index, (key, item) in enumerate(value.items())}

    return read_map


def _read_from_text(read: Reader, mark: FromText) -> Reader:
    def read_from_text(value: Any, path: str) -> Any:
        return mark.build(value) if type(value) is str else read(value, path)

    return read_from_text


def _read_enum(kind: type[Enum]) -> Reader:
    names = {str(member).upper(): member for member in kind}
    numbers = {member.number: member for member in kind if member.number is not None}
    url = _type_url(kind.proto)

    def read_enum(value: Any, path: str) -> Enum:
        member = None
        if type(value) is str:
            member = names.get(value.upper())
            if member is None and _DIGITS.fullmatch(value):
                member = numbers.get(int(value))
        elif type(value) is int or (type(value) is float and value.is_integer()):
            member = numbers.get(int(value))
        if member is None:
            _fail_value(path, url, value)
        return member

    return read_enum


_DIGITS = re.compile(r"[0-9]{1,9}")
_NUMBER = re.compile(r"-?[0-9]{1,40}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?")


def _number(value: Any) -> int | float | None:
    """The number that a JSON value stands for, None if it is none."""
    if type(value) is str and _NUMBER.fullmatch(value):
        return int(value) if value.lstrip("-").isdigit() else float(value)
    return value if type(value) is int or type(value) is float else None


def _read_integer(kind: Scalar, bits: int) -> Reader:
    limit = 2 ** (bits - 1)

    def read_integer(value: Any, path: str) -> int:
        number = _number(value)
        if number is None or not -limit <= number < limit or number != int(number):
            _fail_value(path, kind.value, value)
        return int(number)

    return read_integer


def _read_float(kind: Scalar, limit: float) -> Reader:
    def read_float(value: Any, path: str) -> float:
        # NaN and infinity, which proto3 JSON has as strings, have no use in any field of the API.
        number = _number(value)
        if number is None or not -limit <= number <= limit:
            _fail_value(path, kind.value, value)
        return float(number)

    return read_float


def _read_string(value: Any, path: str) -> str:
    if type(value) is not str:
        _fail_value(path, "TYPE_STRING", value)
    return value


def _read_bool(value: Any, path: str) -> bool:
    if type(value) is not bool:
        _fail_value(path, "TYPE_BOOL", value)
    return value


def _read_bytes(value: Any, path: str) -> bytes:
    if type(value) is not str:
        _fail_value(path, "TYPE_BYTES", value)
    data = _from_base64(value)
    if data is None:
        data = _from_base64("".join(value.split()))  # encoders for mail break lines
    if data is None:
        raise ProtocolError(
            f"Invalid value at '{path}' (TYPE_BYTES), Base64 decoding failed for \"{value[:100]}\"", field=path
        )
    return data


def _from_base64(text: str) -> bytes | None:
    body = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        # msgspec's decoder is strict, and several times as fast as the standard library's.
        return msgspec.convert(body + "=" * (-len(body) % 4), bytes)
    except msgspec.ValidationError:
        return None


def _read_struct(value: Any, path: str) -> dict[str, Any]:
    if type(value) is not dict:
        _fail_value(path, "type.googleapis.com/google.protobuf.Struct", value)
    return value


def _read_anything(value: Any, path: str) -> Any:  # noqa: ARG001
    return value


_DURATION = re.compile(r"-?[0-9]{1,12}(\.[0-9]{0,9})?s")
_MAX_DURATION = 315_576_000_000
"""Seconds; what google.protobuf.Duration allows, about 10 000 years."""


def _read_duration(value: Any, path: str) -> str:
    if type(value) is not str or not _DURATION.fullmatch(value) or abs(float(value[:-1])) > _MAX_DURATION:
        _fail_value(path, Scalar.DURATION.value, value)
    return value


_TIMESTAMP = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})"
)


def _read_timestamp(value: Any, path: str) -> datetime:
    match = _TIMESTAMP.fullmatch(value) if type(value) is str else None
    if match is None:
        _fail_value(path, Scalar.TIMESTAMP.value, value)
    seconds, fraction, zone = match.groups()
    try:
        return datetime.fromisoformat(f"{seconds}{(fraction or '.0')[:7]:0<7}{zone}")
    except ValueError:
        _fail_value(path, Scalar.TIMESTAMP.value, value)


_FROM_SCALAR: dict[Scalar, Reader] = {
    Scalar.INT32: _read_integer(Scalar.INT32, 32),
    Scalar.INT64: _read_integer(Scalar.INT64, 64),
    Scalar.FLOAT: _read_float(Scalar.FLOAT, 3.4028234663852886e38),
    Scalar.DOUBLE: _read_float(Scalar.DOUBLE, 1.7976931348623157e308),
    Scalar.DURATION: _read_duration,
    Scalar.TIMESTAMP: _read_timestamp,
}
_FROM_TYPE: dict[Any, Reader] = {str: _read_string, bool: _read_bool, bytes: _read_bytes, Any: _read_anything}
