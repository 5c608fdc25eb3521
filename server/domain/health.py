"""What an operator should know of the feed, beside how fresh the graph is."""

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class MemoryAudit:
    """
    A comparison of memory with the tables, row by row, inside one snapshot.

    ``began_at`` is aware, UTC. ``differing_rows`` counts rows that were missing, superfluous or other than in the tables.
    """

    began_at: datetime
    duration: timedelta
    differing_rows: int


@dataclass(frozen=True, slots=True)
class FeedHealth:
    """
    How well the feed does its work.

    ``problems`` are sentences for people. ``trusted`` False = changes may go unseen, so what memory holds may be wrong without any sign in
    its lag. ``change_log_rows`` is an estimate from when the log was last pruned.
    """

    problems: tuple[str, ...] = ()
    trusted: bool = True
    last_audit: MemoryAudit | None = None
    change_log_rows: int = 0
