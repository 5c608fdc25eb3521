"""Health of the feed and of a server's workers."""

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class MemoryAudit:
    """
    A comparison of memory with the tables, row by row, in one snapshot. Times are aware, UTC.

    ``differing_rows`` counts rows that were missing, superfluous or different in memory.
    """

    began_at: datetime
    duration: timedelta
    differing_rows: int


@dataclass(frozen=True, slots=True)
class FeedHealth:
    """
    Health of the feed; ``problems`` are sentences for people.

    ``trusted`` False = changes may go unseen, so memory may be wrong without any sign in its lag.
    ``change_log_rows`` is an estimate from when the log was last pruned.
    """

    problems: tuple[str, ...] = ()
    trusted: bool = True
    last_audit: MemoryAudit | None = None
    change_log_rows: int = 0


@dataclass(slots=True)
class Peers:
    """
    The workers that share an address, as one of them sees it.

    ``number`` is its own, from 1. ``serving`` is how many of ``count`` answer calls, as the
    supervisor reported last. A process without a supervisor is the only worker.
    """

    number: int = 1
    count: int = 1
    serving: int = 1

    def problems(self) -> tuple[str, ...]:
        """Describe for people what is wrong with them."""
        away = self.count - self.serving
        if not away:
            return ()
        which = f"{away} of {self.count} workers {'does' if away == 1 else 'do'} not serve"
        return (f"{which} yet or any more: the log says why, and they are started again by themselves",)
