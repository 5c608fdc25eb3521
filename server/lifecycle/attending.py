"""A worker's side of the line to its supervisor."""

import asyncio
from collections.abc import Callable, Sequence

from prometheus_client.metrics_core import Metric

from server.domain.workers import Peers
from server.lifecycle.line import Line, LineClosedError
from server.lifecycle.messages import Census, Figures, FiguresWanted


async def attend(
    line: Line, peers: Peers, collect: Callable[[], Sequence[Metric]], gone: Callable[[], None]
) -> None:
    """
    Note what the supervisor tells and answer what it asks, until it is gone; then call ``gone``.

    Figures are collected on another thread, so that a scrape never holds up the event loop.
    """
    try:
        while True:
            match await line.receive():
                case Census(serving):
                    peers.serving = serving
                case FiguresWanted(question):
                    line.send(Figures(question, await asyncio.to_thread(collect)))
    except LineClosedError:
        gone()
