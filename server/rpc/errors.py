"""The mapping of errors to gRPC statuses: code, message, and details for programs."""

import math
import random
from collections.abc import Sequence
from functools import lru_cache
from uuid import uuid4

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from server.domain import errors
from server.domain.errors import DomainError, FieldViolation, OverloadedError

DOMAIN = "depgraph"
# gRPC's own name.
_PUSHBACK = "grpc-retry-pushback-ms"
UNREADABLE = "the request is no message of the type that this method takes"
# Clients refuse trailing metadata of more than 8 KiB. The metadata hold the message twice, once
# percent-encoded (a letter beyond ASCII takes at least 6 bytes there), and the details in base64.
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
    errors.HistoryUnavailableError: grpc.StatusCode.FAILED_PRECONDITION,
    errors.WriteConflictError: grpc.StatusCode.ABORTED,
    errors.ResponseTooLargeError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.RequestTooLargeError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.OverloadedError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.UnreadAnswersError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.TooManyConnectionsError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.WatcherTooSlowError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.RetryableError: grpc.StatusCode.UNAVAILABLE,
    errors.UnauthenticatedError: grpc.StatusCode.UNAUTHENTICATED,
    errors.PermissionDeniedError: grpc.StatusCode.PERMISSION_DENIED,
    DomainError: grpc.StatusCode.INTERNAL,
}


def code_of(error: DomainError) -> grpc.StatusCode:
    """Look up the nearest class in the table."""
    return next(_CODES[kind] for kind in type(error).__mro__ if kind in _CODES)


def unexpected_error() -> DomainError:
    """Make the error that a caller gets instead of an unexpected one; the log has its id, too."""
    error_id = uuid4().hex
    message = f"an unexpected error; the server's log has its cause under error_id {error_id}"
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


def status_and_metadata(error: DomainError) -> tuple[grpc.StatusCode, str, Sequence[tuple[str, str | bytes]]]:
    """Write an error as transports send it: code, message, trailing metadata with the details."""
    status = _kept_grpc_status(error) if isinstance(error, OverloadedError) else _grpc_status(error)
    return status.code, status.details, (*status.trailing_metadata, *pushback(error))


def _grpc_status(error: DomainError) -> grpc.Status:
    status: grpc.Status = rpc_status.to_status(status_of(error))
    return status


# An overloaded server sends many of them, nearly all of the same few errors.
_kept_grpc_status = lru_cache(32)(_grpc_status)


def pushback(error: DomainError) -> Sequence[tuple[str, str]]:
    """
    Write as trailing metadata when gRPC clients shall retry: milliseconds, -1 = never.

    Only RESOURCE_EXHAUSTED needs it: a retry helps against some of these errors, not against all.
    The delay is random, so that callers that were refused together do not retry together. A caller
    beyond its rate would be refused again before the time.
    """
    if code_of(error) is not grpc.StatusCode.RESOURCE_EXHAUSTED:
        return ()
    if not isinstance(error, errors.RetryableError):
        return ((_PUSHBACK, "-1"),)
    delay = error.retry_after.total_seconds() * 1000
    least, most = (delay, 2 * delay) if isinstance(error, errors.RateLimitedError) else (delay / 2, delay)
    return ((_PUSHBACK, str(math.ceil(random.uniform(least, most)))),)  # noqa: S311 - no secret


def shortened(text: str, longest: int) -> str:
    """Cut text to ``longest`` bytes of UTF-8, at a character, and mark the cut."""
    encoded = text.encode()
    if len(encoded) <= longest:
        return text
    return encoded[: longest - len("…".encode())].decode(errors="ignore") + "…"


def forget_frames(error: BaseException | None) -> None:
    """
    Drop the frames of an error, which hold requests above all.

    The abort that follows refers to the error, and gRPC keeps the abort until garbage is collected.
    """
    while error is not None:
        before = error.__context__
        error.__traceback__ = error.__cause__ = error.__context__ = None
        error = before


def _attach(status: Status, detail: Message) -> None:
    status.details.add().Pack(detail)


def _bad_request(violations: Sequence[FieldViolation], room: int) -> error_details_pb2.BadRequest:
    """List violations while they fit ``room`` bytes, then say how many are left out."""
    request = error_details_pb2.BadRequest()
    for listed, violation in enumerate(violations):
        room -= len(violation.field.encode()) + len(violation.description.encode()) + 8
        if listed == _MAX_VIOLATIONS or (room < 0 and listed):
            request.field_violations.add(field="…", description=f"and {len(violations) - listed:,} more")
            break
        request.field_violations.add(field=violation.field, description=violation.description)
    return request
