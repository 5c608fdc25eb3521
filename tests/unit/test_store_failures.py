"""What the driver and the operating system raise, as callers are told of it."""

import asyncpg
import pytest

from server.domain.errors import DatabaseUnavailableError, InvalidInputError, WriteConflictError
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
    asyncpg.StringDataRightTruncationError("x"),
    asyncpg.CheckViolationError("x"),
    asyncpg.StatementTooComplexError("x"),
]
AWAY: list[tuple[Exception, str]] = [
    (TimeoutError("x"), "too long"),
    (asyncpg.QueryCanceledError("x"), "too long"),
    (asyncpg.ReadOnlySQLTransactionError("x"), "accepts no writes"),
    (asyncpg.DiskFullError("x"), "out of disk"),
    (asyncpg.OutOfMemoryError("x"), "out of disk, memory"),
    (asyncpg.TooManyConnectionsError("x"), "connections"),
    (asyncpg.CannotConnectNowError("x"), "can't be reached"),
    (asyncpg.AdminShutdownError("x"), "can't be reached"),
    (asyncpg.ConnectionDoesNotExistError("x"), "can't be reached"),
    (asyncpg.InterfaceError("x"), "can't be reached"),
    (asyncpg.ClientConfigurationError("x"), "can't be reached"),
    (asyncpg.InvalidPasswordError("x"), "can't be reached"),
    (asyncpg.InvalidCatalogNameError("x"), "can't be reached"),
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


def test_an_error_that_nobody_foresaw_passes_through_as_it_is() -> None:
    with pytest.raises(asyncpg.UndefinedTableError), translated():
        raise asyncpg.UndefinedTableError("x")


def test_the_original_stays_on_as_the_cause_and_its_text_is_not_passed_on() -> None:
    original = asyncpg.DiskFullError("could not extend file /secret/place")

    with pytest.raises(DatabaseUnavailableError) as caught, translated():
        raise original

    assert caught.value.__cause__ is original
    assert "secret" not in caught.value.message
