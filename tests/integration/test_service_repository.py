"""
Services in the system of record: methods in good, empty, missing and repeated cases.
"""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import asyncpg
import pytest

from server.domain.errors import InvalidInputError, ServiceAlreadyExistsError, ServiceNotFoundError
from server.domain.revision import Revision, Snapshot
from server.domain.services import Service, ServiceChange, ServiceDraft, ServiceFilter, ServiceKey
from server.store.database import Database
from server.store.dependencies import DependencyRepository
from server.store.services import ServiceRepository
from tests.support.backends import until_backends
from tests.support.drafts import dependencies, services
from tests.support.pages import every_row

NOBODY = UUID(int=7)
FULL = ServiceDraft(
    service_id="checkout", metadata='{"tier": 1}', criticality="high", team="shop", discovered=True
)


@pytest.fixture
async def repository(database_url: str) -> AsyncIterator[ServiceRepository]:
    async with Database.open(database_url) as database:
        yield ServiceRepository(database)


async def all_names(repository: ServiceRepository, chosen: ServiceFilter, size: int) -> list[str]:
    found = await every_row(lambda after: repository.page(chosen, size, after), size)
    return [service.service_id for service in found]


async def test_a_created_service_is_found_by_name_and_by_id(repository: ServiceRepository) -> None:
    created = (await repository.create(FULL)).value

    assert created[1:6] == ("checkout", '{"tier": 1}', "high", "shop", True)
    assert await repository.get(ServiceKey(service_id="checkout")) == created
    assert await repository.get(ServiceKey(id=created.id)) == created


async def test_a_name_that_is_taken_is_an_error_and_the_first_service_stays(
    repository: ServiceRepository,
) -> None:
    first = (await repository.create(FULL)).value

    with pytest.raises(ServiceAlreadyExistsError, match="'checkout' exists already"):
        await repository.create(ServiceDraft(service_id="checkout"))

    assert await repository.get(ServiceKey(service_id="checkout")) == first


async def test_of_two_that_create_the_same_name_at_once_one_succeeds(repository: ServiceRepository) -> None:
    outcomes = await asyncio.gather(*(repository.create(FULL) for _ in range(8)), return_exceptions=True)

    assert sum(isinstance(outcome, ServiceAlreadyExistsError) for outcome in outcomes) == 7


@pytest.mark.parametrize("key", [ServiceKey(service_id="nobody"), ServiceKey(id=NOBODY)])
async def test_a_missing_service_is_not_found_updated_or_deleted(
    repository: ServiceRepository, key: ServiceKey
) -> None:
    change = ServiceChange(columns=frozenset({"team"}), draft=FULL)

    for call in (repository.get(key), repository.update(key, change), repository.delete(key)):
        with pytest.raises(ServiceNotFoundError, match=str(key)):
            await call


async def test_without_services_a_page_is_empty(repository: ServiceRepository) -> None:
    page = await repository.page(ServiceFilter(), 10, None)

    assert (page.rows, page.next) == ((), None)


@pytest.mark.parametrize("size", [1, 2, 5, 6])
async def test_pages_show_every_service_once_newest_first(repository: ServiceRepository, size: int) -> None:
    for name in ("a", "b", "c", "d", "e"):
        await repository.create(ServiceDraft(service_id=name))

    assert await all_names(repository, ServiceFilter(), size) == ["e", "d", "c", "b", "a"]


async def test_services_of_the_same_moment_are_paged_without_a_gap(repository: ServiceRepository) -> None:
    names = [f"s{number}" for number in range(25)]
    await repository.upsert(services(*names))

    shown = await all_names(repository, ServiceFilter(), 4)

    assert len(shown) == 25
    assert set(shown) == set(names)


async def test_a_service_added_between_two_pages_moves_nothing(repository: ServiceRepository) -> None:
    for name in ("a", "b", "c"):
        await repository.create(ServiceDraft(service_id=name))
    first = await repository.page(ServiceFilter(), 2, None)
    await repository.create(ServiceDraft(service_id="late"))

    second = await repository.page(ServiceFilter(), 2, first.next)

    assert [service.service_id for service in second.rows] == ["a"]


@pytest.mark.parametrize(
    ("chosen", "names"),
    [
        (ServiceFilter(team="shop"), ["b", "a"]),
        (ServiceFilter(criticality="high"), ["c", "b"]),
        (ServiceFilter(discovered=True), ["c"]),
        (ServiceFilter(discovered=False), ["b", "a"]),
        (ServiceFilter(team="shop", criticality="high"), ["b"]),
        (ServiceFilter(team="nobody"), []),
    ],
)
async def test_a_filter_shows_dependencies_that_meet_all_of_it(
    repository: ServiceRepository, chosen: ServiceFilter, names: list[str]
) -> None:
    await repository.create(ServiceDraft(service_id="a", team="shop"))
    await repository.create(ServiceDraft(service_id="b", team="shop", criticality="high"))
    await repository.create(ServiceDraft(service_id="c", criticality="high", discovered=True))

    assert await all_names(repository, chosen, 10) == names


@pytest.mark.parametrize("column", ["metadata", "criticality", "team", "discovered"])
async def test_an_update_sets_the_named_column_and_no_other(
    repository: ServiceRepository, column: str
) -> None:
    before = (await repository.create(FULL)).value
    draft = ServiceDraft(service_id="ignored", metadata='{"new": true}', criticality="low", team=None)
    change = ServiceChange(columns=frozenset({column}), draft=draft)

    after = (await repository.update(ServiceKey(service_id="checkout"), change)).value

    changed = [
        name
        for name in Service._fields
        if name != "updated_at" and getattr(after, name) != getattr(before, name)
    ]
    assert changed == [column]
    assert getattr(after, column) == getattr(draft, column)
    assert after.updated_at > before.updated_at
    assert await repository.get(ServiceKey(id=before.id)) == after


async def test_a_repeated_update_leaves_the_time_of_the_last_change(repository: ServiceRepository) -> None:
    await repository.create(FULL)
    change = ServiceChange(columns=frozenset({"team"}), draft=FULL._replace(team="other"))
    first = (await repository.update(ServiceKey(service_id="checkout"), change)).value

    assert (await repository.update(ServiceKey(service_id="checkout"), change)).value == first


async def test_a_column_that_can_not_be_set_is_named(repository: ServiceRepository) -> None:
    change = ServiceChange(columns=frozenset({"team", "service_id"}), draft=FULL)

    with pytest.raises(InvalidInputError, match="can't set service_id") as caught:
        await repository.update(ServiceKey(service_id="checkout"), change)

    assert [violation.field for violation in caught.value.violations] == ["update_mask"]


async def test_a_deleted_service_takes_its_dependencies_along_and_is_gone_for_good(
    repository: ServiceRepository, connection: asyncpg.Connection, database_url: str
) -> None:
    await repository.upsert(services("a", "b", "c"))
    async with Database.open(database_url) as database:
        await DependencyRepository(database).upsert(dependencies("a>b", "b>c", "a>c"))

    await repository.delete(ServiceKey(service_id="b"))

    assert await connection.fetchval("SELECT count(*) FROM service_dependencies") == 1
    with pytest.raises(ServiceNotFoundError):
        await repository.delete(ServiceKey(service_id="b"))


async def test_an_upsert_creates_and_replaces_in_the_order_given(repository: ServiceRepository) -> None:
    old = (await repository.create(FULL)).value

    written = (await repository.upsert(services("z", "checkout", "a"))).value

    assert [service.service_id for service in written.rows] == ["z", "checkout", "a"]
    assert (written.created, written.updated) == (2, 1)
    replaced = written.rows[1]
    assert replaced[:6] == (old.id, "checkout", "{}", "medium", None, False)
    assert replaced.created_at == old.created_at
    assert replaced.updated_at > old.updated_at
    for service in written.rows:
        assert await repository.get(ServiceKey(id=service.id)) == service


async def test_an_upsert_of_nothing_writes_nothing(repository: ServiceRepository) -> None:
    written = await repository.upsert([])

    assert (written.value.rows, written.value.created) == ((), 0)


async def test_a_repeated_upsert_writes_no_row_again(
    repository: ServiceRepository, connection: asyncpg.Connection
) -> None:
    batch = [FULL, *services("b", "c")]
    first = (await repository.upsert(batch)).value
    versions = await connection.fetch("SELECT id, xmin::text FROM services ORDER BY id")

    again = (await repository.upsert(batch)).value

    assert again.rows == first.rows
    assert (again.created, again.updated) == (0, 3)
    # Locking a row does not make another version of it.
    assert await connection.fetch("SELECT id, xmin::text FROM services ORDER BY id") == versions


async def test_numbers_that_read_differently_are_a_change(repository: ServiceRepository) -> None:
    await repository.upsert([ServiceDraft(service_id="a", metadata='{"n": 1}')])

    written = await repository.upsert([ServiceDraft(service_id="a", metadata='{"n": 1.0}')])

    assert written.value.rows[0].metadata == '{"n": 1.0}'


async def test_a_name_given_twice_is_named_with_its_first_place_and_nothing_is_written(
    repository: ServiceRepository,
) -> None:
    with pytest.raises(InvalidInputError) as caught:
        await repository.upsert(services("a", "b", "a", "b", "a"))

    assert [(violation.field, violation.description) for violation in caught.value.violations] == [
        ("services[2].service_id", "a was given before, at services[0].service_id"),
        ("services[3].service_id", "b was given before, at services[1].service_id"),
        ("services[4].service_id", "a was given before, at services[0].service_id"),
    ]
    assert (await repository.page(ServiceFilter(), 10, None)).rows == ()


BAD_DRAFTS = {
    "NUL in the name": ServiceDraft(service_id="nul\0"),
    "lone surrogate in the name": ServiceDraft(service_id="lone \ud800"),
    "name of 256 characters": ServiceDraft(service_id="x" * 256),
    "empty name": ServiceDraft(service_id=""),
    "NUL in the metadata": ServiceDraft(service_id="x", metadata=r'{"a": "\u0000"}'),
    "metadata that is a list": ServiceDraft(service_id="x", metadata="[]"),
    "metadata that is not JSON": ServiceDraft(service_id="x", metadata="{"),
    "metadata nested without end": ServiceDraft(service_id="x", metadata='{"a":' * 50_000),
    "unknown criticality": ServiceDraft(service_id="x", criticality="urgent"),  # type: ignore[arg-type]  # on purpose
    "team of 256 characters": ServiceDraft(service_id="x", team="x" * 256),
}


@pytest.mark.parametrize("bad", BAD_DRAFTS.values(), ids=BAD_DRAFTS.keys())
async def test_a_draft_that_can_not_be_stored_is_refused_with_its_whole_batch(
    repository: ServiceRepository, bad: ServiceDraft
) -> None:
    for call in (repository.upsert([*services("fine"), bad]), repository.create(bad)):
        with pytest.raises(InvalidInputError) as caught:
            await call
        assert "INSERT" not in caught.value.message

    assert (await repository.page(ServiceFilter(), 10, None)).rows == ()


@pytest.mark.parametrize("name", ["nul\0", "lone \ud800"])
async def test_a_name_that_can_not_exist_is_refused_when_looked_up(
    repository: ServiceRepository, name: str
) -> None:
    with pytest.raises(InvalidInputError):
        await repository.get(ServiceKey(service_id=name))


async def test_batches_that_overlap_in_opposite_order_all_succeed(repository: ServiceRepository) -> None:
    names = [f"s{number}" for number in range(200)]
    batches = [
        [draft._replace(team=f"t{turn}") for draft in services(*(names if turn % 2 else reversed(names)))]
        for turn in range(10)
    ]

    outcomes = await asyncio.gather(*(repository.upsert(batch) for batch in batches))

    assert sum(outcome.value.created for outcome in outcomes) == 200
    teams = {service.team for service in (await repository.page(ServiceFilter(), 300, None)).rows}
    assert len(teams) == 1


async def test_a_row_that_another_writer_adds_meanwhile_counts_as_his(
    repository: ServiceRepository, connection: asyncpg.Connection
) -> None:
    transaction = connection.transaction()
    await transaction.start()
    theirs = await connection.fetchval("INSERT INTO services (service_id) VALUES ('b') RETURNING id")
    upsert = asyncio.create_task(
        repository.upsert([draft._replace(team="us") for draft in services("a", "b")])
    )
    await until_backends(connection, "wait_event_type = 'Lock'", 1)
    await transaction.commit()

    written = (await upsert).value

    assert written.created == 1
    assert (written.rows[1].id, written.rows[1].team) == (theirs, "us")


async def test_what_another_writer_changes_meanwhile_is_seen_before_it_is_compared(
    repository: ServiceRepository, connection: asyncpg.Connection
) -> None:
    await repository.upsert(services("a"))
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute("UPDATE services SET team = 'theirs'")
    upsert = asyncio.create_task(repository.upsert(services("a")))
    await until_backends(connection, "wait_event_type = 'Lock'", 1)
    await transaction.commit()

    written = (await upsert).value

    # Equal to what the statement's snapshot held, yet it came last: it has to win.
    assert written.rows[0].team is None
    assert await repository.get(ServiceKey(service_id="a")) == written.rows[0]


async def test_a_batch_of_ten_thousand_is_written_at_once(repository: ServiceRepository) -> None:
    names = [f"s{number}" for number in range(10_000)]

    written = (await repository.upsert(services(*names))).value

    assert written.created == 10_000
    assert [service.service_id for service in written.rows] == names


async def test_the_revision_of_a_write_is_held_by_a_snapshot_taken_afterwards_only(
    repository: ServiceRepository, connection: asyncpg.Connection
) -> None:
    before = Snapshot.parse(await connection.fetchval("SELECT pg_current_snapshot()::text"))
    revision = Revision.parse((await repository.create(FULL)).revision)
    after = Snapshot.parse(await connection.fetchval("SELECT pg_current_snapshot()::text"))

    assert not revision.held_by(before)
    assert revision.held_by(after)
