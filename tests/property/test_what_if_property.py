"""What a change would do equals doing it and looking, by networkx. No I/O."""

from typing import Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphcore import DependencyGraph
from graphcore.analysis.impact_changes import ImpactChange
from graphcore.analysis.proposed_change import ProposedChange
from graphcore.analysis.what_if import WhatIf, what_if
from graphcore.graph.flags import STALE
from tests.support.examples import examples
from tests.support.graphs import CONFIDENCES, change_set, graph_of, tables
from tests.support.kernel_forms import given_in_both_forms
from tests.support.proposals import (
    assert_witness,
    becomings,
    calls_in,
    is_cycle,
    outcome,
    proposals,
    shortest_through,
    upstream_in,
)
from tests.support.rows import Tables

ALL = 1_000


def really(graph: DependencyGraph, before: Tables, after: Tables) -> None:
    """Make the change in the graph itself."""
    graph.apply(
        change_set(
            after.services.values(),
            after.edges.values(),
            removed_edges=before.edges.keys() - after.edges.keys(),
        )
    )


def calls_of(graph: DependencyGraph, floor: float) -> "nx.DiGraph[str]":
    calls: nx.DiGraph[str] = nx.DiGraph()
    name_of = {service.key: service.name for service in graph.services()}
    calls.add_nodes_from(name_of.values())
    calls.add_edges_from(
        (name_of[each.source], name_of[each.target])
        for each in graph.dependencies()
        if not each.flags & STALE and each.confidence >= floor
    )
    return calls


def expected_impacts(was: "nx.DiGraph[str]", will: "nx.DiGraph[str]") -> list[ImpactChange]:
    changes = []
    for name in will:
        before, after = upstream_in(was, name), upstream_in(will, name)
        added, removed = sorted(after - before), sorted(before - after)
        if added or removed:
            changes.append(
                ImpactChange(
                    name, len(before), len(after), tuple(added), len(added), tuple(removed), len(removed)
                )
            )
    return sorted(changes, key=lambda each: (-each.added_count, -each.removed_count, each.name))


def assert_equal_to_doing_it(
    found: WhatIf, graph: DependencyGraph, before: Tables, after: Tables, floor: float
) -> None:
    was, certain = calls_of(graph, 0.0), calls_of(graph, floor)
    really(graph, before, after)
    will, will_certain = calls_of(graph, 0.0), calls_of(graph, floor)
    assert list(found.impacts.changes) == expected_impacts(was, will)
    assert found.impacts.count == len(found.impacts.changes)
    assert not found.impacts.truncated
    assert found.created == tuple(sorted(set(will) - set(was)))
    expected = becomings(certain, will_certain)
    assert {outcome(change) for change in found.cycle_changes} == expected.keys()
    assert len(found.cycle_changes) == expected.total()
    assert found.adds_cycles is any(each.adds_cycles for each in expected)
    for change in found.cycle_changes:
        for cycle in change.before:
            assert_witness(cycle, certain)
        for cycle in change.after:
            assert_witness(cycle, will_certain)
        for pair in change.closing:
            assert is_cycle(pair.path, will_certain)
            assert len(pair.path) == shortest_through(will_certain, pair.source, pair.target)
            place = pair.path.index(pair.source)
            assert (*pair.path, pair.path[0])[place + 1] == pair.target
    if floor == 0.0:
        here = {frozenset(each.members) for each in graph.components.largest_first()}
        assert here >= {frozenset(cycle.members) for change in found.cycle_changes for cycle in change.after}


@given_in_both_forms(
    120, st.data(), tables(max_services=10, max_edges=24), st.sampled_from(CONFIDENCES), st.booleans()
)
def test_a_what_if_equals_applying_the_change(
    data: st.DataObject, rows: Tables, floor: float, one_by_one: bool
) -> None:
    change, after = data.draw(proposals(rows))
    graph = graph_of(rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("graphcore.analysis.impact_changes.EXACT_PAIRS", 100 if one_by_one else 0)
        found = what_if(graph, change, most_impacts=ALL, min_confidence=floor)
        assert_equal_to_doing_it(found, graph, rows, after, floor)


@examples(30)
@given(data=st.data(), rows=tables())
def test_a_what_if_does_not_change_the_graph(data: st.DataObject, rows: Tables) -> None:
    change, _ = data.draw(proposals(rows))
    graph = graph_of(rows)
    index = graph.index
    arrays: list[Any] = [
        index.nodes,
        index.pool,
        index.edges,
        index.confidence,
        index.ledger,
        index.walks.rows,
    ]
    copies = [array.copy() for array in arrays]
    what_if(graph, change)
    used = index.ledger[0]
    for array, copy in zip(arrays, copies, strict=True):
        if array is index.pool:
            assert np.array_equal(array[:, :used], copy[:, :used])
        else:
            assert array.tobytes() == copy.tobytes()
    assert set(calls_of(graph, 0.0).edges) == set(calls_in(rows).edges)


@examples(30)
@given(data=st.data(), rows=tables(), most=st.integers(1, 5))
def test_the_blast_radii_that_change_most_are_listed(data: st.DataObject, rows: Tables, most: int) -> None:
    change, _ = data.draw(proposals(rows))
    graph = graph_of(rows)
    everything = what_if(graph, change, most_impacts=ALL).impacts
    some = what_if(graph, change, most_impacts=most).impacts
    assert some.changes == everything.changes[:most]
    assert some.count == everything.count


@examples(30)
@given(rows=tables())
def test_an_empty_change_has_no_effects(rows: Tables) -> None:
    found = what_if(graph_of(rows), ProposedChange())
    assert (found.cycle_changes, found.impacts.changes, found.created) == ((), (), ())
