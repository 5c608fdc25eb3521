"""FindPaths: the shortest paths of calls between two services."""

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from depgraph.v1 import analysis_service_pb2 as pb
from graphcore import DependencyGraph, EdgeFilter
from graphcore.analysis.paths import ShortestPaths, shortest_paths
from graphcore.graph.flags import SOURCES
from server import wire
from server.domain.live_graph import Consistency
from server.rpc.answers import joined_within, pair_records, tag, too_large
from server.rpc.questions import consistency, edge_filter, edge_mask, own_names, resolved_field
from server.rpc.validate import Check
from server.wire.fields import field

MOST_PATHS = 100
_DEFAULT_PATHS = 1
_PATH = tag(pb.FindPathsResponse, "paths")
_HOP = tag(pb.Path, "hops")
# A hop holds the id of a dependency and the name of a service.
_LEAST_HOP_BYTES = 40
_TRUNCATED = pb.FindPathsResponse(truncated=True).SerializeToString()

_Pair: TypeAlias = tuple[int, int]


class PathsQuestion(NamedTuple):
    """The two services, and which dependencies count; ``max_hops`` 0 = no limit."""

    source: str
    target: str
    max_paths: int
    max_hops: int
    edge_filter: EdgeFilter
    effective: bool
    consistency: Consistency


def paths_question(request: pb.FindPathsRequest) -> PathsQuestion:
    """Read a request."""
    check = Check()
    question = PathsQuestion(
        source=check.text("source_service_id", request.source_service_id),
        target=check.text("target_service_id", request.target_service_id),
        max_paths=check.number("max_paths", request.max_paths, 0, MOST_PATHS, f"0 = {_DEFAULT_PATHS}")
        or _DEFAULT_PATHS,
        max_hops=check.at_least("max_hops", request.max_hops, 0),
        edge_filter=edge_filter(check, request.filter, include_stale=request.include_stale),
        effective=request.effective,
        consistency=consistency(check, request.consistency),
    )
    _check_ends(check, question)
    check.done()
    return question


def paths_answer(graph: DependencyGraph, question: PathsQuestion, limit: int) -> bytes:
    """Find the paths and encode them."""
    asked = (question.source, question.target)
    own = own_names(graph, *asked)
    question = question._replace(source=own[0], target=own[1])
    check = Check()
    _check_ends(check, question)
    check.done()
    mask = edge_mask(graph, question.edge_filter, *own, effective=question.effective)
    found = shortest_paths(
        graph,
        question.source,
        question.target,
        mask,
        max_paths=question.max_paths,
        max_hops=question.max_hops,
    )
    # Paths of very many hops are refused before their records are looked up.
    hops = sum(len(path) - 1 for path in found.paths)
    fits = _LEAST_HOP_BYTES * hops <= limit
    joined = joined_within(_records(graph, question, found, mask), limit) if fits else None
    if joined is None:
        raise too_large(
            f"{len(found.paths):,} paths with {hops:,} hops",
            limit,
            "ask for fewer paths (max_paths), or for shorter ones (max_hops)",
        )
    return joined + resolved_field(pb.FindPathsResponse, asked, own)


def _check_ends(check: Check, question: PathsQuestion) -> None:
    """Check that they are two services: as they were given, and by their own names."""
    if question.source and question.source == question.target:
        check.add("source_service_id", "is the target, too; a path leads from one service to another")
        check.add("target_service_id", "is the source, too; a path leads from one service to another")


def _records(
    graph: DependencyGraph, question: PathsQuestion, found: ShortestPaths, mask: NDArray[np.uint8]
) -> Iterator[bytes]:
    if found.truncated:
        yield _TRUNCATED
    hops: dict[_Pair, bytes] = {}
    for path in found.paths:
        unknown = [pair for pair in pairwise(path) if pair not in hops]
        effective = question.edge_filter if question.effective else None
        hops.update(zip(unknown, _hops(graph, unknown, mask, effective), strict=True))
        ids = graph.service_encoded_ids[np.array(path, np.int32)].tolist()
        names = [wire.retagged(each, pb.Path.SERVICE_IDS_FIELD_NUMBER) for each in ids]
        yield field(_PATH, b"".join((*names, *(hops[pair] for pair in pairwise(path)))))


def _hops(
    graph: DependencyGraph, pairs: list[_Pair], mask: NDArray[np.uint8], effective: EdgeFilter | None
) -> Iterator[bytes]:
    """Encode the hop of each pair: its dependencies, or, given a filter, the effective one."""
    edges = [_edges(graph, pair, mask) for pair in pairs]
    if effective is None:
        payloads, number = graph.dependency_payloads, pb.Hop.DEPENDENCIES_FIELD_NUMBER
        for parallel in edges:
            records = [wire.retagged(payloads[edge], number) for edge in parallel]
            yield field(_HOP, b"".join(records))
        return
    leading = np.array([parallel[0] for parallel in edges], np.int32)
    for record in pair_records(graph, leading, effective).merged():
        yield field(_HOP, wire.retagged(record, pb.Hop.EFFECTIVE_FIELD_NUMBER))


def _edges(graph: DependencyGraph, pair: _Pair, mask: NDArray[np.uint8]) -> list[int]:
    """Find the edges of a pair that count, by discovery source. O(out-degree)."""
    digraph = graph.digraph
    edges = [edge for edge in digraph.edge_indices_from_endpoints(*pair) if mask[edge]]
    return sorted(edges, key=lambda edge: digraph.get_edge_data_by_index(edge).flags & SOURCES)
