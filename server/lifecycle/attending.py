"""A worker's side of the line to its supervisor."""

import asyncio
from collections.abc import Callable, Sequence

import structlog
from prometheus_client.metrics_core import Metric

from server.domain.workers import Peers
from server.lifecycle.line import Line, LineClosedError
from server.lifecycle.messages import Census, Figures, FiguresWanted, Ping, Pong, Stop
from server.lifecycle.stopping import StopSignal

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
