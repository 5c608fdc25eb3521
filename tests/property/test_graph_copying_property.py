"""Built, copied and partly changed graphs equal those that change sets make. No I/O."""

from collections.abc import Generator, Hashable
from typing import TYPE_CHECKING, TypeVar, cast
from uuid import UUID

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from graphcore import DependencyGraph, GraphBuilder, split_changes
from tests.support.edits import ALIASES, EDGES, OTHER_NAMES, SERVICES, Edit, difference, edits, snapshot
from tests.support.examples import examples
from tests.support.graphs import (
    alias_record,
    dependency_record,
    flags_of,
    graph_of,
    kinds_of,
    service_record,
    tables,
)
from tests.support.index_checks import check_graph
from tests.support.rows import Tables

if TYPE_CHECKING:
    from graphcore.graph.copying import PayloadTable

T = TypeVar("T")

STEPS = st.lists(edits(), max_size=40)


def content(graph: DependencyGraph) -> tuple[object, ...]:
    """All records, what waits, and the counts."""
    return (
        sorted(graph.services()),
        sorted(graph.dependencies()),
        sorted(graph.dangling_dependencies()),
        kinds_of(graph),
        (graph.service_count, graph.dependency_count, graph.dangling_count, graph.stale_count),
        graph.alias_count,
        [graph.find_alias(key) for key in ALIASES],
        [graph.resolve(name) for name in OTHER_NAMES],
        [graph.aliases_of(service.name) for service in sorted(graph.services())],
        sorted(record for batch in graph.service_batches(3) for record in batch),
        sorted(record for batch in graph.dependency_batches(3) for record in batch),
    )


def built(rows: Tables, size: int) -> DependencyGraph:
    builder = GraphBuilder()
    services = list(rows.services.values())
    for start in range(0, len(services), size):
        builder.add_services([service_record(service) for service in services[start : start + size]])
    number = {service.key: place for place, service in enumerate(services)}
    joined = rows.joined_edges()
    for start in range(0, len(joined), size):
        some = joined[start : start + size]
        assert list(builder.making_room(len(some))) is not None
        builder.add_dependencies(
            [dependency_record(edge) for edge in some],
            np.array([(number[edge.source], number[edge.target]) for edge in some], np.int32),
            np.array([flags_of(edge) for edge in some], np.int32),
            np.array([edge.confidence for edge in some], np.float64),
        )
    waiting = [edge for edge in rows.edges.values() if edge not in joined]
    builder.add_dangling([dependency_record(edge) for edge in waiting])
    aliases = list(rows.aliases.values())
    for start in range(0, len(aliases), size):
        builder.add_aliases([alias_record(alias) for alias in aliases[start : start + size]])
    builder.build_index()
    return builder.graph()


def copied(graph: DependencyGraph, more: int) -> DependencyGraph:
    return exhausted(graph.copying(graph.index.roomier(graph.dependency_count, more)))


def exhausted(steps: Generator[None, None, T]) -> T:
    while True:
        try:
            next(steps)
        except StopIteration as ended:
            return cast("T", ended.value)


def edited(steps: list[Edit], rows: Tables) -> Tables:
    after = snapshot(rows)
    for edit in steps:
        edit(after)
    return after


@given(tables(), STEPS, st.integers(1, 7), STEPS)
def test_a_built_graph_equals_an_applied_one_and_changes_alike(
    first: Tables, steps: list[Edit], size: int, later: list[Edit]
) -> None:
    rows = edited(steps, first)
    graph = built(rows, size)
    check_graph(graph)
    assert content(graph) == content(graph_of(rows))
    after = edited(later, rows)
    graph.apply(difference(rows, after, unchanged_too=False))
    check_graph(graph)
    assert content(graph) == content(graph_of(after))


@examples(100)
@given(STEPS, STEPS, STEPS, st.integers(0, 50))
def test_a_copy_is_equal_and_independent(
    before: list[Edit], here: list[Edit], there: list[Edit], more: int
) -> None:
    rows = edited(before, Tables({}, {}))
    graph = graph_of(rows)
    copy = copied(graph, more)
    check_graph(copy)
    assert content(copy) == content(graph)
    one, other = edited(here, rows), edited(there, rows)
    graph.apply(difference(rows, one, unchanged_too=False))
    copy.apply(difference(rows, other, unchanged_too=False))
    for changed, tables_now in ((graph, one), (copy, other)):
        check_graph(changed)
        assert content(changed) == content(graph_of(tables_now))


@examples(100)
@given(STEPS, STEPS, st.lists(st.sampled_from([*SERVICES, *EDGES, *ALIASES])))
def test_payload_tables_do_not_change_with_the_graph(
    before: list[Edit], later: list[Edit], asked: list[UUID]
) -> None:
    rows = edited(before, Tables({}, {}))
    graph = graph_of(rows)
    services, dependencies, aliases = exhausted(graph.payload_tables())
    graph.apply(difference(rows, edited(later, rows), unchanged_too=False))
    payloads: list[tuple[PayloadTable, dict[Hashable, object]]] = [
        (services, {row.key: service_record(row).payload for row in rows.services.values()}),
        (dependencies, {row.key: dependency_record(row).payload for row in rows.edges.values()}),
        (aliases, {row.key: alias_record(row) for row in rows.aliases.values()}),
    ]
    for table, held in payloads:
        for key in asked:
            assert table.take(key) == held.pop(key, None)
        assert set(table.rest()) == set(held)
        assert {key: table.take(key) for key in list(table.rest())} == held


@examples(100)
@given(STEPS, STEPS, st.integers(1, 5), st.booleans())
def test_split_changes_have_the_same_effect(
    before: list[Edit], later: list[Edit], size: int, unchanged_too: bool
) -> None:
    rows = edited(before, Tables({}, {}))
    after = edited(later, rows)
    graph = graph_of(rows)
    for part in split_changes(graph, difference(rows, after, unchanged_too), size):
        graph.apply(part)
    check_graph(graph)
    assert content(graph) == content(graph_of(after))


@examples(100)
@given(STEPS, STEPS, st.integers(1, 40))
def test_making_room_changes_nothing(before: list[Edit], later: list[Edit], more: int) -> None:
    rows = edited(before, Tables({}, {}))
    graph = graph_of(rows)
    graph.index.become(graph.index.roomier(graph.dependency_count, more))
    assert not graph.index.is_cramped(graph.dependency_count, more)
    assert list(graph.making_room(more)) is not None
    check_graph(graph)
    after = edited(later, rows)
    graph.apply(difference(rows, after, unchanged_too=False))
    check_graph(graph)
    assert content(graph) == content(graph_of(after))
