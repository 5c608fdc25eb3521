"""Questions that leave kinds of services out, against the same questions of less rows. No I/O."""

from dataclasses import replace
from uuid import UUID

import networkx as nx
from hypothesis import strategies as st

from graphcore import DependencyGraph, Direction, EdgeFilter, ServiceRecord
from graphcore.analysis.drift import DriftQuestion, list_drift
from graphcore.analysis.edge_selection import effective_edges, passing_edges
from graphcore.analysis.impact import impact_of
from graphcore.analysis.path_audit import PathAuditQuestion, audit_paths
from graphcore.analysis.paths import shortest_paths
from graphcore.kernels import SHUT, SHUTS, TICK
from graphcore.kernels.walking import LAST_TICK
from tests.support import audits, effective, oracle
from tests.support.graphs import edge_filter, filters, graph_of, tables
from tests.support.kernel_forms import given_in_both_forms
from tests.support.plain_graphs import counting, digraph
from tests.support.rows import PlainFilter, Tables
from tests.support.traversal import traverse

DIRECTIONS = st.sampled_from(Direction)
DEPTHS = st.integers(1, 6)
EXCLUDED = st.sampled_from([1, 2, 3, 129, 255])


@st.composite
def tables_and_start(draw: st.DrawFn, least: int = 1) -> tuple[Tables, UUID]:
    rows = draw(tables().filter(lambda rows: len(rows.services) >= least))
    return rows, draw(st.sampled_from(list(rows.services)))


def without(rows: Tables, excluded: int, *named: UUID) -> Tables:
    """The rows without the excluded services and what hangs on them."""
    kept = {key: row for key, row in rows.services.items() if key in named or not row.kind & excluded}
    edges = {edge.key: edge for edge in rows.edges.values() if {edge.source, edge.target} <= kept.keys()}
    return Tables(kept, edges)


@given_in_both_forms(
    200,
    tables_and_start(),
    DIRECTIONS,
    DEPTHS,
    filters(),
    st.tuples(EXCLUDED, st.integers(0, 5), st.booleans()),
)
def test_a_walk_equals_one_of_a_graph_without_the_excluded_services(
    rows_and_start: tuple[Tables, UUID],
    direction: Direction,
    max_depth: int,
    chosen: PlainFilter,
    more: tuple[int, int, bool],
) -> None:
    (rows, start), (excluded, limit, merged) = rows_and_start, more
    graph, name = graph_of(rows), rows.name(start)
    passing = replace(edge_filter(chosen), excluded_kinds=excluded)
    rest = without(rows, excluded, start)
    reached = effective.reached if merged else oracle.reached
    whole = traverse(graph, name, direction, max_depth, passing, effective=merged)
    expected = reached(rest, start, direction.value, max_depth, chosen)
    names = [service.name for service in whole.services]
    assert dict(zip(names, whole.depths, strict=True)) == expected.depths
    assert sorted(str(each.payload) for each in whole.dependencies) == sorted(map(str, expected.edges))
    cut = traverse(graph, name, direction, max_depth, passing, max_services=limit, effective=merged)
    kept = names[: limit or None]
    assert [service.name for service in cut.services] == kept
    within = oracle.edges_within(rest, expected.edges, {name, *kept})
    assert sorted(str(each.payload) for each in cut.dependencies) == sorted(map(str, within))
    # The next walk reaches everything again.
    everything = oracle.reached(rows, start, direction.value, max_depth, chosen)
    again = traverse(graph, name, direction, max_depth, edge_filter(chosen))
    assert {service.name for service in again.services} == everything.depths.keys()
    assert {each.payload for each in again.dependencies} == everything.edges


@given_in_both_forms(30, tables_and_start(), DIRECTIONS, EXCLUDED)
def test_excluded_services_stay_out_when_the_marks_of_walks_are_cleared(
    rows_and_start: tuple[Tables, UUID], direction: Direction, excluded: int
) -> None:
    rows, start = rows_and_start
    graph, name = graph_of(rows), rows.name(start)
    traverse(graph, name, direction, 3)
    graph.index.walks.answer[TICK] = LAST_TICK
    found = traverse(graph, name, direction, 3, EdgeFilter(excluded_kinds=excluded))
    rest = without(rows, excluded, start)
    expected = oracle.reached(rest, start, direction.value, 3, PlainFilter())
    assert {service.name for service in found.services} == set(expected.depths)
    assert graph.index.walks.answer[TICK] == 1
    assert graph.index.walks.answer[SHUTS] == 0
    assert not (graph.index.walks.rows == SHUT).any()


@given_in_both_forms(80, tables_and_start(), filters(), EXCLUDED, st.integers(0, 3), st.booleans())
def test_impact_equals_that_in_a_graph_without_the_excluded_services(
    rows_and_start: tuple[Tables, UUID], chosen: PlainFilter, excluded: int, max_hops: int, merged: bool
) -> None:
    rows, start = rows_and_start
    graph, name = graph_of(rows), rows.name(start)
    passing = replace(edge_filter(chosen), excluded_kinds=excluded)
    mask = (effective_edges if merged else passing_edges)(graph, passing, [graph.node(name)])
    found = impact_of(graph, name, mask, max_hops)
    rest = without(rows, excluded, start)
    edges = list(effective.leading(rest, chosen).values()) if merged else counting(rest, chosen)
    calls = digraph(rest, edges).reverse()
    expected = dict(nx.single_source_shortest_path_length(calls, name, max_hops or None))
    del expected[name]
    names = [graph.digraph[node].name for node in found.nodes.tolist()]
    assert dict(zip(names, found.hops.tolist(), strict=True)) == expected


@given_in_both_forms(60, tables_and_start(least=2), st.data(), filters(), EXCLUDED)
def test_paths_lead_through_no_excluded_service(
    rows_and_start: tuple[Tables, UUID], data: st.DataObject, chosen: PlainFilter, excluded: int
) -> None:
    rows, start = rows_and_start
    end = data.draw(st.sampled_from([key for key in rows.services if key != start]))
    graph, ends = graph_of(rows), (rows.name(start), rows.name(end))
    passing = replace(edge_filter(chosen), excluded_kinds=excluded)
    mask = passing_edges(graph, passing, [graph.node(name) for name in ends])
    paths = shortest_paths(graph, *ends, mask, max_paths=5).paths
    rest = without(rows, excluded, start, end)
    every = sorted(
        nx.all_simple_paths(digraph(rest, counting(rest, chosen)), *ends),
        key=lambda path: (len(path), path),
    )
    assert [[graph.digraph[node].name for node in path] for path in paths] == every[:5]


def calls_and_kinds(calls: list[audits.Call], excluded: set[str]) -> DependencyGraph:
    """Build a graph of calls in which the excluded services have kind 1."""
    names = sorted({name for call in calls for name in call[:2]} | {"a", "b"})
    graph = audits.graph_of(calls, "a", "b")
    records = [ServiceRecord(("key", name), name, kind=int(name in excluded)) for name in names]
    return DependencyGraph.from_records(records, graph.dependencies())


NAMED = st.sampled_from([None, "a", "b"])
SOME_NAMES = st.sets(st.sampled_from("abcd"))


@given_in_both_forms(60, audits.some_calls(), SOME_NAMES, NAMED)
def test_an_audit_equals_that_of_the_calls_between_other_services(
    calls: list[audits.Call], excluded: set[str], begin: str | None
) -> None:
    out = excluded - {begin}
    rest = [call for call in calls if call.mode == "SYNC" and not call.is_stale and not out & {*call[:2]}]
    question = PathAuditQuestion(begin, most=50, edge_filter=EdgeFilter(excluded_kinds=1))
    found = audit_paths(calls_and_kinds(calls, excluded), question, audits.policies)
    listed = [(each.excess, each.caller.payload, each.callee.payload) for each in found.timeouts.worst]
    assert listed == audits.plain_timeouts(rest, begin)[:50]
    retries = [(each.attempts, [one.name for one in each.services]) for each in found.retries.worst]
    assert retries == audits.plain_retries(rest, 5, 10, begin)[:50]


@given_in_both_forms(60, audits.some_calls(), SOME_NAMES, NAMED, st.booleans())
def test_drift_equals_that_of_the_calls_between_other_services(
    calls: list[audits.Call], excluded: set[str], service: str | None, ignore_stale: bool
) -> None:
    out = excluded - {service}
    rest = [call for call in calls if not out & {*call[:2]}]
    wanted = {
        pair
        for pair in audits.plain_drift(rest, ignore_stale=ignore_stale)
        if service is None or service in pair
    }
    graph = calls_and_kinds(calls, excluded)
    question = DriftQuestion(service=service, ignore_stale=ignore_stale, excluded_kinds=1, most=2)
    listed: list[tuple[str, str]] = []
    while True:
        page = list_drift(graph, question)
        assert page.total == len(wanted)
        listed += [(each.source, each.target) for each in page.drifts]
        if not page.more:
            break
        question = replace(question, after=listed[-1])
    assert listed == sorted(wanted)
