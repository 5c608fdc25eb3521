"""Effective dependencies in answers: what all sources that take part say of one pair of services."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from depgraph.v1.types_pb2 import Dependency, EffectiveDependency
from graphcore import DependencyGraph, EdgeFilter
from graphcore.analysis.edge_selection import parallel_edges
from server import wire

_PAIRS_A_LOT = 256


class PairRecords(NamedTuple):
    """The records that take part, pair by pair: those of pair ``i`` are ``records[starts[i]:starts[i + 1]]``. Stays as it is while the graph moves on."""

    records: NDArray[np.object_]
    starts: NDArray[np.int64]

    def merged(self) -> Iterator[bytes]:
        """Go through the pairs, each as ``TraverseResponse.effective_dependencies``; some 10 µs each."""
        for first in range(0, len(self.starts) - 1, _PAIRS_A_LOT):
            bounds = self.starts[first : first + _PAIRS_A_LOT + 1]
            some = self.records[bounds[0] : bounds[-1]].tolist()
            for start, end in pairwise((bounds - bounds[0]).tolist()):
                yield wire.effective_record(some[start:end])


def pair_records(graph: DependencyGraph, chosen: NDArray[np.int32], edge_filter: EdgeFilter) -> PairRecords:
    """
    Take the records of the dependencies that take part in the pairs of ``chosen``, one edge of each pair (``effective_edges``).

    O(the smaller degree of each pair's ends).
    """
    found = parallel_edges(graph, chosen, edge_filter)
    return PairRecords(graph.dependency_payloads.take(found.edges), found.starts)


def effective_messages(
    graph: DependencyGraph, chosen: NDArray[np.int32], edge_filter: EdgeFilter
) -> list[EffectiveDependency]:
    """Merge the pairs of ``chosen``, one edge of each (``effective_edges``), into messages, in that order; some 10 µs each."""
    return [wire.effective_of(record) for record in pair_records(graph, chosen, edge_filter).merged()]


def effective_message(dependencies: Sequence[Dependency]) -> EffectiveDependency:
    """Merge the dependencies of one pair of services that take part, at least one, in any order; some 10 µs."""
    return wire.effective_dependency(dependencies)
