"""Reading proto3 JSON into the structs of this package, as leniently as the original does.

One walk, directed by the annotations of the structs (see `proto`). At every level it takes both spellings of a name,
null for unset, both base64 alphabets with and without padding, integers as strings and as floats, enums in any case and
as numbers, and a single value for a list. Everything else is a `ProtocolError` in the original's words, and nothing
but a `ProtocolError` is ever raised.

The walk works on decoded JSON rather than as a typed decoder because one message mixes both spellings: the Python SDK
sends `{"setup": {"generationConfig": {"speechConfig": {"voice_config": ...}}}}` (docs/protocol.md#frames-of-python).
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
from openlive.wire.size import MAX_DEPTH, MAX_VALUES, has_too_many_values, is_too_deep, may_be_too_deep

M = TypeVar("M", bound=Message)
Reader = Callable[[Any], Any]
"""Takes decoded JSON, returns the value or raises `InvalidError`."""


def parse(struct: type[M], document: object, path: str = "", *, values: int = MAX_VALUES) -> M:
    """Reads a message from JSON text (str or UTF-8 bytes) or from decoded JSON.

    `path` is the snake_case path of the message, which errors start with; '' for a whole body. `values`: how many a
    text may hold.
    """
    if isinstance(document, str | bytes):
        document = _decode_json(document, values)
    elif is_too_deep(document):
        raise _too_deep()
    if not path and not isinstance(document, dict):
        raise ProtocolError('Invalid JSON payload received. Unknown name "": Root element must be a message.', field="")
    try:
        message: M = build_reader(struct)(document)
    except InvalidError as invalid:
        raise invalid.to_error(path) from None
    return message


def _decode_json(text: str | bytes, values: int) -> object:
    """Decodes JSON of at most MAX_DEPTH levels and so many values."""
    if has_too_many_values(text, values):
        raise ProtocolError(
            f"Invalid JSON payload received. Too many values: one message may hold {values} (limits.message_values).",
            field="",
        )
    try:
        document: object = _decoder.decode(text)
    except RecursionError:
        raise _too_deep() from None
    except UnicodeError:
        raise ProtocolError("Invalid JSON payload received. Text is not valid UTF-8.", field="") from None
    except msgspec.DecodeError as error:
        raise ProtocolError(f"Invalid JSON payload received. {_describe_malformed(error)}.", field="") from None
    if may_be_too_deep(text) and is_too_deep(document):
        raise _too_deep()
    return document


_decoder = msgspec.json.Decoder()


def _describe_malformed(error: msgspec.DecodeError) -> str:
    text = str(error)
    if "truncated" in text:
        return "Unexpected end of input"
    return f"Unexpected token: {text.removeprefix('JSON is malformed: ').partition(' - at ')[0]}"


# Errors


class InvalidError(Exception):
    """What is wrong with a value: `tell` makes the error of its path. That is put together on the way out, since most
    messages have nothing wrong in them and are long."""

    def __init__(self, tell: Callable[[str], ProtocolError]) -> None:
        self._build_error = tell
        self._steps: list[str] = []

    def add_step(self, step: str) -> None:
        """The value stands at `step` in what holds it."""
        self._steps.append(step)

    def to_error(self, path: str) -> ProtocolError:
        """`path` is that of what was read."""
        return self._build_error((path + "".join(reversed(self._steps))).removeprefix("."))


def _too_deep() -> ProtocolError:
    return ProtocolError(
        f"Invalid JSON payload received. Message too deep. Max recursion depth of {MAX_DEPTH} reached.", field=""
    )


def _bad_name(name: str, path: str, why: str) -> ProtocolError:
    """`path` is that of the message that holds `name`."""
    at = f" at '{path}'" if path else ""
    return ProtocolError(f'Invalid JSON payload received. Unknown name "{name[:200]}"{at}: {why}', field=path)


def _bad_value(path: str, type_name: str, value: object) -> ProtocolError:
    """`type_name` is a scalar's (`TYPE_INT32`) or a full type URL."""
    parent, _, name = path.rpartition(".")
    if isinstance(value, list):
        return _bad_name(name, parent, "Proto field is not repeating, cannot start list.")
    if isinstance(value, dict):
        return _bad_name(name, parent, "Proto field is not a message, cannot start object.")
    shown = f'"{value[:100]}"' if isinstance(value, str) else dumps(value)[:100]
    return ProtocolError(f"Invalid value at '{path}' ({type_name}), {shown}", field=path)


def _bad_oneof(path: str, oneof: str, name: str) -> ProtocolError:
    at = f" at '{path}'" if path else ""
    return ProtocolError(
        f"Invalid value{at} (oneof), oneof field '{oneof}' is already set. Cannot set '{name}'", field=path
    )


def _bad_base64(path: str, value: str) -> ProtocolError:
    return ProtocolError(
        f"Invalid value at '{path}' (TYPE_BYTES), Base64 decoding failed for \"{value[:100]}\"", field=path
    )


def _fail_name(name: str, why: str) -> NoReturn:
    raise InvalidError(lambda path: _bad_name(name, path, why))


def _fail_value(type_name: str, value: object) -> NoReturn:
    raise InvalidError(lambda path: _bad_value(path, type_name, value))


def _fail_oneof(oneof: str, name: str) -> NoReturn:
    raise InvalidError(lambda path: _bad_oneof(path, oneof, name))


def _type_url(name: str) -> str:
    return f"type.googleapis.com/{PACKAGE}.{name}"


# Readers


@cache
def build_reader(annotation: Any) -> Reader:
    """The reader for a field's annotation, made once."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (UnionType, Union):
        (kind,) = (each for each in arguments if each is not NoneType)
        return build_reader(kind)
    if origin is Annotated:
        kind, mark = arguments
        return _FROM_SCALAR[mark] if isinstance(mark, Scalar) else _from_text_reader(build_reader(kind), mark)
    if origin is tuple:
        return _list_reader(build_reader(arguments[0]))
    if origin is dict:
        return _read_struct if arguments[1] is Any else _map_reader(build_reader(arguments[1]))
    if isinstance(annotation, type):
        if issubclass(annotation, Message):
            return _MessageReader(annotation)
        if issubclass(annotation, Enum):
            return _enum_reader(annotation)
    return _FROM_TYPE[annotation]


class _MessageReader(Generic[M]):
    def __init__(self, struct: type[M]) -> None:
        self.struct = struct
        self.type_url = _type_url(struct.PROTO or struct.__name__)
        self.group = {attribute: oneof for oneof, attributes in struct.ONEOFS.items() for attribute in attributes}
        self.empty = struct()

    @cached_property
    def fields_by_name(self) -> dict[str, tuple[str, Reader]]:
        """Both spellings -> attribute and reader. Made late, because messages may hold their own kind."""
        hints = get_type_hints(self.struct, include_extras=True)
        fields = {}
        for attribute, camel in zip(self.struct.__struct_fields__, self.struct.__struct_encode_fields__, strict=True):
            fields[attribute] = fields[camel] = (attribute, build_reader(hints[attribute]))
        return fields

    def __call__(self, value: Any) -> M:
        if type(value) is not dict:
            _fail_value(self.type_url, value)
        if not value:
            return self.empty  # of a thousand, none takes memory
        fields = self.fields_by_name
        found: dict[str, Any] = {}
        for name, item in value.items():
            field = fields.get(name)
            if field is None:
                _fail_name(name, "Cannot find field.")
            if item is None:
                continue
            attribute, read = field
            if attribute in found:
                _fail_name(name, "Field is already set.")
            try:
                found[attribute] = read(item)
            except InvalidError as invalid:
                invalid.add_step(f".{attribute}")
                raise
        if self.group:
            self._check_oneofs(found, value)
        return self.struct(**found)

    def _check_oneofs(self, found: dict[str, Any], value: dict[str, Any]) -> None:
        taken = set()
        for name in value:
            attribute, _ = self.fields_by_name[name]
            oneof = self.group.get(attribute)
            if oneof is None or attribute not in found:
                continue
            if oneof in taken:
                _fail_oneof(oneof, name)
            taken.add(oneof)


def _list_reader(read: Reader) -> Reader:
    def read_list(value: Any) -> tuple[Any, ...]:
        if type(value) is not list:
            value = [value]  # Google's own samples send "response_modalities": "audio", "parts": {"text": ...}
        found: list[Any] = []
        try:
            for item in value:
                found.append(read(item))  # noqa: PERF401 -- their number tells which one is wrong
        except InvalidError as invalid:
            invalid.add_step(f"[{len(found)}]")
            raise
        return tuple(found)

    return read_list


def _map_reader(read: Reader) -> Reader:
    def read_map(value: Any) -> dict[str, Any]:
        if type(value) is not dict:
            _fail_value("map", value)
        found: dict[str, Any] = {}
        try:
            for key, item in value.items():
                found[key] = read(item)
        except InvalidError as invalid:
            # The original's paths show a map as the list of entries that it is in protobuf.
            invalid.add_step(f"[{len(found)}].value")
            raise
        return found

    return read_map


def _from_text_reader(read: Reader, mark: FromText) -> Reader:
    def read_from_text(value: Any) -> Any:
        return mark.build(value) if type(value) is str else read(value)

    return read_from_text


def _enum_reader(kind: type[Enum]) -> Reader:
    names = {str(member).upper(): member for member in kind}
    numbers = {member.number: member for member in kind if member.number is not None}
    url = _type_url(kind.proto)

    def read_enum(value: Any) -> Enum:
        member = None
        if type(value) is str:
            member = names.get(value.upper())
            if member is None and _DIGITS.fullmatch(value):
                member = numbers.get(int(value))
        elif type(value) is int or (type(value) is float and value.is_integer()):
            member = numbers.get(int(value))
        if member is None:
            _fail_value(url, value)
        return member

    return read_enum


_DIGITS = re.compile(r"[0-9]{1,9}")
_NUMBER = re.compile(r"-?[0-9]{1,40}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?")


def _parse_number(value: Any) -> int | float | None:
    """The number that a JSON value stands for, None if it is none."""
    if type(value) is str and _NUMBER.fullmatch(value):
        return int(value) if value.lstrip("-").isdigit() else float(value)
    return value if type(value) is int or type(value) is float else None


def _integer_reader(kind: Scalar, bits: int) -> Reader:
    limit = 2 ** (bits - 1)

    def read_integer(value: Any) -> int:
        number = _parse_number(value)
        if number is None or not -limit <= number < limit or number != int(number):
            _fail_value(kind.value, value)
        return int(number)

    return read_integer


def _float_reader(kind: Scalar, limit: float) -> Reader:
    def read_float(value: Any) -> float:
        # NaN and infinity, which proto3 JSON has as strings, have no use in any field of the API.
        number = _parse_number(value)
        if number is None or not -limit <= number <= limit:
            _fail_value(kind.value, value)
        return float(number)

    return read_float


def _read_string(value: Any) -> str:
    if type(value) is not str:
        _fail_value("TYPE_STRING", value)
    return value


def _read_bool(value: Any) -> bool:
    if type(value) is not bool:
        _fail_value("TYPE_BOOL", value)
    return value


def _read_bytes(value: Any) -> bytes:
    if type(value) is not str:
        _fail_value("TYPE_BYTES", value)
    sent, data = value, _decode_base64(value)
    if data is None:
        for blank in "\r\n\t ":  # encoders for mail break lines
            value = value.replace(blank, "")
        data = _decode_base64(value)
    if data is None:
        raise InvalidError(lambda path: _bad_base64(path, sent))
    return data


def _decode_base64(text: str) -> bytes | None:
    body = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        # msgspec's decoder is strict, and several times as fast as the standard library's.
        return msgspec.convert(body + "=" * (-len(body) % 4), bytes)
    except msgspec.ValidationError:
        return None


def _read_struct(value: Any) -> dict[str, Any]:
    if type(value) is not dict:
        _fail_value("type.googleapis.com/google.protobuf.Struct", value)
    return value


def _read_anything(value: Any) -> Any:
    return value


_DURATION = re.compile(r"-?[0-9]{1,12}(\.[0-9]{0,9})?s")
_MAX_DURATION = 315_576_000_000
"""Seconds; what google.protobuf.Duration allows, about 10 000 years."""


def _read_duration(value: Any) -> str:
    if type(value) is not str or not _DURATION.fullmatch(value) or abs(float(value[:-1])) > _MAX_DURATION:
        _fail_value(Scalar.DURATION.value, value)
    return value


_TIMESTAMP = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})"
)


def _read_timestamp(value: Any) -> datetime:
    match = _TIMESTAMP.fullmatch(value) if type(value) is str else None
    if match is None:
        _fail_value(Scalar.TIMESTAMP.value, value)
    seconds, fraction, zone = match.groups()
    try:
        return datetime.fromisoformat(f"{seconds}{(fraction or '.0')[:7]:0<7}{zone}")
    except ValueError:
        _fail_value(Scalar.TIMESTAMP.value, value)


_FROM_SCALAR: dict[Scalar, Reader] = {
    Scalar.INT32: _integer_reader(Scalar.INT32, 32),
    Scalar.INT64: _integer_reader(Scalar.INT64, 64),
    Scalar.FLOAT: _float_reader(Scalar.FLOAT, 3.4028234663852886e38),
    Scalar.DOUBLE: _float_reader(Scalar.DOUBLE, 1.7976931348623157e308),
    Scalar.DURATION: _read_duration,
    Scalar.TIMESTAMP: _read_timestamp,
}
_FROM_TYPE: dict[Any, Reader] = {str: _read_string, bool: _read_bool, bytes: _read_bytes, Any: _read_anything}
