"""Detection of circular dependencies: of all processes on a database, one runs it."""

from collections.abc import Iterator
from datetime import timedelta

from server.concurrency import SharedComponentSearch
from server.config import DetectionSettings
from server.detection.causes import GraphEventLog
from server.detection.detector import Detector
from server.detection.health import DetectionVitals
from server.domain.alerts import MOST_MEMBERS
from server.domain.detection import DetectionRole, DetectionStatus
from server.replica import Replica
from server.store.detection_ledger import DetectionLedger
from server.store.single_runner import DETECTION, DETECTION_KEY, RunnerConnection, SingleRunner

# Standbys report a problem when no process has kept the alerts for this long.
TOLERANCE = timedelta(minutes=1)


class Detection:
    """Waits for the lock, and keeps the alerts in step with the graph while it holds the lock."""

    def __init__(
        self,
        url: str,
        replica: Replica,
        settings: DetectionSettings,
        searches: SharedComponentSearch,
        *,
        most_members: int = MOST_MEMBERS,
    ) -> None:
        self._enabled = settings.enabled
        self._runner = SingleRunner(
            url,
            DETECTION,
            DETECTION_KEY,
            poll_interval=settings.takeover_interval,
            undone="alerts were not compared with the graph",
            tolerance=TOLERANCE,
        )
        self.vitals = DetectionVitals()
        events = GraphEventLog(settings.min_confidence)
        self._most_members = most_members
        self._detector = Detector(replica, events, settings, self.vitals, searches, most_members=most_members)
        if settings.enabled:
            replica.observer = events

    async def run(self) -> None:
        """Take part until cancelled; returns at once if detection is off."""
        if self._enabled:
            await self._runner.run_forever(self._keep_alerts)

    @property
    def is_writer(self) -> bool:
        """Whether this process keeps the alerts."""
        return self._runner.is_running

    def status(self) -> DetectionStatus:
        """Report how the alerts follow the graph."""
        if not self._enabled:
            return DetectionStatus(DetectionRole.OFF)
        if not self.is_writer:
            return DetectionStatus(DetectionRole.STANDBY)
        vitals = self.vitals
        return DetectionStatus(
            DetectionRole.WRITER, vitals.caught_up_revision, vitals.written_at, vitals.cycle_count
        )

    def problems(self) -> Iterator[str]:
        """Describe problems, one sentence each."""
        yield from self.vitals.problems()
        yield from self._runner.problems()

    async def _keep_alerts(self, connection: RunnerConnection) -> None:
        await self._detector.run(DetectionLedger(connection, self._most_members))
