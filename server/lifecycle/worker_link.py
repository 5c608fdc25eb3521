"""The link between supervisor and worker, its messages, and the worker's side of it."""

import asyncio
import contextlib
import pickle
import socket
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, NamedTuple, Self

import structlog
from prometheus_client.metrics_core import Metric

from server.config import Settings
from server.domain.live_graph import Peers
from server.lifecycle.runtime import background
from server.lifecycle.stopping import StopSignal

log = structlog.get_logger(__name__)

_LENGTH = struct.Struct(">I")


@dataclass(frozen=True, slots=True)
class Order:
    """The first message to a worker: its settings, its number from 1, the count of workers."""

    settings: Settings
    number: int
    count: int


class Message(Enum):
    """
    A message without content.

    SERVING comes from a worker that is warm and listens. The event loop of a worker answers a PING
    with a PONG, and METRICS with ``WorkerMetrics``. At STOP it lets running calls finish and ends:
    no signal says that, since systemd signals every process itself, and a second signal would end
    the worker at once.
    """

    SERVING = auto()
    PING = auto()
    PONG = auto()
    METRICS = auto()
    STOP = auto()


class PeerCount(NamedTuple):
    """To every worker: how many workers serve now."""

    serving: int


class WorkerMetrics(NamedTuple):
    """From a worker: its metrics, empty if they can't be collected."""

    families: Sequence[Metric]


class LinkClosedError(Exception):
    """The process at the other end has ended or closed the link."""


class Link:
    """One end of a socket pair between processes that trust each other; messages arrive whole."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def over(cls, end: socket.socket) -> Self:
        """Take over a connected socket."""
        return cls(*await asyncio.open_unix_connection(sock=end))

    def send(self, message: object) -> None:
        """Send without waiting; does nothing when the other end is closed."""
        if self._writer.is_closing():
            return
        packed = pickle.dumps(message)
        with contextlib.suppress(ConnectionError):
            self._writer.write(_LENGTH.pack(len(packed)) + packed)

    async def receive(self) -> Any:
        """Wait for a message; raises ``LinkClosedError``."""
        try:
            (length,) = _LENGTH.unpack(await self._reader.readexactly(_LENGTH.size))
            return pickle.loads(await self._reader.readexactly(length))  # noqa: S301 - see the class
        except (asyncio.IncompleteReadError, ConnectionError):
            raise LinkClosedError from None

    async def close(self) -> None:
        """Close this end."""
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()


async def follow_supervisor(
    link: Link, peers: Peers, collect: Callable[[], Sequence[Metric]], stop: StopSignal
) -> None:
    """
    Do what the supervisor asks until the link closes, then stop.

    If the link closes while the worker stops already, the process ends at once: a second signal
    ended the supervisor. ``collect`` runs on another thread, so that a scrape does not hold up the
    event loop.
    """
    async with background() as tasks:
        try:
            while True:
                match await link.receive():
                    case PeerCount(serving):
                        peers.serving = serving
                    case Message.PING:
                        link.send(Message.PONG)
                    case Message.METRICS:
                        tasks(_send_metrics(link, collect))
                    case Message.STOP:
                        stop.ask()
        except LinkClosedError:
            stop.insist()
        except Exception:
            log.exception("the worker can't read what its supervisor sends")
            # A worker that went on would not notice the end of its supervisor.
            stop.ask()


async def _send_metrics(link: Link, collect: Callable[[], Sequence[Metric]]) -> None:
    families: Sequence[Metric] = ()
    try:
        families = await asyncio.to_thread(collect)
    except Exception:
        log.exception("metrics can't be collected")
    link.send(WorkerMetrics(families))
