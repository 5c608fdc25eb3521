"""What detection knows of itself."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

_TOLERATED_SECONDS = 30.0
# What failed longer ago was somebody else's to do since.
_RECENT_SECONDS = 60.0


class DetectionVitals:
    """
    Written by the detector, on the event loop; read by whoever wants to know.

    The counts only grow. ``level_revision`` is the last one with which the alerts were level, as far as this process knows.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.rounds = self.written_alerts = self.failures = 0
        self.level_revision = ""
        self.cycle_count = 0
        self.written_at: datetime | None = None
        self._clock = clock
        self._level_at: float | None = None
        self._behind_since: float | None = None
        self._failing_since: float | None = None
        self._failed_at = 0.0
        self._last_error = ""

    def forget(self) -> None:
        """Note that nothing is known of the alerts any more, or yet."""
        self.level_revision, self.cycle_count = "", 0
        self._behind_since = None

    def behind(self) -> None:
        """Note that the alerts are to be compared with the graph, which has moved, or may have."""
        if self._behind_since is None:
            self._behind_since = self._clock()

    def level(self, revision: str, cycle_count: int | None = None) -> None:
        """Note that the alerts are level with a revision; None = there are as many cyclic components as before."""
        self.level_revision = revision
        self._level_at = self._clock()
        self._failing_since = self._behind_since = None
        if cycle_count is not None:
            self.cycle_count = cycle_count

    def wrote(self, alerts: int) -> None:
        """Count a round that wrote so many alerts."""
        self.rounds += 1
        self.written_alerts += alerts
        self.written_at = datetime.now(UTC)

    def failed(self, error: Exception) -> None:
        """Note that the work ended with an error."""
        self.failures += 1
        self._failed_at = self._clock()
        self._last_error = type(error).__name__
        if self._failing_since is None:
            self._failing_since = self._failed_at

    @property
    def level_age_seconds(self) -> float:
        """How long ago the alerts were last seen to be level; 0 = never."""
        return 0.0 if self._level_at is None else self._clock() - self._level_at

    def problems(self) -> Iterator[str]:
        """Tell what people have to look after, in sentences."""
        now = self._clock()
        behind = 0.0 if self._behind_since is None else now - self._behind_since
        if behind >= _TOLERATED_SECONDS:
            yield f"alerts have not been level with the graph for {behind:,.0f} s: they are still being compared with it"
        if self._failing_since is None or now - self._failed_at > _RECENT_SECONDS:
            return
        lasts = now - self._failing_since
        if lasts >= _TOLERATED_SECONDS:
            yield (
                f"alerts have not followed the graph for {lasts:,.0f} s ({self._last_error}): see this server's log"
            )
