"""What the calls of clients share, and what clients read from responses."""

import math
from typing import Any

from google.rpc.status_pb2 import Status

from depgraph.v1.graph_service_pb2 import BatchTraverseResponse, TraverseResponse
from depgraph.v1.types_pb2 import Consistency


def outcomes(answer: BatchTraverseResponse) -> list[TraverseResponse | Status]:
    """
    List the outcome of each request, in their order: the traversal, or the status it failed with.

    ::

        for request, outcome in zip(requests, outcomes(answer), strict=True):
            if isinstance(outcome, TraverseResponse):
                ...

    """
    return [result.traversal if result.HasField("traversal") else result.error for result in answer.responses]


class UnaryCalls:
    """
    What the unary calls of a client share: deadline, waiting, the revision of the latest write.

    Threads may share it. Concurrent writes have revisions of their own, and only the one answered
    last is kept: to read several concurrent writes, read with the ``revision`` of each response.
    """

    def __init__(self, timeout: float | None, *, wait_for_ready: bool | None) -> None:
        if timeout is not None and not (timeout > 0 and math.isfinite(timeout)):
            raise ValueError(f"timeout must be a positive number of seconds or None, not {timeout!r}")
        self._timeout = timeout
        self._wait_for_ready = wait_for_ready
        self._has_answer = False
        self._revision = ""

    def details(self, asked: Any) -> tuple[str, float | None, Any, Any, bool]:
        """Return method, timeout, metadata, credentials and wait_for_ready of a call."""
        waits = self._has_answer if self._wait_for_ready is None else self._wait_for_ready
        return (
            asked.method,
            self._timeout if asked.timeout is None else asked.timeout,
            asked.metadata,
            asked.credentials,
            waits if asked.wait_for_ready is None else asked.wait_for_ready,
        )

    def note(self, response: object) -> None:
        """Remember that there was a response, and the revision of a write."""
        self._has_answer = True
        revision = getattr(response, "revision", "")
        if isinstance(revision, str) and revision:
            self._revision = revision

    def read_your_writes(self) -> Consistency:
        """Return the consistency with which a read sees the latest write; unset before it."""
        revision = self._revision
        return Consistency(at_least_as_fresh=revision) if revision else Consistency()
