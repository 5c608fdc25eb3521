"""What a supervisor and its workers say to each other over their ``Line``."""

from collections.abc import Sequence
from dataclasses import dataclass

from prometheus_client.metrics_core import Metric

from server.config import Settings


@dataclass(frozen=True, slots=True)
class Order:
    """The first message to a worker: who it is, and what to serve where."""

    settings: Settings
    number: int
    count: int


@dataclass(frozen=True, slots=True)
class Serving:
    """From a worker: it is warm and listens."""


@dataclass(frozen=True, slots=True)
class Ping:
    """To a worker: answer by a ``Pong``, which only a running event loop does."""


@dataclass(frozen=True, slots=True)
class Pong:
    """From a worker: its event loop runs."""


@dataclass(frozen=True, slots=True)
class Census:
    """To every worker: so many of them serve now."""

    serving: int


@dataclass(frozen=True, slots=True)
class Stop:
    """
    To a worker: let running calls finish, then end.

    No signal, for whoever stops the server may have sent one to every process already, and a second one ends a worker at once.
    """


@dataclass(frozen=True, slots=True)
class FiguresWanted:
    """To a worker; ``question`` comes back with the answer, so that a late one is not taken for another's."""

    question: int


@dataclass(frozen=True, slots=True)
class Figures:
    """From a worker: its figures for Prometheus."""

    question: int
    families: Sequence[Metric]
