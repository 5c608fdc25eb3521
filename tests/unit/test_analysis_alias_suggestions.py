"""Pairs of services that look like one: by example, and planted among many."""

import pytest

from graphcore import DependencyGraph, DependencyRecord, EdgeFlag, ServiceRecord
from graphcore.analysis.alias_suggestions import suggest_aliases
from graphcore.analysis.neighbourhoods import NamedCalls
from tests.support.examples import repeats
from tests.support.planted_names import PlantedCompany

MESH, MANIFESTS = EdgeFlag.SERVICE_MESH, EdgeFlag.KUBERNETES


def graph_of(*calls: str, others: str = "") -> DependencyGraph:
    """Calls ``source>target``, those after ``mesh:`` of the service mesh, others of manifests."""
    edges: list[tuple[str, str, EdgeFlag]] = []
    for call in calls:
        source, target = call.removeprefix("mesh:").split(">")
        edges.append((source, target, MESH if call.startswith("mesh:") else MANIFESTS))
    names = dict.fromkeys([name for source, target, _ in edges for name in (source, target)] + others.split())
    return DependencyGraph.from_records(
        [ServiceRecord(name, name) for name in names],
        [
            DependencyRecord(number, source, target, int(origin))
            for number, (source, target, origin) in enumerate(edges)
        ],
    )


def suggested(graph: DependencyGraph, min_score: float = 0.5) -> dict[tuple[str, str], str]:
    """Return the reason of each pair."""
    calls = NamedCalls.of(graph)
    return {
        (calls.names[each.service], calls.names[each.other]): each.reason
        for each in suggest_aliases(calls, min_score)
    }


@pytest.mark.parametrize("seed", [7, 19, 31][: repeats(3)])
def test_of_planted_pairs_nineteen_of_twenty_are_found_and_one_of_ten_at_most_is_wrong(seed: int) -> None:
    company = PlantedCompany(5_000, seed)
    graph = company.graph()
    found, planted = {frozenset(pair) for pair in suggested(graph)}, company.planted
    assert graph.service_count >= 5_000
    assert len(planted) > 400
    assert len(found & planted) >= 0.95 * len(planted)
    assert len(found - planted) <= 0.1 * len(found)


def test_equal_names_without_any_neighbours_are_a_pair() -> None:
    found = suggested(graph_of(others="Checkout_Service checkout cart"))
    assert found == {
        (
            "Checkout_Service",
            "checkout",
        ): "equal names without the word service; no callers or callees to compare"
    }


def test_the_service_with_more_neighbours_would_stay() -> None:
    found = suggested(graph_of("a>checkout", "mesh:a>Checkout", "b>checkout"))
    assert found == {
        (
            "checkout",
            "Checkout",
        ): "equal names but for case and separators; 1 of 1 callers and callees in common"
    }


def test_neighbours_are_compared_under_whatever_names_they_have() -> None:
    graph = graph_of(
        "shop/web>shop/checkout", "shop/checkout>shop/stock", "mesh:web>checkout", "mesh:checkout>stock"
    )
    assert "2 of 2 callers" in suggested(graph)["checkout", "shop/checkout"]


def test_one_title_in_two_namespaces_is_two_services_and_neighbours_say_which_a_bare_name_means() -> None:
    graph = graph_of(
        *("a>shop/gateway", "b>shop/gateway", "shop/gateway>c", "x>billing/gateway", "y>billing/gateway"),
        *("mesh:a>gateway", "mesh:b>gateway", "mesh:gateway>c"),
    )
    assert suggested(graph).keys() == {("gateway", "shop/gateway")}
    lonely = graph_of("a>shop/gateway", "x>billing/gateway", others="gateway")
    assert suggested(lonely) == {}
    assert len(suggested(lonely, 0.2)) == 2


def test_services_that_call_each_other_are_less_likely_one() -> None:
    assert suggested(graph_of("checkout>checkout-service", "a>checkout", "a>checkout-service")) == {}
    found = suggested(graph_of("checkout>checkout-service"), 0.3)
    assert found["checkout", "checkout-service"].endswith("; but one calls the other")


def neighbours(name: str, origin: str = "", many: int = 6) -> list[str]:
    return [f"{origin}caller-{number}x>{name}" for number in range(many)] + [f"{origin}{name}>callee-y"]


def test_the_same_neighbours_by_two_sources_are_a_pair_whatever_the_names() -> None:
    found = suggested(graph_of(*neighbours("phoenix"), *neighbours("checkout", "mesh:")))
    assert found == {("checkout", "phoenix"): "the names differ; 7 of 7 callers and callees in common"}


@pytest.mark.parametrize(
    "calls",
    [
        # One source tells them apart.
        [*neighbours("phoenix"), *neighbours("checkout")],
        # Replicas: a third one is like them.
        [*neighbours("phoenix"), *neighbours("checkout", "mesh:"), *neighbours("zephyr", "mesh:")],
        # Members of a family.
        [*neighbours("worker-a"), *neighbours("worker-b", "mesh:")],
        # Too few to know.
        [*neighbours("phoenix", many=2), *neighbours("checkout", "mesh:", many=2)],
    ],
)
def test_the_same_neighbours_alone_are_not_enough(calls: list[str]) -> None:
    assert suggested(graph_of(*calls)) == {}


def test_a_core_in_very_many_namespaces_takes_few_comparisons() -> None:
    names = " ".join(f"team-{number}/db team-{number}/Db" for number in range(2_000))
    found = suggested(graph_of(others=f"db {names}"))
    assert len(found) == 2_000
    pods = " ".join(
        f"checkout-7d9f8b6c5d-{a}{b}x2c" for a in "bcdfghjklmnpqrstvwxz" for b in "bcdfghjklmnpqrstvwxz"
    )
    assert len(suggested(graph_of(others=f"checkout {pods}"))) == 400


def test_a_graph_without_services_has_no_pairs() -> None:
    assert suggested(DependencyGraph()) == {}
    assert suggested(graph_of(others="alone")) == {}
