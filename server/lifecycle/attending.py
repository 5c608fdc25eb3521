"""A worker's side of the line to its supervisor."""

import asyncio
from collections.abc import Callable, Sequence

import structlog
from prometheus_client.metrics_core import Metric

from server.domain.workers import Peers
from server.lifecycle.line import Line, LineClosedError
from server.lifecycle.messages import Census, Figures, FiguresWanted, Stop
from server.lifecycle.stopping import StopSignal

log = structlog.get_logger(__name__)


async def attend(line: Line, peers: Peers, collect: Callable[[], Sequence[Metric]], stop: StopSignal) -> None:
    """
    Note what the supervisor tells and answer what it asks, until it is gone; then stop.

    A supervisor that goes while we stop wants us to end at once: somebody insisted. Figures are collected on another thread, so that a
    scrape never holds up the event loop; a worker for whom that fails goes on without.
    """
    try:
        while True:
            match await line.receive():
                case Census(serving):
                    peers.serving = serving
                case FiguresWanted(question):
                    line.send(Figures(question, await asyncio.to_thread(_collected, collect)))
                case Stop():
                    stop.ask()
    except LineClosedError:
        stop.insist()
    except Exception:
        # One that does not hear its supervisor would outlive it.
        log.exception("the line to the supervisor is of no use any more")
        stop.ask()


def _collected(collect: Callable[[], Sequence[Metric]]) -> Sequence[Metric]:
    try:
        return collect()
    except Exception:
        log.exception("figures can't be collected")
        return ()
