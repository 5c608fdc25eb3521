"""Errors, reported problems and the log name each fault that does not go away by itself."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import grpc
import pytest

from depgraph.v1 import catalog_service_pb2 as catalog
from depgraph.v1 import dependency_service_pb2 as dependency
from depgraph.v1 import graph_service_pb2 as graph
from depgraph.v1.types_pb2 import Consistency, Service
from server.config import FeedSettings
from server.postgres import Session, connect, parse_database_url
from server.postgres.session import COMMON
from server.store import migrate
from tests.support.backends import backends
from tests.support.calls import Stubs
from tests.support.eventually import PATIENCE_SECONDS, eventually
from tests.support.failures import failure_of
from tests.support.pgbouncer import pgbouncer
from tests.support.plain_sql import connected
from tests.support.postgres import DatabaseServer
from tests.support.roles import role_of, role_with_database
from tests.support.scene import Record
from tests.support.unready import (
    create,
    served,
    starting,
    traverse,
    until_problem,
    until_refused,
    until_told,
    until_written,
)
from tests.support.whole_server import WholeServer

# Answers are the same on both transports, which only carry them.
pytestmark = pytest.mark.one_transport

UNAVAILABLE = (grpc.StatusCode.UNAVAILABLE, "DATABASE_UNAVAILABLE")
FULLY_CONSISTENT = Consistency(fully_consistent=True)
FOREIGN = "服"
HOSTILE = {
    "statement_timeout": "'1s'",
    "lock_timeout": "'1ms'",
    "idle_session_timeout": "'1s'",
    "idle_in_transaction_session_timeout": "'1s'",
    "default_transaction_isolation": "'serializable'",
    "default_transaction_deferrable": "on",
    "jit": "on",
    "jit_above_cost": "0",
    "plan_cache_mode": "force_generic_plan",
    "enable_indexscan": "off",
    "enable_seqscan": "off",
    "random_page_cost": "1000000",
    "join_collapse_limit": "1",
    "search_path": "nowhere",
    "TimeZone": "'Asia/Kathmandu'",
    "DateStyle": "'German'",
    "IntervalStyle": "sql_standard",
    "bytea_output": "escape",
    "extra_float_digits": "'-15'",
    "standard_conforming_strings": "off",
    "transform_null_equals": "on",
    "array_nulls": "off",
    "row_security": "off",
    "exit_on_error": "on",
    "client_min_messages": "debug5",
    "client_encoding": "LATIN1",
    "synchronous_commit": "off",
    "work_mem": "'64kB'",
}


async def test_a_database_created_anew_under_a_server_is_named_and_served_again_once_migrated(
    postgres: DatabaseServer, migrated_template: str
) -> None:
    async with postgres.new_database(migrated_template) as url, served(url) as stubs:
        await stubs.write_edges("a>b")
        await stubs.graph.Traverse(traverse("a", FULLY_CONSISTENT))
        async with connected(postgres.url) as connection:
            name = parse_database_url(url).database
            await connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
            await connection.execute(f'CREATE DATABASE "{name}"')

        failure = await until_refused(stubs, "depgraph migrate up")
        assert (failure.code, failure.reason) == UNAVAILABLE
        assert failure.message.startswith("the schema is missing")
        listed = await failure_of(stubs.catalog.ListServices(catalog.ListServicesRequest()))
        assert (listed.code, listed.message) == (failure.code, failure.message)
        await until_problem(stubs, "depgraph migrate up")
        behind = await failure_of(stubs.graph.Traverse(traverse("a", FULLY_CONSISTENT), timeout=1))
        assert behind.code in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}
        assert len((await stubs.graph.Traverse(traverse("a"))).services) == 1

        await migrate.upgrade(url)
        await until_written(stubs, "anew")
        await until_problem(stubs, "")
        found = await stubs.graph.Traverse(traverse("anew", FULLY_CONSISTENT), timeout=PATIENCE_SECONDS)
        assert not found.services


async def test_a_role_that_is_read_only_by_default_is_named_at_the_start(postgres: DatabaseServer) -> None:
    read_only = {"default_transaction_read_only": "on"}
    async with role_with_database(postgres, read_only) as url, starting(url) as (stubs, opening):
        await until_told(stubs, "default_transaction_read_only")
        await until_refused(stubs, "default_transaction_read_only")
        async with connected(postgres.url) as connection:
            await connection.execute(f"ALTER ROLE {role_of(url)} RESET default_transaction_read_only")
        await asyncio.wait_for(asyncio.shield(opening), PATIENCE_SECONDS)
        await create(stubs, "a")


async def test_a_server_works_whatever_its_role_imposes_on_sessions(postgres: DatabaseServer) -> None:
    async with role_with_database(postgres, HOSTILE) as url, served(url) as stubs:
        await stubs.write_edges("a>b", "b>a")
        await stubs.graph.Traverse(traverse("a", FULLY_CONSISTENT))
        listed = await stubs.catalog.ListServices(catalog.ListServicesRequest())
        assert len(listed.services) == 2
        await until_problem(stubs, "")
        async with connected(postgres.url_of(role_of(url))) as connection:
            assert await backends(connection, "application_name = 'depgraph feed'")


async def test_nothing_that_a_role_imposes_is_left_in_a_session_of_ours(postgres: DatabaseServer) -> None:
    kept = {"synchronous_commit": "off", "work_mem": "64kB", "client_encoding": "UTF8"}
    built_in = {"enable_indexscan": "on", "enable_seqscan": "on", "random_page_cost": "4"}
    built_in |= {"join_collapse_limit": "8", "jit_above_cost": "100000"}
    async with role_with_database(postgres, HOSTILE) as url:
        connection = await connect(url, Session())
        for name in HOSTILE:
            seen = await connection.fetchval("SELECT setting FROM pg_settings WHERE name = $1", name)
            shown = await connection.fetchval(f"SHOW {name}")
            assert {seen, shown} & {(kept | built_in | dict(COMMON))[name]}, (name, seen, shown)
        await connection.close()


LOSSES = {
    "a right": (
        "ALTER TABLE services OWNER TO CURRENT_USER",
        "ALTER TABLE services OWNER TO {role}",
        "the database role lacks a right",
    ),
    "rows, to a policy": (
        "ALTER TABLE services ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
        "ALTER TABLE services DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY",
        "a row-level security policy would hide rows",
    ),
}


@pytest.mark.parametrize(("loss", "return_", "cause"), LOSSES.values(), ids=LOSSES.keys())
async def test_what_a_role_loses_is_named_and_missed_until_it_is_back(
    postgres: DatabaseServer, loss: str, return_: str, cause: str
) -> None:
    async with role_with_database(postgres, {}) as url, served(url) as stubs:
        await stubs.write_edges("a>b")
        await stubs.graph.Traverse(traverse("a", FULLY_CONSISTENT))
        async with connected(postgres.url_of(role_of(url))) as connection:
            await connection.execute(loss)
            # The feed looks at rows when there are new ones.
            await connection.execute("INSERT INTO services (service_id) VALUES ('by sql')")
            failure = await until_refused(stubs, cause)
            assert (failure.code, failure.reason) == UNAVAILABLE
            await until_problem(stubs, cause)
            await connection.execute(return_.format(role=role_of(url)))
        await until_written(stubs, "back")
        await until_problem(stubs, "")


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
async def test_in_another_encoding_look_ups_find_nothing_and_writes_name_it(
    postgres: DatabaseServer, encoding: str
) -> None:
    name = f"test_{uuid4().hex}"
    async with connected(postgres.url) as connection:
        await connection.execute(
            f"CREATE DATABASE {name} ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' "
            "LOCALE_PROVIDER libc TEMPLATE template0"
        )
        try:
            reports: list[str] = []
            async with served(postgres.url_of(name), reports) as stubs:
                await assert_speaks_of_encoding(stubs, encoding)
            assert any(f"the encoding of the database is {encoding}" in report for report in reports)
        finally:
            await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


async def assert_speaks_of_encoding(stubs: Stubs, encoding: str) -> None:
    missing = await failure_of(stubs.catalog.GetService(catalog.GetServiceRequest(service_id=FOREIGN)))
    assert missing.code is grpc.StatusCode.NOT_FOUND
    assert not (await stubs.catalog.ListServices(catalog.ListServicesRequest(team=FOREIGN))).services
    await create(stubs, "plain")
    await stubs.write_edges("a>b")
    assert not (
        await stubs.dependencies.ListDependencies(
            dependency.ListDependenciesRequest(source_service_id=FOREIGN)
        )
    ).dependencies
    if encoding == "SQL_ASCII":
        # It stores bytes as they come.
        await create(stubs, FOREIGN)
        return
    refused = await failure_of(create(stubs, FOREIGN))
    assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
    assert f"the encoding of the database, {encoding}," in refused.message
    described = Service(service_id="described")
    described.metadata.update({"name": FOREIGN})
    refused = await failure_of(stubs.catalog.CreateService(catalog.CreateServiceRequest(service=described)))
    assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
    assert f"the encoding of the database, {encoding}," in refused.message
    nul = await failure_of(create(stubs, "a\0b"))
    assert (nul.code, "NUL" in nul.message or "control" in nul.message) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        True,
    )


async def test_a_whole_server_works_through_a_pooler_that_pools_by_session(
    database_url: str, record: Record
) -> None:
    busy = FeedSettings(audit_interval=timedelta(milliseconds=50), prune_interval=timedelta(milliseconds=50))
    async with (
        pgbouncer(database_url, "session") as through,
        WholeServer.opened(database_url, record, through=through, feed=busy) as server,
    ):
        await server.write_batch("second")
        await server.recovers("a pooler in between")
        await eventually(
            lambda: server.application.vitals.audits > 0 and server.application.vitals.change_log_rows > 0
        )
        assert not (await server.stubs.graph.GetStatus(graph.GetStatusRequest())).problems


async def test_a_pooler_that_shares_sessions_is_named_at_the_start(database_url: str) -> None:
    async with pgbouncer(database_url, "transaction") as through, starting(through) as (stubs, _):
        await until_told(stubs, "pool_mode=session")
        failure = await until_refused(stubs, "pool_mode=session")
        assert (failure.code, failure.reason) == UNAVAILABLE
