"""GetMap: teams or other groups of services as nodes, or the inside of one of them."""

import asyncio
from collections.abc import Iterator
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from depgraph.v1 import graph_service_pb2 as pb
from graphcore import DependencyGraph, EdgeFilter
from graphcore.analysis.arrangement import foremost
from graphcore.analysis.counted_calls import CallPairs, CountedCalls, caller_counts, count_calls
from server import wire
from server.domain.errors import GroupNotFoundError
from server.domain.live_graph import Consistency, Freshness
from server.domain.services import NAME_MAX_LENGTH
from server.rpc.answers import freshness_message, joined_in_slices, tag, too_large
from server.rpc.graph.labels import Labels, labels_of
from server.rpc.graph.map_places import MapPlaces
from server.rpc.graph.neighbourhood import counted
from server.rpc.questions import consistency, edge_filter, names_of, nodes_left_in
from server.rpc.validate import Check, shown
from server.wire.fields import field

_DEFAULT_NODES, _LEAST_NODES, _MAX_NODES = 100, 2, 300
# Inside a group, other groups take at most this part of the nodes.
_PART_OF_GROUPS = 4

_NODE = tag(pb.GetMapResponse, "nodes")
_CALLS = tag(pb.GetMapResponse, "calls")
_FRESHNESS = tag(pb.GetMapResponse, "freshness")
_SERVICE = pb.MapNode.SERVICE_FIELD_NUMBER


class MapQuestion(NamedTuple):
    """How to group services (no key = by team), and the group to look into; None = all groups."""

    metadata_key: str
    inside: str | None
    edge_filter: EdgeFilter
    max_nodes: int
    consistency: Consistency


def map_question(request: pb.GetMapRequest) -> MapQuestion:
    """Read a request; raises ``InvalidInputError``."""
    check = Check()
    key, most = request.metadata_key, request.max_nodes
    if most:
        check.number("max_nodes", most, _LEAST_NODES, _MAX_NODES, f"0 = {_DEFAULT_NODES}")
    question = MapQuestion(
        check.text("metadata_key", key, NAME_MAX_LENGTH) if key else "",
        request.inside if request.HasField("inside") else None,
        edge_filter(check, request.filter, include_stale=request.include_stale),
        most or _DEFAULT_NODES,
        consistency(check, request.consistency),
    )
    check.done()
    return question


class MapNode(NamedTuple):
    """
    A node of a map: what it is, without the calls.

    ``message`` lacks the service, whose encoded record is ``record``. ``name`` is unique among the
    nodes of a map, and the same in the next answer.
    """

    name: tuple[str, str]
    message: pb.MapNode
    record: bytes = b""


class DrawnMap(NamedTuple):
    """Nodes, and the calls between them by position; valid whatever the graph does."""

    nodes: list[MapNode]
    calls: CountedCalls
    group_count: int
    service_count: int


async def drawn_map(graph: DependencyGraph, question: MapQuestion) -> DrawnMap:
    """
    Choose the nodes of a map and count the calls between them; the graph must not change meanwhile.

    Raises ``GroupNotFoundError``. O(V log V + E log E); other calls run meanwhile.
    """
    nodes = nodes_left_in(graph, question.edge_filter)
    pairs = await asyncio.to_thread(CallPairs.of, graph, question.edge_filter)
    labels = await labels_of(graph.service_payloads[nodes], question.metadata_key)
    return await asyncio.to_thread(_drawn, graph, question, _Grouped(nodes, labels), pairs)


class _Grouped(NamedTuple):
    """The services on a map, and their labels."""

    nodes: NDArray[np.int32]
    labels: Labels

    def sizes(self) -> NDArray[np.int64]:
        """Count the services of each label."""
        return np.bincount(self.labels.label, minlength=len(self.labels.labels))

    def label_by_node(self, node_count: int) -> NDArray[np.int32]:
        """Return the label of each node of the graph, -1 = it is not on the map."""
        label = np.full(node_count, -1, np.int32)
        label[self.nodes] = self.labels.label
        return label

    def highest(self) -> NDArray[np.int8]:
        """Return the highest criticality among the services of each label."""
        highest = np.full(len(self.labels.labels), 5, np.int8)
        np.minimum.at(highest, self.labels.label, self.labels.criticality)
        return highest


def _drawn(graph: DependencyGraph, question: MapQuestion, grouped: _Grouped, pairs: CallPairs) -> DrawnMap:
    if question.inside is None:
        return _all_groups(graph, question, grouped, pairs)
    return _inside(graph, question, grouped, pairs)


def _all_groups(
    graph: DependencyGraph, question: MapQuestion, grouped: _Grouped, pairs: CallPairs
) -> DrawnMap:
    sizes = grouped.sizes()
    present = np.flatnonzero(sizes)
    order = present[np.argsort(-sizes[present], kind="stable")]
    groups = _GroupNodes(grouped, order, question.max_nodes)
    number = groups.numbers(len(graph.index.nodes), 0)
    calls = count_calls(pairs, number, len(groups.nodes))
    return DrawnMap(groups.nodes, calls, len(present), len(grouped.nodes))


class _GroupNodes:
    """The first of some groups as nodes, and a node for the others if there are more than fit."""

    def __init__(
        self, grouped: _Grouped, order: NDArray[np.int64], most: int, *, beside: bool = False
    ) -> None:
        self._grouped, self._order = grouped, order
        self._own = len(order) if len(order) <= most else most - 1
        sizes, highest, names = grouped.sizes(), grouped.highest(), grouped.labels.labels
        self.nodes = [
            MapNode(
                ("group", names[label]),
                pb.MapNode(
                    group=names[label],
                    service_count=int(sizes[label]),
                    highest_criticality=highest[label],
                ),
            )
            for label in order[: self._own].tolist()
        ]
        if rest := order[self._own :].tolist():
            message = pb.MapNode(
                service_count=int(sizes[rest].sum()), highest_criticality=highest[rest].min()
            )
            if beside:
                message.other_groups = len(rest)
            else:
                message.others = len(rest)
            self.nodes.append(MapNode(("others", "groups"), message))

    def numbers(self, node_count: int, first: int) -> NDArray[np.int32]:
        """Return the number of each node's group, from ``first`` on; -1 = it is in none of them."""
        place = np.full(len(self._grouped.labels.labels) + 1, -1, np.int32)
        place[self._order] = np.minimum(np.arange(len(self._order)), self._own) + first
        # The last entry is that of nodes that are not on the map.
        return place[self._grouped.label_by_node(node_count)]


def _inside(graph: DependencyGraph, question: MapQuestion, grouped: _Grouped, pairs: CallPairs) -> DrawnMap:
    name, labels = question.inside or "", grouped.labels
    wanted = labels.labels.index(name) if name in labels.labels else -1
    members = np.flatnonzero(labels.label == wanted)
    if not len(members):
        what = f"the text {shown(name)} under {shown(question.metadata_key)}" if question.metadata_key else ""
        raise GroupNotFoundError(f"no service has {what or f'the team {shown(name)}'}", group=name)
    label = grouped.label_by_node(len(graph.index.nodes))
    source, target = label[pairs.source], label[pairs.target]
    pairs = pairs.chosen((source == wanted) | (target == wanted))
    beside = _groups_beside(label, pairs, wanted, len(labels.labels))
    groups = _GroupNodes(grouped, beside, max(1, question.max_nodes // _PART_OF_GROUPS), beside=True)
    services, number = _service_nodes(graph, grouped, members, question.max_nodes - len(groups.nodes))
    others = groups.numbers(len(graph.index.nodes), len(services))
    calls = count_calls(pairs, np.where(number < 0, others, number), len(services) + len(groups.nodes))
    group_count = int(np.count_nonzero(grouped.sizes()))
    return DrawnMap([*services, *groups.nodes], calls, group_count, len(members))


def _groups_beside(label: NDArray[np.int32], pairs: CallPairs, wanted: int, count: int) -> NDArray[np.int64]:
    """List the other groups at one end of pairs, those of most pairs first, then by name."""
    ends = np.concatenate((label[pairs.source], label[pairs.target]))
    times = np.bincount(ends[ends != wanted], minlength=count)
    beside = np.flatnonzero(times)
    return beside[np.argsort(-times[beside], kind="stable")]


def _service_nodes(
    graph: DependencyGraph, grouped: _Grouped, members: NDArray[np.int64], most: int
) -> tuple[list[MapNode], NDArray[np.int32]]:
    """Make nodes of services, the most critical first; returns where each graph node is, too."""
    nodes, criticality = grouped.nodes[members], grouped.labels.criticality[members]
    own = len(nodes) if len(nodes) <= most else most - 1
    keys = (criticality, -caller_counts(graph, nodes))
    chosen = foremost(keys, own, lambda places: names_of(graph, nodes[places]))
    names = names_of(graph, nodes[chosen])
    made = [
        MapNode(
            ("service", name),
            pb.MapNode(service_count=1, highest_criticality=criticality[place]),
            wire.retagged(graph.service_payloads[nodes[place]], _SERVICE),
        )
        for name, place in zip(names, chosen, strict=True)
    ]
    number = np.full(len(graph.index.nodes), -1, np.int32)
    number[nodes] = own
    number[nodes[chosen]] = np.arange(own)
    if own < len(nodes):
        rest = np.delete(criticality, chosen)
        message = pb.MapNode(others=len(rest), service_count=len(rest), highest_criticality=rest.min())
        made.append(MapNode(("others", "services"), message))
    return made, number


async def map_answer(
    drawn: DrawnMap, question: MapQuestion, freshness: Freshness, limit: int, places: MapPlaces
) -> bytes:
    """Answer with the bytes of a ``GetMapResponse``; raises ``ResponseTooLargeError``."""
    is_between = drawn.calls.source != drawn.calls.target
    between = CountedCalls(*(column[is_between] for column in drawn.calls))
    names = [node.name for node in drawn.nodes]
    view = question.metadata_key, question.inside
    x, y = await places.of(view, names, between, is_past=freshness.as_of_time is not None)
    for node, across, down in zip(drawn.nodes, x, y, strict=True):
        node.message.x, node.message.y = across, down
    for place, counts in zip(drawn.calls.source[~is_between], drawn.calls.counts[~is_between], strict=True):
        drawn.nodes[place].message.inner_calls.CopyFrom(counted(counts.tolist()))
    rest = pb.GetMapResponse(group_count=drawn.group_count, service_count=drawn.service_count)
    nodes = (field(_NODE, node.message.SerializeToString() + node.record) for node in drawn.nodes)
    head = (rest.SerializeToString(), field(_FRESHNESS, freshness_message(freshness)))
    answer = await joined_in_slices(chain(head, nodes, _calls(between)), limit)
    if answer is None:
        raise too_large(f"{len(drawn.nodes):,} nodes", limit, "set max_nodes to less")
    return answer


def _calls(calls: CountedCalls) -> Iterator[bytes]:
    for source, target, counts in zip(*(column.tolist() for column in calls), strict=True):
        message = pb.MapCalls(source=source, target=target, calls=counted(counts))
        yield field(_CALLS, message.SerializeToString())
