"""Random proposed changes, the tables after them, and their effects by networkx."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from uuid import UUID

import networkx as nx
from hypothesis import strategies as st

from graphcore import EdgeFlag
from graphcore.analysis.cycle_changes import Cycle, CycleChange
from graphcore.analysis.proposed_change import DependencyKey, ProposedChange, ProposedDependency
from tests.support.graphs import NO_KEY, flags_of, plain_edges
from tests.support.rows import PlainEdge, PlainService, Tables

NEW = [PlainService(UUID(int=number), f"new-{number}") for number in range(501, 504)]
FIRST_ADDED = 5_000


@st.composite
def proposals(draw: st.DrawFn, rows: Tables, most: int = 8) -> tuple[ProposedChange, Tables]:
    """A change of these tables, and the tables after it."""
    edges = list(rows.edges.values())
    keys = draw(st.lists(st.sampled_from(edges), max_size=most, unique=True)) if edges else []
    removed = [
        DependencyKey(
            rows.name(edge.source),
            rows.name(edge.target),
            draw(st.sampled_from((0, int(EdgeFlag[edge.discovery.upper()])))),
        )
        for edge in keys
    ]
    services = {**rows.services, **{service.key: service for service in NEW}}
    drawn = draw(
        st.lists(
            plain_edges((NO_KEY,), tuple(services)),
            max_size=most,
            unique_by=lambda edge: (edge.source, edge.target, edge.discovery),
        )
    )
    added = [edge for edge in drawn if edge.source != edge.target]
    name = {key: service.name for key, service in services.items()}
    change = ProposedChange(
        [
            ProposedDependency(name[edge.source], name[edge.target], flags_of(edge), edge.confidence)
            for edge in added
        ],
        removed,
    )
    return change, made(rows, change, added)


def made(rows: Tables, change: ProposedChange, added: Iterable[PlainEdge]) -> Tables:
    """Make a change by hand."""
    left = {
        (edge.source, edge.target, edge.discovery): edge
        for edge in rows.edges.values()
        if not any(_is_named(rows, key, edge) for key in change.removed)
    }
    services = dict(rows.services)
    for number, edge in enumerate(added):
        services.update({new.key: new for new in NEW if new.key in {edge.source, edge.target}})
        place = (edge.source, edge.target, edge.discovery)
        key = left[place].key if place in left else UUID(int=FIRST_ADDED + number)
        left[place] = edge._replace(key=key)
    return Tables(services, {edge.key: edge for edge in left.values()})


def _is_named(rows: Tables, key: DependencyKey, edge: PlainEdge) -> bool:
    ends = (rows.name(edge.source), rows.name(edge.target))
    source = int(EdgeFlag[edge.discovery.upper()])
    return ends == (key.source, key.target) and key.discovery_source in {0, source}


def calls_in(rows: Tables, floor: float = 0.0) -> "nx.DiGraph[str]":
    """Who calls whom over dependencies that are fresh and certain enough."""
    calls: nx.DiGraph[str] = nx.DiGraph()
    calls.add_nodes_from(service.name for service in rows.services.values())
    calls.add_edges_from(
        (rows.name(edge.source), rows.name(edge.target))
        for edge in rows.joined_edges()
        if not edge.stale and edge.confidence >= floor
    )
    return calls


def upstream_in(calls: "nx.DiGraph[str]", name: str) -> set[str]:
    """The services that the failure of a service reaches; empty if there is no such service."""
    return set(nx.ancestors(calls, name)) if name in calls else set()


def cycles_in(calls: "nx.DiGraph[str]") -> list[frozenset[str]]:
    """The cyclic components."""
    return [frozenset(found) for found in nx.strongly_connected_components(calls) if len(found) > 1]


@dataclass(frozen=True)
class Becoming:
    """What becomes of cyclic components, as sets."""

    kind: str
    before: frozenset[frozenset[str]]
    after: frozenset[frozenset[str]]
    adds_cycles: bool
    closing: frozenset[tuple[str, str]]


def becomings(was: "nx.DiGraph[str]", will: "nx.DiGraph[str]") -> Counter[Becoming]:
    """Tell from both graphs what a change does to cycles."""
    linked: nx.Graph[tuple[bool, frozenset[str]]] = nx.Graph()
    linked.add_nodes_from([(False, members) for members in cycles_in(was)])
    linked.add_nodes_from([(True, members) for members in cycles_in(will)])
    linked.add_edges_from(
        ((False, one), (True, other)) for one in cycles_in(was) for other in cycles_in(will) if one & other
    )
    found = [_becoming(cluster, was, will) for cluster in nx.connected_components(linked)]
    return Counter(each for each in found if each is not None)


def _becoming(
    cluster: set[tuple[bool, frozenset[str]]], was: "nx.DiGraph[str]", will: "nx.DiGraph[str]"
) -> Becoming | None:
    before = frozenset(members for is_after, members in cluster if not is_after)
    after = frozenset(members for is_after, members in cluster if is_after)
    closing = frozenset(
        (source, target)
        for members in after
        for source, target in will.subgraph(members).edges
        if not was.has_edge(source, target)
    )
    if before == after and not closing:
        return None
    return Becoming(_kind(before, after), before, after, bool(closing), closing)


def _kind(before: frozenset[frozenset[str]], after: frozenset[frozenset[str]]) -> str:
    was, will = frozenset[str]().union(*before), frozenset[str]().union(*after)
    kinds: Mapping[tuple[str, str], str] = {
        ("none", "one"): "created",
        ("one", "none"): "broken",
        ("many", "one"): "merged" if was <= will else "rearranged",
        ("one", "many"): "split" if will <= was else "rearranged",
        ("many", "many"): "rearranged",
        ("one", "one"): "denser"
        if was == will
        else "grown"
        if was < will
        else "shrunk"
        if will < was
        else "rearranged",
    }
    return kinds[_how_many(before), _how_many(after)]


def _how_many(cycles: frozenset[frozenset[str]]) -> str:
    return ("none", "one", "many")[min(len(cycles), 2)]


def outcome(change: CycleChange) -> Becoming:
    """The same of an answer of ours."""
    return Becoming(
        change.kind.value,
        frozenset(frozenset(cycle.members) for cycle in change.before),
        frozenset(frozenset(cycle.members) for cycle in change.after),
        change.adds_cycles,
        frozenset((pair.source, pair.target) for pair in change.closing),
    )


def assert_witness(cycle: Cycle, calls: "nx.DiGraph[str]") -> None:
    """A witness is a shortest cycle of the component in call order, from its smallest name on."""
    assert cycle.members == tuple(sorted(cycle.members))
    assert cycle.size == len(cycle.members)
    assert is_cycle(cycle.path, calls)
    assert set(cycle.path) <= set(cycle.members)
    assert len(cycle.path) == min(
        shortest_through(calls, source, target) for source, target in calls.subgraph(cycle.members).edges
    )


def is_cycle(path: tuple[str, ...], calls: "nx.DiGraph[str]") -> bool:
    """Whether each calls the next, the last the first, which has the smallest name."""
    steps = pairwise((*path, path[0]))
    return path[0] == min(path) and all(calls.has_edge(*step) for step in steps)


def shortest_through(calls: "nx.DiGraph[str]", source: str, target: str) -> int:
    """How many services the shortest cycle has that goes through a call."""
    return int(nx.shortest_path_length(calls, target, source)) + 1
