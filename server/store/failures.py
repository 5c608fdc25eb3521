"""
Turns what the driver and the operating system raise into errors of the domain.

Messages are our own: a driver's may hold SQL text, values or an address. The original stays on as
``__cause__`` for the log.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import asyncpg

from server.domain.dependencies import COMMUNICATION_MODES, DEPENDENCY_CRITICALITIES, DISCOVERY_SOURCES
from server.domain.errors import (
    DatabaseUnavailableError,
    DomainError,
    FieldViolation,
    InvalidInputError,
    WriteConflictError,
)
from server.domain.services import SERVICE_COLUMNS
from server.postgres.causes import DRIVER_ERRORS, LOST, cause_of

# A row that a reference or a unique rule needs was changed by another writer after the statement's
# snapshot, or a migration went by: the same transaction begun anew sees what they did.
_CONFLICTS = (
    asyncpg.TransactionRollbackError,
    asyncpg.LockNotAvailableError,
    asyncpg.ForeignKeyViolationError,
    asyncpg.UniqueViolationError,
    asyncpg.InvalidCachedStatementError,
    asyncpg.OutdatedSchemaCacheError,
)
_REFUSED_VALUES = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.ProgramLimitExceededError,
)
# "character with byte sequence 0xe6 … in encoding "UTF8" has no equivalent in encoding "LATIN1"",
# in whatever language.
_NO_EQUIVALENT = re.compile(r"0x[0-9a-f]{2}.*\W(?P<encoding>[A-Z][A-Z0-9_]+)\W*$", re.DOTALL)


def _one_of(words: Sequence[str]) -> str:
    return f"must be {', '.join(words[:-1])} or {words[-1]}"


_RULES = {
    "ck_no_self_loops": ("target_service_id", "a service can't depend on itself"),
    "ck_communication_mode": ("communication_mode", _one_of(COMMUNICATION_MODES)),
    "ck_dependency_criticality": ("criticality", _one_of(DEPENDENCY_CRITICALITIES)),
    "ck_discovery_source": ("discovery_source", _one_of(DISCOVERY_SOURCES)),
    "ck_confidence_score_bounds": ("confidence_score", "must be a number from 0 to 1"),
    "ck_timeout_positive": ("timeout_ms", "must be greater than 0"),
    "ck_retry_config_object": ("retry_config", "must be a JSON object"),
    "ck_deps_last_observed_at_range": ("last_observed_at", "must lie in the years 1 to 9999"),
    **{
        f"ck_services_{column.name}": (column.name, _one_of(column.words))
        for column in SERVICE_COLUMNS
        if column.words
    },
    "ck_services_service_id_not_empty": ("service_id", "must not be empty"),
    "ck_services_metadata_object": ("metadata", "must be a JSON object"),
    "ck_alert_acknowledged_by": ("acknowledged_by", "must not be empty or blank"),
    "ck_alert_resolution_notes": ("resolution_notes", "must not be empty or blank"),
    "ck_cycle_path": (
        "cycle_path",
        "must name at least two services, each of 1 to 255 characters and none twice",
    ),
}


class UnstorableTextError(InvalidInputError):
    """A text holds a character that the database's encoding lacks, so no row can hold it."""


@contextmanager
def translated(*, but: type[Exception] | tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """
    Turn what the driver raises in the block into a ``DomainError``.

    Unexpected errors pass through unchanged, and so do those of class ``but``.
    """
    try:
        yield
    except but:
        raise
    except DRIVER_ERRORS as error:
        failure = translate(error)
        if failure is None:
            raise
        raise failure from error


def translate(error: Exception) -> DomainError | None:
    """Return a driver's error as callers see it; None = unexpected, so a bug to be logged."""
    if isinstance(error, _CONFLICTS):
        return collided()
    if isinstance(error, _REFUSED_VALUES) or _is_unencodable(error):
        return _refused(error)
    cause = cause_of(error)
    return None if cause is None else DatabaseUnavailableError(str(cause))


def collided() -> WriteConflictError:
    """Build the error of a write whose rows changed meanwhile; ``Database.write`` repeats it."""
    return WriteConflictError("the write collided with others that ran at the same time: try again")


def is_lost_connection(error: Exception) -> bool:
    """Whether the same work may succeed at once on another connection."""
    if isinstance(error, asyncpg.InterfaceError):
        return not isinstance(error, ValueError)
    return isinstance(error, LOST) and not isinstance(error, asyncpg.OutdatedSchemaCacheError)


def _is_unencodable(error: Exception) -> bool:
    # The driver refuses a value itself (an integer out of range, a lone surrogate) with a class
    # that it does not export: an InterfaceError that is a ValueError. A malformed URL is one too,
    # but no caller's fault.
    return (
        isinstance(error, asyncpg.InterfaceError)
        and isinstance(error, ValueError)
        and not isinstance(error, asyncpg.ClientConfigurationError)
    )


def _refused(error: Exception) -> InvalidInputError:
    rule = _RULES.get(getattr(error, "constraint_name", None) or "")
    if rule is not None:
        field, description = rule
        return InvalidInputError(f"{field} {description}", violations=[FieldViolation(field, description)])
    if isinstance(error, asyncpg.UntranslatableCharacterError):
        return _unstorable(error)
    if isinstance(error, asyncpg.CharacterNotInRepertoireError):
        return _holds_nul()
    if isinstance(error, asyncpg.StringDataRightTruncationError):
        return InvalidInputError(
            "a text is too long: service names and teams take 255 characters, protocols 50"
        )
    return InvalidInputError(
        "a value can't be stored: a number out of range, a malformed text, or too much of it"
    )


def _holds_nul() -> InvalidInputError:
    return InvalidInputError("a text holds the character NUL, which can't be stored: leave it out")


def _unstorable(error: asyncpg.UntranslatableCharacterError) -> InvalidInputError:
    """Tell NUL, as an escape in JSON, from a character that the encoding does not have."""
    detail = f"{error.detail or ''}"
    if "\\u0000" in detail:
        return _holds_nul()
    found = _NO_EQUIVALENT.search(str(error)) or re.search(r"(?P<encoding>[A-Z][A-Z0-9_]+)\.?$", detail)
    encoding = f", {found['encoding']}," if found else ""
    return UnstorableTextError(
        f"a text holds a character that the encoding of the database{encoding} does not have:"
        " leave it out, or create the database with ENCODING 'UTF8'"
    )
