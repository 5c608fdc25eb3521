"""Changes out of PostgreSQL: a snapshot cursor over a log of changed keys."""

from server.feed.change_log import ChangeLogReader, prune_forever
from server.feed.follower import Feed
from server.feed.health import Vitals
from server.feed.memory_audit import MemoryAuditor

__all__ = ["ChangeLogReader", "Feed", "MemoryAuditor", "Vitals", "prune_forever"]
