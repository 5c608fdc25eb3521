"""What watchers see of a move of the graph."""

from dataclasses import dataclass, field

from graphcore import DependencyRecord, ServiceRecord
from server.domain.consistency import Freshness
from server.domain.watching import WatchBatch, WatchEvent


@dataclass(frozen=True, slots=True)
class Difference:
    """What came, went and looks otherwise, collected before the graph moves; ``WatchBatch`` says what the fields are."""

    services: list[ServiceRecord] = field(default_factory=list)
    dependencies: list[DependencyRecord] = field(default_factory=list)
    removed_services: dict[bytes, ServiceRecord | None] = field(default_factory=dict)
    removed_dependencies: dict[bytes, DependencyRecord | None] = field(default_factory=dict)

    def batch(self, freshness: Freshness) -> WatchBatch | None:
        """Return it as watchers are told; None when there is nothing to tell. O(1)."""
        batch = WatchBatch(
            WatchEvent.CHANGES,
            freshness,
            self.services,
            self.dependencies,
            self.removed_services,
            self.removed_dependencies,
        )
        return batch if batch.row_count else None
