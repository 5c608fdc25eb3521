"""The one place where errors become gRPC statuses: code, message, and details for programs."""

import random
from collections.abc import Sequence
from uuid import uuid4

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from google.rpc.status_pb2 import Status

from server.domain import errors
from server.domain.errors import DomainError, FieldViolation

DOMAIN = "depgraph"
# gRPC's own name.
_PUSHBACK = "grpc-retry-pushback-ms"
UNREADABLE = "the request is no message of the type that this method takes"
# Clients refuse trailing metadata of more than 8 KiB. It holds the message twice, once percent-encoded (a letter beyond ASCII
# takes 6 bytes and more there), and the details in base64.
_MAX_MESSAGE_BYTES = 600
_MAX_DETAILS_BYTES = 3_600
_MAX_VALUE_BYTES = 1_024
_MAX_VIOLATIONS = 100

_CODES: dict[type[DomainError], grpc.StatusCode] = {
    errors.InvalidInputError: grpc.StatusCode.INVALID_ARGUMENT,
    errors.NotFoundError: grpc.StatusCode.NOT_FOUND,
    errors.AlreadyExistsError: grpc.StatusCode.ALREADY_EXISTS,
    errors.AlertResolvedError: grpc.StatusCode.FAILED_PRECONDITION,
    errors.RevisionUnknownError: grpc.StatusCode.FAILED_PRECONDITION,
    errors.WriteConflictError: grpc.StatusCode.ABORTED,
    errors.ResponseTooLargeError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.RequestTooLargeError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.OverloadedError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.UnreadAnswersError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.TooManyConnectionsError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.WatcherTooSlowError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.RetryableError: grpc.StatusCode.UNAVAILABLE,
    DomainError: grpc.StatusCode.INTERNAL,
}


def code_of(error: DomainError) -> grpc.StatusCode:
    """Look up the nearest class in the table."""
    return next(_CODES[kind] for kind in type(error).__mro__ if kind in _CODES)


def unexpected_error() -> DomainError:
    """Make what a caller learns of a defect of ours: an id, which stands in the log beside the cause."""
    error_id = uuid4().hex
    message = f"an error that nobody expected; the server's log has its cause under error_id {error_id}"
    return DomainError(message, error_id=error_id)


def status_of(error: DomainError) -> Status:
    """Write the error as ``google.rpc.Status``, in at most as many bytes as clients accept."""
    number: int = code_of(error).value[0]
    status = Status(code=number, message=shortened(error.message, _MAX_MESSAGE_BYTES))
    metadata = {key: shortened(value, _MAX_VALUE_BYTES) for key, value in error.metadata.items()}
    _attach(status, error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=metadata))
    if isinstance(error, errors.RetryableError):
        delay = Duration()
        delay.FromTimedelta(error.retry_after)
        _attach(status, error_details_pb2.RetryInfo(retry_delay=delay))
    if error.violations:
        _attach(status, _bad_request(error.violations, _MAX_DETAILS_BYTES - status.ByteSize()))
    return status


def pushback(error: DomainError) -> Sequence[tuple[str, str]]:
    """
    Write as trailing metadata after how many milliseconds gRPC clients shall try again by themselves, -1 = not at all.

    Only for RESOURCE_EXHAUSTED, of which one kind passes and another does not. Those who were refused at once shall not come back at once.
    """
    if code_of(error) is not grpc.StatusCode.RESOURCE_EXHAUSTED:
        return ()
    if not isinstance(error, errors.RetryableError):
        return ((_PUSHBACK, "-1"),)
    delay = error.retry_after.total_seconds() * 1000
    return ((_PUSHBACK, str(round(random.uniform(delay / 2, delay)))),)  # noqa: S311 - nobody guesses it for gain


def shortened(text: str, longest: int) -> str:
    """Cut text to so many bytes of UTF-8, at a character, marking the cut."""
    encoded = text.encode()
    if len(encoded) <= longest:
        return text
    return encoded[: longest - len("…".encode())].decode(errors="ignore") + "…"


def _attach(status: Status, detail: Message) -> None:
    status.details.add().Pack(detail)


def _bad_request(violations: Sequence[FieldViolation], room: int) -> error_details_pb2.BadRequest:
    """List violations while they fit, then say how many are left out."""
    request = error_details_pb2.BadRequest()
    for listed, violation in enumerate(violations):
        room -= len(violation.field.encode()) + len(violation.description.encode()) + 8
        if listed == _MAX_VIOLATIONS or (room < 0 and listed):
            request.field_violations.add(field="…", description=f"and {len(violations) - listed:,} more")
            break
        request.field_violations.add(field=violation.field, description=violation.description)
    return request
