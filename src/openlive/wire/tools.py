"""Tools and the schemas of their functions."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from openlive.wire.proto import Double, Enum, Float, Int32, Int64, JsonObject, Message, Timestamp


class Type(Enum):
    """A schema's type, OpenAPI's names; read in any case."""

    TYPE_UNSPECIFIED = "TYPE_UNSPECIFIED", 0
    STRING = "STRING", 1
    NUMBER = "NUMBER", 2
    INTEGER = "INTEGER", 3
    BOOLEAN = "BOOLEAN", 4
    ARRAY = "ARRAY", 5
    OBJECT = "OBJECT", 6
    NULL = "NULL", 7


class Behavior(Enum, proto="FunctionDeclaration.Behavior"):
    UNSPECIFIED = "UNSPECIFIED", 0
    BLOCKING = "BLOCKING", 1
    NON_BLOCKING = "NON_BLOCKING", 2


class Environment(Enum, proto="Tool.ComputerUse.Environment"):
    ENVIRONMENT_UNSPECIFIED = "ENVIRONMENT_UNSPECIFIED", 0
    ENVIRONMENT_BROWSER = "ENVIRONMENT_BROWSER", 1
    ENVIRONMENT_MOBILE = ("ENVIRONMENT_MOBILE",)
    ENVIRONMENT_DESKTOP = ("ENVIRONMENT_DESKTOP",)


class Mode(Enum, proto="DynamicRetrievalConfig.Mode"):
    MODE_UNSPECIFIED = "MODE_UNSPECIFIED", 0
    MODE_DYNAMIC = "MODE_DYNAMIC", 1


class Schema(Message, frozen=True, kw_only=True):
    """The API's subset of OpenAPI 3.0."""

    type: Type | None = None
    format: str | None = None
    title: str | None = None
    description: str | None = None
    nullable: bool | None = None
    enum: tuple[str, ...] = ()
    items: Schema | None = None
    max_items: Int64 | None = None
    min_items: Int64 | None = None
    properties: dict[str, Schema] | None = None
    required: tuple[str, ...] = ()
    min_properties: Int64 | None = None
    max_properties: Int64 | None = None
    minimum: Double | None = None
    maximum: Double | None = None
    min_length: Int64 | None = None
    max_length: Int64 | None = None
    pattern: str | None = None
    example: Any = None
    any_of: tuple[Schema, ...] = ()
    property_ordering: tuple[str, ...] = ()
    default: Any = None
    additional_properties: Any = None
    ref: str | None = None
    defs: dict[str, Schema] | None = None

    def json_schema(self) -> JsonObject:
        """The same as JSON Schema: types in lower case, null as a type, `$ref` and `$defs`, numbers as numbers."""
        return _json_schema(msgspec.to_builtins(self))


_NOT_JSON_SCHEMA = ("nullable", "propertyOrdering", "example")
_NUMBERS = ("INTEGER", "NUMBER")


def _json_schema(api: JsonObject) -> JsonObject:
    """`api`: a schema as the API has it, without what is unset."""
    schema: JsonObject = {}
    for name, value in api.items():
        match name:
            case "ref":
                schema["$ref"] = value.replace("#/defs/", "#/$defs/", 1)
            case "defs" | "properties":
                schema["$defs" if name == "defs" else name] = {key: _json_schema(inner) for key, inner in value.items()}
            case "items":
                schema[name] = _json_schema(value)
            case "anyOf":
                schema[name] = [_json_schema(inner) for inner in value]
            case "type":
                if value != "TYPE_UNSPECIFIED":
                    schema[name] = value.lower()
            case "enum":
                schema[name] = (
                    [_parse_enum_number(one) for one in value] if api.get("type") in _NUMBERS else list(value)
                )
            case "required":
                schema[name] = list(value)
            case _ if name not in _NOT_JSON_SCHEMA:
                schema[name] = value
    if api.get("nullable"):
        _allow_null(schema)
    return schema


def _parse_enum_number(value: str) -> int | float | str:
    """The number that an enum of numbers has as text; what is none is left as it is."""
    try:
        return msgspec.json.decode(value, type=int | float)
    except (msgspec.DecodeError, UnicodeError):
        return value


def _allow_null(schema: JsonObject) -> None:
    if "type" in schema:
        schema["type"] = [schema["type"], "null"]
    if "enum" in schema:
        schema["enum"].append(None)
    if "anyOf" in schema:
        schema["anyOf"].append({"type": "null"})


class FunctionDeclaration(Message, frozen=True, kw_only=True):
    """A function that the model may call. Its parameters come as a Schema or as free JSON Schema."""

    name: str | None = None
    description: str | None = None
    parameters: Schema | None = None
    parameters_json_schema: Any = None
    response: Schema | None = None
    response_json_schema: Any = None
    behavior: Behavior | None = None

    @property
    def json_schema(self) -> JsonObject:
        """JSON Schema of the parameters, {} for none. Free JSON Schema is taken as it was sent."""
        if isinstance(self.parameters_json_schema, dict):
            return self.parameters_json_schema
        return self.parameters.json_schema() if self.parameters is not None else {}


class DynamicRetrievalConfig(Message, frozen=True, kw_only=True):
    mode: Mode | None = None
    dynamic_threshold: Float | None = None


class GoogleSearchRetrieval(Message, frozen=True, kw_only=True):
    dynamic_retrieval_config: DynamicRetrievalConfig | None = None


class CodeExecution(Message, frozen=True, kw_only=True):
    pass


class Interval(Message, frozen=True, kw_only=True):
    start_time: Timestamp | None = None
    end_time: Timestamp | None = None


class GoogleSearch(Message, frozen=True, kw_only=True):
    PROTO: ClassVar = "Tool.GoogleSearch"

    time_range_filter: Interval | None = None
    search_types: JsonObject | None = None
    exclude_domains: tuple[str, ...] = ()
    blocking_confidence: str | None = None


class ComputerUse(Message, frozen=True, kw_only=True):
    PROTO: ClassVar = "Tool.ComputerUse"

    environment: Environment | None = None
    excluded_predefined_functions: tuple[str, ...] = ()
    enable_prompt_injection_detection: bool | None = None
    disabled_safety_policies: tuple[str, ...] = ()


class UrlContext(Message, frozen=True, kw_only=True):
    pass


class RetrievalResource(Message, frozen=True, kw_only=True):
    PROTO: ClassVar = "FileSearch.RetrievalResource"

    rag_store_name: str | None = None


class RetrievalConfig(Message, frozen=True, kw_only=True):
    PROTO: ClassVar = "FileSearch.RetrievalConfig"

    top_k: Int32 | None = None
    metadata_filter: str | None = None


class FileSearch(Message, frozen=True, kw_only=True):
    retrieval_resources: tuple[RetrievalResource, ...] = ()
    retrieval_config: RetrievalConfig | None = None
    file_search_store_names: tuple[str, ...] = ()
    top_k: Int32 | None = None
    metadata_filter: str | None = None


class GoogleMaps(Message, frozen=True, kw_only=True):
    enable_widget: bool | None = None
    auth_config: JsonObject | None = None
    grounding_types: JsonObject | None = None


class EnterpriseWebSearch(Message, frozen=True, kw_only=True):
    exclude_domains: tuple[str, ...] = ()
    blocking_confidence: str | None = None


class Tool(Message, frozen=True, kw_only=True):
    """Functions of the client's, or one of Google's tools. The last ones, of Vertex, are read but not looked into."""

    function_declarations: tuple[FunctionDeclaration, ...] = ()
    google_search: GoogleSearch | None = None
    code_execution: CodeExecution | None = None
    url_context: UrlContext | None = None
    google_search_retrieval: GoogleSearchRetrieval | None = None
    computer_use: ComputerUse | None = None
    file_search: FileSearch | None = None
    google_maps: GoogleMaps | None = None
    enterprise_web_search: EnterpriseWebSearch | None = None
    retrieval: JsonObject | None = None
    parallel_ai_search: JsonObject | None = None
    exa_ai_search: JsonObject | None = None
    mcp_servers: tuple[JsonObject, ...] = ()
