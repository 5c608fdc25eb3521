"""The statements of random writers: every way in which rows come, change and go in PostgreSQL."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random

import asyncpg

from tests.support.world import FREE, PAIRED, TWINS, free, paired, twin

FIRST_WITH_MERGE = 15

LINK = """
INSERT INTO service_dependencies (source_service_id, target_service_id, communication_mode, timeout_ms)
SELECT a.id, b.id, 'sync', $3
FROM services AS a, services AS b
WHERE a.service_id = $1 AND b.service_id = $2
ON CONFLICT (source_service_id, target_service_id, discovery_source)
DO UPDATE SET timeout_ms = excluded.timeout_ms
"""
ID = "(SELECT id FROM services WHERE service_id = $1)"


@dataclass(frozen=True, slots=True)
class Session:
    """A connection, the dice, and what was done so far."""

    connection: asyncpg.Connection
    dice: Random
    counts: Counter[str] = field(default_factory=Counter)

    async def hold(self, longest: float) -> None:
        """Do nothing for a while, mostly a short one; seconds."""
        await asyncio.sleep(self.dice.random() ** 3 * longest)

    def free(self) -> str:
        """Name any free service."""
        return free(self.dice.randrange(FREE))

    def twin(self) -> str:
        """Name any twin."""
        return twin(self.dice.randrange(TWINS))

    def number(self) -> int:
        """Choose a value to write."""
        return self.dice.randrange(1, 1_000)


async def write_pair(session: Session) -> None:
    """Two statements that belong together, in the same order for everybody."""
    a, b = (paired(number) for number in sorted(session.dice.sample(range(PAIRED), 2)))
    timeout = session.number()
    await session.connection.execute(LINK, a, b, timeout)
    if session.dice.random() < 0.5:
        await session.hold(0.03)
    await session.connection.execute(LINK, b, a, timeout)


async def delete_pair(session: Session) -> None:
    a, b = (paired(number) for number in session.dice.sample(range(PAIRED), 2))
    await session.connection.execute(
        """DELETE FROM service_dependencies USING services AS a, services AS b
        WHERE a.service_id = $1 AND b.service_id = $2
            AND (source_service_id, target_service_id) IN ((a.id, b.id), (b.id, a.id))""",
        a,
        b,
    )


async def upsert_many(session: Session) -> None:
    await session.connection.execute(
        """INSERT INTO service_dependencies
            (source_service_id, target_service_id, communication_mode, discovery_source, timeout_ms)
        SELECT a.id, b.id, 'async', 'kubernetes', $2
        FROM services AS a, services AS b
        WHERE a.service_id = $1 AND b.service_id LIKE 'free-%' AND b.id <> a.id AND left(b.id::text, 1) < '8'
        ON CONFLICT (source_service_id, target_service_id, discovery_source) DO NOTHING""",
        session.free(),
        session.number(),
    )


async def update_values(session: Session) -> None:
    await session.connection.execute(
        "UPDATE service_dependencies SET timeout_ms = $2, is_stale = NOT is_stale"
        f" WHERE source_service_id = {ID}",
        session.free(),
        session.number(),
    )


async def update_nothing(session: Session) -> None:
    await session.connection.execute(
        f"UPDATE service_dependencies SET is_stale = is_stale WHERE source_service_id = {ID}", session.free()
    )


async def change_keys(session: Session) -> None:
    await session.connection.execute(
        f"UPDATE service_dependencies SET id = gen_random_uuid() WHERE target_service_id = {ID}",
        session.free(),
    )


async def change_ends(session: Session) -> None:
    await session.connection.execute(
        f"""UPDATE service_dependencies AS moved
        SET target_service_id = other.id, discovery_source = 'service_mesh'
        FROM services AS other
        WHERE moved.source_service_id = {ID} AND other.service_id = $2
            AND moved.source_service_id <> other.id AND moved.discovery_source = 'kubernetes'
            AND moved.id = (SELECT min(d.id::text)::uuid FROM service_dependencies AS d
                WHERE d.source_service_id = moved.source_service_id AND d.discovery_source = 'kubernetes')""",
        session.free(),
        session.free(),
    )


async def delete_some(session: Session) -> None:
    await session.connection.execute(
        f"DELETE FROM service_dependencies WHERE source_service_id = {ID} AND timeout_ms > $2",
        session.free(),
        session.number(),
    )


async def merge(session: Session) -> None:
    if session.connection.get_server_version().major < FIRST_WITH_MERGE:
        return
    await session.connection.execute(
        """MERGE INTO service_dependencies AS d
        USING (SELECT a.id AS a, b.id AS b, $3::int AS value FROM services AS a, services AS b
            WHERE a.service_id = $1 AND b.service_id = $2 AND a.id <> b.id) AS wanted
        ON d.source_service_id = wanted.a AND d.target_service_id = wanted.b AND d.discovery_source = 'manual'
        WHEN MATCHED AND wanted.value < 300 THEN DELETE
        WHEN MATCHED THEN UPDATE SET timeout_ms = wanted.value
        WHEN NOT MATCHED THEN INSERT (source_service_id, target_service_id, communication_mode, timeout_ms)
            VALUES (wanted.a, wanted.b, 'sync', wanted.value)""",
        session.free(),
        session.free(),
        session.number(),
    )


async def copy_in(session: Session) -> None:
    ids = [
        row["id"]
        for row in await session.connection.fetch("SELECT id FROM services WHERE service_id LIKE 'free-%'")
    ]
    if len(ids) < 2:
        return
    source, target = session.dice.sample(sorted(ids), 2)
    await session.connection.copy_records_to_table(
        "service_dependencies",
        columns=["source_service_id", "target_service_id", "communication_mode", "discovery_source"],
        records=[(source, target, "sync", "otel_service_graph")],
    )


async def delete_service(session: Session) -> None:
    """Cascades to its dependencies; the name comes back under another id."""
    name = session.free()
    await session.connection.execute("DELETE FROM services WHERE service_id = $1", name)
    await session.hold(0.02)
    await session.connection.execute(
        "INSERT INTO services (service_id) VALUES ($1) ON CONFLICT (service_id) DO NOTHING", name
    )


async def change_service(session: Session) -> None:
    await session.connection.execute(
        "UPDATE services SET team = $2, metadata = jsonb_build_object('n', $3::int) WHERE service_id = $1",
        session.free(),
        str(session.number()),
        session.number(),
    )


async def change_service_key(session: Session) -> None:
    name = session.free()
    await session.connection.execute(
        f"DELETE FROM service_dependencies WHERE source_service_id = {ID} OR target_service_id = {ID}", name
    )
    await session.connection.execute("UPDATE services SET id = gen_random_uuid() WHERE service_id = $1", name)


async def swap_names(session: Session) -> None:
    a, b, aside = session.free(), session.free(), f"aside-{session.dice.getrandbits(64)}"
    for old, new in ((a, aside), (b, a), (aside, b)):
        await session.connection.execute(
            "UPDATE services SET service_id = $2 WHERE service_id = $1", old, new
        )


async def ninety_subtransactions(session: Session) -> None:
    """More than the 64 that a snapshot lists; every third is undone."""
    await session.connection.execute(
        f"""DO $$ BEGIN
            FOR n IN 1..90 LOOP
                BEGIN
                    UPDATE services SET discovered = NOT discovered WHERE service_id = 'free-' || n % {FREE};
                    IF n % 3 = 0 THEN RAISE EXCEPTION 'undone'; END IF;
                EXCEPTION WHEN raise_exception THEN NULL;
                END;
            END LOOP;
        END $$"""
    )


async def add_alias(session: Session) -> None:
    """Or move it, if another service has it."""
    await session.connection.execute(
        """INSERT INTO service_aliases (alias, service_id)
        SELECT 'alias-' || $2, id FROM services WHERE service_id = $1
        ON CONFLICT (alias) DO UPDATE SET service_id = excluded.service_id""",
        session.free(),
        str(session.dice.randrange(FREE)),
    )


async def merge_services(session: Session) -> None:
    """One service goes, and its name becomes an alias of another."""
    gone, kept = session.twin(), session.free()
    await session.connection.execute("DELETE FROM services WHERE service_id = $1", gone)
    await session.hold(0.02)
    await session.connection.execute(
        "INSERT INTO service_aliases (alias, service_id) SELECT $2, id FROM services WHERE service_id = $1",
        kept,
        gone,
    )


async def part_services(session: Session) -> None:
    """A name that is an alias becomes that of a service again."""
    name = session.twin()
    await session.connection.execute("DELETE FROM service_aliases WHERE alias = $1", name)
    await session.hold(0.02)
    await session.connection.execute(
        "INSERT INTO services (service_id) VALUES ($1) ON CONFLICT (service_id) DO NOTHING", name
    )


async def change_aliases(session: Session) -> None:
    await session.connection.execute(
        """UPDATE service_aliases SET alias = 'alias-' || $1, id = gen_random_uuid()
        WHERE alias = 'alias-' || $2""",
        str(session.dice.randrange(FREE)),
        str(session.dice.randrange(FREE)),
    )


async def truncate_aliases(session: Session) -> None:
    await session.connection.execute("TRUNCATE service_aliases")


async def truncate(session: Session) -> None:
    await session.connection.execute("TRUNCATE service_dependencies")


Statement = Callable[[Session], Awaitable[None]]
WEIGHTS: dict[Statement, int] = {
    write_pair: 60,
    delete_pair: 20,
    upsert_many: 12,
    update_values: 20,
    update_nothing: 8,
    change_keys: 8,
    change_ends: 8,
    delete_some: 15,
    merge: 20,
    copy_in: 8,
    delete_service: 8,
    change_service: 15,
    change_service_key: 4,
    swap_names: 6,
    ninety_subtransactions: 2,
    truncate: 1,
    add_alias: 12,
    merge_services: 6,
    part_services: 12,
    change_aliases: 6,
    truncate_aliases: 1,
}
ALIAS_STATEMENTS = (add_alias, merge_services, part_services, change_aliases)
