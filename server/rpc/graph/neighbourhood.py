"""GetNeighbourhood: the services around one, the foremost ones singly, all others in groups."""

import asyncio
from collections.abc import Iterator
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from depgraph.v1 import graph_service_pb2 as pb
from depgraph.v1.types_pb2 import CRITICALITY_UNKNOWN
from graphcore import DependencyGraph, EdgeFilter
from graphcore.analysis.arrangement import Arrangement, Arranging, Group, arrange, foremost
from graphcore.analysis.counted_calls import (
    CallPairs,
    CountedCalls,
    callee_counts,
    caller_counts,
    count_calls,
)
from graphcore.analysis.sides import Sides, sides_of
from server import wire
from server.domain.errors import ServiceNotFoundError
from server.domain.live_graph import Freshness
from server.rpc.answers import (
    PairRecords,
    freshness_message,
    joined_in_slices,
    pair_records,
    tag,
    too_large,
)
from server.rpc.graph.labels import Labels, labels_of
from server.rpc.graph.neighbourhood_question import GroupName, NeighbourhoodQuestion
from server.rpc.questions import names_of, nodes_left_in, own_names, resolved_field
from server.wire.fields import field

_SIDE_NUMBERS = (pb.DIRECTION_UPSTREAM, pb.DIRECTION_DOWNSTREAM)

_CENTER = pb.GetNeighbourhoodResponse.CENTER_FIELD_NUMBER
_NEIGHBOUR = tag(pb.GetNeighbourhoodResponse, "neighbours")
_SERVICE = pb.Neighbour.SERVICE_FIELD_NUMBER
_DEPENDENCY = pb.GetNeighbourhoodResponse.DEPENDENCIES_FIELD_NUMBER
_GROUP = tag(pb.GetNeighbourhoodResponse, "groups")
_CALLS = tag(pb.GetNeighbourhoodResponse, "group_calls")
_FRESHNESS = tag(pb.GetNeighbourhoodResponse, "freshness")


async def neighbourhood_answer(
    graph: DependencyGraph, question: NeighbourhoodQuestion, freshness: Freshness, limit: int
) -> bytes:
    """
    Answer with the bytes of a ``GetNeighbourhoodResponse``; the graph must not change meanwhile.

    Raises ``ServiceNotFoundError`` and ``ResponseTooLargeError``. O(V + E); other calls run
    meanwhile.
    """
    asked = question.service_id
    own = own_names(graph, asked)[0] if asked else await _first_service(graph, question.edge_filter)
    start, passing = graph.node(own), question.edge_filter
    sides = await asyncio.to_thread(sides_of, graph, own, question.direction, question.max_depth, passing)
    pairs = await asyncio.to_thread(CallPairs.of, graph, passing, [start], sides.edges)
    labels = await labels_of(graph.service_payloads[sides.nodes])
    services = Arranging(
        labels.criticality,
        await asyncio.to_thread(caller_counts, graph, sides.nodes),
        labels.label,
        len(labels.labels),
        lambda positions: names_of(graph, sides.nodes[positions]),
    )
    opened = [group for name in question.opened if (group := _group_of(name, labels.labels))]
    arrangement = await asyncio.to_thread(
        arrange, sides, services, opened, question.max_services, question.max_teams
    )
    picture = _Picture(start, sides, pairs, labels, arrangement)
    head = b"".join(
        (
            field(_FRESHNESS, freshness_message(freshness)),
            resolved_field(pb.GetNeighbourhoodResponse, [asked or own], [own]),
        )
    )
    return await _joined(graph, passing, picture, limit, head)


async def _first_service(graph: DependencyGraph, passing: EdgeFilter) -> str:
    """Choose the service to begin with, see ``GetNeighbourhoodRequest.service_id``."""
    nodes = nodes_left_in(graph, passing)
    if not len(nodes):
        nodes = nodes_left_in(graph, EdgeFilter())
    if not len(nodes):
        raise ServiceNotFoundError("the graph has no services yet: import some, or connect a source")
    labels = await labels_of(graph.service_payloads[nodes])
    callers = await asyncio.to_thread(caller_counts, graph, nodes)
    callees = await asyncio.to_thread(callee_counts, graph, nodes)
    keys = (labels.criticality, -(callers + callees))
    [first] = await asyncio.to_thread(foremost, keys, 1, lambda places: names_of(graph, nodes[places]))
    return graph.digraph[int(nodes[first])].name


class _Picture(NamedTuple):
    """What is shown around the node ``start``."""

    start: int
    sides: Sides
    pairs: CallPairs
    labels: Labels
    arrangement: Arrangement

    def ends(self, node_count: int) -> NDArray[np.int32]:
        """Return what stands for each node: 0 the start, then services, then groups."""
        nodes, (shown, _, group, _) = self.sides.nodes, self.arrangement
        end = np.full(node_count, -1, np.int32)
        end[self.start] = 0
        end[nodes[shown]] = np.arange(1, len(shown) + 1)
        is_grouped = group >= 0
        end[nodes[is_grouped]] = group[is_grouped] + len(shown) + 1
        return end


def _group_of(name: GroupName, teams: list[str]) -> Group | None:
    """Return a group by the number of its team; None = no service has this team."""
    if name.other_teams:
        return Group(name.side, name.depth, None)
    return Group(name.side, name.depth, teams.index(name.team)) if name.team in teams else None


async def _joined(
    graph: DependencyGraph,
    passing: EdgeFilter,
    picture: _Picture,
    limit: int,
    head: bytes,
) -> bytes:
    """Join the answer to its encoded ``head``; other calls run meanwhile."""
    sides, (shown, names, _, groups) = picture.sides, picture.arrangement
    shown_names = [graph.digraph[picture.start].name, *names]
    drawn = await asyncio.to_thread(_drawn, graph, passing, picture, shown_names)
    records = chain(
        [wire.retagged(graph.service_payloads[picture.start], _CENTER)],
        _neighbours(graph, picture),
        drawn.groups,
        (wire.retagged(record, _DEPENDENCY) for record in drawn.dependencies.merged()),
        _calls(drawn.calls, shown_names),
    )
    counts = pb.GetNeighbourhoodResponse(upstream_count=sides.counts[0], downstream_count=sides.counts[1])
    answer = await joined_in_slices(chain([head, counts.SerializeToString()], records), limit)
    if answer is None:
        content = f"{len(shown):,} services and {len(groups):,} groups"
        raise too_large(content, limit, "set max_services and max_teams to less")
    return answer


class _Drawn(NamedTuple):
    """The encoded groups, and the calls of what is shown."""

    groups: list[bytes]
    dependencies: PairRecords
    calls: CountedCalls


def _drawn(graph: DependencyGraph, passing: EdgeFilter, picture: _Picture, names: list[str]) -> _Drawn:
    """Count and encode what may be much for the event loop; ``names`` are of the ends shown."""
    pairs, end = picture.pairs, picture.ends(len(graph.index.nodes))
    is_shown = (end[pairs.source] < len(names)) & (end[pairs.target] < len(names))
    calls = count_calls(pairs.chosen(~is_shown), end, len(names) + len(picture.arrangement.groups))
    dependencies = pair_records(graph, _by_name(pairs.chosen(is_shown), end, names), passing)
    return _Drawn(list(_groups(picture, calls)), dependencies, calls)


def _by_name(pairs: CallPairs, end: NDArray[np.int32], names: list[str]) -> NDArray[np.int32]:
    """Return the leading edges of pairs, sorted by the names of source and target."""
    rank = np.empty(len(names), np.int64)
    rank[sorted(range(len(names)), key=names.__getitem__)] = np.arange(len(names))
    return pairs.edge[np.lexsort((rank[end[pairs.target]], rank[end[pairs.source]]))]


def _neighbours(graph: DependencyGraph, picture: _Picture) -> Iterator[bytes]:
    sides, shown = picture.sides, picture.arrangement.shown
    rows = zip(
        graph.service_payloads[sides.nodes[shown]].tolist(),
        sides.side[shown].tolist(),
        sides.depth[shown].tolist(),
        sides.other_depth[shown].tolist(),
        strict=True,
    )
    for record, side, depth, other_depth in rows:
        message = pb.Neighbour(direction=_SIDE_NUMBERS[side], depth=depth, other_depth=other_depth)
        yield field(_NEIGHBOUR, wire.retagged(record, _SERVICE) + message.SerializeToString())


def _groups(picture: _Picture, calls: CountedCalls) -> Iterator[bytes]:
    shown, _, group, groups = picture.arrangement
    is_grouped = group >= 0
    group, labels, count = group[is_grouped], picture.labels, len(groups)
    sizes = np.bincount(group, minlength=count).tolist()
    highest = np.full(count, CRITICALITY_UNKNOWN, np.int8)
    np.minimum.at(highest, group, labels.criticality[is_grouped])
    teams = np.unique(group * len(labels.labels) + labels.label[is_grouped]) // len(labels.labels)
    team_counts = np.bincount(teams, minlength=count).tolist()
    first = 1 + len(shown)
    is_inner = calls.source == calls.target
    inner = dict(zip((calls.source[is_inner] - first).tolist(), calls.counts[is_inner].tolist(), strict=True))
    for number, name in enumerate(groups):
        selector = pb.GroupSelector(
            direction=_SIDE_NUMBERS[name.side],
            depth=name.depth,
            team="" if name.team is None else labels.labels[name.team],
            other_teams=name.team is None,
        )
        message = pb.NeighbourGroup(
            selector=selector,
            service_count=sizes[number],
            highest_criticality=highest[number],
            team_count=team_counts[number],
            inner_calls=counted(inner[number]) if number in inner else None,
        )
        yield field(_GROUP, message.SerializeToString())


def _calls(calls: CountedCalls, names: list[str]) -> Iterator[bytes]:
    is_between = calls.source != calls.target
    columns = (calls.source, calls.target, calls.counts)
    for source, target, counts in zip(*(column[is_between].tolist() for column in columns), strict=True):
        message = pb.GroupCalls(source=_end(source, names), target=_end(target, names), calls=counted(counts))
        yield field(_CALLS, message.SerializeToString())


def _end(end: int, names: list[str]) -> pb.CallEnd:
    if end < len(names):
        return pb.CallEnd(service_id=names[end])
    return pb.CallEnd(group=end - len(names))


def counted(counts: list[int]) -> pb.CountedCalls:
    """Write the counts of a row of ``CountedCalls``."""
    pairs, sync, asynchronous, unknown, stale = counts
    return pb.CountedCalls(
        pair_count=pairs,
        sync_count=sync,
        async_count=asynchronous,
        unknown_count=unknown,
        stale_count=stale,
    )
