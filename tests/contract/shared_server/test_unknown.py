"""What no source knows is said to be unknown, from the import to every answer and command."""

import json
from collections.abc import Awaitable, Callable

import grpc
import pytest
import pytest_asyncio
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from depgraph.v1 import analysis_service_pb2 as analysis
from depgraph.v1 import types_pb2
from depgraph.v1.catalog_service_pb2 import AddAliasRequest, ListServicesRequest
from depgraph.v1.dependency_service_pb2 import ListDependenciesRequest
from depgraph.v1.graph_service_pb2 import EdgeFilter, ListComponentsRequest, TraverseRequest
from depgraph.v1.types_pb2 import (
    COMMUNICATION_MODE_ASYNC,
    COMMUNICATION_MODE_SYNC,
    COMMUNICATION_MODE_UNKNOWN,
    CRITICALITY_UNKNOWN,
    DEPENDENCY_CRITICALITY_HARD,
    DEPENDENCY_CRITICALITY_SOFT,
    DEPENDENCY_CRITICALITY_UNKNOWN,
    DISCOVERY_SOURCE_CATALOG,
    DISCOVERY_SOURCE_OTEL_SERVICE_GRAPH,
    Dependency,
    RetryConfig,
)
from tests.support.calls import FRESH, Stubs
from tests.support.command import Command

# What is answered and printed does not depend on the transport.
pytestmark = pytest.mark.one_transport

Printed = Callable[..., Awaitable[list[str]]]
CALLS = [("web", "cart"), ("cart", "stock"), ("stock", "cart"), ("stock", "ledger")]
JAEGER = json.dumps(
    [{"parent": source, "child": target, "callCount": 1} for source, target in CALLS]
).encode()
UNKNOWN = (COMMUNICATION_MODE_UNKNOWN, DEPENDENCY_CRITICALITY_UNKNOWN)


@pytest.fixture
def stubs(channel: grpc.aio.Channel) -> Stubs:
    return Stubs(channel)


@pytest.fixture
def printed(quick_command: Command, stubs: Stubs) -> Printed:
    """Run a command once memory has what was written; returns its lines."""

    async def run(*arguments: str) -> list[str]:
        await stubs.graph.ListComponents(ListComponentsRequest(consistency=FRESH))
        finished = await quick_command(*arguments)
        assert (finished.returncode, finished.stderr) == (0, "")
        return finished.stdout.splitlines()

    return run


@pytest_asyncio.fixture(loop_scope="module")
async def imported(quick_command: Command) -> None:
    finished = await quick_command("import", "jaeger", "-", stdin=JAEGER)
    assert finished.returncode == 0, finished.stderr


async def rows(stubs: Stubs) -> dict[tuple[str, str], Dependency]:
    listed = await stubs.dependencies.ListDependencies(ListDependenciesRequest(include_stale=True))
    return {(row.source_service_id, row.target_service_id): row for row in listed.dependencies}


async def test_after_a_jaeger_import_nothing_claims_to_be_sync_or_hard(imported: None, stubs: Stubs) -> None:
    found = await rows(stubs)
    assert found.keys() == set(CALLS)
    assert {(row.communication_mode, row.criticality) for row in found.values()} == {UNKNOWN}
    services = (
        await stubs.catalog.ListServices(ListServicesRequest(criticality=CRITICALITY_UNKNOWN))
    ).services
    assert {row.service_id for row in services} == {name for call in CALLS for name in call}


async def test_filters_take_unknown_as_a_value_of_its_own(imported: None, stubs: Stubs) -> None:
    async def reached(**fields: list[int]) -> list[str]:
        request = TraverseRequest(
            service_id="web",
            direction="DIRECTION_DOWNSTREAM",  # type: ignore[arg-type] # protobuf takes names
            max_depth=5,
            consistency=FRESH,
            filter=EdgeFilter(**fields),  # type: ignore[arg-type] # numbers of the enums
        )
        return sorted((await stubs.graph.Traverse(request)).service_ids)

    assert await reached(communication_modes=[COMMUNICATION_MODE_SYNC, COMMUNICATION_MODE_ASYNC]) == []
    assert await reached(criticalities=[DEPENDENCY_CRITICALITY_HARD]) == []
    assert await reached(communication_modes=[COMMUNICATION_MODE_UNKNOWN]) == ["cart", "ledger", "stock"]
    assert await reached(criticalities=[DEPENDENCY_CRITICALITY_UNKNOWN]) == ["cart", "ledger", "stock"]


async def test_impact_ranks_unknown_below_hard_and_above_degraded(stubs: Stubs) -> None:
    await stubs.write_edges("a>b", criticality=DEPENDENCY_CRITICALITY_HARD)
    await stubs.write_edges("b>x", "b>y", criticality=DEPENDENCY_CRITICALITY_UNKNOWN)
    await stubs.write_edges("c>x", criticality="DEPENDENCY_CRITICALITY_DEGRADED")
    await stubs.write_edges("d>x", communication_mode=COMMUNICATION_MODE_UNKNOWN)
    request = analysis.AnalyzeImpactRequest(service_id="x", consistency=FRESH)
    parts = [part async for part in stubs.analyses.AnalyzeImpact(request)]
    found = {service.service_id: service for part in parts for service in part.services}
    name = types_pb2.DependencyCriticality.Name
    assert {
        each: (
            name(one.weakest_criticality).removeprefix("DEPENDENCY_CRITICALITY_"),
            one.hard_hops,
            one.unknown_hops,
            one.degraded_hops,
            one.sync_hops,
            one.maybe_sync_hops,
        )
        for each, one in found.items()
    } == {
        "a": ("UNKNOWN", 0, 2, 2, 2, 2),
        "b": ("UNKNOWN", 0, 1, 1, 1, 1),
        "c": ("DEGRADED", 0, 0, 1, 1, 1),
        "d": ("HARD", 1, 1, 1, 0, 1),
    }
    [summary] = [part.summary for part in parts if part.HasField("summary")]
    assert (summary.sync_count, summary.maybe_sync_count) == (3, 1)
    counts = {
        name(each.weakest_criticality).removeprefix("DEPENDENCY_CRITICALITY_"): each.service_count
        for each in summary.weakest_criticalities
    }
    assert list(counts.items()) == [("HARD", 1), ("UNKNOWN", 2), ("DEGRADED", 1)]


async def test_commands_say_what_is_unknown(imported: None, printed: Printed) -> None:
    assert (await printed("impact", "ledger"))[:4] == [
        (
            "ledger: 3 services reached, at most 3 hops away, 0 by synchronous calls alone, "
            "3 more if those of unknown mode are synchronous"
        ),
        "  weakest      3 unknown",
        "  criticality  3 unknown",
        "  team         3 of no team",
    ]
    assert await printed("audit") == [
        (
            "nothing to audit: no synchronous dependency passes; "
            "4 of unknown mode left out: they may be synchronous"
        )
    ]
    drift = await printed("drift")
    assert drift[0] == "nothing is declared: there is nothing to compare with"
    assert (
        drift[-1] == "no source knows the mode of 4 calls and the criticality of 4 calls of the whole graph"
    )
    assert await printed("show", "stock", "--direction", "downstream", "--depth", "1") == [
        "stock  criticality unknown, discovered",
        "└── calls 2 services",
        "    ├── cart  unknown (otel service graph)",
        "    └── ledger  unknown (otel service graph)",
    ]
    assert '|"unknown"|' in "\n".join(await printed("show", "web", "--format", "mermaid"))
    assert (await printed("cuts", "cart", "--sync-only"))[0].endswith(
        " calls that are synchronous or of unknown mode."
    )


async def test_a_cut_of_an_unknown_call_costs_what_a_synchronous_hard_one_costs(
    imported: None, stubs: Stubs
) -> None:
    request = analysis.SuggestCutsRequest(service_id="cart", sync_only=True, consistency=FRESH)
    [cut] = (await stubs.analyses.SuggestCuts(request)).cuts
    assert cut.cost == pytest.approx(0.8)


async def test_unknown_wins_no_field_against_a_source_that_knows(imported: None, stubs: Stubs) -> None:
    await stubs.write_edges(
        "web>cart",
        discovery_source=DISCOVERY_SOURCE_CATALOG,
        communication_mode=COMMUNICATION_MODE_UNKNOWN,
        criticality=DEPENDENCY_CRITICALITY_SOFT,
    )
    await stubs.write_edges(
        "web>cart",
        discovery_source="DISCOVERY_SOURCE_KUBERNETES",
        communication_mode=COMMUNICATION_MODE_ASYNC,
    )
    request = TraverseRequest(
        service_id="web",
        direction="DIRECTION_DOWNSTREAM",  # type: ignore[arg-type] # protobuf takes names
        max_depth=1,
        effective=True,
        consistency=FRESH,
        filter=EdgeFilter(
            communication_modes=[COMMUNICATION_MODE_ASYNC], criticalities=[DEPENDENCY_CRITICALITY_SOFT]
        ),
    )
    [merged] = (await stubs.graph.Traverse(request)).effective_dependencies
    origins = {each.field: each.discovery_source for each in merged.provenance}
    assert (merged.communication_mode, merged.criticality) == (
        COMMUNICATION_MODE_ASYNC,
        DEPENDENCY_CRITICALITY_SOFT,
    )
    assert origins["criticality"] == DISCOVERY_SOURCE_CATALOG
    assert origins["communication_mode"] == types_pb2.DISCOVERY_SOURCE_KUBERNETES


async def test_guesses_of_earlier_imports_are_forgotten_and_what_was_changed_is_kept(
    quick_command: Command, stubs: Stubs
) -> None:
    guessed = {
        "discovery_source": DISCOVERY_SOURCE_OTEL_SERVICE_GRAPH,
        "communication_mode": COMMUNICATION_MODE_SYNC,
        "criticality": DEPENDENCY_CRITICALITY_HARD,
    }
    await stubs.write_edges("web>cart", "stock>ledger", "other>ledger", **guessed)
    await stubs.write_edges("cart>stock", **guessed, retry_config=RetryConfig(max_retries=2))
    await stubs.write_edges("stock>cart", **guessed | {"communication_mode": COMMUNICATION_MODE_ASYNC})
    await stubs.write_edges("web>cart", **guessed | {"discovery_source": types_pb2.DISCOVERY_SOURCE_MANUAL})
    await stubs.catalog.AddAlias(AddAliasRequest(alias="the-ledger", service_id="ledger"))
    calls = [(source, target.replace("ledger", "the-ledger")) for source, target in CALLS]
    file = json.dumps([{"parent": source, "child": target, "callCount": 1} for source, target in calls])
    before = {row.id: row for row in (await _all(stubs))}

    async def forgotten() -> int:
        finished = await quick_command("import", "-", "--forget-guesses", "--json", stdin=file.encode())
        assert finished.returncode == 0, finished.stderr
        return int(json.loads(finished.stdout)["guesses_forgotten"])

    assert await forgotten() == 2
    after = {row.id: row for row in (await _all(stubs))}
    assert after.keys() == before.keys()
    changed = {
        (row.source_service_id, row.target_service_id)
        for row in after.values()
        if (row.communication_mode, row.criticality) == UNKNOWN
    }
    assert changed == {("web", "cart"), ("stock", "ledger")}
    manual = [row for row in after.values() if row.discovery_source == types_pb2.DISCOVERY_SOURCE_MANUAL]
    assert [row.communication_mode for row in manual] == [COMMUNICATION_MODE_SYNC]
    assert await forgotten() == 0


async def _all(stubs: Stubs) -> list[Dependency]:
    listed = await stubs.dependencies.ListDependencies(ListDependenciesRequest(include_stale=True))
    return list(listed.dependencies)


async def test_a_client_that_does_not_know_the_new_words_goes_on() -> None:
    older = older_dependency()
    row = Dependency(
        source_service_id="a",
        target_service_id="b",
        communication_mode=COMMUNICATION_MODE_UNKNOWN,
        criticality=DEPENDENCY_CRITICALITY_UNKNOWN,
        discovery_source=DISCOVERY_SOURCE_CATALOG,
        timeout_ms=7,
    )
    read = older.FromString(row.SerializeToString())
    assert [getattr(read, field) for field in ("source_service_id", "timeout_ms")] == ["a", 7]
    numbers = [getattr(read, field) for field in ("communication_mode", "criticality", "discovery_source")]
    assert numbers == [*UNKNOWN, DISCOVERY_SOURCE_CATALOG]
    assert Dependency.FromString(read.SerializeToString()) == row


def older_dependency() -> type[Message]:
    """The message as stubs have it that were generated before the words."""
    older = FileDescriptorProto.FromString(types_pb2.DESCRIPTOR.serialized_pb)
    for enum in older.enum_type:
        kept = [value for value in enum.value if not value.name.endswith(("_UNKNOWN", "_CATALOG"))]
        del enum.value[:]
        enum.value.extend(kept)
    pool = DescriptorPool()
    for dependency in types_pb2.DESCRIPTOR.dependencies:
        pool.AddSerializedFile(dependency.serialized_pb)
    pool.AddSerializedFile(older.SerializeToString())
    found = GetMessageClass(pool.FindMessageTypeByName("depgraph.v1.Dependency"))
    modes = pool.FindEnumTypeByName("depgraph.v1.CommunicationMode").values_by_name
    assert "COMMUNICATION_MODE_UNKNOWN" not in modes
    return found
