"""
The errors that callers see; ``server.rpc.errors`` maps them to gRPC codes.

A message says what was wrong, with which value, and what to do. It never holds SQL text, a URL or a
stack trace.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from server.domain.services import form_hint


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """A bad field of a request: its path (``dependencies[3].timeout_ms``) and what is wrong."""

    field: str
    description: str


class DomainError(Exception):
    """Base of the errors below; ``reason`` is an ``ErrorReason`` of the contract, unprefixed."""

    reason = "INTERNAL"

    def __init__(self, message: str, *, violations: Sequence[FieldViolation] = (), **metadata: str) -> None:
        super().__init__(message)
        self.message = message
        self.violations = tuple(violations)
        self.metadata = metadata


class LimitError(DomainError):
    """A limit was exceeded; ``limit`` is its name in metrics and error details."""

    limit = ""

    def __init__(self, message: str, *, violations: Sequence[FieldViolation] = (), **metadata: str) -> None:
        self.limit = metadata.setdefault("limit", self.limit)
        super().__init__(message, violations=violations, **metadata)


class InvalidInputError(DomainError):
    """The request is wrong, whatever the database holds; ``violations`` names every bad field."""

    reason = "INVALID_FIELD"


class TooManyItemsError(InvalidInputError, LimitError):
    """A list has more items than one call may carry."""

    limit = "items"


class InvalidPageTokenError(InvalidInputError):
    """The page token is not one of ours, or belongs to another list or filter."""

    reason = "INVALID_PAGE_TOKEN"


class InvalidRevisionError(InvalidInputError):
    """The revision is not one of ours."""

    reason = "INVALID_REVISION"


class NotFoundError(DomainError):
    """Something the request names does not exist."""


class ServiceNotFoundError(NotFoundError):
    """No service has this name or id."""

    reason = "SERVICE_NOT_FOUND"

    def __init__(self, message: str, *, violations: Sequence[FieldViolation] = (), **metadata: str) -> None:
        hint = form_hint(metadata.get("service_id", ""))
        super().__init__(message + hint, violations=violations, **metadata)


class DependencyNotFoundError(NotFoundError):
    """No dependency has this id."""

    reason = "DEPENDENCY_NOT_FOUND"


class GroupNotFoundError(NotFoundError):
    """No service is in this group of a map."""

    reason = "GROUP_NOT_FOUND"


class AlertNotFoundError(NotFoundError):
    """No alert has this id."""

    reason = "ALERT_NOT_FOUND"


class AlreadyExistsError(DomainError):
    """What was to be created is there already."""


class ServiceAlreadyExistsError(AlreadyExistsError):
    """A service with this name exists."""

    reason = "SERVICE_ALREADY_EXISTS"


class AliasNotFoundError(NotFoundError):
    """No service has this alias."""

    reason = "ALIAS_NOT_FOUND"


class AliasAlreadyExistsError(AlreadyExistsError):
    """The name is an alias of another service, which the metadata ``service_id`` names."""

    reason = "ALIAS_ALREADY_EXISTS"


class AlertAlreadyExistsError(AlreadyExistsError):
    """This cycle has an alert, perhaps written from another of its services."""

    reason = "ALERT_ALREADY_EXISTS"


class AlertResolvedError(DomainError):
    """The alert is resolved, so it can't be acknowledged or resolved any more."""

    reason = "ALERT_RESOLVED"


class HistoryUnavailableError(DomainError):
    """The history does not reach back to a time, was switched off then, or has a hole after it."""

    reason = "HISTORY_UNAVAILABLE"


class RevisionUnknownError(DomainError):
    """The revision comes from another database, or from this one before a crash or failover."""

    reason = "REVISION_UNKNOWN"


class WriteConflictError(DomainError):
    """Concurrent writers kept colliding; the same call may well succeed now."""

    reason = "WRITE_CONFLICT"


class ResponseTooLargeError(DomainError):
    """The answer would pass the response limit."""

    reason = "RESPONSE_TOO_LARGE"


class RequestTooLargeError(LimitError):
    """The request has more bytes than a call of its method may carry."""

    reason = "REQUEST_TOO_LARGE"


class RetryableError(DomainError):
    """Nothing is wrong with the request: try again after ``retry_after``."""

    retry_after = timedelta(seconds=1)


class TooManyConnectionsError(RetryableError):
    """Every database connection is busy."""

    reason = "POOL_EXHAUSTED"


class OverloadedError(RetryableError, LimitError):
    """The server has as much work as it may accept."""

    reason = "OVERLOADED"


class RateLimitedError(OverloadedError):
    """A caller calls more often than each may; ``wait`` = the seconds until it may again."""

    reason = "RATE_LIMITED"
    limit = "rate_limit"

    def __init__(self, message: str, *, wait: float) -> None:
        super().__init__(message)
        self.retry_after = timedelta(seconds=wait)


class UnreadAnswersError(RetryableError, LimitError):
    """Callers do not read the answers that they asked for."""

    reason = "UNREAD_ANSWERS"


class WatcherTooSlowError(RetryableError):
    """A watcher reads too slowly; it may resume after the last revision that it has seen."""

    reason = "WATCHER_TOO_SLOW"


class DatabaseUnavailableError(RetryableError):
    """The database can't be reached, refuses writes, or went away (then nothing was written)."""

    reason = "DATABASE_UNAVAILABLE"


class ReplicaBehindError(RetryableError):
    """This replica did not reach the asked-for revision in time."""

    reason = "REPLICA_BEHIND"


class NotReadyError(RetryableError):
    """The graph is not in memory yet, or the server is shutting down."""

    reason = "NOT_READY"


class UnauthenticatedError(DomainError):
    """The call carries no identity that the server accepts."""

    reason = "UNAUTHENTICATED"


class PermissionDeniedError(DomainError):
    """
    The caller lacks a role for what it asks, or may not report for a discovery source.

    ``principal`` is set where the caller is not admitted, for the log.
    """

    reason = "PERMISSION_DENIED"
    principal = ""
