"""
One sweep: what it marks stale, how it lowers confidence, and what it leaves alone.

The tests pass the time in, so that none waits.
"""

import asyncio
import math
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Final

import asyncpg
import pytest

from server.config import StalenessSettings
from server.domain.dependencies import DISCOVERY_SOURCES
from server.store import migrate, staleness
from server.store.database import Database
from server.store.dependencies import DependencyRepository
from server.store.services import ServiceRepository
from server.store.staleness import STEP, Swept, sweep
from tests.support.drafts import services
from tests.support.observations import AT, DAY, Standing, half_life, seen, stale_after, standings, versions
from tests.support.plain_sql import connected

OTEL: Final = "otel_service_graph"
MESH: Final = "service_mesh"
MICROSECOND = timedelta(microseconds=1)
TARGETS = [f"t{number:02}" for number in range(40)]


@pytest.fixture
async def repository(database_url: str) -> AsyncIterator[DependencyRepository]:
    """Services a and t00 to t39, and no dependency yet."""
    async with Database.open(database_url) as database:
        await ServiceRepository(database).upsert(services("a", *TARGETS))
        yield DependencyRepository(database)


async def test_what_a_source_did_not_observe_for_its_time_becomes_stale(
    repository: DependencyRepository, connection: asyncpg.Connection
) -> None:
    drafts = [seen(f"a>t0{place}", 2 * DAY, source) for place, source in enumerate(DISCOVERY_SOURCES)]
    await repository.upsert(drafts)
    settings = StalenessSettings(stale_after={OTEL: DAY, MESH: 3 * DAY, "kubernetes": None})

    assert await sweep(connection, settings, AT) == Swept(1, 0, 0)

    stale = {draft.discovery_source: draft.discovery_source == OTEL for draft in drafts}
    found = await standings(connection)
    assert [found[f"a>t0{place}"].is_stale for place in range(len(drafts))] == [*stale.values()]


async def test_a_dependency_is_stale_beyond_the_age_and_not_at_it(
    repository: DependencyRepository, connection: asyncpg.Connection
) -> None:
    await repository.upsert([seen("a>t00", DAY), seen("a>t01", DAY + MICROSECOND), seen("a>t02", -DAY)])

    await sweep(connection, stale_after(DAY, OTEL), AT)

    found = await standings(connection)
    assert [edge for edge, standing in found.items() if standing.is_stale] == ["a>t01"]


async def test_without_settings_nothing_becomes_stale_and_nothing_decays(
    repository: DependencyRepository, connection: asyncpg.Connection
) -> None:
    await repository.upsert([seen("a>t00", 10_000 * DAY)])
    before = await versions(connection)

    assert not await sweep(connection, StalenessSettings(), AT)

    assert await versions(connection) == before


async def test_a_second_sweep_at_the_same_time_writes_nothing(
    repository: DependencyRepository, connection: asyncpg.Connection
) -> None:
    await repository.upsert([seen(f"a>{name}", place * DAY / 4) for place, name in enumerate(TARGETS)])
    settings = replace(stale_after(DAY, OTEL), half_life={OTEL: 2 * DAY})
    first = await sweep(connection, settings, AT)
    before = await versions(connection)

    again = await sweep(connection, settings, AT)

    assert first.marked == 35
    assert first.decayed == 39
    assert (bool(first), again, bool(again)) == (True, Swept(0, 0, 0), False)
    assert await versions(connection) == before


async def test_confidence_decays_by_the_half_life(
    repository: DependencyRepository, connection: asyncpg.Connection
) -> None:
    drafts = [
        seen(f"a>{name}", place * DAY / 3, MESH, confidence=(1.0, 0.73, 0.009)[place % 3])
        for place, name in enumerate(TARGETS)
    ]
    await repository.upsert(drafts)

    await sweep(connection, half_life(3 * DAY, MESH), AT)

    found = await standings(connection)
    for place, draft in enumerate(drafts):
        reported = draft.confidence_score
        left = reported * 0.5 ** (place / 9)
        standing = found[f"a>{draft.target_service_id}"]
        if reported - left < STEP:
            assert standing == Standing(is_stale=False, confidence=reported, reported=None)
        else:
            assert standing.reported == reported
            assert math.isclose(standing.confidence, left, rel_tol=1e-12)


async def test_it_is_written_in_steps_and_never_off_by_more_than_one(
    repository: DependencyRepository, connection: asyncpg.Connection
) -> None:
    await repository.upsert([seen("a>t00", timedelta(), confidence=0.9), seen("a>t01", 2 * DAY, "manual")])
    settings = half_life(DAY, OTEL)
    written = 0

    for hours in range(0, 24 * 9, 3):
        written += (await sweep(connection, settings, AT + timedelta(hours=hours))).decayed
        standing = (await standings(connection))["a>t00"]
        assert abs(standing.confidence - 0.9 * 0.5 ** (hours / 24)) < STEP

    assert 20 < written < 0.9 / STEP
    assert (await standings(connection))["a>t01"] == Standing(is_stale=False, confidence=1.0, reported=None)


@pytest.mark.parametrize("confidence", [0.0, 5e-324, 1e-300, 1e-9, 1.0])
async def test_no_confidence_is_too_small_and_no_age_too_great(
    repository: DependencyRepository, connection: asyncpg.Connection, confidence: float
) -> None:
    await repository.upsert(
        [
            seen("a>t00", 730_000 * DAY, confidence=confidence),
            seen("a>t01", -2_000_000 * DAY, confidence=confidence),
        ]
    )

    await sweep(connection, half_life(timedelta(seconds=1), OTEL), AT)

    found = await standings(connection)
    assert found["a>t00"].confidence < STEP
    assert found["a>t01"] == Standing(is_stale=False, confidence=confidence, reported=None)


@pytest.mark.parametrize(("later", "share"), [(20 * DAY, 0.5 ** (1 / 10)), (DAY, 0.25), (None, 1.0)])
async def test_another_half_life_counts_from_the_confidence_reported(
    repository: DependencyRepository,
    connection: asyncpg.Connection,
    later: timedelta | None,
    share: float,
) -> None:
    await repository.upsert([seen("a>t00", 2 * DAY, confidence=0.8)])
    await sweep(connection, half_life(2 * DAY, OTEL), AT)
    assert (await standings(connection))["a>t00"] == Standing(is_stale=False, confidence=0.4, reported=0.8)

    swept = await sweep(connection, half_life(later, OTEL), AT)

    standing = (await standings(connection))["a>t00"]
    assert math.isclose(standing.confidence, 0.8 * share)
    assert standing.reported == (None if later is None else 0.8)
    assert swept == (Swept(0, 0, 1) if later is None else Swept(0, 1, 0))


async def test_rows_are_written_in_small_transactions_until_none_is_left(
    repository: DependencyRepository, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staleness, "BATCH", 3)
    monkeypatch.setattr(staleness, "_LOOK", 7)
    await repository.upsert([seen(f"a>{name}", 2 * DAY) for name in TARGETS])

    assert await sweep(connection, stale_after(DAY, OTEL), AT) == Swept(40, 0, 0)

    rows_by_transaction = Counter((await versions(connection)).values())
    assert max(rows_by_transaction.values()) == 3


async def test_a_row_that_somebody_writes_is_left_to_the_next_sweep(
    repository: DependencyRepository,
    connection: asyncpg.Connection,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # As many as are looked for at a time, so that it has to notice that looking again is of no use.
    monkeypatch.setattr(staleness, "_LOOK", 1)
    await repository.upsert([seen("a>t00", 2 * DAY, confidence=0.6)])
    settings = replace(stale_after(DAY, OTEL), half_life={OTEL: 2 * DAY})
    async with connected(database_url) as writer, writer.transaction():
        await writer.execute("UPDATE service_dependencies SET timeout_ms = 7")
        assert await sweep(connection, settings, AT) == Swept(0, 0, 0)

    assert await sweep(connection, settings, AT) == Swept(1, 1, 0)
    assert await standings(connection) == {"a>t00": Standing(is_stale=True, confidence=0.3, reported=0.6)}


async def test_a_row_that_is_observed_while_it_is_found_is_not_written(
    repository: DependencyRepository, connection: asyncpg.Connection
) -> None:
    await repository.upsert([seen("a>t00", 2 * DAY)])
    settings = replace(stale_after(DAY, OTEL), half_life={OTEL: DAY})

    class Meanwhile:
        """Observes what was found before it can be written."""

        async def fetch(self, statement: str, *arguments: object) -> list[asyncpg.Record]:
            found: list[asyncpg.Record] = await connection.fetch(statement, *arguments)
            await repository.upsert([seen("a>t00", timedelta())])
            return found

        def __getattr__(self, name: str) -> object:
            return getattr(connection, name)

    assert await sweep(Meanwhile(), settings, AT) == Swept(0, 0, 0)  # type: ignore[arg-type]
    assert await standings(connection) == {"a>t00": Standing(is_stale=False, confidence=1.0, reported=None)}


async def test_two_sweeps_at_once_do_what_one_does(
    repository: DependencyRepository, connection: asyncpg.Connection, database_url: str
) -> None:
    await repository.upsert([seen(f"a>{name}", 2 * DAY, confidence=0.6) for name in TARGETS])
    settings = replace(stale_after(DAY, OTEL), half_life={OTEL: 2 * DAY})

    async with connected(database_url) as other:
        both = await asyncio.gather(sweep(connection, settings, AT), sweep(other, settings, AT))
        # What one of them found locked by the other.
        await sweep(other, settings, AT)

    assert sum(swept.marked for swept in both) <= 40
    assert set((await standings(connection)).values()) == {
        Standing(is_stale=True, confidence=0.3, reported=0.6)
    }


async def test_the_time_is_the_databases_unless_given(
    repository: DependencyRepository, connection: asyncpg.Connection
) -> None:
    await repository.upsert([seen("a>t00", timedelta()), seen("a>t01", timedelta())])
    await connection.execute(
        """UPDATE service_dependencies SET last_observed_at = now() - interval '1 hour'
        FROM services WHERE services.id = target_service_id AND services.service_id = 't00'"""
    )
    await connection.execute(
        """UPDATE service_dependencies SET last_observed_at = now() - interval '3 hours'
        FROM services WHERE services.id = target_service_id AND services.service_id = 't01'"""
    )

    assert await sweep(connection, stale_after(timedelta(hours=2), OTEL)) == Swept(1, 0, 0)

    assert (await standings(connection))["a>t01"].is_stale


async def test_taking_the_migration_back_gives_the_confidence_reported_back(
    repository: DependencyRepository, connection: asyncpg.Connection, database_url: str
) -> None:
    await repository.upsert([seen("a>t00", DAY, confidence=0.8)])
    await sweep(connection, half_life(DAY, OTEL), AT)

    await migrate.downgrade(database_url, "0006")

    confidences = await connection.fetch("SELECT confidence_score FROM service_dependencies")
    assert [row[0] for row in confidences] == [0.8]
    await migrate.upgrade(database_url)
    assert (await standings(connection))["a>t00"] == Standing(is_stale=False, confidence=0.8, reported=None)


async def tried(
    connection: asyncpg.Connection,
    name: str,
    *,
    succeeded: timedelta | None,
    attempted: timedelta = timedelta(0),
    error: str = "away",
    interval: timedelta | None = DAY / 24,
) -> None:
    """Note how long before ``AT`` a reporter of traces succeeded and tried last."""
    await connection.execute(
        """INSERT INTO reporters
        (reporter, discovery_source, succeeded_at, attempted_at, last_error, report_interval)
        VALUES ($1, 'otel_service_graph', $2, $3, $4, $5)""",
        name,
        None if succeeded is None else AT - succeeded,
        AT - attempted,
        error,
        interval,
    )


async def test_nothing_becomes_stale_or_decays_while_a_reporter_fails(
    repository: DependencyRepository, connection: asyncpg.Connection
) -> None:
    settings = replace(stale_after(DAY, OTEL, MESH), half_life={OTEL: DAY})
    await repository.upsert([seen("a>t00", 3 * DAY), seen("a>t01", 5 * DAY), seen("a>t02", 3 * DAY, MESH)])
    await tried(connection, "prometheus", succeeded=3 * DAY)
    await tried(connection, "jaeger", succeeded=timedelta(0), error="")

    await sweep(connection, settings, AT)

    found = await standings(connection)
    # Of the time when the reporter could be heard last, not of now.
    assert [found[f"a>t0{place}"].is_stale for place in range(3)] == [False, True, True]
    assert found["a>t00"].confidence == 1.0
    assert found["a>t01"].confidence == pytest.approx(0.25)


async def test_what_was_not_seen_is_stale_once_the_reporter_succeeds_again(
    repository: DependencyRepository, connection: asyncpg.Connection
) -> None:
    await repository.upsert([seen("a>t00", 3 * DAY)])
    await tried(connection, "prometheus", succeeded=timedelta(0), error="")

    assert await sweep(connection, stale_after(DAY, OTEL), AT) == Swept(1, 0, 0)


@pytest.mark.parametrize(
    "reporter",
    [
        {"succeeded": None},
        {"succeeded": 3 * DAY, "attempted": DAY},
        {"succeeded": 3 * DAY, "interval": None},
    ],
    ids=["never succeeded", "does not try any more", "has no interval"],
)
async def test_no_reporter_is_waited_for_that(
    repository: DependencyRepository, connection: asyncpg.Connection, reporter: dict[str, timedelta | None]
) -> None:
    await repository.upsert([seen("a>t00", 3 * DAY)])
    await tried(connection, "prometheus", **reporter)  # type: ignore[arg-type]

    assert await sweep(connection, stale_after(DAY, OTEL), AT) == Swept(1, 0, 0)
