"""Circular-dependency alerts: one per cycle, open, then acknowledged, then resolved."""

from datetime import datetime
from typing import Literal, NamedTuple
from uuid import UUID

AlertStatus = Literal["open", "acknowledged", "resolved"]
ALERT_STATUSES: tuple[AlertStatus, ...] = ("open", "acknowledged", "resolved")


class Alert(NamedTuple):
    """One row of ``circular_dependency_alerts``; ``cycle_path`` in call order, the last calls the first."""

    id: UUID
    cycle_path: tuple[str, ...]
    status: AlertStatus
    acknowledged_by: str | None
    resolution_notes: str | None
    detected_at: datetime
