from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from openlive.wire.errors import ProtocolError
from openlive.wire.json import parse
from openlive.wire.tools import FunctionDeclaration, Schema, Tool, Type


@pytest.mark.parametrize("kind", ["OBJECT", "object", "Object", 6, "6"])
def test_a_type_in_any_case(kind: object) -> None:
    assert parse(Schema, {"type": kind}).type is Type.OBJECT


def test_json_schema_of_a_schema() -> None:
    schema = parse(
        Schema,
        {
            "type": "OBJECT",
            "properties": {
                "city": {"type": "STRING", "minLength": "1", "nullable": True, "enum": ["a", "b"], "example": "a"},
                "days": {"type": "array", "items": {"type": "INTEGER", "minimum": 0}, "max_items": 3},
                "either": {"anyOf": [{"type": "NUMBER"}, {"ref": "#/$defs/x"}]},
            },
            "required": ["city"],
            "property_ordering": ["city", "days"],
            "additionalProperties": False,
            "defs": {"x": {"type": "BOOLEAN", "default": False}},
        },
    )
    assert schema.json_schema() == {
        "type": "object",
        "properties": {
            "city": {"type": ["string", "null"], "minLength": 1, "enum": ["a", "b", None]},
            "days": {"type": "array", "items": {"type": "integer", "minimum": 0.0}, "maxItems": 3},
            "either": {"anyOf": [{"type": "number"}, {"$ref": "#/$defs/x"}]},
        },
        "required": ["city"],
        "additionalProperties": False,
        "$defs": {"x": {"type": "boolean", "default": False}},
    }


def test_parameters_come_in_two_forms() -> None:
    free = {"type": "object", "properties": {"a_b": {"$ref": "#/x"}}}
    assert parse(FunctionDeclaration, {"name": "f"}).json_schema == {}
    assert parse(FunctionDeclaration, {"parametersJsonSchema": free}).json_schema == free
    assert parse(FunctionDeclaration, {"parameters_json_schema": True}).json_schema == {}
    assert parse(FunctionDeclaration, {"parameters": {"type": "OBJECT"}}).json_schema == {"type": "object"}


@pytest.mark.parametrize(
    "tool",
    [
        {"googleSearch": {}},
        {"codeExecution": {}},
        {"url_context": {}},
        {"googleSearchRetrieval": {"dynamicRetrievalConfig": {"mode": "MODE_DYNAMIC", "dynamicThreshold": 0.5}}},
        {"retrieval": {"vertexRagStore": {"ragResources": [{"ragCorpus": "x"}]}}},
        {"enterpriseWebSearch": {"excludeDomains": ["a"]}},
        {"googleMaps": {"enableWidget": True}},
        {"computerUse": {"environment": "ENVIRONMENT_BROWSER"}},
        {"fileSearch": {"fileSearchStoreNames": ["a"], "topK": 3}},
        {"mcpServers": [{"name": "a"}]},
    ],
)
def test_tools_are_read(tool: dict[str, object]) -> None:
    assert parse(Tool, tool) != Tool()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-02T03:04:05.678901+00:00", datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)),
        ("2026-01-02T03:04:05.5-01:30", datetime(2026, 1, 2, 3, 4, 5, 500000, tzinfo=UTC) + timedelta(minutes=90)),
        ("2026-01-02T03:04:05.123456789Z", datetime(2026, 1, 2, 3, 4, 5, 123456, tzinfo=UTC)),
    ],
)
def test_timestamps(text: str, value: datetime) -> None:
    search = parse(Tool, {"googleSearch": {"timeRangeFilter": {"startTime": text}}}).google_search
    assert search is not None
    assert search.time_range_filter is not None
    assert search.time_range_filter.start_time == value


@pytest.mark.parametrize("text", ["2026-01-02", "2026-01-02T03:04:05", "2026-13-02T03:04:05Z", "now", "", 5])
def test_what_is_no_timestamp(text: object) -> None:
    with pytest.raises(ProtocolError, match=r"start_time' \(type.googleapis.com/google.protobuf.Timestamp\)"):
        parse(Tool, {"googleSearch": {"timeRangeFilter": {"startTime": text}}})
