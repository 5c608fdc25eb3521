"""A worker's side of the line to its supervisor."""

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence

import pytest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from server.domain.workers import Peers
from server.lifecycle.attending import attend
from server.lifecycle.line import Line
from server.lifecycle.messages import Census, Figures, FiguresWanted, Stop
from server.lifecycle.stopping import StopSignal
from tests.support.eventually import PATIENCE_SECONDS


class Attended:
    """A worker that attends to the line, seen from the supervisor's end."""

    def __init__(self, supervisors: Line, workers: Line) -> None:
        self.line = supervisors
        self.peers = Peers(number=1, count=3)
        self.stop = StopSignal()
        self.figures: list[Metric] | None = []
        self.attending = asyncio.ensure_future(attend(workers, self.peers, self._collect, self.stop))

    def _collect(self) -> Sequence[Metric]:
        if self.figures is None:
            raise RuntimeError("no figures to be had")
        return self.figures

    async def stops(self) -> bool:
        """Wait until it stops."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self.stop.wait()
        return True


@pytest.fixture
async def worker() -> AsyncIterator[Attended]:
    ours, theirs = socket.socketpair()
    supervisors, workers = await Line.over(ours), await Line.over(theirs)
    attended = Attended(supervisors, workers)
    yield attended
    await supervisors.close()
    await attended.attending
    await workers.close()


async def test_figures_come_with_the_number_of_the_question(worker: Attended) -> None:
    worker.figures = [GaugeMetricFamily("answered", "Calls that were answered.", value=7)]
    worker.line.send(FiguresWanted(41))
    told = await worker.line.receive()
    assert isinstance(told, Figures)
    assert (told.question, list(told.families)) == (41, worker.figures)


async def test_figures_that_can_not_be_collected_do_not_make_it_deaf(worker: Attended) -> None:
    worker.figures = None
    worker.line.send(FiguresWanted(1))
    assert await worker.line.receive() == Figures(1, ())
    worker.line.send(Stop())
    assert await worker.stops()


async def test_it_knows_how_many_serve(worker: Attended) -> None:
    worker.line.send(Census(2))
    worker.line.send(FiguresWanted(1))
    await worker.line.receive()
    assert worker.peers.serving == 2
    assert len(worker.peers.problems()) == 1


async def test_it_stops_when_the_supervisor_is_gone(worker: Attended) -> None:
    await worker.line.close()
    assert await worker.stops()


async def test_it_stops_when_it_can_not_understand_its_supervisor(worker: Attended) -> None:
    worker.line._writer.write(b"\0\0\0\3???")
    assert await worker.stops()
