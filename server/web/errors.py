"""Errors as the Connect protocol writes them."""

import base64
import json
import math
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any, Final, NamedTuple

import grpc
from google.protobuf import json_format
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import status_pb2
from google.rpc.error_details_pb2 import RetryInfo

from server.web.call import Status

DETAILS: Final = "grpc-status-details-bin"
_TRAILER = "trailer-"
_TYPE_PREFIX = "type.googleapis.com/"
_CLIENT_CLOSED_REQUEST = 499
_STATUS_OF_CODES = {
    grpc.StatusCode.CANCELLED: _CLIENT_CLOSED_REQUEST,
    grpc.StatusCode.INVALID_ARGUMENT: HTTPStatus.BAD_REQUEST,
    grpc.StatusCode.DEADLINE_EXCEEDED: HTTPStatus.GATEWAY_TIMEOUT,
    grpc.StatusCode.NOT_FOUND: HTTPStatus.NOT_FOUND,
    grpc.StatusCode.ALREADY_EXISTS: HTTPStatus.CONFLICT,
    grpc.StatusCode.PERMISSION_DENIED: HTTPStatus.FORBIDDEN,
    grpc.StatusCode.RESOURCE_EXHAUSTED: HTTPStatus.TOO_MANY_REQUESTS,
    grpc.StatusCode.FAILED_PRECONDITION: HTTPStatus.BAD_REQUEST,
    grpc.StatusCode.ABORTED: HTTPStatus.CONFLICT,
    grpc.StatusCode.OUT_OF_RANGE: HTTPStatus.BAD_REQUEST,
    grpc.StatusCode.UNIMPLEMENTED: HTTPStatus.NOT_IMPLEMENTED,
    grpc.StatusCode.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    grpc.StatusCode.UNAUTHENTICATED: HTTPStatus.UNAUTHORIZED,
}
_WAITING = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})

Headers = list[tuple[bytes, bytes]]


class Failure(NamedTuple):
    """An error that is not a call's: the status of HTTP, Connect's code, what is wrong."""

    status: int
    code: str
    message: str
    headers: Headers

    @classmethod
    def of(cls, status: int, code: str, message: str, **headers: str) -> "Failure":
        """Make one; the names of headers have underscores."""
        named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        return cls(status, code, message, named)

    @property
    def body(self) -> bytes:
        """The error as JSON."""
        return json_line({"code": self.code, "message": self.message})


def status_of(status: Status) -> int:
    """Look up the status of HTTP."""
    return int(_STATUS_OF_CODES.get(status[0], HTTPStatus.INTERNAL_SERVER_ERROR))


def error_of(status: Status) -> dict[str, Any]:
    """Write how a call failed as Connect's JSON."""
    code, message, _ = status
    name = "canceled" if code is grpc.StatusCode.CANCELLED else code.name.lower()
    error: dict[str, Any] = {"code": name, "message": message}
    if details := [_detail(detail) for detail in _details_of(status)]:
        error["details"] = details
    return error


def headers_of(status: Status) -> Headers:
    """Write what clients do next: when to retry, and how to say who they are."""
    http_status = status_of(status)
    headers = [(f"{_TRAILER}{key}".encode(), _bytes(value)) for key, value in status[2] if key != DETAILS]
    if http_status in _WAITING:
        seconds = [retry.retry_delay.ToTimedelta().total_seconds() for retry in _retries(status)]
        headers += [(b"retry-after", str(math.ceil(each)).encode()) for each in seconds[:1]]
    if http_status == HTTPStatus.UNAUTHORIZED:
        headers.append((b"www-authenticate", b"Bearer"))
    return headers


def json_line(content: Any) -> bytes:
    """Write JSON with a line's end, as people in a terminal like it."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _details_of(status: Status) -> tuple[AnyMessage, ...]:
    encoded = next((value for key, value in status[2] if key == DETAILS), b"")
    return tuple(status_pb2.Status.FromString(_bytes(encoded)).details)


def _detail(detail: AnyMessage) -> dict[str, Any]:
    return {
        "type": detail.type_url.removeprefix(_TYPE_PREFIX),
        "value": base64.b64encode(detail.value).decode().rstrip("="),
        "debug": {key: value for key, value in json_format.MessageToDict(detail).items() if key != "@type"},
    }


def _retries(status: Status) -> Iterator[RetryInfo]:
    for detail in _details_of(status):
        retry = RetryInfo()
        if detail.Unpack(retry):
            yield retry


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode()
