"""What a move of the graph did to dependencies that count for cycles, told to whoever has to say what caused what."""

import enum
from collections.abc import Sequence
from typing import NamedTuple, Protocol


class GraphEventKind(enum.Enum):
    """How a dependency came to count or ceased to, or what became of a service."""

    ADDED = "added"
    REVIVED = "revived"
    TRUSTED = "trusted"
    REMOVED = "removed"
    STALE = "stale"
    DOUBTED = "doubted"
    SERVICE_REMOVED = "service removed"
    SERVICE_RENAMED = "service renamed"


GAINS = frozenset({GraphEventKind.ADDED, GraphEventKind.REVIVED, GraphEventKind.TRUSTED})
"""The kinds after which a dependency counts that did not."""
LOSSES = frozenset({GraphEventKind.REMOVED, GraphEventKind.STALE, GraphEventKind.DOUBTED})
"""The kinds after which a dependency that counted does not."""


class GraphEvent(NamedTuple):
    """
    One thing that happened, in names: a dependency's ends before a loss, or after a gain.

    Of a removed service ``source`` is the name; of a renamed one ``source`` is its former name and ``target`` the new one.
    """

    kind: GraphEventKind
    source: str
    target: str = ""


class UnseenCause(enum.Enum):
    """Why it is not known what happened one by one."""

    TOOK_OVER = "took over"
    RELOADED = "reloaded"
    LARGE = "large"
    COMPARED = "compared"


class GraphEventObserver(Protocol):
    """Hears of every move of the graph, at once and on the event loop; must be quick."""

    @property
    def least_confidence(self) -> float | None:
        """The least confidence with which a dependency counts; None = nobody wants to know what moved, only that something did."""

    def moved(self, moves: Sequence[GraphEvent] | UnseenCause) -> None:
        """Take note that the graph moved; what moved is left out unless somebody wanted to know."""
