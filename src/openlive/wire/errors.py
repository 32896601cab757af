"""What the API says when it refuses: close codes and reasons, and the bodies of REST errors.

Texts are the original's, word for word (docs/protocol.md#close-codes-and-reasons), because clients match on them. A
reason is kept in full here; `close_reason` cuts it to what a close frame holds.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import IntEnum
from typing import Any, NamedTuple

REASON_BYTES = 123
"""Bytes of UTF-8 that the reason of a close frame holds (RFC 6455 5.5: 125 less the code)."""


class Status(IntEnum):
    """Canonical status names of Google's APIs, and the HTTP codes that they are answered with."""

    INVALID_ARGUMENT = 400
    UNAUTHENTICATED = 401
    PERMISSION_DENIED = 403
    NOT_FOUND = 404
    RESOURCE_EXHAUSTED = 429
    INTERNAL = 500
    UNIMPLEMENTED = 501
    UNAVAILABLE = 503
    DEADLINE_EXCEEDED = 504


class Refusal(NamedTuple):
    """Why a session ends, or a request fails: a WebSocket close code, the whole reason, and the status for REST.
    `about` stands in logs in the place of a reason that quotes what the client sent; None where it quotes nothing."""

    code: int
    reason: str
    status: Status = Status.INVALID_ARGUMENT
    about: str | None = None

    def to_error(self) -> ProtocolError:
        error = ProtocolError(self.reason, self.code)
        error.about = self.about
        return error


class ProtocolError(Exception):
    """A client broke the protocol: close with `code` and `close_reason(reason)`.

    `field` is the snake_case path that is to blame ('' = the message itself), None where no field is.
    """

    def __init__(self, reason: str, code: int = 1007, field: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code
        self.field = field
        self.about: str | None = describe_for_logs(reason)
        """What it is about, for logs: the reason may quote what the client sent. None where it does not."""


_PATH = r"(?P<path>(?:\w|\.|\[[^\]]*\])+)"
_ABOUT = {
    "unknown name": re.compile(rf"Invalid JSON payload received\. Unknown name .*\" at '{_PATH}': ", re.DOTALL),
    "no JSON of the API's": re.compile(r"Invalid JSON payload received"),
    "invalid value": re.compile(rf"Invalid value(?: at '{_PATH}')?"),
    "declaration": re.compile(rf"\* BidiGenerateContentRequest\.{_PATH}"),
    "audio": re.compile(r"(?P<path>realtime_input(?:\w|\.|\[\d+\])*): "),
}
_NAMED = re.compile(r"\[(?!\d+\])[^\]]*\]")


def describe_for_logs(reason: str) -> str:
    """What kind of mistake a reason names, and the path of the field; '' where that cannot be told. Values are left
    out, and names in a path that are the client's own."""
    for kind, pattern in _ABOUT.items():
        if found := pattern.match(reason):
            path = found.groupdict().get("path")
            return f"{kind}: {_NAMED.sub('[…]', path.rstrip('.'))[:200]}" if path else kind
    return ""


def close_reason(text: str) -> str:
    """The part of `text` that fits a close frame, cut between characters. The original cuts without a mark."""
    return text[:REASON_BYTES].encode("utf-8", "replace")[:REASON_BYTES].decode("utf-8", "ignore")


# Arguments

INVALID_ARGUMENT = Refusal(1007, "Request contains an invalid argument.")
PRECONDITION_FAILED = Refusal(1007, "Precondition check failed.")
SETUP_FIRST = Refusal(1007, "setup must be the first message and only the first")
NO_TURN = Refusal(1007, "No turn to complete")
EXPLICIT_ACTIVITY = Refusal(
    1007, "Explicit activity control is not supported when automatic activity detection is enabled."
)
VOICE_WITHOUT_AUDIO = Refusal(1007, "Cannot extract voices from a non-audio request.")
TOO_MANY_MODALITIES = Refusal(
    1007,
    "At most one response modality can be specified in the setup request. To enable simultaneous transcription and "
    "audio output, set outputAudioTranscription in the setup.",  # the original's end was never seen, only its cut
)


def unknown_name(name: str, path: str) -> Refusal:
    """For a field that is not known where it stands; `path` is that of its message, in snake_case."""
    return Refusal(1007, f"Invalid JSON payload received. Unknown name \"{name}\" at '{path}': Cannot find field.")


def modalities_not_supported(asked: Sequence[str], model: str, accepted: Sequence[str]) -> Refusal:
    """`model` with its `models/`; `accepted` are the combinations as the list shows them ('AUDIO', 'TEXT')."""
    listed = "".join(f"* {combination}\n" for combination in accepted)
    return Refusal(
        1007,
        f"The requested combination of response modalities ({', '.join(asked)}) is not supported by the model. "
        f"{model} accepts the following combination of response modalities:\n{listed}",
        about="response modalities",
    )


def voice_not_available(voice: str, model: str) -> Refusal:
    return Refusal(1007, f"Requested voice api_name '{voice}' is not available for model {model}", about="voice")


def language_not_supported(language: str, model: str) -> Refusal:
    return Refusal(1007, f"Unsupported language code '{language}' for model {model}", about="language code")


# Keys and tokens

API_KEY_INVALID = Refusal(1007, "API key not valid. Please pass a valid API key.")
API_KEY_EXPIRED = Refusal(1007, "API key expired. Please renew the API key.")
"""For a token whose key is no longer one."""
UNREGISTERED_CALLER = Refusal(
    1008,
    "Method doesn't allow unregistered callers (callers without established identity). Please use API Key or other "
    "form of API consumer identity to call this API.",
    Status.PERMISSION_DENIED,
)
TOKEN_USED_UP = Refusal(1011, "Token has been used too many times", Status.UNAUTHENTICATED)
TOKEN_EXPIRED = Refusal(1011, "Token has expired", Status.UNAUTHENTICATED)
"""For a connection that comes with an expired token."""
TOKEN_EXPIRED_IN_SESSION = Refusal(1011, "auth token has expired", Status.UNAUTHENTICATED)
"""For a session during which its token expires."""

# Things that aren't there


def model_not_found(model: str, version: str, method: str = "bidiGenerateContent") -> Refusal:
    """`model` with its `models/`; `version` of the API as the path had it (`v1beta`)."""
    return Refusal(
        1008,
        f"{model} is not found for API version {version}, or is not supported for {method}. Call ListModels to see "
        "the list of available models and their supported methods.",
        Status.NOT_FOUND,
        about="no such model",
    )


ENTITY_NOT_FOUND = Refusal(1008, "Requested entity was not found.", Status.NOT_FOUND)
"""For a resumption handle that is unknown."""
INVALID_HANDLE = Refusal(1007, "Invalid session handle")
"""For a resumption handle that can't be one."""
SESSION_NOT_FOUND = Refusal(1008, "BidiGenerateContent session not found", Status.NOT_FOUND)
SESSION_EXPIRED = Refusal(1008, "BidiGenerateContent session expired", Status.NOT_FOUND)
NOT_IMPLEMENTED = Refusal(1008, "Operation is not implemented, or supported, or enabled.", Status.UNIMPLEMENTED)

# The server's own ends

ABORTED = Refusal(1008, "The operation was aborted.", Status.UNAVAILABLE)
RESUMED_ELSEWHERE = Refusal(1008, "Session resumed on another connection.", Status.UNAVAILABLE)
"""Ours: the original's text isn't known. 1008, because clients reconnect on 1000, 1006 and 1011."""
INTERNAL = Refusal(1011, "Internal error encountered.", Status.INTERNAL)
UNAVAILABLE = Refusal(1011, "The service is currently unavailable.", Status.UNAVAILABLE)
DEADLINE_EXPIRED = Refusal(1011, "Deadline expired before operation could complete.", Status.DEADLINE_EXCEEDED)


def setup_late(seconds: int) -> Refusal:
    return Refusal(1008, f"No setup message within {seconds} s.", Status.DEADLINE_EXCEEDED)


def quota_exceeded(why: str) -> Refusal:
    """Where a key is at one of its limits. The original's first words, which clients look for; then which limit."""
    return Refusal(1011, f"You exceeded your current quota, {why}", Status.RESOURCE_EXHAUSTED)


def server_full(sessions: int) -> Refusal:
    reason = f"The service is currently unavailable: its {sessions} sessions are all taken. Try again later."
    return Refusal(1011, reason, Status.RESOURCE_EXHAUSTED)


def server_busy(seconds: int) -> Refusal:
    reason = f"The service is currently unavailable: an answer has waited for {seconds} s. Try again later."
    return Refusal(1011, reason, Status.RESOURCE_EXHAUSTED)


def server_booked(seconds: int) -> Refusal:
    reason = f"The service is currently unavailable: an answer would wait for {seconds} s. Try again later."
    return Refusal(1011, reason, Status.RESOURCE_EXHAUSTED)


# REST only


def time_too_far(field: str) -> ProtocolError:
    return ProtocolError(f"{field} is too far in the future. Maximum lifetime is 20h", field=field)


def time_passed(field: str) -> ProtocolError:
    return ProtocolError(f"{field} has passed already.", field=field)


def body_too_large(limit: int) -> ProtocolError:
    return ProtocolError(f"Request payload size exceeds the limit: {limit} bytes.")


def nothing_there(path: str) -> Refusal:
    return Refusal(1008, f"There is nothing at {path}.", Status.NOT_FOUND)


def rest_error(error: Refusal | ProtocolError) -> dict[str, Any]:
    """The body of a failed REST call; answer with the HTTP status `body["error"]["code"]`."""
    status = error.status if isinstance(error, Refusal) else Status.INVALID_ARGUMENT
    body: dict[str, Any] = {"code": status.value, "message": error.reason, "status": status.name}
    if error is API_KEY_INVALID:
        body["details"] = [
            {
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": "API_KEY_INVALID",
                "domain": "googleapis.com",
                "metadata": {"service": "generativelanguage.googleapis.com"},
            }
        ]
    elif isinstance(error, ProtocolError) and error.field is not None:
        violation = {"field": error.field} if error.field else {}
        body["details"] = [
            {
                "@type": "type.googleapis.com/google.rpc.BadRequest",
                "fieldViolations": [{**violation, "description": error.reason}],
            }
        ]
    return {"error": body}
