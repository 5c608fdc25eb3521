"""Audits and drift in the plainest way: all pairs of dependencies, simple paths, dictionaries."""

from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from itertools import product
from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from graphcore import DependencyGraph, DependencyRecord, EdgeFlag, ServiceRecord

MOST = 2**63 - 1
SOURCES = ("MANUAL", "OTEL_SERVICE_GRAPH", "KUBERNETES", "SERVICE_MESH", "CATALOG")
DECLARING = {"MANUAL", "CATALOG", "KUBERNETES"}
MODES = ("SYNC", "ASYNC", "UNKNOWN_MODE")


class Call(NamedTuple):
    """
    A dependency between two names.

    ``timeout`` 0 = none; ``discovery`` is a place in SOURCES, ``mode`` one of MODES.
    """

    source: str
    target: str
    timeout: int = 0
    attempts: int = 1
    discovery: int = 0
    mode: str = "SYNC"
    is_stale: bool = False

    @property
    def flags(self) -> int:
        flags = EdgeFlag[SOURCES[self.discovery]] | EdgeFlag[self.mode]
        return int(flags | EdgeFlag.STALE if self.is_stale else flags)


def graph_of(calls: list[Call], *others: str) -> DependencyGraph:
    """Build a graph of calls and services; the payload of a dependency is its call."""
    names = sorted({name for call in calls for name in call[:2]} | set(others), reverse=True)
    return DependencyGraph.from_records(
        [ServiceRecord(("key", name), name) for name in names],
        [
            DependencyRecord(
                number, ("key", call.source), ("key", call.target), flags=call.flags, payload=call
            )
            for number, call in enumerate(calls)
        ],
    )


def policies(
    payloads: NDArray[np.object_], places: NDArray[np.int32]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Read timeouts and attempts out of such payloads."""
    calls: list[Call] = payloads[places].tolist()
    return (
        np.array([call.timeout for call in calls], np.int64),
        np.array([call.attempts for call in calls], np.int64),
    )


def merged_calls(calls: list[Call], *, include_stale: bool) -> list[Call]:
    """Merge all sources of a pair: each value from the first that has one, fresh before stale."""
    in_order = ("MANUAL", "CATALOG", "SERVICE_MESH", "OTEL_SERVICE_GRAPH", "KUBERNETES")
    order = [SOURCES.index(source) for source in in_order]
    pairs: dict[tuple[str, str], list[Call]] = defaultdict(list)
    for call in sorted(calls, key=lambda call: (call.is_stale, order.index(call.discovery))):
        if include_stale or not call.is_stale:
            pairs[call[:2]].append(call)
    return [
        said[0]._replace(
            mode=next((call.mode for call in said if call.mode != "UNKNOWN_MODE"), "UNKNOWN_MODE"),
            timeout=next((call.timeout for call in said if call.timeout), 0),
            attempts=next((call.attempts for call in said if call.attempts), 1),
        )
        for said in pairs.values()
    ]


def plain_timeouts(calls: list[Call], begin: str | None = None) -> list[tuple[int, Call, Call]]:
    """Every pair whose second timeout is not smaller, worst first."""
    pairs = [
        (second.timeout - first.timeout, first, second)
        for first in calls
        for second in calls
        if first.target == second.source and 0 < first.timeout <= second.timeout
    ]
    wanted = [pair for pair in pairs if begin in (None, pair[1].source)]
    return sorted(wanted, key=lambda p: (-p[0], *p[1][:2], p[2].target, p[1].discovery, p[2].discovery))


def plain_retries(
    calls: list[Call], max_hops: int, max_attempts: int, begin: str | None = None
) -> list[tuple[int, list[str]]]:
    """The worst path of every service that has one over the bound, worst first."""
    strongest: dict[str, dict[str, int]] = defaultdict(dict)
    for call in calls:
        row = strongest[call.source]
        row[call.target] = max(row.get(call.target, 0), call.attempts)
    found = []
    for name in sorted(strongest):
        worst = min(
            ((-product, len(path), path) for product, path in _paths(strongest, [name], 1, max_hops)),
            default=None,
        )
        if worst is not None and -worst[0] > max_attempts and begin in (None, name):
            found.append((-worst[0], worst[2]))
    return sorted(found, key=lambda one: (-one[0], one[1]))


def plain_unknown(calls: list[Call], begin: str | None, max_hops: int) -> int:
    """How many calls of unknown mode paths of synchronous or unknown ones from ``begin`` hold."""
    reached = {call.source for call in calls} if begin is None else {begin}
    for _ in range(max(max_hops, 2) - 1):
        reached |= {call.target for call in calls if call.source in reached and call.mode != "ASYNC"}
    return sum(call.mode == "UNKNOWN_MODE" for call in calls if call.source in reached)


def plain_drift(calls: list[Call], *, ignore_stale: bool) -> dict[tuple[str, str], str]:
    """Which side reports each pair that drifts."""
    sides: dict[tuple[str, str], set[str]] = defaultdict(set)
    for call in calls:
        if not (call.is_stale and ignore_stale):
            side = "declared" if SOURCES[call.discovery] in DECLARING else "observed"
            sides[call.source, call.target].add(side)
    return {pair: next(iter(found)) for pair, found in sides.items() if len(found) == 1}


def plain_contradictions(calls: list[Call], *, ignore_stale: bool) -> set[tuple[str, str]]:
    """Pairs of which one source says that they are synchronous, and another that they are not."""
    fresh = [call for call in calls if not (call.is_stale and ignore_stale)]
    sync, asynchronous = ({call[:2] for call in fresh if call.mode == mode} for mode in ("SYNC", "ASYNC"))
    return sync & asynchronous


def _paths(
    strongest: dict[str, dict[str, int]], path: list[str], product: int, hops: int
) -> Iterator[tuple[int, list[str]]]:
    if len(path) > 1:
        yield product, path
    if hops:
        for target, attempts in strongest.get(path[-1], {}).items():
            if target not in path:
                more = min(product * attempts, MOST)
                yield from _paths(strongest, [*path, target], more, hops - 1)


@cache
def some_calls(
    names: str = "abcdefg", attempts: tuple[int, ...] = (1, 2, 4), most: int = 24
) -> st.SearchStrategy[list[Call]]:
    """Calls between a few services, at most one of each source for a pair."""
    # Two draws for a call: draws are what these tests spend their time on.
    ends = st.sampled_from(list(product(names, names)))
    timeouts, sources = (0, 100, 200, 300), range(len(SOURCES))
    policy = st.sampled_from(
        list(product((False, False, False, True), ("SYNC", *MODES), sources, attempts, timeouts))
    )
    return st.lists(st.builds(_call, ends, policy), max_size=most).map(_unique_calls)


def _call(ends: tuple[str, str], policy: tuple[bool, str, int, int, int]) -> Call:
    is_stale, mode, discovery, attempts, timeout = policy
    return Call(*ends, timeout, attempts, discovery, mode, is_stale)


def _unique_calls(calls: list[Call]) -> list[Call]:
    unique = {(call.source, call.target, call.discovery): call for call in calls}
    return [call for call in unique.values() if call.source != call.target]
