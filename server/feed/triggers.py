"""Whether every change is logged: the feed triggers, looked at again and again."""

import time
from collections.abc import Sequence
from datetime import timedelta

import structlog

from server.feed import statements
from server.feed.connection import FeedConnection

log = structlog.get_logger(__name__)


class TriggerGuard:
    """
    Knows which feed triggers are not in place, and when memory has to be read anew because of that.

    What was written while one was missing is in no log. Enabling, creating and disabling a trigger all wait for the writers of
    its table, so a snapshot taken after the triggers were seen in place holds everything that was written without them.
    """

    def __init__(self, interval: timedelta) -> None:
        self._interval = interval.total_seconds()
        self._looked_at: float | None = None
        self.missing: tuple[str, ...] = ()

    def is_due(self) -> bool:
        """Whether the last look is long enough ago; while triggers are missing, always."""
        return (
            bool(self.missing)
            or self._looked_at is None
            or time.monotonic() - self._looked_at >= self._interval
        )

    async def look(self, connection: FeedConnection) -> bool:
        """Look now; returns whether triggers came back, so that a step begun from now on must read everything. One round trip."""
        found = await connection.rows(statements.MISSING_TRIGGERS)
        self._looked_at = time.monotonic()
        return self._saw(tuple(f"{row['table_name']}.{row['trigger_name']}" for row in found))

    def _saw(self, missing: Sequence[str]) -> bool:
        before, self.missing = self.missing, tuple(missing)
        if self.missing == before:
            return False
        if self.missing:
            log.error(
                "feed triggers are missing or not enabled ALWAYS: changes may go unseen; "
                "'depgraph doctor --repair' puts them back",
                triggers=self.missing,
            )
        if set(before) <= set(self.missing):
            return False
        log.warning("feed triggers came back: reading everything, for changes may have gone unseen")
        return True
