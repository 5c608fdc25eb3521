"""What random writers of history do besides: changes that are none, and those that history nets."""

from tests.support.random_statements import (
    FIRST_WITH_MERGE,
    ID,
    WEIGHTS,
    Session,
    Statement,
    truncate,
    truncate_aliases,
)
from tests.support.world import FREE, populate


async def heartbeat(session: Session) -> None:
    """Observe again: structural only for a stale dependency, which becomes fresh."""
    await session.connection.execute(
        "UPDATE service_dependencies SET last_observed_at = clock_timestamp()"
        f" WHERE source_service_id = {ID}",
        session.free(),
    )


async def decay(session: Session) -> None:
    """Halve confidences as the sweeper does; what was reported stays."""
    await session.connection.execute(
        f"""UPDATE service_dependencies
        SET confidence_score = confidence_score / 2,
            reported_confidence = COALESCE(reported_confidence, confidence_score)
        WHERE source_service_id = {ID} AND confidence_score > 0.01
            AND (SELECT set_config('depgraph.staleness', 'swept', TRUE)) = 'swept'""",
        session.free(),
    )
    await session.connection.execute("SELECT set_config('depgraph.staleness', '', TRUE)")


async def report_confidence(session: Session) -> None:
    """Report another confidence: decayed ones are whole again."""
    await session.connection.execute(
        f"""UPDATE service_dependencies SET confidence_score = $2, reported_confidence = NULL
        WHERE target_service_id = {ID}""",
        session.free(),
        session.number() / 1_000,
    )


async def rewrite_json(session: Session) -> None:
    """1 and 1.0 are equal, yet another text."""
    number = session.dice.choice(("1", "1.0", "1.00"))
    await session.connection.execute(
        """UPDATE services
        SET metadata = jsonb_build_object('n', $2::numeric, 'deep', jsonb_build_array($2::numeric))
        WHERE service_id = $1""",
        session.free(),
        number,
    )
    await session.connection.execute(
        "UPDATE service_dependencies SET retry_config = jsonb_build_object('max_retries', $2::numeric)"
        f" WHERE target_service_id = {ID}",
        session.free(),
        number,
    )


async def there_and_back(session: Session) -> None:
    """Change a service and dependencies, and bring back what there was: nothing, netted."""
    name = session.free()
    await session.connection.execute(
        "UPDATE services SET discovered = NOT discovered, kind = 'queue' WHERE service_id = $1", name
    )
    gone = await session.connection.fetch(
        f"DELETE FROM service_dependencies WHERE source_service_id = {ID} RETURNING *", name
    )
    await session.hold(0.02)
    if gone:
        await session.connection.copy_records_to_table(
            "service_dependencies", columns=list(gone[0].keys()), records=[tuple(row) for row in gone]
        )
    await session.connection.execute(
        "UPDATE services SET discovered = NOT discovered, kind = 'service' WHERE service_id = $1", name
    )


async def merge_into_services(session: Session) -> None:
    """MERGE that deletes, updates and inserts services; deletions cascade."""
    if session.connection.get_server_version().major < FIRST_WITH_MERGE:
        return
    await session.connection.execute(
        """MERGE INTO services AS s
        USING (SELECT 'free-' || n AS name, (n * $1) % 5 AS lot FROM generate_series(0, $2::int - 1) AS n
            WHERE (n * $1) % 7 = 0) AS wanted
        ON s.service_id = wanted.name
        WHEN MATCHED AND wanted.lot = 0 THEN DELETE
        WHEN MATCHED THEN UPDATE SET team = 'merged ' || wanted.lot, criticality = 'high'
        WHEN NOT MATCHED THEN INSERT (service_id, team) VALUES (wanted.name, 'new')""",
        session.number(),
        FREE,
    )


async def one_statement_for_all(session: Session) -> None:
    """One statement that deletes, inserts and updates rows of the same tables."""
    await session.connection.execute(
        f"""WITH gone AS (
            DELETE FROM service_dependencies
            WHERE source_service_id = {ID} AND discovery_source = 'kubernetes' RETURNING *
        ), come AS (
            INSERT INTO service_dependencies
                (source_service_id, target_service_id, communication_mode, discovery_source, timeout_ms)
            SELECT source_service_id, target_service_id, 'sync', 'catalog', timeout_ms FROM gone
            ON CONFLICT (source_service_id, target_service_id, discovery_source)
            DO UPDATE SET timeout_ms = excluded.timeout_ms, protocol = 'again'
        )
        UPDATE services SET team = $2 WHERE service_id = $1""",
        session.free(),
        str(session.number()),
    )


async def truncate_everything(session: Session) -> None:
    """Empty all tables and fill them again, some under other ids."""
    await session.connection.execute("TRUNCATE services, service_dependencies")
    await session.hold(0.02)
    await populate(session.connection)


async def truncate_without_a_hole(session: Session) -> None:
    """Empty one table or all of them, if the transaction sees every row that there is."""
    if await session.connection.fetchval("SHOW transaction_isolation") == "read committed":
        await session.dice.choice((truncate, truncate_aliases, truncate_everything))(session)


async def truncate_with_a_hole(session: Session) -> None:
    """Empty one in a transaction that may not see every row: that ends a lineage."""
    if await session.connection.fetchval("SHOW transaction_isolation") != "read committed":
        session.counts["holes"] += 1
        await truncate(session)


HISTORY_WEIGHTS: dict[Statement, int] = WEIGHTS | {
    heartbeat: 20,
    decay: 12,
    report_confidence: 8,
    rewrite_json: 8,
    there_and_back: 12,
    merge_into_services: 6,
    one_statement_for_all: 10,
    truncate: 0,
    truncate_aliases: 0,
    truncate_without_a_hole: 3,
    truncate_with_a_hole: 3,
}
WITHOUT_HOLES = HISTORY_WEIGHTS | {truncate_with_a_hole: 0}
