"""
Which services a service calls, or is called by, over one effective dependency for each pair of services: as indices.

The rules are those of ``graphcore.reach``, asked of the leading edge of each pair; which one that is stands in ``graphcore.analysis.effective``.
"""

from graphcore.flags import SOURCES, EdgeFilter
from graphcore.graph import DependencyGraph
from graphcore.kernels import effective_walking
from graphcore.kernels.layout import COUNTS, EDGE_COUNT, TRUNCATED
from graphcore.reach import FRESH, Direction, Reach


def effective_reach(
    graph: DependencyGraph,
    start: str,
    direction: Direction,
    max_depth: int,
    edge_filter: EdgeFilter = FRESH,
    *,
    max_services: int = 0,
    with_dependencies: bool = True,
) -> Reach:
    """
    Walk as ``reach`` does, crossing each pair of services once, where its leading edge passes; ``edges`` are these leading edges.

    Arguments, errors, bounds and complexity are those of ``reach``; about twice the time, since every edge is looked at twice.
    """
    if max_depth < 1 or max_services < 0:
        raise ValueError(
            f"max_depth must be at least 1, max_services at least 0, not {max_depth}, {max_services}"
        )
    index, walk = graph.index, direction.walk
    walks = index.walks
    deepest = effective_walking.reach_pairs.run(
        index.nodes,
        index.pool,
        index.confidence,
        walks.rows,
        walks.crossed,
        graph.node(start),
        walk,
        max_depth,
        max_services,
        with_dependencies,
        edge_filter.blocked & SOURCES,
        edge_filter.blocked & ~SOURCES,
        edge_filter.reads_stale,
        edge_filter.min_confidence,
    )
    answer = walks.answer
    counts = tuple(answer[COUNTS : COUNTS + deepest].tolist())
    nodes = walks.queues[walk][1 : sum(counts) + 1].copy()
    return Reach(nodes, counts, walks.crossed[: answer[EDGE_COUNT]].copy(), answer[TRUNCATED] == 1)
