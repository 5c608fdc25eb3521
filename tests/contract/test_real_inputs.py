"""
Files written by other systems, imported by the command and queried over a channel.

Skipped where the files are not available. Of Debian's 244,451 dependencies the part is imported
that the questions are about, unless ``--full`` is given.
"""

import gzip
import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import networkx as nx
import pytest
import rustworkx as rx

from depgraph import Client
from depgraph.v1 import graph_service_pb2 as pb
from depgraph.v1.alert_service_pb2 import ListAlertsRequest
from depgraph.v1.analysis_service_pb2 import SuggestCutsRequest
from depgraph.v1.dependency_service_pb2 import BatchUpsertDependenciesRequest
from depgraph.v1.types_pb2 import ALERT_STATUS_OPEN, ALERT_STATUS_RESOLVED, CircularDependencyAlert
from tests.support.command import ROOT, depgraph_here, serving
from tests.support.eventually import PATIENCE_SECONDS
from tests.support.graph_tables import tables
from tests.support.postgres import DatabaseServer
from tests.support.terminal import on_terminal

INPUTS = ROOT.parent / "shared" / "data"
JAEGER = INPUTS / "jaeger_dependencies_small.json"
DEBIAN = INPUTS / "debian12_depends.json.gz"
MIB = 1024 * 1024
# Services and dependencies.
WHOLE, PART = (57_819, 244_451), (21_905, 21_975)

pytestmark = [
    pytest.mark.one_transport,
    pytest.mark.skipif(not INPUTS.is_dir(), reason=f"the real inputs are not at {INPUTS}"),
]


@pytest.fixture
def address(data_folder: Path) -> Iterator[str]:
    """Where a server with an embedded database of its own listens."""
    with serving("--data-dir", str(data_folder)) as (address, _):
        yield address


def imported(path: Path, address: str) -> dict[str, object]:
    finished = depgraph_here("import", "jaeger", str(path), "--address", address, "--json")
    assert finished.returncode == 0, finished.stderr
    returned: dict[str, object] = json.loads(finished.stdout)
    return returned


def latest(client: Client, returned: dict[str, object]) -> pb.ListComponentsResponse:
    """Ask for the components once the import is in memory."""
    request = pb.ListComponentsRequest(page_size=1_000)
    request.consistency.at_least_as_fresh = str(returned["revision"])
    return client.graph.ListComponents(request)


def test_a_small_answer_of_jaeger(address: str) -> None:
    returned = imported(JAEGER, address)
    assert returned["edges_created"] == 7
    calls = nx.DiGraph((call["parent"], call["child"]) for call in json.loads(JAEGER.read_text()))
    with Client(address) as client:
        cycles = [c for c in nx.strongly_connected_components(calls) if len(c) > 1]
        assert latest(client, returned).total_count == len(cycles)
        for name in calls:
            request = pb.TraverseRequest(service_id=name, direction=pb.DIRECTION_DOWNSTREAM, max_depth=10)
            assert set(client.graph.Traverse(request).service_ids) == nx.descendants(calls, name)


def alerts_once(
    client: Client, enough: Callable[[list[CircularDependencyAlert]], bool]
) -> list[CircularDependencyAlert]:
    """Ask for all alerts until detection has brought them to where they should be."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        alerts = list(client.alerts.ListAlerts(ListAlertsRequest(page_size=1_000)).alerts)
        if enough(alerts):
            return alerts
        assert time.monotonic() < deadline, alerts
        time.sleep(0.05)


def freed_of_cycles(client: Client, found: pb.ListComponentsResponse) -> None:
    """Apply the suggested cuts, one component at a time: it dissolves and its alert resolves."""
    alerts = alerts_once(client, lambda alerts: len(alerts) == len(found.components))
    assert {tuple(alert.members) for alert in alerts} == {tuple(each.members) for each in found.components}
    assert {alert.status for alert in alerts} == {ALERT_STATUS_OPEN}
    for left, component in enumerate(reversed(found.components)):
        suggested = client.analyses.SuggestCuts(SuggestCutsRequest(service_id=component.members[-1]))
        assert suggested.component == component
        assert suggested.is_optimal
        cuts = [dependency for cut in suggested.cuts for dependency in cut.dependencies]
        for dependency in cuts:
            dependency.is_stale = True
        # All in one transaction, for a component that falls apart on the way is several alerts.
        written = client.dependencies.BatchUpsertDependencies(
            BatchUpsertDependenciesRequest(dependencies=cuts)
        )
        request = pb.ListComponentsRequest()
        request.consistency.at_least_as_fresh = written.revision
        assert client.graph.ListComponents(request).total_count == len(found.components) - left - 1
    ended = alerts_once(client, lambda alerts: all(each.status == ALERT_STATUS_RESOLVED for each in alerts))
    assert sorted(alert.id for alert in ended) == sorted(alert.id for alert in alerts)
    assert all(alert.resolution_notes and not alert.is_present for alert in ended)


def asked_about(calls: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Choose what depends on the C library, and what lies on a cycle."""
    number: defaultdict[str, int] = defaultdict(lambda: len(number))
    graph = rx.PyDiGraph()
    graph.extend_from_edge_list([(number[call["parent"]], number[call["child"]]) for call in calls])
    components = enumerate(rx.strongly_connected_components(graph))
    place = {node: label for label, members in components for node in members}
    return [
        call
        for call in calls
        if call["child"] == "libc6" or place[number[call["parent"]]] == place[number[call["child"]]]
    ]


@pytest.fixture(scope="module")
def debian(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole file, or one with the part that the test asks about."""
    if request.config.getoption("--full"):
        return DEBIAN
    part = tmp_path_factory.mktemp("debian") / "part.json.gz"
    with gzip.open(DEBIAN, "rt") as whole, gzip.open(part, "wt", compresslevel=1) as file:
        json.dump(asked_about(json.load(whole)), file)
    return part


def people_see_all_of_debian(address: str) -> None:
    there = ("--address", address)
    hub = on_terminal("show", "libc6", *there, columns=60)
    assert hub.code == 0
    assert max(map(len, hub.lines)) <= 60
    assert "called by 21,808 services" in " ".join(hub.text.split())
    assert "… and 21,783 more" in hub.text
    assert len(depgraph_here("components", *there).stdout.splitlines()) == 1 + 50 + 1
    assert "\nlibreoffice-writer " in depgraph_here("services", "LIBREOFFICE-W", *there).stdout
    assert "did you mean 'libc6'" in depgraph_here("show", "LIBC", *there).stderr
    assert "did you mean 'firefox-esr'" in depgraph_here("show", "FireFox-ES", *there).stderr


@pytest.mark.timeout(300)
def test_the_packages_of_debian(address: str, debian: Path) -> None:
    returned = imported(debian, address)
    assert (returned["services_created"], returned["edges_created"]) == (WHOLE if debian == DEBIAN else PART)
    with Client(address, timeout=60) as client:
        found = latest(client, returned)
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
        people_see_all_of_debian(address)
        freed_of_cycles(client, found)
    services = [service.service_id for part in parts for service in part.services]
    assert len(ids.service_ids) == len(set(ids.service_ids)) == 21_808
    assert services == list(ids.service_ids)
    assert sum(len(part.dependencies) for part in parts) == 21_808
    assert all(part.ByteSize() <= MIB for part in parts)


async def rows_of(url: str) -> dict[str, list[tuple[object, ...]]]:
    connection = await asyncpg.connect(url)
    try:
        return await tables(connection)
    finally:
        await connection.close()


@pytest.mark.timeout(900)
async def test_all_of_debian_goes_out_and_into_an_empty_database(
    request: pytest.FixtureRequest, postgres: DatabaseServer, migrated_template: str, tmp_path: Path
) -> None:
    if not request.config.getoption("--full"):
        pytest.skip("exports and imports a quarter of a million dependencies: --full does")
    file = tmp_path / "debian.json"
    with (
        postgres.shared_database(migrated_template) as first,
        postgres.shared_database(migrated_template) as second,
    ):
        with serving("--database-url", first) as (address, _):
            imported(DEBIAN, address)
            exported = depgraph_here("export", "json", "--include-stale", "--address", address)
            assert exported.returncode == 0, exported.stderr
            file.write_text(exported.stdout)
        with serving("--database-url", second) as (address, _):
            again = depgraph_here("import", str(file), "--address", address, "--json")
            assert again.returncode == 0, again.stderr
        before = await rows_of(first)
        assert (len(before["services"]), len(before["dependencies"])) == WHOLE
        assert await rows_of(second) == before
