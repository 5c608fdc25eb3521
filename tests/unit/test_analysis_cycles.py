"""Shortest cycles of graphs whose cycles one knows, large ones among them. No I/O."""

from itertools import pairwise

import numpy as np
import pytest

from graphcore import DependencyGraph, DependencyRecord, EdgeFlag, ServiceRecord, UnknownServiceError
from graphcore.analysis import cycles
from graphcore.analysis.call_graph import Numbers
from graphcore.analysis.cycles import is_cycle, shortest_cycle, shortest_cycle_of
from graphcore.compiling import KERNELS

COMPILED = pytest.mark.skipif(not KERNELS.are_compiled, reason="kernels are not compiled")


def graph_of_pairs(*pairs: tuple[str, str], flags: int = 0, confidence: float = 1.0) -> DependencyGraph:
    names = sorted({name for pair in pairs for name in pair})
    return DependencyGraph.from_records(
        [ServiceRecord(name, name) for name in names],
        [DependencyRecord(number, *pair, flags, confidence) for number, pair in enumerate(pairs)],
    )


def ring(names: list[str]) -> list[tuple[str, str]]:
    return list(pairwise([*names, names[0]]))


def rows(count: int, sources: Numbers, targets: Numbers) -> tuple[Numbers, Numbers]:
    """Put calls of nodes below ``count`` into rows as of ``Calls``."""
    order = np.argsort(sources, kind="stable")
    start = np.searchsorted(sources[order], np.arange(count + 1)).astype(np.int32)
    return start, np.ascontiguousarray(targets[order], np.int32)


def test_a_cycle_begins_at_its_smallest_name_and_goes_on_in_call_order() -> None:
    graph = graph_of_pairs(("b", "c"), ("c", "a"), ("a", "b"))
    assert shortest_cycle(graph, ["c", "b", "a"]) == ("a", "b", "c")


def test_a_short_cycle_beats_a_smaller_name() -> None:
    graph = graph_of_pairs(*ring(["a", "b", "c", "d"]), ("d", "c"))
    assert shortest_cycle(graph, ["a", "b", "c", "d"]) == ("c", "d")


def test_names_are_compared_by_code_point() -> None:
    graph = graph_of_pairs(*ring(["Z", "a", "\N{LATIN SMALL LETTER A WITH DIAERESIS}"]))
    assert shortest_cycle(graph, ["a", "\N{LATIN SMALL LETTER A WITH DIAERESIS}", "Z"]) == (
        "Z",
        "a",
        "\N{LATIN SMALL LETTER A WITH DIAERESIS}",
    )


def test_stale_and_uncertain_dependencies_form_no_cycle() -> None:
    stale = graph_of_pairs(*ring(["a", "b"]), flags=int(EdgeFlag.STALE))
    assert shortest_cycle(stale, ["a", "b"]) is None
    assert not is_cycle(stale, ["a", "b"])
    uncertain = graph_of_pairs(*ring(["a", "b"]), confidence=0.4)
    assert shortest_cycle(uncertain, ["a", "b"]) == ("a", "b")
    assert shortest_cycle(uncertain, ["a", "b"], min_confidence=0.5) is None
    assert is_cycle(uncertain, ["a", "b"], min_confidence=0.4)
    assert not is_cycle(uncertain, ["a", "b"], min_confidence=0.5)


def test_only_the_members_count() -> None:
    graph = graph_of_pairs(*ring(["a", "b", "c"]), *ring(["c", "d"]))
    assert shortest_cycle(graph, ["a", "b", "c"]) == ("a", "b", "c")


def test_an_unknown_name_is_refused_and_forms_no_cycle() -> None:
    graph = graph_of_pairs(*ring(["a", "b"]))
    assert not is_cycle(graph, ["a", "unknown"])
    with pytest.raises(UnknownServiceError):
        shortest_cycle(graph, ["a", "unknown"])


@pytest.mark.parametrize("path", [(), ("a",), ("a", "b", "a", "b"), ("a", "a")])
def test_fewer_than_two_distinct_services_are_no_cycle(path: tuple[str, ...]) -> None:
    assert not is_cycle(graph_of_pairs(*ring(["a", "b"])), path)


def test_no_members_have_no_cycle() -> None:
    assert shortest_cycle(DependencyGraph(), []) is None


def test_a_shortest_cycle_of_plain_pairs_is_found() -> None:
    sources, targets = np.array([2, 0, 1, 1], np.int32), np.array([0, 1, 2, 0], np.int32)
    found = [shortest_cycle_of(*rows(3, sources[:count], targets[:count])) for count in (4, 3, 2)]
    assert found == [[0, 1], [0, 1, 2], None]


@COMPILED
def test_a_ring_of_a_hundred_thousand_takes_one_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cycles, "MOST_LOOKS", 300_000)
    count = 100_000
    numbers = np.arange(count, dtype=np.int32)
    start, target = rows(count, numbers, np.roll(numbers, -1))
    assert shortest_cycle_of(start, target) == numbers.tolist()
    assert shortest_cycle_of(start, target, shorter_than=count) is None


@COMPILED
def test_a_search_that_takes_too_long_returns_the_best_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    # A ring with a chord at its end, which only a late root has on its shortest cycle.
    count = 1_000
    numbers = np.arange(count, dtype=np.int32)
    sources = np.concatenate((numbers, np.array([count - 1, 500], np.int32)))
    targets = np.concatenate((np.roll(numbers, -1), np.array([990, 0], np.int32)))
    start, target = rows(count, sources, targets)
    assert shortest_cycle_of(start, target) == list(range(990, count))
    monkeypatch.setattr(cycles, "MOST_LOOKS", 10)
    assert shortest_cycle_of(start, target) == list(range(501))
    assert shortest_cycle_of(start, target, shorter_than=50) is None
