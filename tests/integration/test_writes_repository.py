"""The account of writes: one row for each call that wrote, whatever happened on the way."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from random import Random

import asyncpg
import pytest
from structlog.testing import capture_logs

from server.domain.caller import Caller, acting_as
from server.domain.errors import (
    DomainError,
    InvalidInputError,
    ServiceAlreadyExistsError,
    ServiceNotFoundError,
    WriteConflictError,
)
from server.domain.reports import IngestBatch, IngestNode
from server.domain.revision import Revision
from server.domain.services import ServiceChange, ServiceDraft, ServiceKey
from server.domain.writes import Write, WriteCounts, WriteKey, WritingCall, writing_for
from server.store import writes
from server.store.alerts import AlertRepository
from server.store.database import Database
from server.store.dependencies import DependencyRepository
from server.store.pool import Connection
from server.store.services import ServiceRepository
from server.store.writes import WriteRepository
from tests.support.backends import terminate_backends
from tests.support.drafts import dependencies, reported, services
from tests.support.eventually import PATIENCE_SECONDS, eventually

METHOD = "depgraph.v1.CatalogService/CreateService"
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
CENTURY = timedelta(days=36_500)
ODD_NAMES = [
    "ann",
    "it's",
    "back\\slash",
    "\\'; DROP TABLE services; --",
    "spiffe://example.org/ns/shop/sa/checkout",
    "ü 名前 🙂 \n\t $$ $1 %s {}",
]


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    # One connection: what a write leaves in its session, the next would find.
    async with Database.open(database_url, pool_size=1) as database:
        yield database


@pytest.fixture
def account(database: Database) -> WriteRepository:
    return WriteRepository(database)


@contextmanager
def calling(principal: str = "ann", method: str = METHOD) -> Iterator[None]:
    """Do what a call of this caller does."""
    caller = Caller(principal, frozenset({"editor"}))
    with acting_as(caller), writing_for(WritingCall(method, "ipv4:127.0.0.1:1")):
        yield


async def listed(account: WriteRepository, size: int = 1_000) -> list[Write]:
    """Read the whole account in pages."""
    found: list[Write] = []
    after: WriteKey | None = None
    while True:
        page = await account.page(size, after)
        assert len(page.writes) <= size
        found += page.writes
        if page.next is None:
            return found
        assert page.writes
        after = page.next


def uncounted(_: object) -> WriteCounts:
    return WriteCounts()


async def principal_in(own: Connection) -> str:
    """Read the principal as triggers do."""
    found: str = await own.fetchval("SELECT COALESCE(current_setting('depgraph.principal', true), '')")
    return found


async def test_each_method_counts_what_it_changed(database: Database, account: WriteRepository) -> None:
    catalog, edges, alerts = (
        ServiceRepository(database),
        DependencyRepository(database),
        AlertRepository(database),
    )
    report, again = (
        IngestBatch(
            discovery_source="kubernetes",
            observed_at=NOON,
            nodes=(IngestNode("d", team=team),),
            edges=reported("a>d"),
        )
        for team in ("shop", "infra")
    )
    with calling():
        created = await catalog.create(ServiceDraft(service_id="a"))
        await catalog.update(
            ServiceKey(service_id="a"),
            ServiceChange(columns=frozenset({"team"}), draft=ServiceDraft("a", team="shop")),
        )
        await catalog.upsert(services("a", "b", "c"))
        upserted = await edges.upsert(dependencies("a>b", "b>c"))
        await edges.upsert(dependencies("a>b", "b>a"))
        await edges.mark_stale(datetime(2100, 1, 1, tzinfo=UTC), None)
        await edges.ingest(report)
        await edges.ingest(again)
        await edges.ingest(again)
        await edges.delete(upserted.value.rows[0].id)
        alert = await alerts.create(["a", "b"])
        await alerts.acknowledge(alert.value.id, "ann")
        last = await alerts.resolve(alert.value.id, "done")
        await catalog.delete(ServiceKey(service_id="c"))
    found = [write.counts for write in await listed(account)][::-1]
    assert found == [
        WriteCounts(services_created=1),
        WriteCounts(services_updated=1),
        WriteCounts(services_created=2, services_updated=1),
        WriteCounts(dependencies_created=2),
        WriteCounts(dependencies_created=1, dependencies_updated=1),
        WriteCounts(dependencies_updated=3),
        WriteCounts(services_created=1, dependencies_created=1),
        WriteCounts(services_updated=1),
        WriteCounts(),
        WriteCounts(dependencies_deleted=1),
        WriteCounts(alerts_created=1),
        WriteCounts(alerts_updated=1),
        WriteCounts(alerts_updated=1),
        WriteCounts(services_deleted=1),
    ]
    revisions = [write.revision for write in await listed(account)]
    assert (revisions[-1], revisions[1]) == (created.revision, last.revision)


async def test_the_account_equals_a_model_of_random_calls(
    database: Database, account: WriteRepository, connection: asyncpg.Connection
) -> None:
    dice = Random(13)  # noqa: S311 - a game of dice, no secret
    catalog = ServiceRepository(database)
    present: set[str] = set()
    expected: list[tuple[str, str, WriteCounts, str]] = []
    for _ in range(150):
        principal, name = dice.choice(["", *ODD_NAMES]), f"s{dice.randrange(8)}"
        kind = dice.choice(["create", "delete", "upsert", "by itself", "plain SQL"])
        names = sorted({f"s{dice.randrange(8)}" for _ in range(3)})
        counts = {
            "create": WriteCounts(services_created=1),
            "delete": WriteCounts(services_deleted=1),
            "upsert": WriteCounts(
                services_created=len({*names} - present), services_updated=len({*names} & present)
            ),
        }
        try:
            if kind == "plain SQL":
                await connection.execute("UPDATE services SET team = 'shop' WHERE service_id = $1", name)
            elif kind == "by itself":
                await catalog.upsert(services(*present))
            else:
                with calling(principal, kind):
                    if kind == "create":
                        revision = (await catalog.create(ServiceDraft(service_id=name))).revision
                        present.add(name)
                    elif kind == "delete":
                        revision = (await catalog.delete(ServiceKey(service_id=name))).revision
                        present.remove(name)
                    else:
                        revision = (await catalog.upsert(services(*names))).revision
                        present.update(names)
                expected.append((principal, kind, counts[kind], revision))
        except (ServiceAlreadyExistsError, ServiceNotFoundError):
            assert (name in present) == (kind == "create")
    found = [(row.principal, row.method, row.counts, row.revision) for row in await listed(account, 7)]
    assert found == expected[::-1]
    by_sql = await connection.fetch(
        "SELECT principal, method, feed_id || '/' || xid AS revision, services_created, services_updated,"
        " services_deleted FROM writes ORDER BY id"
    )
    assert [
        (
            row["principal"],
            row["method"],
            WriteCounts(row["services_created"], row["services_updated"], row["services_deleted"]),
            Revision.parse(row["revision"]).token,
        )
        for row in by_sql
    ] == expected


async def test_triggers_read_the_principal_until_the_transaction_ends(database_url: str) -> None:
    for setting in ("on", "off"):
        options = f"options=-c%20standard_conforming_strings%3D{setting}"
        url = f"{database_url}{'&' if '?' in database_url else '?'}{options}"
        async with Database.open(url, pool_size=1) as database:
            for principal in ODD_NAMES:
                with calling(principal):
                    assert (await database.write(principal_in, uncounted)).value == principal
                    [write] = (await WriteRepository(database).page(1, None)).writes
                    assert write.principal == principal
                assert (await database.write(principal_in, uncounted)).value == ""
                assert await database.read(principal_in) == ""


async def test_a_name_that_no_text_of_the_database_can_hold_is_refused(database: Database) -> None:
    for principal in ("a\0b", "a\ud800b"):
        with calling(principal), pytest.raises(InvalidInputError, match="caller's name"):
            await ServiceRepository(database).create(ServiceDraft(service_id="a"))


async def test_a_call_that_failed_or_was_cancelled_is_not_in_the_account(
    database: Database, account: WriteRepository
) -> None:
    catalog = ServiceRepository(database)
    await catalog.create(ServiceDraft(service_id="a"))

    async def fall_asleep(own: Connection) -> None:
        await own.execute("INSERT INTO services (service_id) VALUES ('b')")
        await own.execute("SELECT pg_sleep(60)")

    with calling():
        for failing in (
            catalog.create(ServiceDraft(service_id="a")),
            catalog.delete(ServiceKey(service_id="missing")),
            DependencyRepository(database).upsert(dependencies("a>missing")),
        ):
            with pytest.raises(DomainError):
                await failing
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await database.write(fall_asleep, uncounted)
    assert await listed(account) == []


async def test_a_write_that_collided_is_in_the_account_once(
    database: Database, account: WriteRepository
) -> None:
    attempts: list[int] = []

    async def collide_twice(own: Connection) -> int:
        attempts.append(1)
        await own.execute("INSERT INTO services (service_id) VALUES ('a')")
        if len(attempts) < 3:
            await own.execute("DO $$ BEGIN RAISE serialization_failure; END $$")
        return len(attempts)

    with calling():
        await database.write(collide_twice, lambda value: WriteCounts(services_created=value))
    [write] = await listed(account)
    assert write.counts == WriteCounts(services_created=3)


async def test_a_write_that_keeps_colliding_is_not_in_the_account(
    database: Database, account: WriteRepository
) -> None:
    async def collide(own: Connection) -> None:
        await own.execute("DO $$ BEGIN RAISE serialization_failure; END $$")

    with calling(), pytest.raises(WriteConflictError):
        await database.write(collide, uncounted)
    assert await listed(account) == []


async def test_a_write_whose_connection_broke_before_its_commit_is_in_the_account_once(
    database: Database, account: WriteRepository, connection: asyncpg.Connection
) -> None:
    attempts: list[str] = []

    async def break_the_first_time(own: Connection) -> None:
        attempts.append(await principal_in(own))
        if len(attempts) == 1:
            await terminate_backends(connection)
            await own.execute("SELECT 1")

    with calling():
        await database.write(break_the_first_time, uncounted)
    assert attempts == ["ann", "ann"]
    assert len(await listed(account)) == 1


async def test_without_an_account_writes_go_on_and_triggers_still_read_the_principal(
    database_url: str,
) -> None:
    async with Database.open(database_url, keeps_writes=False) as database:
        with calling():
            written = await database.write(principal_in, uncounted)
        assert written.value == "ann"
        assert Revision.parse(written.revision).xid is not None
        assert await listed(WriteRepository(database)) == []


async def test_pages_hold_each_earlier_write_once_while_others_write_and_prune(
    database_url: str, connection: asyncpg.Connection
) -> None:
    dice = Random(10)  # noqa: S311 - a game of dice, no secret
    await connection.execute(
        "INSERT INTO writes (written_at, principal, method, feed_id)"
        " SELECT now() - interval '2 days', 'old', '', '1:1:1' FROM generate_series(1, 40)"
    )
    async with Database.open(database_url) as database:
        catalog, account = ServiceRepository(database), WriteRepository(database)
        done = asyncio.Event()

        async def write(number: int) -> None:
            turn = 0
            while not done.is_set():
                with calling(f"writer {number}"):
                    await catalog.upsert(services(f"s{number}"))
                turn += 1

        async def prune() -> None:
            while not done.is_set():
                await account.prune(timedelta(days=1))

        async with asyncio.TaskGroup() as group:
            for number in range(4):
                group.create_task(write(number))
            while len(await listed(account)) < 80:
                await asyncio.sleep(0)
            group.create_task(prune())
            for _ in range(8):
                before = {row["id"] for row in await connection.fetch("SELECT id FROM writes")}
                found = await listed(account, dice.randrange(1, 20))
                keys = [(write.written_at, write.id) for write in found]
                assert keys == sorted(set(keys), reverse=True)
                old = {row["id"] for row in await connection.fetch("SELECT id FROM writes")}
                assert before & old <= {write.id for write in found}
            done.set()
        assert {write.principal for write in await listed(account)} == {f"writer {n}" for n in range(4)}


async def fill(connection: asyncpg.Connection, ages: list[int]) -> None:
    """Add a write for each age in days, the oldest first."""
    await connection.executemany(
        "INSERT INTO writes (written_at, principal, method, feed_id)"
        " VALUES (now() - make_interval(days => $1), $2, '', '1:1:1')",
        [(age, str(age)) for age in ages],
    )


async def kept(connection: asyncpg.Connection) -> list[str]:
    return [row["principal"] for row in await connection.fetch("SELECT principal FROM writes ORDER BY id")]


async def test_pruning_leaves_what_is_neither_too_old_nor_too_much(
    account: WriteRepository, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writes, "BATCH", 2)
    for keep, most, left in (
        (timedelta(days=4, hours=1), 100, "43210"),
        (CENTURY, 100, "9876543210"),
        (CENTURY, 3, "210"),
        (timedelta(days=1, hours=1), 3, "10"),
        (timedelta(0), 100, ""),
    ):
        await connection.execute("TRUNCATE writes")
        await fill(connection, [9, 8, 7, 6, 5, 4, 3, 2, 1, 0])
        assert await account.prune(keep, most) == 10 - len(left)
        assert await kept(connection) == list(left)
        assert await account.prune(keep, most) == 0


async def test_one_process_prunes_at_a_time(account: WriteRepository, connection: asyncpg.Connection) -> None:
    await fill(connection, [2, 1])
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(7203411, 5)")
        assert await account.prune(timedelta(0)) == 0
    assert await account.prune(timedelta(0)) == 2


async def test_pruning_goes_on_after_a_failure(
    account: WriteRepository, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writes, "_INTERVAL_SECONDS", 0.001)
    await connection.execute("ALTER TABLE writes RENAME TO away")
    with capture_logs() as lines:
        pruning = asyncio.create_task(account.prune_forever(timedelta(0)))
        await eventually(lambda: bool(lines))
        await connection.execute("ALTER TABLE away RENAME TO writes")
        await fill(connection, [1])
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await kept(connection):
                await asyncio.sleep(0.005)
        pruning.cancel()
    assert lines[0]["event"] == "pruning the account of writes failed"
