"""A worker does what its supervisor asks."""

import asyncio
import signal
import socket
import threading
from collections.abc import AsyncIterator, Sequence

import pytest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from server.domain.live_graph import Peers
from server.lifecycle import stopping
from server.lifecycle.stopping import StopSignal
from server.lifecycle.worker_link import (
    Link,
    Message,
    PeerCount,
    WorkerMetrics,
    follow_supervisor,
)
from tests.support.eventually import PATIENCE_SECONDS


class FollowingWorker:
    """A worker that follows its supervisor, seen from the supervisor's end of the link."""

    def __init__(self, supervisors: Link, workers: Link) -> None:
        self.link = supervisors
        self.peers = Peers(number=1, count=3)
        self.stop = StopSignal()
        self.metrics: list[Metric] | None = []
        self.may_collect = threading.Event()
        self.may_collect.set()
        self.following = asyncio.ensure_future(
            follow_supervisor(workers, self.peers, self._collect, self.stop)
        )

    def _collect(self) -> Sequence[Metric]:
        self.may_collect.wait()
        if self.metrics is None:
            raise RuntimeError("metrics can't be had")
        return self.metrics

    async def stops(self) -> bool:
        """Wait until it stops."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self.stop.wait()
        return True


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> list[signal.Signals]:
    """The signals that would have ended the process at once; here the process is the test run."""
    ended: list[signal.Signals] = []
    monkeypatch.setattr(stopping, "_end_at_once", ended.append)
    return ended


@pytest.fixture
async def worker(ends: list[signal.Signals]) -> AsyncIterator[FollowingWorker]:
    ours, theirs = socket.socketpair()
    supervisors, workers = await Link.over(ours), await Link.over(theirs)
    following = FollowingWorker(supervisors, workers)
    yield following
    await supervisors.close()
    await following.following
    await workers.close()


async def test_a_worker_sends_its_metrics_when_asked(worker: FollowingWorker) -> None:
    worker.metrics = [GaugeMetricFamily("answered", "Calls that were answered.", value=7)]
    worker.link.send(Message.METRICS)
    answer = await worker.link.receive()
    assert isinstance(answer, WorkerMetrics)
    assert list(answer.families) == worker.metrics


async def test_a_worker_whose_metrics_can_not_be_collected_sends_none_and_still_obeys(
    worker: FollowingWorker,
) -> None:
    worker.metrics = None
    worker.link.send(Message.METRICS)
    assert await worker.link.receive() == WorkerMetrics(())
    worker.link.send(Message.STOP)
    assert await worker.stops()


async def test_a_ping_is_answered_while_metrics_are_being_collected(worker: FollowingWorker) -> None:
    worker.may_collect.clear()
    worker.link.send(Message.METRICS)
    worker.link.send(Message.PING)
    try:
        assert await worker.link.receive() == Message.PONG
    finally:
        worker.may_collect.set()
    assert await worker.link.receive() == WorkerMetrics([])


async def test_a_worker_knows_how_many_workers_serve(worker: FollowingWorker) -> None:
    worker.link.send(PeerCount(2))
    worker.link.send(Message.METRICS)
    await worker.link.receive()
    assert worker.peers.serving == 2
    assert len(worker.peers.problems()) == 1


async def test_a_worker_stops_when_its_supervisor_is_gone(worker: FollowingWorker) -> None:
    await worker.link.close()
    assert await worker.stops()


async def test_a_worker_that_stops_ends_at_once_when_its_supervisor_is_gone(
    worker: FollowingWorker, ends: list[signal.Signals]
) -> None:
    worker.link.send(Message.STOP)
    assert await worker.stops()
    assert ends == []
    await worker.link.close()
    await worker.following
    assert ends == [signal.SIGTERM]


async def test_a_worker_stops_when_it_can_not_read_a_message(worker: FollowingWorker) -> None:
    worker.link._writer.write(b"\0\0\0\3???")
    assert await worker.stops()
