"""
Writes to a dependency that is stale or whose confidence has decayed.

The write comes through the repository of the RPCs, by a report or as plain SQL.
"""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Final

import asyncpg
import pytest

from server.domain.dependencies import Dependency, DependencyDraft, DependencyFilter
from server.domain.reports import IngestBatch
from server.store.database import Database
from server.store.dependencies import DependencyRepository
from server.store.services import ServiceRepository
from server.store.staleness import sweep
from tests.support.drafts import reported, services
from tests.support.observations import AT, DAY, Standing, half_life, seen, stale_after, standings, versions

OTEL: Final = "otel_service_graph"
FRESH = Standing(is_stale=False, confidence=0.8, reported=None)
OLD = Standing(is_stale=True, confidence=0.4, reported=0.8)
SETTINGS = replace(stale_after(DAY, OTEL), half_life=half_life(2 * DAY, OTEL).half_life)
DRAFT = seen("a>b", 2 * DAY, confidence=0.8)


@pytest.fixture
async def repository(
    database_url: str, connection: asyncpg.Connection
) -> AsyncIterator[DependencyRepository]:
    """A stale dependency: confidence 0.8, last observed one half-life ago, so 0.4 is left."""
    async with Database.open(database_url) as database:
        await ServiceRepository(database).upsert(services("a", "b"))
        repository = DependencyRepository(database)
        await repository.upsert([DRAFT])
        await sweep(connection, SETTINGS, AT)
        assert await standings(connection) == {"a>b": OLD}
        yield repository


def report(ago: timedelta, confidence: float = 0.8) -> IngestBatch:
    edge = reported("a>b")[0]._replace(confidence_score=confidence)
    return IngestBatch(discovery_source=OTEL, observed_at=AT - ago, nodes=(), edges=(edge,))


async def only(repository: DependencyRepository) -> Dependency:
    (row,) = (await repository.page(DependencyFilter(include_stale=True), 2, None)).rows
    return row


async def standing(connection: asyncpg.Connection) -> Standing:
    return (await standings(connection))["a>b"]


@pytest.mark.parametrize("ago", [timedelta(), 2 * DAY - timedelta(microseconds=1)])
async def test_a_report_that_sees_it_again_makes_it_whole(
    repository: DependencyRepository, connection: asyncpg.Connection, ago: timedelta
) -> None:
    written = (await repository.ingest(report(ago))).value

    assert (written.edges_updated, written.edges_unchanged) == (1, 0)
    assert await standing(connection) == FRESH
    assert (await only(repository)).last_observed_at == AT - ago


async def test_a_report_that_only_sees_a_whole_one_again_moves_its_time(
    repository: DependencyRepository, connection: asyncpg.Connection
) -> None:
    await repository.ingest(report(DAY))

    written = (await repository.ingest(report(timedelta()))).value

    assert (written.edges_updated, written.edges_unchanged) == (0, 1)
    assert (await only(repository)).last_observed_at == AT
    assert not await sweep(connection, SETTINGS, AT + DAY / 50)


async def test_a_late_report_says_nothing_about_it(
    repository: DependencyRepository, connection: asyncpg.Connection
) -> None:
    await repository.ingest(report(3 * DAY))

    assert await standing(connection) == OLD


async def test_a_report_of_just_the_confidence_that_is_left_is_a_report_of_that(
    repository: DependencyRepository, connection: asyncpg.Connection
) -> None:
    await repository.ingest(report(DAY, confidence=0.4))

    assert await standing(connection) == FRESH._replace(confidence=0.4)


async def test_a_report_of_its_time_with_the_confidence_that_is_left_is_a_report_of_that(
    repository: DependencyRepository, connection: asyncpg.Connection
) -> None:
    await connection.execute("UPDATE service_dependencies SET is_stale = false")

    written = (await repository.ingest(report(2 * DAY, confidence=0.4))).value

    assert (written.edges_updated, written.edges_unchanged) == (1, 0)
    assert await standing(connection) == FRESH._replace(confidence=0.4)


async def test_a_report_of_its_time_with_the_confidence_reported_then_leaves_what_is_left(
    repository: DependencyRepository, connection: asyncpg.Connection
) -> None:
    await connection.execute("UPDATE service_dependencies SET is_stale = false")
    before = await versions(connection)

    await repository.ingest(report(2 * DAY))

    assert await versions(connection) == before


@pytest.mark.parametrize("draft", [DRAFT, DRAFT._replace(last_observed_at=None)])
async def test_an_upsert_writes_it_as_given_and_answers_with_that(
    repository: DependencyRepository, connection: asyncpg.Connection, draft: DependencyDraft
) -> None:
    written = (await repository.upsert([draft])).value

    assert (written.created, written.rows[0].confidence_score, written.rows[0].is_stale) == (0, 0.8, False)
    assert await standing(connection) == FRESH


@pytest.mark.parametrize(("confidence", "is_stale"), [(0.4, True), (0.9, True), (0.4, False)])
async def test_an_upsert_means_what_it_says_even_where_that_stands_there_already(
    repository: DependencyRepository, connection: asyncpg.Connection, confidence: float, is_stale: bool
) -> None:
    draft = DRAFT._replace(last_observed_at=AT, confidence_score=confidence, is_stale=is_stale)

    written = (await repository.upsert([draft])).value

    assert (written.rows[0].confidence_score, written.rows[0].is_stale) == (confidence, is_stale)
    assert await standing(connection) == Standing(is_stale, confidence, None)


async def test_writing_back_what_was_read_with_another_field_changed_does_not_decay_twice(
    repository: DependencyRepository, connection: asyncpg.Connection
) -> None:
    row = await only(repository)
    edited = DependencyDraft(*row[1:-2])._replace(timeout_ms=250)

    await repository.upsert([edited])

    assert (await only(repository)).timeout_ms == 250
    assert await standing(connection) == OLD
    assert not await sweep(connection, SETTINGS, AT)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("last_observed_at = last_observed_at + interval '1 microsecond'", FRESH),
        ("last_observed_at = now(), timeout_ms = 5", FRESH),
        ("last_observed_at = now(), confidence_score = 0.7", FRESH._replace(confidence=0.7)),
        ("last_observed_at = now(), is_stale = false", FRESH),
        ("confidence_score = 0.7", Standing(is_stale=True, confidence=0.7, reported=None)),
        ("confidence_score = 0.1", Standing(is_stale=True, confidence=0.1, reported=None)),
        ("confidence_score = 1", Standing(is_stale=True, confidence=1.0, reported=None)),
        ("is_stale = false", OLD._replace(is_stale=False)),
        ("timeout_ms = 5", OLD),
        ("last_observed_at = last_observed_at", OLD),
        ("last_observed_at = last_observed_at - interval '1 day'", OLD),
    ],
)
async def test_plain_sql_that_observes_it_again_makes_it_whole(
    repository: DependencyRepository, connection: asyncpg.Connection, change: str, expected: Standing
) -> None:
    await connection.execute(f"UPDATE service_dependencies SET {change}")

    assert await standing(connection) == expected


async def test_plain_sql_may_mark_a_fresh_one_stale_with_a_later_time(
    repository: DependencyRepository, connection: asyncpg.Connection
) -> None:
    await repository.upsert([DRAFT])

    await connection.execute("UPDATE service_dependencies SET is_stale = true, last_observed_at = now()")

    assert await standing(connection) == FRESH._replace(is_stale=True)


async def test_an_upsert_in_plain_sql_makes_it_whole(
    repository: DependencyRepository, connection: asyncpg.Connection
) -> None:
    await connection.execute(
        """INSERT INTO service_dependencies AS stored
            (source_service_id, target_service_id, communication_mode, discovery_source)
        SELECT source_service_id, target_service_id, 'async', discovery_source FROM service_dependencies
        ON CONFLICT ON CONSTRAINT uq_edge_per_source
        DO UPDATE SET communication_mode = excluded.communication_mode,
            last_observed_at = excluded.last_observed_at"""
    )

    assert await standing(connection) == FRESH


async def test_a_confidence_given_anew_decays_from_there(
    repository: DependencyRepository, connection: asyncpg.Connection
) -> None:
    await connection.execute("UPDATE service_dependencies SET confidence_score = 0.6")

    await sweep(connection, SETTINGS, AT)

    assert await standing(connection) == Standing(is_stale=True, confidence=0.3, reported=0.6)


async def test_the_time_of_the_update_tells_of_a_sweep_and_of_an_observation(
    repository: DependencyRepository, connection: asyncpg.Connection
) -> None:
    swept = (await only(repository)).updated_at
    before = await versions(connection)

    await connection.execute("UPDATE service_dependencies SET last_observed_at = now()")

    assert swept > (await only(repository)).created_at
    assert (await only(repository)).updated_at > swept
    assert await versions(connection) != before


@pytest.mark.parametrize("value", ["0.4", "0.3", "1.1", "'NaN'", "'Infinity'"])
async def test_what_is_left_is_less_than_what_was_reported(
    repository: DependencyRepository, connection: asyncpg.Connection, value: str
) -> None:
    with pytest.raises(asyncpg.CheckViolationError) as refused:
        await connection.execute(f"UPDATE service_dependencies SET reported_confidence = {value}")

    assert refused.value.constraint_name == "ck_reported_confidence_bounds"


async def test_marking_stale_by_rpc_leaves_the_confidence_alone(
    repository: DependencyRepository, connection: asyncpg.Connection
) -> None:
    await connection.execute("UPDATE service_dependencies SET is_stale = false")

    assert (await repository.mark_stale(AT, None)).value == 1
    assert await standing(connection) == OLD
