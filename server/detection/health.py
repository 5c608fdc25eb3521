"""What detection counts, and the problems that it detects."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

_TOLERATED_SECONDS = 30.0
# After a failure longer ago another process has taken over.
_RECENT_SECONDS = 60.0


class DetectionVitals:
    """
    Counts and state of the detector, on the event loop. The counts only grow.

    ``caught_up_revision`` is the last revision that the alerts matched.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.rounds = self.written_alerts = self.failures = 0
        self.caught_up_revision = ""
        self.cycle_count = 0
        self.written_at: datetime | None = None
        self._clock = clock
        self._caught_up_at: float | None = None
        self._behind_since: float | None = None
        self._failing_since: float | None = None
        self._failed_at = 0.0
        self._last_error = ""

    def forget(self) -> None:
        """Note that the state of the alerts is unknown."""
        self.caught_up_revision, self.cycle_count = "", 0
        self._behind_since = None

    def behind(self) -> None:
        """Note that the alerts must be compared with the graph, which may have moved."""
        if self._behind_since is None:
            self._behind_since = self._clock()

    def caught_up(self, revision: str, cycle_count: int | None = None) -> None:
        """Note that the alerts match a revision; ``cycle_count`` None = unchanged."""
        self.caught_up_revision = revision
        self._caught_up_at = self._clock()
        self._failing_since = self._behind_since = None
        if cycle_count is not None:
            self.cycle_count = cycle_count

    def wrote(self, alerts: int) -> None:
        """Count a round that wrote so many alerts."""
        self.rounds += 1
        self.written_alerts += alerts
        self.written_at = datetime.now(UTC)

    def failed(self, error: Exception) -> None:
        """Note that detection ended with an error."""
        self.failures += 1
        self._failed_at = self._clock()
        self._last_error = type(error).__name__
        if self._failing_since is None:
            self._failing_since = self._failed_at

    @property
    def caught_up_age_seconds(self) -> float:
        """How long ago the alerts last matched the graph; 0 = never."""
        return 0.0 if self._caught_up_at is None else self._clock() - self._caught_up_at

    def problems(self) -> Iterator[str]:
        """Describe what an operator must act on."""
        now = self._clock()
        behind = 0.0 if self._behind_since is None else now - self._behind_since
        if behind >= _TOLERATED_SECONDS:
            yield f"alerts are {behind:,.0f} s behind the graph: they are still being compared with it"
        if self._failing_since is None or now - self._failed_at > _RECENT_SECONDS:
            return
        lasts = now - self._failing_since
        if lasts >= _TOLERATED_SECONDS:
            yield (
                f"alerts have not followed the graph for {lasts:,.0f} s ({self._last_error}): "
                "see this server's log"
            )
