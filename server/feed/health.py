"""What the feed counts, and the problems that it detects."""

import asyncio
import time
from collections.abc import Callable, Iterator
from datetime import timedelta

import structlog

from server.config import FeedSettings
from server.domain.live_graph import FeedHealth, MemoryAudit
from server.postgres import explain

log = structlog.get_logger(__name__)

# Shorter absences are usual: a restart, a failover.
TOLERATED_ABSENCE = timedelta(seconds=10)
TOLERATED_PRUNING_PAUSE = timedelta(minutes=10)
# With a long ``prune_interval``, so many prunings may be missed instead.
_PRUNINGS_MISSED = 10


class Vitals:
    """
    Counts and state of the feed, its pruner and its auditor, all on one event loop.

    The counts only grow. ``disconnects`` counts connections that were lost or could not be opened.
    """

    def __init__(self, settings: FeedSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self.steps = self.changed_rows = self.disconnects = self.lock_waits = 0
        self.pruned_rows = self.change_log_rows = 0
        self.audits = self.failed_audits = self.differing_rows = 0
        self.last_audit: MemoryAudit | None = None
        self.missing_triggers: tuple[str, ...] = ()
        self.table_faults: tuple[str, ...] = ()
        self._clock = clock
        self._max_unpruned = max(TOLERATED_PRUNING_PAUSE, settings.prune_interval * _PRUNINGS_MISSED)
        self._pruned_at: float | None = None
        self._away_since: float | None = None
        self._away_because: BaseException | None = None
        self._examples: tuple[str, ...] = ()
        self._trust_changed = asyncio.Event()

    def stepped(self, changed_rows: int) -> None:
        """Count a step, and the rows that it read by key."""
        self.steps += 1
        self.changed_rows += changed_rows
        self._away_since = self._away_because = None

    def disconnected(self, error: Exception) -> None:
        """Count a connection that was lost or could not be opened."""
        self.disconnects += 1
        self.waiting(error)

    def waiting(self, error: BaseException | None) -> None:
        """Note why the database can't be read yet, before the feed runs; None = it can."""
        self._away_because = error
        if error is None:
            self._away_since = None
        elif self._away_since is None:
            self._away_since = self._clock()

    def away_because(self) -> str:
        """Return what keeps the feed from the database now; empty = nothing known."""
        return next(self._absence(), "")

    def pruning(self) -> None:
        """Note that pruning begins: from now on its first success can be overdue."""
        self._pruned_at = self._clock()

    def pruned(self, removed: int, left: int, ago: timedelta | None) -> None:
        """Count a pruning; ``ago``: time since any process pruned, None = none has."""
        if ago is not None:
            self._pruned_at = self._clock() - ago.total_seconds()
        self.pruned_rows += removed
        self.change_log_rows = left

    def audited(self, audit: MemoryAudit, examples: tuple[str, ...]) -> None:
        """Count an audit, with a few of the rows that differed."""
        self.audits += 1
        self.differing_rows += audit.differing_rows
        self.last_audit, self._examples = audit, examples

    def saw_faults(self, missing_triggers: tuple[str, ...], table_faults: tuple[str, ...] = ()) -> None:
        """Note which triggers are missing now, and what is wrong with the tables."""
        trusted = self.trusted
        faults = missing_triggers, table_faults
        if faults != (self.missing_triggers, self.table_faults):
            self.missing_triggers, self.table_faults = faults
            if missing_triggers or table_faults:
                log.error(
                    "changes may go unseen: feed triggers are missing or not as migrations made them, "
                    "or the tables are altered; 'depgraph doctor --repair' puts triggers back",
                    triggers=missing_triggers,
                    tables=table_faults,
                )
            else:
                log.info("every change is logged again, and everything has been read")
        if trusted != self.trusted:
            self._trust_changed.set()

    @property
    def trusted(self) -> bool:
        """Whether every change is logged."""
        return not (self.missing_triggers or self.table_faults)

    async def trust_changed(self) -> None:
        """Wait until ``trusted`` has changed since the last call; one waiter only."""
        await self._trust_changed.wait()
        self._trust_changed.clear()

    def health(self) -> FeedHealth:
        """Return a summary. O(1)."""
        return FeedHealth(
            problems=tuple(self._problems()),
            trusted=self.trusted,
            last_audit=self.last_audit,
            change_log_rows=self.change_log_rows,
        )

    def _problems(self) -> Iterator[str]:
        """Describe what is wrong, the worst first."""
        yield from self._absence()
        if self.missing_triggers:
            names = ", ".join(self.missing_triggers)
            yield (
                f"feed triggers are missing, not enabled ALWAYS or altered ({names}), so changes may go "
                "unseen for seconds or more: run 'depgraph doctor --repair'"
            )
        if self.table_faults:
            yield (
                f"changes may go unseen for seconds or more, or rows be hidden: "
                f"{'; '.join(self.table_faults)}. "
                "The three tables must be ordinary ones, and the server's role must see all rows"
            )
        audit = self.last_audit
        if audit is not None and audit.differing_rows:
            yield (
                f"the audit of {audit.began_at:%Y-%m-%d %H:%M:%S} UTC found {audit.differing_rows:,} rows "
                f"in memory that differed from the tables ({'; '.join(self._examples)}), "
                "and everything was read again: a program writes past the feed triggers"
            )
        unpruned_for = self._since(self._pruned_at)
        if unpruned_for >= self._max_unpruned:
            yield (
                f"the change log has not been pruned for {_seconds(unpruned_for)} and grows: "
                "see this server's log"
            )

    def _absence(self) -> Iterator[str]:
        """Describe why the feed can't follow: at once for a lasting cause, else after a while."""
        if self._away_because is None:
            return
        cause, length = explain(self._away_because), self._since(self._away_since)
        has_stepped = self.steps > 0
        if cause.is_lasting:
            age = f"; answers have been getting old for {_seconds(length)}" if has_stepped else ""
            yield f"{cause}{age}"
        elif length >= TOLERATED_ABSENCE:
            age = ", and answers are as old" if has_stepped else ""
            yield f"the database has been away for {_seconds(length)}{age}: {cause.found}"

    def _since(self, moment: float | None) -> timedelta:
        return timedelta(seconds=0.0 if moment is None else self._clock() - moment)


def _seconds(length: timedelta) -> str:
    return f"{length.total_seconds():,.0f} s"
