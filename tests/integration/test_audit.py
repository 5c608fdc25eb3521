"""The audit: it finds every row that differs, and nothing else, whatever goes on meanwhile."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from copy import copy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from uuid import uuid4

import asyncpg
import pytest

from depgraph.v1.graph_service_pb2 import TraverseResponse
from graphcore import AliasRecord, ChangeSet, DependencyRecord, ServiceRecord
from server import wire
from server.feed import memory_audit
from server.feed.memory_audit import AuditYieldedError
from server.replica import Replica
from tests.support.auditing import WATCHFUL, Audited, audited
from tests.support.eventually import eventually
from tests.support.following import assert_caught_up, dependency_of, service_of
from tests.support.random_writer import RandomWriter
from tests.support.world import populate

Connection = asyncpg.Connection
WRITERS = 4
AUDITS = 8

ROWS = """
INSERT INTO services (service_id) SELECT 's' || n FROM generate_series(1, 1200) AS n;
INSERT INTO service_dependencies (source_service_id, target_service_id, communication_mode)
SELECT a.id, b.id, 'sync'
FROM services AS a
JOIN services AS b ON substr(b.service_id, 2)::int = substr(a.service_id, 2)::int + 1;
INSERT INTO service_aliases (alias, service_id) SELECT 'alias of ' || service_id, id FROM services;
"""


def a_service(replica: Replica) -> ServiceRecord:
    return replica.graph.services()[0]


def a_dependency(replica: Replica) -> DependencyRecord:
    return replica.graph.dependencies()[0]


def lose_a_dependency(replica: Replica) -> None:
    replica.graph.apply(ChangeSet(removed_dependencies=[a_dependency(replica).key]))


def alter_a_service(replica: Replica) -> None:
    record = a_service(replica)
    altered = copy(service_of(record))
    altered.team = "nobody"
    payload = TraverseResponse(services=[altered]).SerializeToString()
    replica.graph.apply(ChangeSet(upserted_services=[record._replace(payload=payload)]))


def alter_a_dependency(replica: Replica) -> None:
    record = a_dependency(replica)
    altered = copy(dependency_of(record))
    altered.timeout_ms = 1
    payload = TraverseResponse(dependencies=[altered]).SerializeToString()
    replica.graph.apply(ChangeSet(upserted_dependencies=[record._replace(payload=payload)]))


def misname_an_end(replica: Replica) -> None:
    record = a_dependency(replica)
    payload = wire.renamed(wire_bytes(record), "somebody", "else")
    replica.graph.apply(ChangeSet(upserted_dependencies=[record._replace(payload=payload)]))


def wire_bytes(record: DependencyRecord) -> bytes:
    assert isinstance(record.payload, bytes)
    return record.payload


def lose_a_service(replica: Replica) -> None:
    """Its dependencies stay, waiting: memory still holds their records."""
    replica.graph.apply(ChangeSet(removed_services=[a_service(replica).key]))


def invent_a_service(replica: Replica) -> None:
    invented = a_service(replica)._replace(key=uuid4().bytes, name="invented")
    replica.graph.apply(ChangeSet(upserted_services=[invented]))


def an_alias(replica: Replica) -> AliasRecord:
    return replica.graph.aliases()[0]


def lose_an_alias(replica: Replica) -> None:
    replica.graph.apply(ChangeSet(removed_aliases=[an_alias(replica).key]))


def invent_an_alias(replica: Replica) -> None:
    invented = an_alias(replica)._replace(key=uuid4().bytes, name="invented")
    replica.graph.apply(ChangeSet(upserted_aliases=[invented]))


def let_an_alias_mean_another(replica: Replica) -> None:
    alias = an_alias(replica)
    other = next(service for service in replica.graph.services() if service.key != alias.service)
    replica.graph.apply(ChangeSet(upserted_aliases=[alias._replace(service=other.key)]))


def alter_an_alias(replica: Replica) -> None:
    altered = an_alias(replica)._replace(payload=datetime(2020, 1, 1, tzinfo=UTC))
    replica.graph.apply(ChangeSet(upserted_aliases=[altered]))


@pytest.fixture
async def followed(database_url: str, connection: Connection) -> AsyncIterator[Audited]:
    await connection.execute(ROWS)
    async with audited(database_url) as running:
        yield running


async def test_an_audit_finds_no_difference_when_memory_equals_the_tables(followed: Audited) -> None:
    found = await followed.auditor.audit()
    assert found.differing_rows == 0
    assert followed.vitals.health().last_audit == found
    assert followed.vitals.health().problems == ()
    assert followed.replica.status().warm_count == 1


@pytest.mark.parametrize(
    "corrupt",
    [
        lose_a_dependency,
        lose_a_service,
        alter_a_service,
        alter_a_dependency,
        misname_an_end,
        invent_a_service,
        lose_an_alias,
        invent_an_alias,
        let_an_alias_mean_another,
        alter_an_alias,
    ],
)
async def test_a_wrong_row_in_memory_is_found_and_everything_is_read_again(
    followed: Audited, connection: Connection, corrupt: Callable[[Replica], None]
) -> None:
    corrupt(followed.replica)
    assert (await followed.auditor.audit()).differing_rows == 1
    assert followed.vitals.differing_rows == 1
    assert any("1 rows in memory that differed" in problem for problem in followed.vitals.health().problems)
    await assert_caught_up(followed.replica, connection)
    assert followed.replica.status().warm_count == 2
    assert (await followed.auditor.audit()).differing_rows == 0
    assert followed.vitals.health().problems == ()


@pytest.mark.parametrize(
    "written",
    [
        "UPDATE service_dependencies SET is_stale = true WHERE source_service_id < target_service_id",
        "DELETE FROM service_dependencies",
        "INSERT INTO services (service_id) VALUES ('unseen')",
        "UPDATE service_aliases SET alias = 'unseen ' || alias",
    ],
)
async def test_writes_past_the_triggers_are_found(
    followed: Audited, connection: Connection, written: str
) -> None:
    # As logical replication would: nothing is logged, and no trigger was touched.
    forget = "; ".join(
        f"DELETE FROM depgraph_feed.{log} WHERE xid = pg_current_xact_id()"
        for log in ("change_log", "alias_log")
    )
    await connection.execute(f"BEGIN; {written}; {forget}; COMMIT")
    assert (await followed.auditor.audit()).differing_rows > 0
    await assert_caught_up(followed.replica, connection)
    assert (await followed.auditor.audit()).differing_rows == 0


async def test_audits_amid_many_writers_find_nothing(database_url: str, connection: Connection) -> None:
    await populate(connection)
    counts: Counter[str] = Counter()
    stop = asyncio.Event()
    async with audited(database_url) as followed, asyncio.TaskGroup() as group:
        for number in range(WRITERS):
            dice = Random(number)  # noqa: S311 - dice, no secret
            group.create_task(RandomWriter(database_url, dice, counts).run(stop))
        steps = followed.vitals.steps
        while followed.vitals.audits < AUDITS:
            try:
                assert (await followed.auditor.audit()).differing_rows == 0
            except (AuditYieldedError, asyncpg.LockNotAvailableError):
                counts["yielded"] += 1
        stop.set()
        assert followed.vitals.steps > steps + AUDITS
        assert counts["commits"] > 0


async def test_an_audit_gives_way_to_ddl(
    database_url: str, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_audit, "PORTION", 1)
    await connection.execute(ROWS.replace("1200", "10000"))
    async with audited(database_url) as followed:
        auditing = asyncio.create_task(followed.auditor.audit())
        while not await connection.fetchval(
            """SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)
            WHERE application_name = 'depgraph audit' AND relation = 'services'::regclass"""
        ):
            await asyncio.sleep(0.01)
        await connection.execute("TRUNCATE service_dependencies")
        with pytest.raises(AuditYieldedError):
            await auditing
        assert followed.vitals.audits == 0
        await assert_caught_up(followed.replica, connection)


async def test_audits_go_on_by_themselves(database_url: str) -> None:
    settings = replace(WATCHFUL, audit_interval=timedelta(milliseconds=20))
    async with audited(database_url, settings) as followed:
        auditing = asyncio.create_task(followed.auditor.run())
        await eventually(lambda: followed.vitals.audits > 1)
        auditing.cancel()


async def test_an_audit_interval_of_zero_means_never(database_url: str) -> None:
    settings = replace(WATCHFUL, audit_interval=timedelta(0))
    async with audited(database_url, settings) as followed:
        await followed.auditor.run()
        assert followed.vitals.audits == 0


async def test_an_audit_that_fails_leaves_the_feed_alone(
    followed: Audited, database_url: str, connection: Connection
) -> None:
    async def fail(_: object) -> None:
        raise LookupError

    with pytest.raises(LookupError):
        await followed.feed.within_step(fail)
    await connection.execute("DELETE FROM services WHERE service_id = 's7'")
    await assert_caught_up(followed.replica, connection)
    assert followed.vitals.disconnects == 0
