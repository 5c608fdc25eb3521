"""What watchers receive: how the graph moved from one snapshot to another."""

import enum
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from graphcore import DependencyRecord, ServiceRecord
from server.domain.live_graph import Freshness
from server.domain.revision import Snapshot


class WatchEvent(enum.Enum):
    """What a batch is."""

    CHANGES = "changes"
    HEARTBEAT = "heartbeat"
    RESET = "reset"


# Compared by identity: one batch is shared by all watchers, and encoded once.
@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class WatchBatch:
    """
    Everything that differs between the snapshot before and ``freshness``; for RESET, the graph.

    ``dependencies`` have both ends. Removed ones stand by key as they last were (None = unknown). A
    key is upserted or removed, never both. A dependency is upserted too when one of its ends is
    renamed, since its encoded record holds their names.
    """

    event: WatchEvent
    freshness: Freshness
    services: Sequence[ServiceRecord] = ()
    dependencies: Sequence[DependencyRecord] = ()
    removed_services: Mapping[bytes, ServiceRecord | None] = field(default_factory=dict)
    removed_dependencies: Mapping[bytes, DependencyRecord | None] = field(default_factory=dict)

    @property
    def row_count(self) -> int:
        """Rows upserted and removed."""
        return sum(
            map(len, (self.services, self.dependencies, self.removed_services, self.removed_dependencies))
        )


@dataclass(frozen=True, slots=True)
class ChangedKeys:
    """Keys, of 16 bytes, whose rows may differ between two snapshots."""

    services: Collection[bytes]
    dependencies: Collection[bytes]


class ChangeHistory(Protocol):
    """The log of changed keys in the database, for watchers that resume from a snapshot."""

    async def changed(
        self, feed_id: str, since: Snapshot, until: Snapshot, at_most: int
    ) -> ChangedKeys | None:
        """
        Return the keys that changed from one snapshot to another, which must cover it.

        None = unknown (pruned, truncated, another run of the database), or more than ``at_most``.
        Raises ``DatabaseUnavailableError``, and ``InvalidRevisionError`` for a snapshot that
        PostgreSQL refuses. O(changes since then).
        """
