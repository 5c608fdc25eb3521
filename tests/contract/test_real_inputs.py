"""Files written by other systems: imported by the command, asked over a channel. Skipped where the files are not at hand."""

import json
from collections.abc import Iterator
from pathlib import Path

import networkx as nx
import pytest

from depgraph import Client
from depgraph.v1 import graph_service_pb2 as pb
from tests.support.command import ROOT, depgraph, serving

INPUTS = ROOT.parent / "shared" / "data"
JAEGER = INPUTS / "jaeger_dependencies_small.json"
DEBIAN = INPUTS / "debian12_depends.json.gz"
MIB = 1024 * 1024

pytestmark = pytest.mark.skipif(not INPUTS.is_dir(), reason=f"the real inputs are not at {INPUTS}")


@pytest.fixture
def address(reachable_folder: Path) -> Iterator[str]:
    """Where a server with an embedded database of its own listens."""
    with serving("--data-dir", str(reachable_folder / "data")) as (address, _):
        yield address


def imported(path: Path, address: str) -> dict[str, object]:
    finished = depgraph("import", "jaeger", str(path), "--address", address, "--json")
    assert finished.returncode == 0, finished.stderr
    told: dict[str, object] = json.loads(finished.stdout)
    return told


def latest(client: Client, told: dict[str, object]) -> pb.ListComponentsResponse:
    """Ask for the components once the import is in memory."""
    request = pb.ListComponentsRequest(page_size=1_000)
    request.consistency.at_least_as_fresh = str(told["revision"])
    return client.graph.ListComponents(request)


def test_a_small_answer_of_jaeger(address: str) -> None:
    told = imported(JAEGER, address)
    assert told["edges_created"] == 7
    calls = nx.DiGraph((call["parent"], call["child"]) for call in json.loads(JAEGER.read_text()))
    with Client(address) as client:
        cycles = [c for c in nx.strongly_connected_components(calls) if len(c) > 1]
        assert latest(client, told).total_count == len(cycles)
        for name in calls:
            request = pb.TraverseRequest(service_id=name, direction=pb.DIRECTION_DOWNSTREAM, max_depth=10)
            assert set(client.graph.Traverse(request).service_ids) == nx.descendants(calls, name)


@pytest.mark.timeout(300)
def test_all_of_debian(address: str) -> None:
    told = imported(DEBIAN, address)
    assert (told["services_created"], told["edges_created"]) == (57_819, 244_451)
    with Client(address, timeout=60) as client:
        found = latest(client, told)
        assert found.total_count == len(found.components) == 55
        assert found.components[0].size == len(found.components[0].members) == 7
        ids = client.graph.Traverse(
            pb.TraverseRequest(
                service_id="libc6",
                direction=pb.DIRECTION_UPSTREAM,
                max_depth=1,
                view=pb.TRAVERSAL_VIEW_IDS,
            )
        )
        parts = list(
            client.graph.StreamTraverse(
                pb.StreamTraverseRequest(service_id="libc6", direction=pb.DIRECTION_UPSTREAM, max_depth=1)
            )
        )
    services = [service.service_id for part in parts for service in part.services]
    assert len(ids.service_ids) == len(set(ids.service_ids)) == 21_808
    assert services == list(ids.service_ids)
    assert sum(len(part.dependencies) for part in parts) == 21_808
    assert all(part.ByteSize() <= MIB for part in parts)
