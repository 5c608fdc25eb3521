"""The changes of a graph, batch by batch, whatever becomes of the server meanwhile."""

import random
import time
from collections.abc import Callable, Iterator

import grpc

from depgraph import Client
from depgraph.v1.graph_service_pb2 import WatchRequest, WatchResponse
from server.cli.failures import CommandError, explain

_PASSING = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED})
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0


class Following:
    """A watch that comes back after every interruption; ``revision`` is where it stands. ``tell`` hears of interruptions."""

    def __init__(self, address: str, revision: str, tell: Callable[[str], None]) -> None:
        self.revision = revision
        self._address = address
        self._tell = tell
        self._failures = 0
        self._has_begun = False

    def batches(self, *, include_state: bool) -> Iterator[WatchResponse]:
        """
        Yield whole batches for ever; what an interruption cut in two is told once, after it.

        Raises ``CommandError`` when the server can't be reached at first, or refuses.
        """
        with Client(self._address, timeout=None, wait_for_ready=False, attempts=1) as client:
            while True:
                request = WatchRequest(revision=self.revision, include_state=include_state)
                try:
                    for batch in _whole(client.graph.Watch(request)):
                        yield batch
                        self._arrived(batch)
                except grpc.RpcError as error:
                    self._interrupted(error)

    def _arrived(self, batch: WatchResponse) -> None:
        if self._failures:
            self._tell("following again")
        self._failures = 0
        self._has_begun = True
        self.revision = batch.freshness.revision

    def _interrupted(self, error: grpc.RpcError) -> None:
        """Wait a little; half of the pause is random, so that many watchers don't come back in step."""
        if not self._has_begun or error.code() not in _PASSING:
            raise CommandError(explain(error, self._address)) from error
        if not self._failures:
            self._tell(f"interrupted, trying again: {explain(error, self._address)}")
        self._failures += 1
        pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(self._failures, 10))
        time.sleep(random.uniform(pause / 2, pause))  # noqa: S311 - jitter, no secret


def _whole(parts: Iterator[WatchResponse]) -> Iterator[WatchResponse]:
    """Put batches together; one whose last part does not come is dropped."""
    batch = WatchResponse()
    for part in parts:
        batch.MergeFrom(part)
        if not part.more:
            batch.more = False
            yield batch
            batch = WatchResponse()
