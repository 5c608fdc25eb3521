"""Messages of the contract as JSON, and errors in the form of Connect."""

import base64
import json
from http import HTTPStatus
from typing import Any, NamedTuple

import grpc
from google.protobuf import json_format
from google.protobuf.descriptor_pool import Default
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import status_pb2

from server.web.call import Status

DETAILS = "grpc-status-details-bin"
_TYPE_PREFIX = "type.googleapis.com/"
_STATUS_OF_CODES = {
    "canceled": 499,
    "invalid_argument": HTTPStatus.BAD_REQUEST,
    "deadline_exceeded": HTTPStatus.GATEWAY_TIMEOUT,
    "not_found": HTTPStatus.NOT_FOUND,
    "already_exists": HTTPStatus.CONFLICT,
    "permission_denied": HTTPStatus.FORBIDDEN,
    "resource_exhausted": HTTPStatus.TOO_MANY_REQUESTS,
    "failed_precondition": HTTPStatus.BAD_REQUEST,
    "aborted": HTTPStatus.CONFLICT,
    "out_of_range": HTTPStatus.BAD_REQUEST,
    "unimplemented": HTTPStatus.NOT_IMPLEMENTED,
    "unavailable": HTTPStatus.SERVICE_UNAVAILABLE,
    "unauthenticated": HTTPStatus.UNAUTHORIZED,
}


class MessageTypes(NamedTuple):
    """The classes of a method's request and answer, or of the parts of a stream of answers."""

    request: type[Message]
    answer: type[Message]
    is_stream: bool


def types_of(method: str) -> MessageTypes:
    """Find the message types of a method, by its full name ``/package.Service/Method``."""
    descriptor = Default().FindMethodByName(method.removeprefix("/").replace("/", "."))
    return MessageTypes(
        GetMessageClass(descriptor.input_type),
        GetMessageClass(descriptor.output_type),
        descriptor.server_streaming,
    )


def request_of(body: bytes, types: MessageTypes) -> bytes:
    """Turn the JSON of a request into its bytes; raises ``ValueError``."""
    request = types.request()
    json_format.Parse(body, request)
    return request.SerializeToString()


def json_of(answer: bytes, types: MessageTypes) -> bytes:
    """Turn the bytes of an answer into JSON."""
    message = types.answer.FromString(answer)
    text = json_format.MessageToJson(message, indent=None, ensure_ascii=False)
    return text.encode()


def error_of(status: Status) -> tuple[int, dict[str, Any]]:
    """Write a status as Connect does: the status of HTTP, and the JSON."""
    code, message, trailers = status
    name = "canceled" if code is grpc.StatusCode.CANCELLED else code.name.lower()
    error: dict[str, Any] = {"code": name, "message": message}
    encoded = next((value for key, value in trailers if key == DETAILS), None)
    if isinstance(encoded, bytes):
        error["details"] = [
            {
                "type": detail.type_url.removeprefix(_TYPE_PREFIX),
                "value": base64.b64encode(detail.value).decode().rstrip("="),
                "debug": {k: v for k, v in json_format.MessageToDict(detail).items() if k != "@type"},
            }
            for detail in status_pb2.Status.FromString(encoded).details
        ]
    return _STATUS_OF_CODES.get(name, HTTPStatus.INTERNAL_SERVER_ERROR), error


def line(**content: Any) -> bytes:
    """Write one line of JSON."""
    return json.dumps(content, ensure_ascii=False).encode() + b"\n"
