"""Excerpts of components against networkx, and their former members against sets. No I/O."""

from typing import NamedTuple
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from graphcore import DependencyGraph
from graphcore.components.excerpts import Excerpt
from tests.property.test_confident_components_property import expected
from tests.support.edits import difference
from tests.support.examples import examples
from tests.support.graphs import tables
from tests.support.rows import PlainEdge, PlainService, Tables

STATES = st.lists(tables(max_services=9, max_edges=24), min_size=2, max_size=7)
HUB = UUID(int=1)
SPOKES = 14
# Early names and late ones, all different for different numbers.
NAMES = st.sampled_from("abcxyz")


@st.composite
def drifting(draw: st.DrawFn) -> list[Tables]:
    """A hub whose services are members, outsiders or absent; a few change or are renamed."""
    around = dict.fromkeys(range(SPOKES), ("m", True))
    states = [_star(around)]
    for _ in range(draw(st.integers(2, 6))):
        for number in draw(st.lists(st.integers(0, SPOKES - 1), min_size=1, max_size=3, unique=True)):
            if draw(st.integers(0, 3)) == 0:
                around.pop(number, None)
            else:
                around[number] = draw(NAMES), draw(st.integers(0, 2)) > 0
        states.append(_star(around))
    return states


def _star(around: dict[int, tuple[str, bool]]) -> Tables:
    services, edges = {HUB: PlainService(HUB, "h")}, dict[UUID, PlainEdge]()
    for number, (letter, is_member) in around.items():
        key = UUID(int=2 + number)
        services[key] = PlainService(key, f"{letter}{number:02}")
        there, back = UUID(int=100 + number), UUID(int=200 + number)
        edges[there] = PlainEdge(there, HUB, key)
        if is_member:
            edges[back] = PlainEdge(back, key, HUB)
    return Tables(services, edges)


class Known(NamedTuple):
    """An excerpt, and the rows of the services that were in its component: names by key."""

    excerpt: Excerpt
    names: dict[UUID, str]


def cyclic(graph: DependencyGraph, rows: Tables, most: int) -> list[Known]:
    """All excerpts, each of which says what networkx says."""
    kept, found = graph.components, list[Known]()
    kept.largest_first(2)
    whole = {members[:most]: members for members, _ in expected(rows, 0.0) if len(members) > 1}
    for excerpt in kept.cyclic(most):
        members = whole.pop(excerpt.members)
        assert (excerpt.size, excerpt.unlisted) == (len(members), max(0, len(members) - most))
        nodes = kept.excerpts.nodes(excerpt).tolist()
        assert sorted(nodes) == sorted(graph.node(name) for name in members)
        names = {key: service.name for key, service in rows.services.items() if service.name in members}
        found.append(Known(excerpt, names))
    assert not whole
    return found


def check_memory(graph: DependencyGraph, rows: Tables, former: Known, now: list[Known]) -> None:
    excerpts = graph.components.excerpts
    if not excerpts.is_comparable(former.excerpt):
        return
    for key, service in rows.services.items():
        node = graph.node(service.name)
        assert excerpts.is_same_member(former.excerpt, node) == (former.names.get(key) == service.name)
        if key in former.names:
            assert excerpts.was_member(former.excerpt, node)
    counts = excerpts.member_counts(former.excerpt)
    for excerpt, names in now:
        count = counts[excerpt.label] if excerpt.label < len(counts) else 0
        assert count == len(names.items() & former.names.items())


@examples(100)
@given(drifting() | STATES, st.integers(2, 5))
def test_excerpts_list_the_first_members_and_know_the_others(states: list[Tables], most: int) -> None:
    graph, held, former = DependencyGraph(), Tables({}, {}), list[Known]()
    for rows in states:
        graph.apply(difference(held, rows, unchanged_too=False))
        held = rows
        now = cyclic(graph, rows, most)
        for known in former:
            if known.excerpt.unlisted:
                check_memory(graph, rows, known, now)
        former = now


@examples(50)
@given(STATES, st.integers(2, 5))
def test_an_excerpt_is_the_same_object_until_its_component_changes(states: list[Tables], most: int) -> None:
    graph, held = DependencyGraph(), Tables({}, {})
    for rows in states:
        graph.apply(difference(held, rows, unchanged_too=False))
        held = rows
        before = {known.excerpt.label: known.excerpt for known in cyclic(graph, rows, most)}
        graph.apply(difference(held, rows, unchanged_too=True))
        for known in cyclic(graph, rows, most):
            assert known.excerpt is before[known.excerpt.label]
