"""
Calls of clients: what both clients share of them, and the channel that carries them.

The channel determines keepalive, retries, load balancing and message sizes.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from google.rpc.status_pb2 import Status

from depgraph.security import GetToken
from depgraph.v1.graph_service_pb2 import BatchTraverseResponse, TraverseResponse
from depgraph.v1.types_pb2 import Consistency

DEFAULT_TARGET = "127.0.0.1:50051"
DEFAULT_TIMEOUT = 30.0
DEFAULT_ATTEMPTS = 5
MAX_RESPONSE_BYTES = 64 * 1024 * 1024

# Servers close connections that ping too often; a depgraph server allows a ping in ten seconds.
KEEPALIVE_TIME_MS = 30_000
KEEPALIVE_TIMEOUT_MS = 10_000

# gRPC core doubles the wait between connection attempts up to two minutes: too long for a restart.
MAX_RECONNECT_WAIT_MS = 10_000
# It gives a connection twenty seconds to be made: too long to say nothing about a silent address.
CONNECT_TIMEOUT_MS = 5_000

# Calls that have the same effect when they are made twice. A repetition of the others would report
# a failure for its own success (CreateService, DeleteService, ResolveAlert), miscount (MarkStale)
# or undo the later write of another client (UpdateService).
REPEATABLE_CALLS = {
    "depgraph.v1.AccessService": ("WhoAmI", "ListWrites"),
    "depgraph.v1.CatalogService": (
        "GetService",
        "ListServices",
        "BatchUpsertServices",
        "AddAlias",
        "ListAliases",
        "SuggestAliases",
    ),
    "depgraph.v1.DependencyService": (
        "GetDependency",
        "ListDependencies",
        "BatchUpsertDependencies",
        "IngestGraph",
        "ListSources",
    ),
    "depgraph.v1.GraphService": (
        *("Traverse", "BatchTraverse", "ListComponents", "GetComponent", "GetStatus"),
        *("SearchServices", "GetNeighbourhood", "GetMap"),
    ),
    "depgraph.v1.AlertService": ("GetAlert", "ListAlerts", "ListAlertEvents", "CheckCycle"),
    "depgraph.v1.AnalysisService": ("CheckChange", "SuggestCuts", "FindPaths", "AuditPaths", "ListDrift"),
    "depgraph.v1.HistoryService": ("ListChanges",),
}
REPEATABLE_STREAMS = {
    "depgraph.v1.AnalysisService": ("AnalyzeImpact",),
    "depgraph.v1.GraphService": ("StreamTraverse", "GetAdjacencyList", "Watch"),
    "depgraph.v1.HistoryService": ("DiffGraph",),
}


def outcomes(answer: BatchTraverseResponse) -> list[TraverseResponse | Status]:
    """
    List the outcome of each request, in their order: the traversal, or the status it failed with.

    ::

        for request, outcome in zip(requests, outcomes(answer), strict=True):
            if isinstance(outcome, TraverseResponse):
                ...

    """
    return [result.traversal if result.HasField("traversal") else result.error for result in answer.responses]


class Calls:
    """
    What the calls of a client share: the token, and for unary ones deadline, waiting and revision.

    Threads may share it. Concurrent writes have revisions of their own, and only the one answered
    last is kept: to read several concurrent writes, read with the ``revision`` of each response.
    """

    def __init__(self, timeout: float | None, *, wait_for_ready: bool | None, token: GetToken | None) -> None:
        if timeout is not None and not (timeout > 0 and math.isfinite(timeout)):
            raise ValueError(f"timeout must be a positive number of seconds or None, not {timeout!r}")
        self._timeout = timeout
        self._wait_for_ready = wait_for_ready
        self._token = token
        self._has_answer = False
        self._revision = ""

    def metadata(self, given: Iterable[tuple[str, str | bytes]] | None) -> Any:
        """Return the metadata of a call with the token, unless it has one of its own."""
        if self._token is None:
            return given
        pairs = list(given or ())
        if any(name.lower() == "authorization" for name, _ in pairs):
            return given
        return [*pairs, ("authorization", f"Bearer {self._token()}")]

    def details(self, asked: Any) -> tuple[str, float | None, Any, Any, bool]:
        """Return method, timeout, metadata, credentials and wait_for_ready of a unary call."""
        waits = self._has_answer if self._wait_for_ready is None else self._wait_for_ready
        return (
            asked.method,
            self._timeout if asked.timeout is None else asked.timeout,
            self.metadata(asked.metadata),
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


def service_config(*, attempts: int) -> dict[str, Any]:
    """
    Build the gRPC service config: load balancing and retries.

    Calls go to every resolved address in turn. ``attempts`` counts the first one, 1 to 5: 1 = no
    retries. Calls that fail with UNAVAILABLE or CANCELLED are retried after 0.1 s, then twice as
    long each time, with jitter; with RESOURCE_EXHAUSTED after as long as the server says. gRPC does
    not retry a stream after its first message.
    """
    if not 1 <= attempts <= DEFAULT_ATTEMPTS:
        raise ValueError(f"attempts must be 1 to {DEFAULT_ATTEMPTS}, not {attempts!r}")
    names = _names(REPEATABLE_CALLS) + _names(REPEATABLE_STREAMS)
    retries = [{"name": names, "retryPolicy": _retry_policy(attempts)}] if attempts > 1 else []
    return {"loadBalancingConfig": [{"round_robin": {}}], "methodConfig": retries}


def _names(calls: Mapping[str, Sequence[str]]) -> list[dict[str, str]]:
    return [
        {"service": service, "method": method} for service, methods in calls.items() for method in methods
    ]


def _retry_policy(attempts: int) -> dict[str, Any]:
    return {
        "maxAttempts": attempts,
        "initialBackoff": "0.1s",
        "maxBackoff": "2s",
        "backoffMultiplier": 2,
        # CANCELLED: gRPC cancels calls that reach a server right after it stopped. A call that its
        # own caller cancels is not repeated.
        # With RESOURCE_EXHAUSTED a server says when to try again, or not to
        # ("grpc-retry-pushback-ms"). Older servers, and gRPC itself when a message is too large,
        # don't: such calls are repeated in vain.
        "retryableStatusCodes": ["UNAVAILABLE", "RESOURCE_EXHAUSTED", "CANCELLED"],
    }


def channel_options(*, attempts: int = DEFAULT_ATTEMPTS) -> list[tuple[str, Any]]:
    """Return the options of a gRPC channel; ``attempts`` as in ``service_config``."""
    return [
        ("grpc.service_config", json.dumps(service_config(attempts=attempts))),
        ("grpc.enable_retries", 1),
        ("grpc.keepalive_time_ms", KEEPALIVE_TIME_MS),
        ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.max_reconnect_backoff_ms", MAX_RECONNECT_WAIT_MS),
        # By this name core also knows how long an attempt may take.
        ("grpc.min_reconnect_backoff_ms", CONNECT_TIMEOUT_MS),
        ("grpc.max_receive_message_length", MAX_RESPONSE_BYTES),
    ]
