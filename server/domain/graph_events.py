"""What changes of the graph mean for cycles: the evidence from which alerts name their causes."""

import enum
from collections.abc import Sequence
from typing import NamedTuple, Protocol


class GraphEventKind(enum.Enum):
    """
    How a dependency began or ceased to count for cycles, or what became of a service.

    A dependency counts when it is fresh and confident enough.
    """

    ADDED = "added"
    REVIVED = "revived"
    TRUSTED = "trusted"
    REMOVED = "removed"
    STALE = "stale"
    DOUBTED = "doubted"
    SERVICE_REMOVED = "service removed"
    SERVICE_RENAMED = "service renamed"


GAINS = frozenset({GraphEventKind.ADDED, GraphEventKind.REVIVED, GraphEventKind.TRUSTED})
"""The dependency counts now and did not before."""
LOSSES = frozenset({GraphEventKind.REMOVED, GraphEventKind.STALE, GraphEventKind.DOUBTED})
"""The dependency counted before and does not now."""


class GraphEvent(NamedTuple):
    """
    One event, in names of services: the ends of a dependency before a loss or after a gain.

    A removed service is the ``source``. A renamed one was called ``source`` and is called
    ``target`` now.
    """

    kind: GraphEventKind
    source: str
    target: str = ""


class UnseenCause(enum.Enum):
    """Why the single events are unknown."""

    TOOK_OVER = "took over"
    RELOADED = "reloaded"
    LARGE = "large"
    COMPARED = "compared"


class GraphEventObserver(Protocol):
    """Is called on the event loop whenever the graph has moved; must be quick."""

    @property
    def least_confidence(self) -> float | None:
        """The least confidence with which a dependency counts; None = events are not needed."""

    def graph_moved(self, events: Sequence[GraphEvent] | UnseenCause) -> None:
        """Note that the graph has moved; without events while they are not needed."""
