"""A worker's side of the line to its supervisor."""

import asyncio
import signal
import socket
import threading
from collections.abc import AsyncIterator, Sequence

import pytest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from server.domain.workers import Peers
from server.lifecycle import stopping
from server.lifecycle.stopping import StopSignal
from server.lifecycle.worker_control import Census, Figures, FiguresWanted, Line, Ping, Pong, Stop, attend
from tests.support.eventually import PATIENCE_SECONDS


class Attended:
    """A worker that attends to the line, seen from the supervisor's end."""

    def __init__(self, supervisors: Line, workers: Line) -> None:
        self.line = supervisors
        self.peers = Peers(number=1, count=3)
        self.stop = StopSignal()
        self.figures: list[Metric] | None = []
        self.may_collect = threading.Event()
        self.may_collect.set()
        self.attending = asyncio.ensure_future(attend(workers, self.peers, self._collect, self.stop))

    def _collect(self) -> Sequence[Metric]:
        self.may_collect.wait()
        if self.figures is None:
            raise RuntimeError("no figures to be had")
        return self.figures

    async def stops(self) -> bool:
        """Wait until it stops."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self.stop.wait()
        return True


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> list[signal.Signals]:
    """The signals by which the process would have ended at once: here it is the one that tests."""
    ended: list[signal.Signals] = []
    monkeypatch.setattr(stopping, "_end_at_once", ended.append)
    return ended


@pytest.fixture
async def worker(ends: list[signal.Signals]) -> AsyncIterator[Attended]:
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


async def test_a_ping_is_answered_while_figures_are_being_collected(worker: Attended) -> None:
    worker.may_collect.clear()
    worker.line.send(FiguresWanted(1))
    worker.line.send(Ping())
    try:
        assert await worker.line.receive() == Pong()
    finally:
        worker.may_collect.set()
    assert await worker.line.receive() == Figures(1, [])


async def test_it_knows_how_many_serve(worker: Attended) -> None:
    worker.line.send(Census(2))
    worker.line.send(FiguresWanted(1))
    await worker.line.receive()
    assert worker.peers.serving == 2
    assert len(worker.peers.problems()) == 1


async def test_it_stops_when_the_supervisor_is_gone(worker: Attended) -> None:
    await worker.line.close()
    assert await worker.stops()


async def test_it_ends_at_once_when_the_supervisor_goes_while_it_stops(
    worker: Attended, ends: list[signal.Signals]
) -> None:
    worker.line.send(Stop())
    assert await worker.stops()
    assert ends == []
    await worker.line.close()
    await worker.attending
    assert ends == [signal.SIGTERM]


async def test_it_stops_when_it_can_not_understand_its_supervisor(worker: Attended) -> None:
    worker.line._writer.write(b"\0\0\0\3???")
    assert await worker.stops()
