"""The pairs of services of a component, each with all its dependencies and one cost."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from graphcore.analysis.calls import Calls, Numbers, sources
from graphcore.analysis.cut_costs import dependency_costs
from graphcore.flags import ALL_FLAGS
from graphcore.kernels import calls as kernels
from graphcore.kernels.layout import FLAGS, OUT_SLOT
from graphcore.traversal_index import TraversalIndex


@dataclass(frozen=True, slots=True)
class Pairs:
    """
    Pairs sorted by caller, then callee, as ``graphcore.kernels.cuts.layout`` has them; ``cost`` in millionths.

    ``edges[first[pair] : first[pair + 1]]`` are the dependencies of a pair, in the order of their discovery sources.
    """

    start: Numbers
    target: Numbers
    source: Numbers
    cost: NDArray[np.int64]
    back_start: Numbers
    back: Numbers
    first: NDArray[np.int64]
    edges: Numbers

    @property
    def count(self) -> int:
        """How many services there are."""
        return len(self.start) - 1

    @property
    def costed(self) -> tuple[Numbers, Numbers, Numbers, NDArray[np.int64], Numbers, Numbers]:
        """What kernels call PAIRS."""
        return self.start, self.target, self.source, self.cost, self.back_start, self.back

    @property
    def ways(self) -> tuple[Numbers, Numbers, Numbers, Numbers, Numbers]:
        """What kernels call WAYS."""
        return self.start, self.target, self.source, self.back_start, self.back


def pairs_of(calls: Calls, index: TraversalIndex) -> Pairs:
    """Put parallel dependencies together and price them. O(E log E)."""
    count = len(calls.start) - 1
    flags = index.pool[FLAGS][index.edges[calls.edge, OUT_SLOT]] & ALL_FLAGS
    keys = sources(calls.start).astype(np.int64) * count + calls.target
    # By flags in the end, so that the parallel ones of a pair come in the same order however the graph came to be.
    order = np.lexsort((flags, keys))
    keys = keys[order]
    begins = np.ones(len(keys), np.bool_)
    begins[1:] = keys[1:] != keys[:-1]
    places = np.flatnonzero(begins)
    edges = calls.edge[order]
    costs = dependency_costs(flags[order], index.confidence[edges])
    source, target = (part.astype(np.int32) for part in np.divmod(keys[places], max(count, 1)))
    start = np.searchsorted(source, np.arange(count + 1)).astype(np.int32)
    back_start, back = np.empty_like(start), np.empty_like(target)
    kernels.turn_round.run(start, target, back_start, back)
    return Pairs(
        start=start,
        target=target,
        source=source,
        cost=np.add.reduceat(costs, places) if len(places) else np.empty(0, np.int64),
        back_start=back_start,
        back=back,
        first=np.append(places, len(keys)),
        edges=edges,
    )
