"""
The services that random writers play with.

*Paired* ones stay, and so do their ids. Two of them have dependencies both ways with one timeout,
or none. *Free* ones may be deleted, renamed and connected in any way. *Own* ones have one writer
each. *Twins* are now services, now aliases of free ones; calls name none of them.
"""

from uuid import UUID

import asyncpg

from server.replica import Replica
from tests.support.following import dependency_of

PAIRED, FREE, OWN, TWINS = 24, 40, 8, 8
_FIRST_PAIRED_ID = 1_000


def paired(number: int) -> str:
    """Name a paired service, 0 to ``PAIRED`` - 1."""
    return f"paired-{number}"


def free(number: int) -> str:
    """Name a free service, 0 to ``FREE`` - 1."""
    return f"free-{number}"


def own(number: int) -> str:
    """Name the service of one writer, 0 to ``OWN`` - 1."""
    return f"own-{number}"


def twin(number: int) -> str:
    """Name a service or alias, 0 to ``TWINS`` - 1."""
    return f"twin-{number}"


async def populate(connection: asyncpg.Connection) -> None:
    """Create every service, and some dependencies between the free ones."""
    await connection.executemany(
        "INSERT INTO services (id, service_id) VALUES ($1, $2)",
        [(UUID(int=_FIRST_PAIRED_ID + number), paired(number)) for number in range(PAIRED)],
    )
    await connection.executemany(
        "INSERT INTO services (service_id, team) VALUES ($1, $2)",
        [(free(number), None) for number in range(FREE)] + [(own(number), "0") for number in range(OWN)],
    )
    await connection.execute(
        """INSERT INTO service_dependencies (source_service_id, target_service_id, communication_mode)
        SELECT a.id, b.id, 'sync'
        FROM services AS a, services AS b
        WHERE a.service_id LIKE 'free-_' AND b.service_id LIKE 'free-_' AND a.id < b.id"""
    )


def torn_pairs(replica: Replica) -> int:
    """Count pairs of which memory shows one half, or two halves that differ: torn transactions."""
    pairs = range(_FIRST_PAIRED_ID, _FIRST_PAIRED_ID + PAIRED)
    timeouts: dict[tuple[int, int], int | None] = {}
    for record in replica.graph.dependencies():
        assert isinstance(record.source, bytes)
        assert isinstance(record.target, bytes)
        source, target = int.from_bytes(record.source), int.from_bytes(record.target)
        if source in pairs:
            dependency = dependency_of(record)
            timeouts[source, target] = dependency.timeout_ms if dependency.HasField("timeout_ms") else None
    return sum(timeouts.get((b, a)) != timeout for (a, b), timeout in timeouts.items())
