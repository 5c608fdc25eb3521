"""Dependencies in the system of record: methods in good, empty, missing and repeated cases."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from server.domain.dependencies import Dependency, DependencyDraft, DependencyFilter, DiscoverySource
from server.domain.errors import DependencyNotFoundError, InvalidInputError, ServiceNotFoundError
from server.domain.services import ServiceKey
from server.store.database import Database
from server.store.dependencies import DependencyRepository
from server.store.services import ServiceRepository
from tests.support.backends import until_backends
from tests.support.drafts import dependencies, dependency, services
from tests.support.pages import every_row

NOBODY = UUID(int=7)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
FULL = DependencyDraft(
    source_service_id="a",
    target_service_id="b",
    communication_mode="async",
    criticality="soft",
    protocol="kafka",
    timeout_ms=250,
    retry_config='{"max_retries": 5}',
    discovery_source="kubernetes",
    confidence_score=0.5,
    last_observed_at=NOON,
    is_stale=True,
)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with Database.open(database_url) as database:
        yield database


@pytest.fixture
async def repository(database: Database) -> DependencyRepository:
    """Four services, a to d, and no dependency yet."""
    await ServiceRepository(database).upsert(services("a", "b", "c", "d"))
    return DependencyRepository(database)


def edges(rows: Sequence[Dependency]) -> list[str]:
    return [f"{row.source_service_id}>{row.target_service_id}" for row in rows]


async def shown(repository: DependencyRepository, chosen: DependencyFilter, size: int = 100) -> list[str]:
    return edges(await every_row(lambda after: repository.page(chosen, size, after), size))


async def test_a_dependency_is_stored_as_drafted_and_found_by_its_id(
    repository: DependencyRepository,
) -> None:
    written = (await repository.upsert([FULL])).value

    (stored,) = written.rows
    assert written.created == 1
    assert stored[1:12] == (
        *("a", "b", "async", "soft", "kafka", 250),
        *('{"max_retries": 5}', "kubernetes", 0.5, NOON, True),
    )
    assert await repository.get(stored.id) == stored


async def test_a_minimal_draft_gets_the_documented_defaults(
    repository: DependencyRepository,
) -> None:
    before = datetime.now(UTC) - timedelta(hours=1)

    (stored,) = (await repository.upsert(dependencies("a>b"))).value.rows

    assert stored[3:10] == ("sync", "hard", None, None, None, "manual", 1.0)
    assert stored.last_observed_at == stored.created_at > before
    assert not stored.is_stale


async def test_a_missing_dependency_is_neither_found_nor_deleted(repository: DependencyRepository) -> None:
    for call in (repository.get(NOBODY), repository.delete(NOBODY)):
        with pytest.raises(DependencyNotFoundError, match=str(NOBODY)):
            await call


async def test_a_deleted_dependency_is_gone_and_its_services_stay(
    repository: DependencyRepository, database: Database
) -> None:
    (stored,) = (await repository.upsert(dependencies("a>b"))).value.rows

    await repository.delete(stored.id)

    with pytest.raises(DependencyNotFoundError):
        await repository.delete(stored.id)
    assert await ServiceRepository(database).get(ServiceKey(service_id="b"))


async def test_without_dependencies_a_page_is_empty(repository: DependencyRepository) -> None:
    page = await repository.page(DependencyFilter(), 10, None)

    assert (page.rows, page.next) == ((), None)


@pytest.mark.parametrize("size", [1, 2, 4, 5])
async def test_pages_show_every_dependency_once_newest_first(
    repository: DependencyRepository, size: int
) -> None:
    for edge in ("a>b", "b>c", "c>d", "d>a"):
        await repository.upsert(dependencies(edge))

    assert await shown(repository, DependencyFilter(), size) == ["d>a", "c>d", "b>c", "a>b"]


@pytest.mark.parametrize(
    ("chosen", "found"),
    [
        (DependencyFilter(source_service_id="a"), ["a>c", "a>b"]),
        (DependencyFilter(target_service_id="c"), ["a>c", "b>c"]),
        (DependencyFilter(source_service_id="b", target_service_id="c"), ["b>c"]),
        (DependencyFilter(discovery_source="kubernetes"), []),
        (DependencyFilter(discovery_source="kubernetes", include_stale=True), ["c>d"]),
        (DependencyFilter(source_service_id="c"), []),
        (DependencyFilter(source_service_id="c", include_stale=True), ["c>d"]),
        (DependencyFilter(include_stale=True), ["a>c", "c>d", "b>c", "a>b"]),
        (DependencyFilter(source_service_id="nobody", include_stale=True), []),
        (DependencyFilter(target_service_id="nobody", include_stale=True), []),
    ],
)
async def test_a_filter_shows_dependencies_that_meet_all_of_it(
    repository: DependencyRepository, chosen: DependencyFilter, found: list[str]
) -> None:
    await repository.upsert(dependencies("a>b"))
    await repository.upsert(dependencies("b>c"))
    await repository.upsert([dependency("c>d")._replace(discovery_source="kubernetes", is_stale=True)])
    await repository.upsert(dependencies("a>c"))

    assert await shown(repository, chosen, 1) == found


async def test_an_upsert_replaces_a_row_and_keeps_its_id(repository: DependencyRepository) -> None:
    (old,) = (await repository.upsert([FULL])).value.rows
    draft = dependency("a>b")._replace(
        discovery_source="kubernetes", last_observed_at=NOON - timedelta(days=1)
    )

    written = (await repository.upsert([dependency("c>d"), draft])).value

    assert (written.created, written.updated) == (1, 1)
    new = written.rows[1]
    assert edges(written.rows) == ["c>d", "a>b"]
    assert new[:4] == (old.id, "a", "b", "sync")
    assert new[4:12] == ("hard", None, None, None, "kubernetes", 1.0, NOON - timedelta(days=1), False)
    assert (new.created_at, new.updated_at > old.updated_at) == (old.created_at, True)
    assert await repository.get(new.id) == new


async def test_each_discovery_source_has_a_dependency_of_its_own(repository: DependencyRepository) -> None:
    both = [FULL, FULL._replace(discovery_source="manual")]

    written = (await repository.upsert(both)).value

    assert written.created == 2
    assert len({row.id for row in written.rows}) == 2


async def test_an_upsert_of_nothing_writes_nothing(repository: DependencyRepository) -> None:
    assert (await repository.upsert([])).value.rows == ()


async def test_a_repeated_upsert_writes_no_row_again(
    repository: DependencyRepository, connection: asyncpg.Connection
) -> None:
    batch = [FULL, dependency("b>c")._replace(last_observed_at=NOON)]
    first = (await repository.upsert(batch)).value
    versions = await connection.fetch("SELECT id, xmin::text FROM service_dependencies ORDER BY id")

    again = (await repository.upsert(batch)).value

    assert (again.rows, again.created) == (first.rows, 0)
    assert await connection.fetch("SELECT id, xmin::text FROM service_dependencies ORDER BY id") == versions


async def test_a_batch_of_new_changed_and_unchanged_dependencies_returns_in_its_order(
    repository: DependencyRepository,
) -> None:
    drafts = [draft._replace(last_observed_at=NOON) for draft in dependencies("a>b", "b>c", "c>d", "d>a")]
    before = {row.source_service_id: row for row in (await repository.upsert(drafts[:3])).value.rows}
    mixed = [drafts[2], drafts[3], drafts[1]._replace(timeout_ms=7), drafts[0]]

    written = (await repository.upsert(mixed)).value

    assert (written.created, written.updated) == (1, 3)
    assert edges(written.rows) == ["c>d", "d>a", "b>c", "a>b"]
    assert (written.rows[0], written.rows[3]) == (before["c"], before["a"])
    assert (written.rows[2].id, written.rows[2].timeout_ms) == (before["b"].id, 7)
    assert [await repository.get(row.id) for row in written.rows] == list(written.rows)


@pytest.mark.parametrize(("their_timeout", "is_written"), [(250, False), (None, True)])
async def test_a_dependency_added_by_another_writer_meanwhile_is_written_only_if_it_differs(
    repository: DependencyRepository,
    connection: asyncpg.Connection,
    their_timeout: int | None,
    is_written: bool,
) -> None:
    transaction = connection.transaction()
    await transaction.start()
    theirs = await connection.fetchval(
        """
        INSERT INTO service_dependencies (
            source_service_id, target_service_id, communication_mode, timeout_ms, last_observed_at
        )
        SELECT a.id, b.id, 'sync', $1, $2
        FROM services AS a, services AS b WHERE (a.service_id, b.service_id) = ('a', 'b')
        RETURNING id
        """,
        their_timeout,
        NOON,
    )
    draft = dependency("a>b")._replace(timeout_ms=250, last_observed_at=NOON)
    upsert = asyncio.create_task(repository.upsert([draft]))
    await until_backends(connection, "wait_event_type = 'Lock'", 1)
    version = await connection.fetchval("SELECT xmin::text FROM service_dependencies")
    await transaction.commit()

    written = (await upsert).value

    assert (written.rows[0].id, written.rows[0].timeout_ms, written.created) == (theirs, 250, 0)
    assert await repository.get(theirs) == written.rows[0]
    after = await connection.fetchval("SELECT xmin::text FROM service_dependencies")
    assert (after != version) is is_written


async def test_a_key_given_twice_is_named_with_its_first_place_and_nothing_is_written(
    repository: DependencyRepository,
) -> None:
    with pytest.raises(InvalidInputError) as caught:
        await repository.upsert(dependencies("a>b", "b>c", "a>b"))

    assert [(violation.field, violation.description) for violation in caught.value.violations] == [
        ("dependencies[2]", "a / b / manual was given before, at dependencies[0]")
    ]
    assert await shown(repository, DependencyFilter()) == []


async def test_every_end_that_does_not_exist_is_named_and_nothing_is_written(
    repository: DependencyRepository,
) -> None:
    with pytest.raises(ServiceNotFoundError) as caught:
        await repository.upsert(dependencies("a>b", "x>b", "a>y", "x>y"))

    assert [(violation.field, violation.description) for violation in caught.value.violations] == [
        ("dependencies[1].source_service_id", "no service is named 'x'"),
        ("dependencies[2].target_service_id", "no service is named 'y'"),
        ("dependencies[3].source_service_id", "no service is named 'x'"),
        ("dependencies[3].target_service_id", "no service is named 'y'"),
    ]
    assert await shown(repository, DependencyFilter()) == []


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"target_service_id": "a"}, "target_service_id"),
        ({"communication_mode": "smoke signals"}, "communication_mode"),
        ({"criticality": "vital"}, "criticality"),
        ({"discovery_source": "rumour"}, "discovery_source"),
        ({"confidence_score": 1.5}, "confidence_score"),
        ({"confidence_score": float("nan")}, "confidence_score"),
        ({"timeout_ms": 0}, "timeout_ms"),
        ({"timeout_ms": 2**31}, None),
        ({"retry_config": "[]"}, "retry_config"),
        ({"retry_config": "{"}, None),
        ({"protocol": "x" * 51}, None),
        ({"protocol": "nul\0"}, None),
        ({"last_observed_at": datetime.max.replace(tzinfo=UTC)}, "last_observed_at"),
    ],
)
async def test_a_draft_that_can_not_be_stored_is_refused_with_its_whole_batch(
    repository: DependencyRepository, said: dict[str, Any], field: str | None
) -> None:
    with pytest.raises(InvalidInputError) as caught:
        await repository.upsert([dependency("b>c"), FULL._replace(**said)])

    assert [violation.field for violation in caught.value.violations] == ([field] if field else [])
    assert await shown(repository, DependencyFilter(include_stale=True)) == []


async def test_a_service_deleted_while_its_dependency_is_written_is_named(
    repository: DependencyRepository, connection: asyncpg.Connection
) -> None:
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute("DELETE FROM services WHERE service_id = 'b'")
    upsert = asyncio.create_task(repository.upsert(dependencies("a>b")))
    await until_backends(connection, "wait_event_type = 'Lock'", 1)
    await transaction.commit()

    with pytest.raises(ServiceNotFoundError, match="1 ends"):
        await upsert


async def test_batches_that_overlap_in_opposite_order_all_succeed(
    repository: DependencyRepository, database: Database
) -> None:
    names = [f"s{number}" for number in range(60)]
    await ServiceRepository(database).upsert(services(*names))
    pairs = dependencies(*(f"{source}>{target}" for source in names[:10] for target in names[10:]))
    batches = [
        [draft._replace(timeout_ms=turn + 1) for draft in (pairs if turn % 2 else reversed(pairs))]
        for turn in range(8)
    ]

    outcomes = await asyncio.gather(*(repository.upsert(batch) for batch in batches))

    assert sum(outcome.value.created for outcome in outcomes) == 500
    timeouts = {row.timeout_ms for row in (await repository.page(DependencyFilter(), 1_000, None)).rows}
    assert len(timeouts) == 1


async def test_a_batch_of_ten_thousand_is_written_at_once(
    repository: DependencyRepository, database: Database
) -> None:
    names = [f"s{number}" for number in range(101)]
    await ServiceRepository(database).upsert(services(*names))
    batch = dependencies(*(f"{source}>{target}" for source in names for target in names if source != target))

    written = (await repository.upsert(batch[:10_000])).value

    assert written.created == 10_000
    assert edges(written.rows) == [
        f"{draft.source_service_id}>{draft.target_service_id}" for draft in batch[:10_000]
    ]


@pytest.mark.parametrize(
    ("source", "stale"),
    [(None, ["a>b", "b>c"]), ("kubernetes", ["b>c"]), ("service_mesh", [])],
)
async def test_what_was_last_observed_before_a_time_is_marked_stale_once(
    repository: DependencyRepository, source: DiscoverySource | None, stale: list[str]
) -> None:
    old = NOON - timedelta(seconds=1)
    await repository.upsert(
        [
            dependency("a>b")._replace(last_observed_at=old),
            dependency("b>c")._replace(last_observed_at=old, discovery_source="kubernetes"),
            dependency("c>d")._replace(last_observed_at=NOON),
        ]
    )

    first = await repository.mark_stale(NOON, source)
    again = await repository.mark_stale(NOON, source)

    assert (first.value, again.value) == (len(stale), 0)
    page = await repository.page(DependencyFilter(include_stale=True), 9, None)
    assert sorted(edges([row for row in page.rows if row.is_stale])) == stale


async def test_marking_stale_at_once_counts_each_dependency_once(repository: DependencyRepository) -> None:
    drafts = dependencies("a>b", "b>c", "c>d", "d>a", "a>c")
    await repository.upsert([draft._replace(last_observed_at=NOON) for draft in drafts])

    counts = await asyncio.gather(*(repository.mark_stale(NOON + timedelta(1), None) for _ in range(6)))

    assert sum(written.value for written in counts) == 5


async def test_an_upsert_of_a_stale_dependency_makes_it_fresh(repository: DependencyRepository) -> None:
    await repository.upsert([dependency("a>b")._replace(last_observed_at=NOON)])
    await repository.mark_stale(NOON + timedelta(1), None)

    (row,) = (await repository.upsert(dependencies("a>b"))).value.rows

    assert not row.is_stale


async def test_the_adjacency_list_names_every_service_and_its_distinct_targets_in_order(
    repository: DependencyRepository, database: Database
) -> None:
    await ServiceRepository(database).upsert(services("B", "é"))
    reported = dependency("a>b")._replace(discovery_source="kubernetes")
    stale = dependency("c>d")._replace(is_stale=True)
    await repository.upsert([*dependencies("a>b", "a>é", "a>B", "b>a"), reported, stale])

    fresh = await repository.adjacency()

    assert fresh == [("B", ()), ("a", ("B", "b", "é")), ("b", ("a",)), ("c", ()), ("d", ()), ("é", ())]
    assert dict(await repository.adjacency(include_stale=True)) == {**dict(fresh), "c": ("d",)}


async def test_without_services_the_adjacency_list_is_empty(database: Database) -> None:
    assert await DependencyRepository(database).adjacency() == []
