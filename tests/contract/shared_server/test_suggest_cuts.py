"""
SuggestCuts over a real channel, and its command: the shape of the answer, and that the cuts help.

Other tests prove which cuts are cheapest.
"""

import json
import random
from typing import Any

import grpc
import networkx as nx
import pytest
from google.protobuf.json_format import ParseDict

from depgraph.v1 import analysis_service_pb2 as pb
from depgraph.v1 import dependency_service_pb2 as dependencies
from depgraph.v1 import graph_service_pb2 as graph
from depgraph.v1.types_pb2 import (
    COMMUNICATION_MODE_ASYNC,
    DEPENDENCY_CRITICALITY_SOFT,
    DISCOVERY_SOURCE_SERVICE_MESH,
    Dependency,
)
from server.config import Limits, Settings
from tests.support.calls import FRESH, Stubs
from tests.support.command import Command
from tests.support.failures import failure_of

# Answers are the same on both transports, which only carry them.
pytestmark = pytest.mark.one_transport

LIMITS = Limits(max_response_bytes=400_000)


@pytest.fixture(scope="module")
def server_settings(database_url: str) -> Settings:
    return Settings(listen="127.0.0.1:0", database_url=database_url, limits=LIMITS)


@pytest.fixture
def stubs(channel: grpc.aio.Channel) -> Stubs:
    return Stubs(channel)


async def suggest(stubs: Stubs, service: str, **said: Any) -> pb.SuggestCutsResponse:
    asked = {"service_id": service, "consistency": {"fully_consistent": True}}
    return await stubs.analyses.SuggestCuts(ParseDict(asked | said, pb.SuggestCutsRequest()))


async def component(stubs: Stubs, service: str) -> graph.Component:
    request = graph.GetComponentRequest(service_id=service, consistency=FRESH)
    return (await stubs.graph.GetComponent(request)).component


async def remove(stubs: Stubs, cuts: list[Dependency]) -> None:
    for cut in cuts:
        await stubs.dependencies.DeleteDependency(dependencies.DeleteDependencyRequest(id=cut.id))


async def turn_stale(stubs: Stubs, cuts: list[Dependency]) -> None:
    for cut in cuts:
        cut.is_stale = True
    request = dependencies.BatchUpsertDependenciesRequest(dependencies=cuts)
    await stubs.dependencies.BatchUpsertDependencies(request)


async def test_the_cheapest_dependency_of_a_ring_is_cut(stubs: Stubs) -> None:
    await stubs.write_edges("b>c", "c>a")
    [cheap] = await stubs.write_edges("a>b", criticality=DEPENDENCY_CRITICALITY_SOFT)
    answer = await suggest(stubs, "c")
    assert answer.component == await component(stubs, "c")
    [cut] = answer.cuts
    assert cut == pb.Cut(
        source_service_id="a",
        target_service_id="b",
        action=pb.CUT_ACTION_REMOVE,
        dependencies=[cheap],
        cost=0.2,
        cycle_path=["a", "b", "c"],
    )
    assert (answer.total_cost, answer.is_optimal) == (0.2, True)
    assert answer.freshness.revision


async def test_what_several_sources_say_of_a_pair_is_cut_together(stubs: Stubs) -> None:
    [declared] = await stubs.write_edges("a>b")
    [seen] = await stubs.write_edges("a>b", discovery_source=DISCOVERY_SOURCE_SERVICE_MESH)
    [back] = await stubs.write_edges("b>a", is_stale=True)
    assert not (await suggest(stubs, "a")).cuts
    back.is_stale = False
    request = dependencies.BatchUpsertDependenciesRequest(dependencies=[back])
    await stubs.dependencies.BatchUpsertDependencies(request)
    [cut] = (await suggest(stubs, "a")).cuts
    assert (cut.source_service_id, cut.cost) == ("b", 1.0)
    await stubs.write_edges(*(f"b>a{number}" for number in range(3)))
    await stubs.write_edges(*(f"a{number}>a" for number in range(3)))
    [cut] = (await suggest(stubs, "b")).cuts
    assert list(cut.dependencies) == [declared, seen]
    assert cut.cost == pytest.approx(1.85)


async def test_with_sync_only_messages_make_no_cycle_and_a_call_may_become_one(stubs: Stubs) -> None:
    await stubs.write_edges("a>b", "b>a", "b>c")
    await stubs.write_edges("c>a", communication_mode=COMMUNICATION_MODE_ASYNC)
    whole, synchronous = await suggest(stubs, "a"), await suggest(stubs, "a", sync_only=True)
    assert list(whole.component.members) == ["a", "b", "c"]
    assert list(synchronous.component.members) == ["a", "b"]
    assert (synchronous.component.size, synchronous.component.edge_count) == (2, 2)
    assert [cut.action for cut in synchronous.cuts] == [pb.CUT_ACTION_MAKE_ASYNC]
    assert not (await suggest(stubs, "c", sync_only=True)).cuts


async def test_a_service_on_no_cycle_needs_no_cut(stubs: Stubs) -> None:
    await stubs.write_edges("a>b")
    answer = await suggest(stubs, "a")
    assert (len(answer.cuts), answer.total_cost, answer.is_optimal) == (0, 0.0, True)
    assert list(answer.component.members) == ["a"]


async def test_wrong_questions_are_refused(stubs: Stubs) -> None:
    failure = await failure_of(suggest(stubs, ""))
    assert failure.code is grpc.StatusCode.INVALID_ARGUMENT
    assert list(failure.fields) == ["service_id"]
    failure = await failure_of(suggest(stubs, "missing"))
    assert (failure.code, failure.metadata["service_id"]) == (grpc.StatusCode.NOT_FOUND, "missing")


def dense(services: int, count: int, seed: int, prefix: str = "s") -> list[str]:
    """Edges of one component: a ring through all services, and random others."""
    chooser = random.Random(seed)  # noqa: S311 - the same each time
    names = [f"{prefix}{number}" for number in range(services)]
    pairs = dict.fromkeys(zip(names, [*names[1:], names[0]], strict=True))
    while len(pairs) < count:
        pairs[tuple(chooser.sample(names, 2))] = None  # type: ignore[index] # two of them
    return [f"{source}>{target}" for source, target in pairs]


@pytest.mark.parametrize("make_cuts", [remove, turn_stale])
async def test_a_component_is_gone_once_its_cuts_are_made(stubs: Stubs, make_cuts: Any) -> None:
    await stubs.write_edges(*dense(services=30, count=80, seed=4))
    answer = await suggest(stubs, "s0")
    assert answer.component.size == 30
    await make_cuts(stubs, [each for cut in answer.cuts for each in cut.dependencies])
    assert (await component(stubs, "s0")).size == 1
    assert not (await suggest(stubs, "s0")).cuts


async def test_350_services_among_4000_dependencies_are_freed_of_cycles(stubs: Stubs) -> None:
    written = dense(services=350, count=4_000, seed=5)
    for start in range(0, len(written), 1_000):
        await stubs.write_edges(*written[start : start + 1_000])
    answer = await suggest(stubs, "s7")
    assert (answer.component.size, answer.component.edge_count) == (350, 4_000)
    left: nx.DiGraph[str] = nx.DiGraph()
    left.add_edges_from((edge.split(">")[0], edge.split(">")[1]) for edge in written)
    left.remove_edges_from([(cut.source_service_id, cut.target_service_id) for cut in answer.cuts])
    assert nx.is_directed_acyclic_graph(left)
    for cut in answer.cuts:
        assert cut.dependencies
        assert nx.shortest_path_length(left, cut.target_service_id, cut.source_service_id) == (
            len(cut.cycle_path) - 1
        )
    assert not answer.is_optimal
    await turn_stale(stubs, [each for cut in answer.cuts for each in cut.dependencies])
    assert (await component(stubs, "s7")).size == 1


async def test_cuts_that_fit_no_answer_are_refused_with_advice(stubs: Stubs) -> None:
    long = "s" * 240
    await stubs.write_edges(*dense(services=50, count=1_000, seed=6, prefix=long))
    failure = await failure_of(suggest(stubs, f"{long}0"))
    assert failure.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert failure.reason == "RESPONSE_TOO_LARGE"
    assert "sync_only" in failure.message


async def test_the_command_shows_costs_cuts_and_cycles(quick_command: Command, stubs: Stubs) -> None:
    async def command(*arguments: str) -> str:
        finished = await quick_command("cuts", *arguments)
        assert finished.returncode == 0, finished.stderr
        return finished.stdout

    await stubs.write_edges("a>b", "b>c")
    await stubs.write_edges("c>a", criticality=DEPENDENCY_CRITICALITY_SOFT)
    await suggest(stubs, "a")
    assert (await command("b")).splitlines() == [
        "b is one of 3 services that reach each other by 3 dependencies.",
        "Remove this dependency to break every cycle. Total cost 0.20 (proven minimum).",
        "A hard, synchronous, declared call costs 1; asynchronous, softer and less certain ones cost less.",
        "",
        "COST  CUT    DEPENDENCIES  CYCLE",
        "0.20  c → a  sync soft     a → b → c → a",
    ]
    returned = json.loads(await command("b", "--sync-only", "--json"))
    assert (returned["service_id"], returned["sync_only"]) == ("b", True)
    assert [cut["action"] for cut in returned["cuts"]] == ["CUT_ACTION_MAKE_ASYNC"]
    finished = await quick_command("cuts", "bb")
    assert finished.returncode == 2
    assert "no service named 'bb'" in finished.stderr
