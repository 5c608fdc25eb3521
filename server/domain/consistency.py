"""How fresh an answer must be, and how fresh it is."""

import enum
from dataclasses import dataclass
from datetime import datetime, timedelta

from server.domain.dependencies import DiscoverySource
from server.domain.revision import Revision


@dataclass(frozen=True, slots=True)
class MinimizeLatency:
    """Answer from memory now."""


@dataclass(frozen=True, slots=True)
class AtLeastAsFresh:
    """Wait until memory holds a revision."""

    revision: Revision


@dataclass(frozen=True, slots=True)
class FullyConsistent:
    """Wait for a read of the database begun after the request arrived."""


Consistency = MinimizeLatency | AtLeastAsFresh | FullyConsistent


@dataclass(frozen=True, slots=True)
class Freshness:
    """The token of the snapshot in memory, and the time since the replica was last caught up."""

    revision: str
    lag: timedelta


class FeedState(enum.Enum):
    """How the replica follows the database."""

    WARMING = "warming"
    FOLLOWING = "following"
    RECONNECTING = "reconnecting"


@dataclass(frozen=True, slots=True)
class Ingestion:
    """The last successful report of one discovery source. Times are aware, UTC."""

    discovery_source: DiscoverySource
    observed_at: datetime
    ingested_at: datetime


@dataclass(frozen=True, slots=True)
class ReplicaStatus:
    """How the replica is, beside the counts of the graph itself."""

    feed_state: FeedState
    warm_duration: timedelta
    warm_count: int
    ingestions: tuple[Ingestion, ...]
