"""Errors of the driver and the operating system, and what callers get for them."""

import socket
import ssl

import asyncpg
import pytest

from server.domain.errors import DatabaseUnavailableError, InvalidInputError, WriteConflictError
from server.postgres import DatabaseUrlError, SharedSessionsError
from server.store.failures import is_lost_connection, translate, translated

CONFLICTS: list[Exception] = [
    asyncpg.DeadlockDetectedError("x"),
    asyncpg.SerializationError("x"),
    asyncpg.LockNotAvailableError("x"),
    asyncpg.ForeignKeyViolationError("x"),
    asyncpg.UniqueViolationError("x"),
    asyncpg.InvalidCachedStatementError("x"),
    asyncpg.OutdatedSchemaCacheError("x"),
]
REFUSED: list[Exception] = [
    asyncpg.NumericValueOutOfRangeError("x"),
    asyncpg.CharacterNotInRepertoireError("x"),
    asyncpg.UntranslatableCharacterError("x"),
    asyncpg.UntranslatableCharacterError(
        '0xe6 0x9c in encoding "UTF8" has no equivalent in encoding "LATIN1"'
    ),
    asyncpg.StringDataRightTruncationError("x"),
    asyncpg.CheckViolationError("x"),
    asyncpg.StatementTooComplexError("x"),
]
AWAY: list[tuple[Exception, str]] = [
    (TimeoutError("x"), "too long"),
    (asyncpg.QueryCanceledError("x"), "too long"),
    (asyncpg.ReadOnlySQLTransactionError("x"), "accepts no writes"),
    (asyncpg.DiskFullError("x"), "the disk of the database is full: free some space"),
    (asyncpg.OutOfMemoryError("x"), "out of memory"),
    (asyncpg.TooManyConnectionsError("x"), "connections"),
    (asyncpg.CannotConnectNowError("x"), "can't be reached"),
    (asyncpg.AdminShutdownError("x"), "can't be reached"),
    (asyncpg.ConnectionDoesNotExistError("x"), "can't be reached"),
    (asyncpg.InterfaceError("x"), "can't be reached"),
    (asyncpg.ClientConfigurationError("x"), "can't be reached"),
    (asyncpg.InvalidPasswordError("x"), "refuses the password"),
    (asyncpg.InvalidAuthorizationSpecificationError("x"), "does not let this user in"),
    (asyncpg.InvalidCatalogNameError("x"), "does not exist"),
    (asyncpg.InvalidSchemaNameError("x"), "depgraph migrate up"),
    (asyncpg.UndefinedTableError("x"), "depgraph migrate up"),
    (asyncpg.UndefinedFunctionError("x"), "depgraph migrate up"),
    (asyncpg.UndefinedColumnError("x"), "depgraph migrate up"),
    (asyncpg.UndefinedObjectError("x"), "depgraph migrate up"),
    (asyncpg.InsufficientPrivilegeError("x"), "lacks a right"),
    (asyncpg.InsufficientPrivilegeError("affected by row-level security policy"), "policy would hide rows"),
    (asyncpg.TooManyConnectionsError('too many connections for role "x"'), "CONNECTION LIMIT"),
    (asyncpg.TargetServerAttributeNotMatched("x"), "target_session_attrs"),
    (asyncpg.ProtocolViolationError("unsupported startup parameter: jit"), "the start-up parameter jit"),
    (asyncpg.ProtocolViolationError("no such database: x"), "does not exist"),
    (asyncpg.ProtocolViolationError("query_wait_timeout"), "the connection pooler gives no session"),
    (SharedSessionsError(), "pool_mode=session"),
    (DatabaseUrlError("found", "do"), "found: do"),
    (ssl.SSLCertVerificationError("x"), "TLS certificate"),
    (ConnectionError("x rejected SSL upgrade"), "does not speak TLS"),
    (socket.gaierror("x"), "name of its host is not known"),
    (asyncpg.PostgresIOError("x"), "can't be reached"),
    (ConnectionRefusedError("x"), "can't be reached"),
    (FileNotFoundError("x"), "can't be reached"),
]


@pytest.mark.parametrize("error", CONFLICTS, ids=repr)
def test_collisions_are_conflicts(error: Exception) -> None:
    assert isinstance(translate(error), WriteConflictError)
    assert not is_lost_connection(error)


@pytest.mark.parametrize("error", REFUSED, ids=repr)
def test_refused_values_are_bad_input(error: Exception) -> None:
    assert isinstance(translate(error), InvalidInputError)
    assert not is_lost_connection(error)


@pytest.mark.parametrize(("error", "said"), AWAY, ids=repr)
def test_a_database_that_is_away_or_refuses_is_unavailable(error: Exception, said: str) -> None:
    failure = translate(error)

    assert isinstance(failure, DatabaseUnavailableError)
    assert said in failure.message


def test_an_unexpected_error_passes_through_unchanged() -> None:
    with pytest.raises(asyncpg.PostgresSyntaxError), translated():
        raise asyncpg.PostgresSyntaxError("x")


def test_the_original_stays_on_as_the_cause_and_its_text_is_not_passed_on() -> None:
    original = asyncpg.DiskFullError("could not extend file /secret/place")

    with pytest.raises(DatabaseUnavailableError) as caught, translated():
        raise original

    assert caught.value.__cause__ is original
    assert "secret" not in caught.value.message
