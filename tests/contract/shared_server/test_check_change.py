"""CheckChange over a real channel: it predicts what the change by RPC does, and writes nothing."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any

import grpc
import networkx as nx
import pytest

from depgraph.v1 import analysis_service_pb2 as pb
from depgraph.v1 import dependency_service_pb2 as dependencies
from depgraph.v1 import graph_service_pb2 as graph
from depgraph.v1.types_pb2 import (
    COMMUNICATION_MODE_SYNC,
    DISCOVERY_SOURCE_KUBERNETES,
    DISCOVERY_SOURCE_MANUAL,
    DISCOVERY_SOURCE_SERVICE_MESH,
    Dependency,
)
from server.config import DetectionSettings, Limits, Settings
from tests.support.calls import FRESH, Stubs, edges
from tests.support.channels import channel_to_new_server
from tests.support.failures import Failure, failure_of

# Answers are the same on both transports, which only carry them.
pytestmark = pytest.mark.one_transport

INVALID, NOT_FOUND = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND
LIMITS = Limits(max_response_bytes=200_000, max_items=60)
SOURCES = (DISCOVERY_SOURCE_MANUAL, DISCOVERY_SOURCE_KUBERNETES)


@pytest.fixture(scope="module")
def server_settings(database_url: str) -> Settings:
    return Settings(listen="127.0.0.1:0", database_url=database_url, limits=LIMITS)


@pytest.fixture
def stubs(channel: grpc.aio.Channel) -> Stubs:
    return Stubs(channel)


def keys(*written: str, **said: Any) -> list[pb.DependencyKey]:
    """Dependencies to be removed, each written ``source>target``."""
    pairs = (key.split(">") for key in written)
    return [pb.DependencyKey(source_service_id=a, target_service_id=b, **said) for a, b in pairs]


async def check(
    stubs: Stubs, added: Sequence[Dependency] = (), removed: Sequence[pb.DependencyKey] = (), **said: Any
) -> pb.CheckChangeResponse:
    request = pb.CheckChangeRequest(added=added, removed=removed, consistency=FRESH, **said)
    return await stubs.analyses.CheckChange(request)


async def failure(stubs: Stubs, *changes: Any, **said: Any) -> Failure:
    return await failure_of(check(stubs, *changes, **said))


async def everything(stubs: Stubs) -> list[Dependency]:
    request = dependencies.ListDependenciesRequest(include_stale=True, page_size=1_000)
    return list((await stubs.dependencies.ListDependencies(request)).dependencies)


async def calls_now(stubs: Stubs) -> "nx.DiGraph[str]":
    """Who calls whom, as the server lists it."""
    calls: nx.DiGraph[str] = nx.DiGraph()
    async for entry in stubs.graph.GetAdjacencyList(graph.GetAdjacencyListRequest(consistency=FRESH)):
        calls.add_node(entry.service_id)
        calls.add_edges_from((entry.service_id, target) for target in entry.target_service_ids)
    return calls


async def cycles_now(stubs: Stubs) -> set[tuple[str, ...]]:
    request = graph.ListComponentsRequest(consistency=FRESH)
    return {tuple(each.members) for each in (await stubs.graph.ListComponents(request)).components}


async def make(stubs: Stubs, added: Sequence[Dependency], removed: Sequence[pb.DependencyKey]) -> None:
    """Make a change by RPC."""
    gone = {(key.source_service_id, key.target_service_id, key.discovery_source) for key in removed}
    for each in await everything(stubs):
        ends = each.source_service_id, each.target_service_id
        if {(*ends, each.discovery_source), (*ends, 0)} & gone:
            await stubs.dependencies.DeleteDependency(dependencies.DeleteDependencyRequest(id=each.id))
    ends_of = {name for each in added for name in (each.source_service_id, each.target_service_id)}
    await stubs.write_services(*sorted(ends_of - set(await calls_now(stubs))))
    await stubs.dependencies.BatchUpsertDependencies(
        dependencies.BatchUpsertDependenciesRequest(dependencies=added)
    )


def drawn(dice: Random, count: int) -> list[Dependency]:
    """Some dependencies between a dozen services."""
    unique: dict[tuple[str, str, int], Dependency] = {}
    while len(unique) < count:
        source, target = dice.sample("abcdefghijkl", 2)
        reporter = dice.choice(SOURCES)
        unique[source, target, reporter] = Dependency(
            source_service_id=source,
            target_service_id=target,
            communication_mode=COMMUNICATION_MODE_SYNC,
            discovery_source=reporter,
            is_stale=dice.random() < 0.2,
        )
    return list(unique.values())


def impacts(answer: pb.CheckChangeResponse) -> dict[str, tuple[int, int, set[str], set[str]]]:
    return {
        each.service_id: (
            each.before,
            each.after,
            set(each.added_service_ids),
            set(each.removed_service_ids),
        )
        for each in answer.impact_changes
    }


@pytest.mark.parametrize("seed", range(4))
async def test_a_check_predicts_what_applying_the_change_does(stubs: Stubs, seed: int) -> None:
    dice = Random(seed)  # noqa: S311 - a game of dice, no secret
    await make(stubs, drawn(dice, 22), [])
    there = dice.sample(await everything(stubs), 5)
    added = drawn(dice, 5)
    removed = [
        pb.DependencyKey(
            source_service_id=each.source_service_id,
            target_service_id=each.target_service_id,
            discovery_source=each.discovery_source,
        )
        for each in there
    ]
    was, cycles_before = await calls_now(stubs), await cycles_now(stubs)
    answer = await check(stubs, added, removed)
    assert (await calls_now(stubs)).edges == was.edges, "nothing is written"

    await make(stubs, added, removed)
    will, cycles_after = await calls_now(stubs), await cycles_now(stubs)
    upstream = {name: (set(nx.ancestors(was, name)), set(nx.ancestors(will, name))) for name in was}
    assert impacts(answer) == {
        name: (len(before), len(after), after - before, before - after)
        for name, (before, after) in upstream.items()
        if before != after
    }
    reported_before = {tuple(each.members) for change in answer.cycle_changes for each in change.before}
    reported_after = {tuple(each.members) for change in answer.cycle_changes for each in change.after}
    assert reported_before <= cycles_before
    assert reported_after <= cycles_after
    assert cycles_before - reported_before == cycles_after - reported_after, (
        "what is not reported stays as it is"
    )
    assert answer.adds_cycles is any(
        nx.has_path(will, target, source) for source, target in will.edges - was.edges
    )


async def test_a_cycle_is_reported_with_its_witness_and_the_closing_pair(stubs: Stubs) -> None:
    await stubs.write_edges("a>b", "b>c")
    answer = await check(stubs, edges("c>a", "new>a"))
    [change] = answer.cycle_changes
    assert (answer.adds_cycles, change.adds_cycles) == (True, True)
    assert (change.kind, len(change.before)) == (pb.CYCLE_CHANGE_KIND_CREATED, 0)
    [cycle] = change.after
    assert (list(cycle.members), cycle.size, list(cycle.cycle_path)) == (["a", "b", "c"], 3, ["a", "b", "c"])
    [pair] = change.closing_pairs
    assert (pair.source_service_id, pair.target_service_id) == ("c", "a")
    assert (list(pair.cycle_path), change.closing_pair_count) == (["a", "b", "c"], 1)
    assert list(answer.created_service_ids) == ["new"]
    assert answer.freshness.revision


async def test_a_removal_without_a_source_means_the_dependencies_of_all(stubs: Stubs) -> None:
    await stubs.write_edges("a>b", "b>a")
    await stubs.write_edges("a>b", discovery_source=DISCOVERY_SOURCE_SERVICE_MESH)
    one = await check(stubs, removed=keys("a>b", discovery_source=DISCOVERY_SOURCE_SERVICE_MESH))
    assert list(one.cycle_changes) == []
    [change] = (await check(stubs, removed=keys("a>b"))).cycle_changes
    assert (change.kind, change.adds_cycles) == (pb.CYCLE_CHANGE_KIND_BROKEN, False)


async def test_what_the_server_is_not_certain_enough_of_makes_no_cycle(server_settings: Settings) -> None:
    detection = DetectionSettings(min_confidence=0.5)
    async with channel_to_new_server(replace(server_settings, detection=detection)) as channel:
        stubs = Stubs(channel)
        await stubs.write_edges("a>b")
        unsure = await check(stubs, edges("b>a", confidence_score=0.4))
        assert (unsure.adds_cycles, [each.service_id for each in unsure.impact_changes]) == (False, ["a"])
        assert (await check(stubs, edges("b>a", confidence_score=0.5))).adds_cycles


async def test_what_is_to_be_removed_must_be_there(stubs: Stubs) -> None:
    await stubs.write_edges("a>b")
    wrong = [
        *keys("a>b", "b>a", "a>missing"),
        *keys("a>b", discovery_source=DISCOVERY_SOURCE_SERVICE_MESH),
    ]
    returned = await failure(stubs, (), wrong)
    assert (returned.code, returned.reason) == (NOT_FOUND, "DEPENDENCY_NOT_FOUND")
    assert list(returned.fields) == ["removed[1]", "removed[2]", "removed[3]"]
    assert returned.fields["removed[3]"] == "no dependency of 'a' on 'b' of discovery source service_mesh"


async def test_all_errors_of_a_request_are_reported_together(stubs: Stubs) -> None:
    added = [*edges("a>b", "a>a", "a>b"), Dependency(source_service_id="a", target_service_id="x")]
    removed = [*keys("a>b", "a>b"), pb.DependencyKey(source_service_id="a")]
    returned = await failure(stubs, added, removed, max_impacts=1_001)
    assert (returned.code, returned.reason) == (INVALID, "INVALID_FIELD")
    assert sorted(returned.fields) == [
        "added[1].target_service_id",
        "added[2]",
        "added[3].communication_mode",
        "max_impacts",
        "removed[1]",
        "removed[2].target_service_id",
    ]


async def test_a_change_of_nothing_and_one_of_too_much_are_refused(stubs: Stubs) -> None:
    assert list((await failure(stubs)).fields) == ["added"]
    most = LIMITS.max_items
    many = [f"a>b{number}" for number in range(most + 1)]
    assert list((await failure(stubs, edges(*many))).fields) == ["added"]
    assert list((await failure(stubs, (), keys(*many))).fields) == ["removed"]


async def test_the_requested_number_of_blast_radii_is_returned_and_all_are_counted(stubs: Stubs) -> None:
    await stubs.write_edges(*(f"s{number}>s{number + 1}" for number in range(9)))
    answer = await check(stubs, edges("new>s0"), max_impacts=3)
    assert [each.service_id for each in answer.impact_changes] == ["s0", "s1", "s2"]
    assert (answer.impact_change_count, answer.impacts_truncated) == (10, False)


async def test_an_answer_that_is_too_large_says_what_to_do(stubs: Stubs) -> None:
    await stubs.write_edges(*(f"a>{'s' * 240}{number}" for number in range(59)))
    added = edges(*(f"{'t' * 240}{number}>a" for number in range(50)))
    returned = await failure(stubs, added)
    assert (returned.code, returned.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "RESPONSE_TOO_LARGE")
    assert "max_impacts" in returned.message
    assert len((await check(stubs, added, max_impacts=5)).impact_changes) == 5
