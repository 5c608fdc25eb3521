"""Flags and environment of the detection of circular dependencies."""

import math
from typing import Annotated

import typer

from server.config import DetectionSettings

_DETECTION = DetectionSettings()
DETECT = _DETECTION.enabled
MIN_CYCLE_CONFIDENCE = _DETECTION.min_confidence


def checked_confidence(value: float) -> float:
    """Accept a number from 0 to 1; ``BadParameter`` otherwise."""
    if math.isnan(value) or not 0 <= value <= 1:
        raise typer.BadParameter(f"{value} is no confidence: expected a number from 0 to 1")
    return value


Detect = Annotated[
    bool,
    typer.Option(
        "--detect/--no-detect",
        envvar="DEPGRAPH_DETECT",
        help="Keep an alert for each circular dependency; of several processes on one database one does.",
    ),
]
MinCycleConfidence = Annotated[
    float,
    typer.Option(
        "--min-cycle-confidence",
        envvar="DEPGRAPH_MIN_CYCLE_CONFIDENCE",
        metavar="NUMBER",
        callback=checked_confidence,
        help="Dependencies of less confidence make no circular dependency; the same for all processes on one database.",
    ),
]
