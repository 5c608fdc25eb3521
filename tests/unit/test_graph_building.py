"""A graph that is built as a whole; that it is the same graph is shown in tests/property."""

import pytest

from graphcore import DependencyGraph, DuplicateNameError, GraphBuilder, ServiceRecord


def test_nothing_makes_an_empty_graph() -> None:
    builder = GraphBuilder()
    builder.build_index()
    graph = builder.graph()
    assert (graph.service_count, graph.dependency_count, graph.dangling_count) == (0, 0, 0)
    assert isinstance(graph, DependencyGraph)


@pytest.mark.parametrize("names", [["a", "b", "b"], ["a", "b", "a"]])
def test_a_name_given_twice_is_told(names: list[str]) -> None:
    builder = GraphBuilder()
    *former, last = [ServiceRecord(number, name) for number, name in enumerate(names)]
    builder.add_services(former)
    with pytest.raises(DuplicateNameError, match=f"{names[-1]!r}"):
        builder.add_services([last])
