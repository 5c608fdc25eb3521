"""Services in the order of their names, as numbers that kernels and numpy can compare."""

from bisect import bisect_left
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from graphcore.graph import DependencyGraph

_WORD = 8
# Names joined in one go.
_LOT = 16_384


@dataclass(frozen=True, slots=True)
class NameOrder:
    """
    ``nodes`` are all services sorted by name, code point by code point; ``rank`` is the place of each node among them, -1 for an index without a service.

    Of use while the graph stands still.
    """

    nodes: NDArray[np.int32]
    rank: NDArray[np.int32]

    @classmethod
    def of(cls, graph: DependencyGraph) -> "NameOrder":
        """
        Sort the services of a graph. O(V log V) and the length of what names have in common.

        Nearly all of it is numpy's and lets other threads run, where sorting a list of strings would hold them up for tens of milliseconds.
        """
        by_name = graph.nodes_by_name()
        rank: NDArray[np.int32] = np.full(len(graph.index.nodes), -1, np.int32)
        nodes = np.fromiter(by_name.values(), np.int32, len(by_name))
        if not by_name:
            return cls(nodes, rank)
        places = _places(_joined(list(by_name)))
        ordered = np.empty_like(nodes)
        ordered[places] = nodes
        rank[nodes] = places
        return cls(ordered, rank)

    def place(self, graph: DependencyGraph, name: str) -> int:
        """Count the services whose names come before a name, which need not be that of a service. O(log V)."""
        digraph = graph.digraph
        return bisect_left(self.nodes, name, key=lambda node: digraph[int(node)].name)


def _joined(names: list[str]) -> bytes:
    """Write names, each with a NUL behind it, which no name holds; a lot at a time, so that other threads get their turn."""
    lots = (names[first : first + _LOT] for first in range(0, len(names), _LOT))
    return b"".join([("\0".join(lot) + "\0").encode("utf-8", "surrogatepass") for lot in lots])


def _places(joined: bytes) -> NDArray[np.int64]:
    """
    Find the place in sorted order of each of some distinct names, joined.

    In UTF-8 bytes sort as code points do. Names are compared eight bytes at a time, and those that are still equal go on to the next eight.
    """
    content = np.frombuffer(joined, np.uint8)
    ends = np.flatnonzero(content == 0)
    starts = np.concatenate(([0], ends[:-1] + 1))
    places: NDArray[np.int64] = np.zeros(len(ends), np.int64)
    equal, depth = np.arange(len(ends)), 0
    while len(equal):
        words = _words(content, starts[equal] + depth, ends[equal])
        order = np.lexsort((words, places[equal]))
        equal, words = equal[order], words[order]
        first = np.empty(len(equal), bool)
        first[0] = True
        former = places[equal]
        same_before = former[1:] == former[:-1]
        first[1:] = ~same_before | (words[1:] != words[:-1])
        position = np.arange(len(equal))
        group = np.maximum.accumulate(np.where(np.append(True, ~same_before), position, 0))
        head = np.maximum.accumulate(np.where(first, position, 0))
        places[equal] = former + head - group
        alone = first & np.append(first[1:], True)
        equal, depth = equal[~alone], depth + _WORD
    return places


def _words(
    content: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> NDArray[np.uint64]:
    """Read eight bytes of each name as one number; behind its end there are NULs."""
    places = np.minimum(starts[:, None] + np.arange(_WORD), ends[:, None])
    words: NDArray[np.uint64] = content.take(places).view(">u8")[:, 0].astype(np.uint64)
    return words
