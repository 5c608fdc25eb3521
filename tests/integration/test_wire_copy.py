"""
COPY streams of a real PostgreSQL: the same records as row by row, for any rows.
"""

from collections.abc import Callable, Iterator
from typing import TypeVar

import asyncpg
import pytest

from server import wire
from server.domain.dependencies import DependencyRow
from server.domain.records import CopyFormatError
from server.domain.services import Service
from server.feed import statements
from server.wire.copying import DEFAULT_SIZE
from tests.support.copy_stream import chunks
from tests.support.kernel_forms import FORMS, kernels_in_form
from tests.support.wire_batches import (
    dependency_columns,
    read_dependencies,
    read_services,
    service_columns,
)

Batch = TypeVar("Batch")
SMALL = wire.BatchSize(content=1_500, rows=7)

NO_CONSTRAINTS = """
ALTER TABLE services DROP CONSTRAINT ck_services_metadata_object, DROP CONSTRAINT ck_services_criticality,
    DROP CONSTRAINT ck_services_service_id_not_empty,
    DROP CONSTRAINT ck_services_created_at_range, DROP CONSTRAINT ck_services_updated_at_range,
    ALTER metadata DROP NOT NULL, ALTER criticality DROP NOT NULL, ALTER discovered DROP NOT NULL,
    ALTER created_at DROP NOT NULL, ALTER updated_at DROP NOT NULL;
ALTER TABLE service_dependencies DROP CONSTRAINT fk_source_service, DROP CONSTRAINT fk_target_service,
    DROP CONSTRAINT ck_communication_mode, DROP CONSTRAINT ck_dependency_criticality,
    DROP CONSTRAINT ck_discovery_source, DROP CONSTRAINT ck_confidence_score_bounds,
    DROP CONSTRAINT ck_timeout_positive, DROP CONSTRAINT ck_retry_config_object,
    DROP CONSTRAINT ck_deps_last_observed_at_range, DROP CONSTRAINT ck_deps_created_at_range,
    DROP CONSTRAINT ck_deps_updated_at_range, DROP CONSTRAINT uq_edge_per_source,
    DROP CONSTRAINT ck_no_self_loops, ALTER source_service_id DROP NOT NULL,
    ALTER communication_mode DROP NOT NULL, ALTER confidence_score DROP NOT NULL,
    ALTER is_stale DROP NOT NULL, ALTER updated_at DROP NOT NULL;
"""

ODD_SERVICES = """
INSERT INTO services (service_id, metadata, criticality, team, discovered, created_at, updated_at) VALUES
    ('usual', '{}', 'low', NULL, true, '2026-01-02 03:04:05.678901+00', '2026-01-02 03:04:05+00'),
    (repeat('漢', 255), '{"tier": "gold", "n": [1, 2.5, null, true, {"x": "ж"}]}', 'high',
        repeat('🦊', 255), false, now(), now()),
    (repeat('x', 127), '{"a": {}}', 'critical', '', false, '1969-12-31 23:59:59.999999+00',
        '1970-01-01 00:00:00+00'),
    (repeat('x', 128), '[1]', 'lo', 'team', true, '0001-01-01 00:00:00.000001+00',
        '9999-12-31 23:59:59.999998+00'),
    ('', '3', 'lower', 'x', false, '0001-01-01 00:00:00+00', '9999-12-31 23:59:59.999999+00'),
    ('forever', 'null', '', 'x', false, '-infinity', 'infinity'),
    ('deep', (repeat('{"x":', 60) || '1' || repeat('}', 60))::jsonb, 'medium', 'x', false, now(), now()),
    ('digits', ('{"n": ' || repeat('9', 5000) || ', "m": 1e400}')::jsonb, 'medium', 'x', false, now(), now()),
    ('large', jsonb_build_object('text', repeat('text ', 400000)), 'medium', 'x', false, now(), now()),
    ('lists', '{"": [[], {}, [[0], {"": {}}], 1, -2.25, 999999999999999, 1000000000000000,
        0.000000000000001, 12345678901234567, -0.12345678901234568, 123456789012345.6], "t": true}',
        'low', 'x', true, now(), now()),
    ('escapes', '{"q": "\\"\\\\\\/\\n\\t\\b\\f\\r", "u": "\\u0001", "\\"": "\\u00e4 \\ud83e\\udd8a"}',
        'low', 'x', true, now(), now()),
    ('simple escapes', '{"q": "\\"\\\\\\/\\n\\t\\b\\f\\r", "\\"": "\\u00e4 \\ud83e\\udd8a"}',
        'low', 'x', true, now(), now()),
    ('lengths', jsonb_build_object(repeat('k', 128), repeat('v', 127), 'v',
        jsonb_build_array(repeat('ж', 64), repeat('x', 20000))), 'low', 'x', true, now(), now()),
    ('levels', '{"a": {"b": {"c": {"d": {"e": {"f": {"g": 1}}}}}}}', 'low', 'x', true, now(), now()),
    ('a level more', '{"a": {"b": {"c": {"d": {"e": {"f": {"g": {"h": 1}}}}}}}}', 'low', 'x', true,
        now(), now()),
    ('nothing', NULL, NULL, NULL, NULL, NULL, NULL);
"""

ODD_DEPENDENCIES = """
INSERT INTO service_dependencies (source_service_id, target_service_id, communication_mode, criticality,
    protocol, timeout_ms, retry_config, discovery_source, confidence_score, last_observed_at, is_stale,
    created_at, updated_at)
SELECT a.id, b.id, odd.*
FROM services AS a, (SELECT id FROM services ORDER BY service_id LIMIT 3) AS b, (VALUES
    ('sync', 'hard', 'grpc', 250, NULL::jsonb, 'manual', 1.0, now(), false, now(), now()),
    ('async', 'soft', NULL, NULL, '{"max_retries": 5, "backoff_strategy": "linear"}', 'kubernetes', 0,
        now(), true, now(), now()),
    ('sync', 'degraded', '', 0, '{}', 'service_mesh', -0.0, '1970-01-01 00:00:00+00', false, now(),
        '1969-01-01 00:00:00+00'),
    ('sync', 'hard', repeat('ж', 50), -1, 'null', 'otel_service_graph', 'NaN', now(), false, now(), now()),
    ('sync', 'hard', 'x', -2147483648, '[3]', 'manual', 'Infinity', '0001-01-01 00:00:00.000001+00',
        false, now(), now()),
    ('sync', 'hard', 'x', 2147483647, '{"max_retries": 1e999}', 'manual', '-Infinity',
        now(), false, now(), now()),
    ('synchronous', 'hard', 'x', 128, '{"max_retries": true}', 'manual', 4.9e-324,
        now(), false, now(), now()),
    ('sync', 'sync', 'x', 127, '{"max_retries": 2.5, "backoff_strategy": "odd"}', 'manual', 0.5,
        now(), true, now(), now()),
    ('sync', 'hard', 'x', 16384, NULL, 'kubernete5', 0.5, now(), false, now(), now()),
    ('sync', 'hard', 'x', 16383, NULL, 'manual', 0.5, '-infinity', false, 'infinity',
        '9999-12-31 23:59:59.999999+00'),
    (NULL, 'hard', 'x', 1, NULL, 'manual', 0.5, now(), false, now(), now()),
    ('sync', 'hard', 'x', 1, '{"max_retries": 1}', 'manual', NULL, now(), NULL, now(), NULL)
    ) AS odd;
UPDATE service_dependencies SET target_service_id = gen_random_uuid() WHERE timeout_ms = 128 OR protocol = '';
UPDATE service_dependencies SET source_service_id = NULL WHERE timeout_ms = 16383 OR retry_config = '[3]';
"""

MANY = """
INSERT INTO services (service_id, metadata, criticality, team, discovered)
SELECT 'service-' || n,
    CASE WHEN n % 3 = 0 THEN '{}' ELSE jsonb_build_object('tier', n % 7, 'owner', 'team-' || n) END,
    (ARRAY['critical', 'high', 'medium', 'low'])[1 + n % 4],
    CASE WHEN n % 2 = 0 THEN 'team-' || n % 50 END, n % 5 = 0
FROM generate_series(1, 9000) AS n;
INSERT INTO service_dependencies (source_service_id, target_service_id, communication_mode, criticality,
    protocol, timeout_ms, retry_config, discovery_source, confidence_score, last_observed_at, is_stale)
SELECT a.id, b.id, (ARRAY['sync', 'async'])[1 + n % 2], (ARRAY['hard', 'soft', 'degraded'])[1 + n % 3],
    (ARRAY['grpc', 'http', NULL])[1 + n % 3], NULLIF(n % 4, 0) * 100,
    CASE WHEN n % 5 = 0 THEN jsonb_build_object('max_retries', n % 10) END,
    (ARRAY['manual', 'otel_service_graph', 'kubernetes', 'service_mesh'])[1 + n % 4], (n % 100) / 100.0,
    now() - n * interval '1.000001 s', n % 6 = 0
FROM generate_series(1, 20000) AS n
JOIN services AS a ON a.service_id = 'service-' || (1 + n % 9000)
JOIN services AS b ON b.service_id = 'service-' || (1 + (n * 7 + n / 9000 + 1) % 9000)
WHERE a.id <> b.id;
"""


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest) -> Iterator[str]:
    with kernels_in_form(request.param):
        yield request.param


@pytest.fixture
async def tables(connection: asyncpg.Connection) -> asyncpg.Connection:
    """A connection whose reads all see the same rows, in the same order."""
    await connection.execute("SET synchronize_seqscans = off; SET max_parallel_workers_per_gather = 0")
    return connection


async def stream_of(connection: asyncpg.Connection, statement: str) -> bytes:
    arrived = bytearray()

    async def take(chunk: bytes) -> None:
        arrived.extend(chunk)

    await connection.copy_from_query(statement.strip().rstrip(";"), output=take, format="binary")
    return bytes(arrived)


def read(
    take: Callable[[bytes], list[Batch]], finish: Callable[[], list[Batch]], stream: bytes
) -> list[Batch]:
    cut = chunks(stream, seed=len(stream), longest=200_000)
    batches = [batch for chunk in cut for batch in take(chunk)]
    return batches + finish()


async def assert_same_as_row_by_row(connection: asyncpg.Connection, size: wire.BatchSize) -> tuple[int, int]:
    """Compare both tables; returns in how many batches they came."""
    services = [Service._make(row) for row in await connection.fetch(statements.SERVICES)]
    dependencies = [DependencyRow._make(row) for row in await connection.fetch(statements.DEPENDENCIES)]
    copy = wire.ServiceCopy(size)
    nodes = read(copy.take, copy.finish, await stream_of(connection, statements.SERVICES))
    assert read_services(nodes) == service_columns(services)
    edge_copy = copy.dependencies()
    edges = read(edge_copy.take, edge_copy.finish, await stream_of(connection, statements.DEPENDENCIES))
    assert read_dependencies(edges) == dependency_columns(dependencies, services)
    return len(nodes), len(edges)


async def test_empty_tables_are_read(tables: asyncpg.Connection) -> None:
    assert await assert_same_as_row_by_row(tables, DEFAULT_SIZE) == (0, 0)


@pytest.mark.usefixtures("form")
@pytest.mark.parametrize("size", [DEFAULT_SIZE, SMALL])
async def test_whatever_sql_stored_is_read_as_row_by_row(
    tables: asyncpg.Connection, size: wire.BatchSize
) -> None:
    await tables.execute(NO_CONSTRAINTS)
    await tables.execute(ODD_SERVICES)
    await tables.execute(ODD_DEPENDENCIES)
    await assert_same_as_row_by_row(tables, size)


async def test_many_rows_come_in_batches(tables: asyncpg.Connection) -> None:
    await tables.execute(MANY)
    with kernels_in_form("compiled"):
        nodes, edges = await assert_same_as_row_by_row(tables, DEFAULT_SIZE)
    assert nodes >= 3
    assert edges >= 5


async def test_a_stream_of_another_query_is_refused(tables: asyncpg.Connection) -> None:
    await tables.execute(
        "INSERT INTO services VALUES (gen_random_uuid(), 'a', '{}', 'low', 'x', true, now(), now())"
    )
    for query in ("SELECT 1 FROM services", "SELECT id, id, id, id, id, id, id, id FROM services"):
        copy = wire.ServiceCopy()
        copy.take(await stream_of(tables, query))
        with pytest.raises(CopyFormatError, match="other columns"):
            copy.finish()
