"""The link between a supervisor and its workers, what they send over it, and the worker's side of it."""

import asyncio
import contextlib
import pickle
import socket
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import structlog
from prometheus_client.metrics_core import Metric

from server.config import Settings
from server.domain.workers import Peers
from server.lifecycle.stopping import StopSignal


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


_LENGTH = struct.Struct(">I")


class LineClosedError(Exception):
    """The other end is gone: its process has ended, however that came about."""


class Line:
    """
    One end of a pair of sockets; messages come whole and in order.

    The ends belong to processes of one server, which trust each other's pickles.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def over(cls, end: socket.socket) -> Self:
        """Take over a connected socket."""
        return cls(*await asyncio.open_unix_connection(sock=end))

    def send(self, message: object) -> None:
        """Send without waiting until it has arrived; nothing happens when the other end is gone, which ``receive`` tells."""
        if self._writer.is_closing():
            return
        packed = pickle.dumps(message)
        with contextlib.suppress(ConnectionError):
            self._writer.write(_LENGTH.pack(len(packed)) + packed)

    async def receive(self) -> Any:
        """Wait for a message; raises ``LineClosedError``."""
        try:
            (length,) = _LENGTH.unpack(await self._reader.readexactly(_LENGTH.size))
            return pickle.loads(await self._reader.readexactly(length))  # noqa: S301 - see the class
        except (asyncio.IncompleteReadError, ConnectionError):
            raise LineClosedError from None

    async def close(self) -> None:
        """Hang up."""
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()


log = structlog.get_logger(__name__)


async def attend(line: Line, peers: Peers, collect: Callable[[], Sequence[Metric]], stop: StopSignal) -> None:
    """
    Note what the supervisor tells and answer what it asks, until it is gone; then stop.

    A supervisor that goes while we stop wants us to end at once: somebody insisted. Figures are collected on another thread, so that a
    scrape never holds up the event loop; a worker for whom that fails goes on without. A ping is answered meanwhile, since all threads
    may be busy for long.
    """
    answering: set[asyncio.Task[None]] = set()
    try:
        while True:
            match await line.receive():
                case Census(serving):
                    peers.serving = serving
                case Ping():
                    line.send(Pong())
                case FiguresWanted(question):
                    answer = asyncio.create_task(_send_figures(line, question, collect))
                    # The loop itself keeps no reference to a task.
                    answering.add(answer)
                    answer.add_done_callback(answering.discard)
                case Stop():
                    stop.ask()
    except LineClosedError:
        stop.insist()
    except Exception:
        # One that does not hear its supervisor would outlive it.
        log.exception("the line to the supervisor is of no use any more")
        stop.ask()
    finally:
        for answer in answering:
            answer.cancel()


async def _send_figures(line: Line, question: int, collect: Callable[[], Sequence[Metric]]) -> None:
    line.send(Figures(question, await asyncio.to_thread(_collected, collect)))


def _collected(collect: Callable[[], Sequence[Metric]]) -> Sequence[Metric]:
    try:
        return collect()
    except Exception:
        log.exception("figures can't be collected")
        return ()
