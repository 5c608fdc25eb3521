"""Path audits by example: hubs, cycles with walks worse than paths, searches that end early."""

from collections.abc import Iterator
from itertools import pairwise

import pytest

from graphcore import UnknownServiceError
from graphcore.analysis import retries
from graphcore.analysis.drift import DriftQuestion, list_drift
from graphcore.analysis.path_audit import PathAudit, PathAuditQuestion, audit_paths
from tests.support.audits import MOST, Call, graph_of, plain_retries, policies
from tests.support.kernel_forms import FORMS, kernels_in_form

HUB = 1_200


@pytest.fixture(scope="module", params=FORMS, autouse=True)
def form(request: pytest.FixtureRequest) -> Iterator[None]:
    with kernels_in_form(request.param):
        yield


def audit(calls: list[Call], question: PathAuditQuestion) -> PathAudit:
    return audit_paths(graph_of(calls), question, policies)


def paths(found: PathAudit) -> list[tuple[str, int]]:
    return [
        (">".join(service.name for service in path.services), path.attempts) for path in found.retries.worst
    ]


def test_a_hub_has_its_pairs_counted_but_few_built() -> None:
    callers = [Call(f"caller {n:04}", "hub", 100, 2) for n in range(HUB)]
    callees = [Call("hub", f"callee {n:04}", 100 + (n == 7), 7) for n in range(HUB)]
    found = audit(callers + callees, PathAuditQuestion(most=3))
    assert found.timeouts.count == HUB * HUB
    assert [(pair.excess, pair.caller.payload, pair.callee.payload) for pair in found.timeouts.worst] == [
        (1, callers[0], callees[7]),
        (1, callers[1], callees[7]),
        (1, callers[2], callees[7]),
    ]
    assert (found.retries.count, found.retries.truncated) == (HUB, False)
    assert paths(found) == [(f"caller {n:04}>hub>callee 0000", 14) for n in range(3)]


def test_of_very_many_equal_pairs_the_first_by_name_are_listed() -> None:
    callers = [Call(f"caller {n:04}", "hub", 100) for n in range(HUB)]
    callees = [Call("hub", f"callee {n:04}", 100) for n in range(HUB)]
    found = audit([*reversed(callers), *reversed(callees)], PathAuditQuestion(most=HUB + 1))
    pairs = [(pair.caller.payload, pair.callee.payload) for pair in found.timeouts.worst]
    assert pairs == [*((callers[0], callee) for callee in callees), (callers[1], callees[0])]
    assert found.timeouts.count == HUB * HUB


def test_a_walk_that_repeats_a_service_is_no_path() -> None:
    cycle = [Call("a", "b", 0, 101), Call("b", "c", 0, 101), Call("c", "a", 0, 101), Call("0", "a", 0, 3)]
    found = audit(cycle, PathAuditQuestion(max_hops=10))
    assert paths(found) == [
        ("0>a>b>c", 3 * 101**2),
        ("a>b>c", 101**2),
        ("b>c>a", 101**2),
        ("c>a>b", 101**2),
    ]
    assert not found.retries.truncated


def test_two_services_that_call_each_other_multiply_once() -> None:
    calls = [Call("a", "b", 10, 4), Call("b", "a", 10, 6), Call("b", "c", 20, 2)]
    found = audit(calls, PathAuditQuestion(max_attempts=1))
    assert paths(found) == [("a>b>c", 8), ("b>a", 6)]
    excesses = [(pair.excess, pair.callee.payload.target) for pair in found.timeouts.worst]  # type: ignore[attr-defined]
    assert excesses == [(10, "c"), (0, "a"), (0, "b")]


def test_of_parallel_dependencies_the_most_attempts_count() -> None:
    calls = [Call("a", "b", 0, 2, 0), Call("a", "b", 0, 9, 3), Call("a", "b", 0, 9, 1)]
    [found] = audit(calls, PathAuditQuestion(max_attempts=1)).retries.worst
    assert [record.payload for record in found.dependencies] == [calls[2]]


def test_of_equal_products_the_shortest_path_wins_then_the_first_by_name() -> None:
    calls = [Call("a", "b", 0, 4), Call("b", "c", 0, 4), Call("a", "z", 0, 16), Call("a", "y", 0, 16)]
    assert paths(audit([*calls, Call("y", "z", 0, 1)], PathAuditQuestion())) == [("a>y", 16)]


def test_nothing_exceeds_the_largest_limit() -> None:
    calls = [Call("a", "b", 0, 2**31), Call("b", "c", 0, 2**31), Call("c", "d", 0, 2**31)]
    assert paths(audit(calls, PathAuditQuestion(max_attempts=MOST))) == []
    assert paths(audit(calls, PathAuditQuestion(max_attempts=MOST - 1))) == [("a>b>c>d", MOST)]


def test_a_search_that_ends_early_is_truncated_and_lists_real_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"s{number}" for number in range(9)]
    calls = [
        Call(one, other, 0, 2 + (number * 7 + place * 5) % 11)
        for number, one in enumerate(names)
        for place, other in enumerate(names)
        if one != other
    ]
    exact = plain_retries(calls, 6, 10)
    whole = audit(calls, PathAuditQuestion(max_hops=6))
    assert paths(whole) == [(">".join(path), product) for product, path in exact]
    assert not whole.retries.truncated
    monkeypatch.setattr(retries, "budget", lambda _: 600)
    ended = audit(calls, PathAuditQuestion(max_hops=6))
    assert ended.retries.truncated
    assert ended.retries.count == len(names)
    product_of = {(call.source, call.target): call.attempts for call in calls}
    worst = {path[0]: product for product, path in exact}
    for found in ended.retries.worst:
        path = [service.name for service in found.services]
        product = 1
        for pair in pairwise(path):
            product *= product_of[pair]
        assert len(set(path)) == len(path)
        assert 10 < product == found.attempts <= worst[path[0]]
    attempts = [found.attempts for found in ended.retries.worst]
    assert attempts == sorted(attempts, reverse=True)


def test_an_empty_graph_has_no_findings() -> None:
    found = audit([], PathAuditQuestion())
    assert (found.timeouts.count, found.retries.count) == (0, 0)
    assert list_drift(graph_of([]), DriftQuestion()) == ([], 0, False, 0, 0, 0, 0)


def test_a_service_that_is_not_there_is_refused() -> None:
    with pytest.raises(UnknownServiceError):
        audit([], PathAuditQuestion("unknown"))
    with pytest.raises(UnknownServiceError):
        list_drift(graph_of([]), DriftQuestion(service="unknown"))
