"""Components as bytes, encoded once until they change."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from depgraph.v1.graph_service_pb2 import Component as ComponentMessage
from depgraph.v1.graph_service_pb2 import GetComponentResponse, ListComponentsResponse
from depgraph.v1.types_pb2 import Freshness
from graphcore import ChangeSet, Component, DependencyGraph, DependencyRecord, ServiceRecord
from server.domain.errors import ResponseTooLargeError
from server.rpc.graph.components import (
    ComponentQuestion,
    ComponentsQuestion,
    component_answer,
    component_record,
    components_answer,
    listed_record,
)
from server.rpc.paging import COMPONENTS, ComponentKey, PageTokens
from server.rpc.questions import FROM_MEMORY
from server.rpc.validate import Check

FRESHNESS = Freshness(revision="revision")
LIMIT = 1_000_000
names = st.text(st.characters(blacklist_categories=["Cs"]), min_size=1, max_size=200)
found = st.builds(
    Component,
    st.lists(names, min_size=1, max_size=5, unique=True).map(lambda all_: tuple(sorted(all_))),
    st.integers(0, 300),
)


def message_of(component: Component) -> ComponentMessage:
    return ComponentMessage(
        members=component.members,
        size=component.size,
        edge_count=component.edge_count,
        is_cycle=component.is_cycle,
    )


def ring(*members: str) -> DependencyGraph:
    services = [ServiceRecord(place, name) for place, name in enumerate(members)]
    calls = [DependencyRecord(f"{place}", place, (place + 1) % len(members)) for place in range(len(members))]
    return DependencyGraph.from_records(services, calls)


def asked(service_id: str = "a", page_size: int = 0, after: str = "") -> ComponentQuestion:
    return ComponentQuestion(service_id, FROM_MEMORY, page_size, after)


@given(st.lists(found, max_size=4), st.integers(1, 5))
def test_a_list_has_the_bytes_of_the_generated_code(listed: list[Component], size: int) -> None:
    tokens = PageTokens("components", 2, COMPONENTS)
    question = ComponentsQuestion(2, size, None, FROM_MEMORY, tokens)
    raw = components_answer(listed, question, FRESHNESS.SerializeToString(), LIMIT)
    page = listed[:size]
    last = ComponentKey(page[-1].size, page[-1].members[0]) if size < len(listed) else None
    message = ListComponentsResponse(
        components=map(message_of, page),
        next_page_token=tokens.write(last),
        total_count=len(listed),
        freshness=FRESHNESS,
    )
    assert raw == message.SerializeToString()


def test_a_component_has_the_bytes_of_the_generated_code() -> None:
    graph = ring("a", "b", "c")
    raw = component_answer(graph.component_of("b"), asked(), FRESHNESS.SerializeToString(), LIMIT)
    message = GetComponentResponse(
        component=ComponentMessage(members=["a", "b", "c"], size=3, edge_count=3, is_cycle=True),
        freshness=FRESHNESS,
    )
    assert raw == message.SerializeToString()


def test_a_component_is_encoded_once_and_again_after_a_change() -> None:
    graph = ring("a", "b", "c")
    once = component_record(graph.component_of("a"))
    assert component_record(graph.component_of("b")) is once
    graph.apply(ChangeSet(upserted_dependencies=[DependencyRecord("more", 0, 2)]))
    more = GetComponentResponse.FromString(component_record(graph.component_of("a"))).component
    assert (list(more.members), more.edge_count) == (["a", "b", "c"], 4)
    graph.apply(ChangeSet(upserted_services=[ServiceRecord(0, "z")]))
    renamed = GetComponentResponse.FromString(component_record(graph.component_of("b"))).component
    assert list(renamed.members) == ["b", "c", "z"]


@given(found, st.integers(1, 6), st.integers(24 * 1024 + 1, 24 * 1024 + 300))
def test_pages_of_members_hold_each_member_once_in_order(
    component: Component, size: int, max_bytes: int
) -> None:
    members: list[str] = []
    after = ""
    while True:
        question = asked(page_size=size, after=after)
        raw = component_answer(component, question, FRESHNESS.SerializeToString(), max_bytes)
        answer = GetComponentResponse.FromString(raw)
        assert 0 < len(answer.component.members) <= size
        members += answer.component.members
        assert answer.component.size == component.size
        check = Check()
        after = question.tokens.read(check, answer.next_page_token) or ""
        check.done()
        if not after:
            break
    assert tuple(members) == component.members


def test_members_that_do_not_fit_an_answer_are_refused_and_listed_in_part() -> None:
    members = tuple(f"service-{number:06}" for number in range(20_000))
    component = Component(members, 3)
    with pytest.raises(ResponseTooLargeError, match="page_size"):
        component_answer(component, asked(), b"", 100_000)
    # Refused without encoding: so a component of any size is refused at once.
    with pytest.raises(ResponseTooLargeError):
        component_answer(Component(members, 3), asked(), b"", 50_000)
    listed = GetComponentResponse.FromString(listed_record(component, 100_000)).component
    assert (tuple(listed.members), listed.size) == (members[:1_000], 20_000)
    whole = GetComponentResponse.FromString(listed_record(component, 1_000_000)).component
    assert tuple(whole.members) == members
