"""How change sets change the graph."""

import pytest

from graphcore import (
    AliasRecord,
    ChangeSet,
    DependencyGraph,
    DependencyRecord,
    Direction,
    DuplicateNameError,
    EdgeFlag,
    GraphBuilder,
    ServiceRecord,
    UnknownServiceError,
    adjacency,
)
from tests.support.traversal import traverse

WEB, CART, STOCK = ServiceRecord(1, "web"), ServiceRecord(2, "cart"), ServiceRecord(3, "stock")
WEB_CART, CART_STOCK = DependencyRecord("wc", 1, 2), DependencyRecord("cs", 2, 3)


def shop() -> DependencyGraph:
    return DependencyGraph.from_records([WEB, CART, STOCK], [WEB_CART, CART_STOCK])


def content(
    graph: DependencyGraph,
) -> tuple[list[ServiceRecord], list[DependencyRecord], list[DependencyRecord]]:
    return sorted(graph.services()), sorted(graph.dependencies()), sorted(graph.dangling_dependencies())


def test_an_empty_graph_answers() -> None:
    graph = DependencyGraph()
    assert (graph.service_count, graph.dependency_count, graph.dangling_count) == (0, 0, 0)
    assert content(graph) == ([], [], [])
    assert list(adjacency(graph)) == []
    assert graph.components.largest_first(1) == []


def test_a_service_is_found_by_name_and_by_key() -> None:
    graph = shop()
    assert graph.service("cart") == graph.find_service(2) == CART
    assert graph.has_service("cart")
    assert not graph.has_service("card")


def test_an_unknown_service_is_named_in_the_error() -> None:
    with pytest.raises(UnknownServiceError, match="'card'"):
        shop().service("card")
    assert shop().find_service(99) is None
    with pytest.raises(UnknownServiceError, match="'card'"):
        traverse(shop(), "card", Direction.BOTH, 1)


def test_two_services_swap_their_names_in_one_change_set() -> None:
    graph = shop()
    graph.apply(ChangeSet(upserted_services=[WEB._replace(name="cart"), CART._replace(name="web")]))
    assert graph.service("web").key == 2
    assert graph.service("cart").key == 1
    assert list(adjacency(graph)) == [("cart", ("web",)), ("stock", ()), ("web", ("stock",))]


def test_a_name_moves_to_a_new_key_in_the_change_set_that_removes_the_old_one() -> None:
    graph = shop()
    graph.apply(ChangeSet(upserted_services=[ServiceRecord(9, "cart")], removed_services=[2]))
    assert graph.service("cart").key == 9
    assert content(graph)[2] == [CART_STOCK, WEB_CART]


def test_a_rename_is_seen_by_components_and_adjacency() -> None:
    graph = DependencyGraph.from_records([WEB, CART], [WEB_CART, DependencyRecord("cw", 2, 1)])
    assert graph.component_of("web").members == ("cart", "web")
    graph.apply(ChangeSet(upserted_services=[WEB._replace(name="site")]))
    assert graph.component_of("site").members == ("cart", "site")
    with pytest.raises(UnknownServiceError):
        graph.component_of("web")


@pytest.mark.parametrize(
    "services",
    [
        [ServiceRecord(9, "cart")],
        [WEB._replace(name="cart")],
        [ServiceRecord(8, "new"), ServiceRecord(9, "new")],
    ],
)
def test_a_change_set_that_would_give_a_name_twice_changes_nothing(services: list[ServiceRecord]) -> None:
    graph = shop()
    before = content(graph)
    with pytest.raises(DuplicateNameError):
        graph.apply(ChangeSet(upserted_services=services, removed_dependencies=["wc"], removed_services=[3]))
    assert content(graph) == before


def test_a_dangling_dependency_is_linked_when_its_service_appears() -> None:
    graph = DependencyGraph.from_records([WEB], [WEB_CART])
    assert (graph.dependency_count, graph.dangling_count) == (0, 1)
    assert graph.dangling_dependencies() == [WEB_CART]
    graph.apply(ChangeSet(upserted_services=[CART]))
    assert (graph.dependency_count, graph.dangling_count) == (1, 0)
    assert list(adjacency(graph)) == [("cart", ()), ("web", ("cart",))]


def test_a_dependency_that_lacks_both_services_is_linked_with_the_later_one() -> None:
    graph = DependencyGraph.from_records([], [WEB_CART])
    for service in (CART, WEB):
        assert graph.dangling_count == 1
        graph.apply(ChangeSet(upserted_services=[service]))
    assert (graph.dependency_count, graph.dangling_count) == (1, 0)


def test_removing_a_service_leaves_its_dependencies_dangling() -> None:
    graph = shop()
    graph.apply(ChangeSet(removed_services=[2]))
    assert (graph.service_count, graph.dependency_count, graph.dangling_count) == (2, 0, 2)
    graph.apply(ChangeSet(upserted_services=[CART]))
    assert content(graph) == content(shop())


def test_a_removed_dangling_dependency_is_never_linked() -> None:
    graph = DependencyGraph.from_records([WEB], [WEB_CART])
    graph.apply(ChangeSet(removed_dependencies=["wc"]))
    graph.apply(ChangeSet(upserted_services=[CART]))
    assert (graph.dependency_count, graph.dangling_count) == (0, 0)


def test_a_dangling_dependency_is_linked_as_upserted_with_its_service() -> None:
    graph = DependencyGraph.from_records([WEB], [WEB_CART])
    graph.apply(ChangeSet(upserted_services=[CART], upserted_dependencies=[WEB_CART._replace(payload="new")]))
    assert graph.dependencies() == [WEB_CART._replace(payload="new")]
    assert graph.dangling_count == 0


def test_a_dependency_of_a_service_on_itself_dangles() -> None:
    loop = DependencyRecord("ww", 1, 1)
    graph = DependencyGraph.from_records([WEB, CART], [loop])
    assert (graph.dependency_count, graph.dangling_dependencies()) == (0, [loop])
    graph.apply(ChangeSet(upserted_dependencies=[loop._replace(target=2)]))
    assert (graph.dependency_count, graph.dangling_count) == (1, 0)


def test_a_dependency_changes_its_ends() -> None:
    graph = shop()
    graph.apply(ChangeSet(upserted_dependencies=[WEB_CART._replace(source=3, target=1)]))
    assert list(adjacency(graph)) == [("cart", ("stock",)), ("stock", ("web",)), ("web", ())]
    assert graph.dependency_count == 2


def test_removing_unknown_keys_does_nothing() -> None:
    graph = shop()
    graph.apply(ChangeSet(removed_services=[77], removed_dependencies=["none"]))
    assert content(graph) == content(shop())


def test_a_key_both_removed_and_upserted_is_upserted() -> None:
    graph = shop()
    graph.apply(ChangeSet([CART._replace(name="basket")], [2], [WEB_CART], ["wc"]))
    assert list(adjacency(graph)) == [("basket", ("stock",)), ("stock", ()), ("web", ("basket",))]


def test_the_later_of_two_records_of_one_key_counts() -> None:
    graph = DependencyGraph()
    first, later = WEB_CART._replace(payload=1), WEB_CART._replace(payload=2)
    graph.apply(ChangeSet([ServiceRecord(1, "cart"), WEB, CART], upserted_dependencies=[first, later]))
    assert graph.dependencies() == [later]
    assert graph.service("web").key == 1


def test_stale_count_follows_stale_dependencies() -> None:
    stale = WEB_CART._replace(flags=int(EdgeFlag.STALE))
    graph = shop()
    counts = []
    for changes in (
        ChangeSet(upserted_dependencies=[stale]),
        ChangeSet(removed_services=[2]),
        ChangeSet(upserted_services=[CART]),
        ChangeSet(upserted_dependencies=[WEB_CART]),
        ChangeSet(upserted_dependencies=[stale]),
        ChangeSet(removed_dependencies=["wc"]),
    ):
        graph.apply(changes)
        counts.append(graph.stale_count)
    assert counts == [1, 0, 1, 0, 1, 0]


TILL, BASKET = AliasRecord("t", "till", 1), AliasRecord("b", "basket", 2)


def aliased() -> DependencyGraph:
    return DependencyGraph.from_records([WEB, CART], [WEB_CART], [TILL, BASKET])


def test_an_alias_resolves_to_the_name_that_its_service_has_now() -> None:
    graph = aliased()
    assert [graph.resolve(name) for name in ("till", "web", "none")] == ["web", "web", None]
    graph.apply(ChangeSet(upserted_services=[WEB._replace(name="site")]))
    assert [graph.resolve(name) for name in ("till", "web", "site")] == ["site", None, "site"]
    assert graph.aliases_of("site") == ["till"]
    with pytest.raises(UnknownServiceError):
        graph.aliases_of("till")


def test_an_alias_of_a_missing_service_waits_for_it() -> None:
    graph = aliased()
    graph.apply(ChangeSet(removed_services=[2]))
    assert (graph.alias_count, graph.resolve("basket")) == (2, None)
    graph.apply(ChangeSet(upserted_services=[CART._replace(name="trolley")]))
    assert (graph.alias_count, graph.resolve("basket")) == (2, "trolley")


def test_the_name_of_a_service_goes_before_an_alias() -> None:
    graph = aliased()
    graph.apply(ChangeSet(upserted_aliases=[TILL._replace(name="cart")]))
    assert graph.resolve("cart") == "cart"
    graph.apply(ChangeSet(removed_services=[2]))
    assert graph.resolve("cart") == "web"


def test_two_aliases_swap_their_names_in_one_change_set() -> None:
    graph = aliased()
    graph.apply(ChangeSet(upserted_aliases=[TILL._replace(name="basket"), BASKET._replace(name="till")]))
    assert (graph.resolve("basket"), graph.resolve("till")) == ("web", "cart")


@pytest.mark.parametrize(
    "aliases",
    [
        [AliasRecord("n", "till", 2)],
        [BASKET._replace(name="till")],
        [AliasRecord("n", "new", 1), AliasRecord("m", "new", 1)],
    ],
)
def test_a_change_set_that_would_give_an_alias_twice_changes_nothing(aliases: list[AliasRecord]) -> None:
    graph = aliased()
    with pytest.raises(DuplicateNameError, match="two aliases"):
        graph.apply(ChangeSet(upserted_aliases=aliases, removed_services=[1]))
    assert content(graph) == content(aliased())
    assert (graph.resolve("till"), graph.resolve("basket"), graph.alias_count) == ("web", "cart", 2)


def test_a_builder_refuses_an_alias_that_it_has() -> None:
    builder = GraphBuilder()
    builder.add_aliases([TILL, BASKET])
    with pytest.raises(DuplicateNameError, match="two aliases would be called 'till'"):
        builder.add_aliases([TILL._replace(key="other")])


def test_an_alias_both_removed_and_upserted_is_upserted_and_the_later_record_counts() -> None:
    graph = aliased()
    graph.apply(
        ChangeSet(
            upserted_aliases=[TILL._replace(name="desk"), TILL._replace(service=2)], removed_aliases=["t"]
        )
    )
    assert graph.aliases_of("cart") == ["basket", "till"]
    assert (graph.resolve("desk"), graph.aliases_of("web")) == (None, [])
