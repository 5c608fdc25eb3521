"""``depgraph whoami`` and ``depgraph writes`` against a server that answers as it is asked to."""

import json
from collections.abc import Iterator

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from depgraph import Client
from depgraph.v1.access_service_pb2 import (
    ROLE_INGESTER,
    ROLE_READER,
    WhoAmIResponse,
    Write,
    WriteCounts,
)
from depgraph.v1.types_pb2 import DISCOVERY_SOURCE_KUBERNETES, DISCOVERY_SOURCE_OTEL_SERVICE_GRAPH
from server.cli.commands.alerts import _own_name
from tests.support.command import depgraph_here
from tests.support.fake_server import Script, fake_server

pytestmark = pytest.mark.one_transport


@pytest.fixture
def script() -> Script:
    return Script([])


@pytest.fixture
def address(script: Script) -> Iterator[str]:
    with fake_server(script) as listening:
        yield listening


def lines(*arguments: str) -> list[str]:
    finished = depgraph_here(*arguments)
    assert (finished.returncode, finished.stderr) == (0, "")
    return finished.stdout.splitlines()


def write(number: int, who: str = "", **counts: int) -> Write:
    return Write(
        principal=who,
        write_time=Timestamp(seconds=1_800_000_000 - number),
        method="depgraph.v1.DependencyService/IngestGraph",
        counts=WriteCounts(**counts),
        revision=f"revision {number}",
    )


def test_whoami_shows_the_principal_its_roles_and_its_discovery_sources(script: Script, address: str) -> None:
    script.caller = WhoAmIResponse(
        principal="spiffe://shop.test/ns/\x1b[31mscan",
        roles=[ROLE_READER, ROLE_INGESTER],
        discovery_sources=[DISCOVERY_SOURCE_OTEL_SERVICE_GRAPH, DISCOVERY_SOURCE_KUBERNETES],
    )
    assert lines("whoami", "--address", address) == [
        "principal   spiffe://shop.test/ns/\\x1b[31mscan",
        "roles       reader, ingester",
        "may report  otel service graph, kubernetes",
    ]
    assert json.loads("".join(lines("whoami", "--json", "--address", address))) == {
        "principal": "spiffe://shop.test/ns/\x1b[31mscan",
        "roles": ["ROLE_READER", "ROLE_INGESTER"],
        "discovery_sources": ["DISCOVERY_SOURCE_OTEL_SERVICE_GRAPH", "DISCOVERY_SOURCE_KUBERNETES"],
    }


def test_whoami_says_so_when_there_is_no_identity_and_no_role(address: str) -> None:
    assert lines("whoami", "--address", address) == [
        "principal   none: the server asks for no identity",
        "roles       -",
        "may report  -",
    ]


def test_writes_are_listed_with_who_when_and_what_they_changed(script: Script, address: str) -> None:
    script.writes = [write(0, "alice", services_created=1, dependencies_updated=2_000), write(1)]
    head, *rows = lines("writes", "--address", address)
    assert head.split("  ")[0] == "TIME (UTC)"
    assert rows == [
        "2027-01-15 08:00:00  alice  IngestGraph  1 service created, 2,000 dependencies updated",
        "2027-01-15 07:59:59  -      IngestGraph  nothing",
    ]


@pytest.mark.parametrize(("limit", "expected"), [("0", 5), ("3", 3), ("50", 5)])
def test_writes_come_from_as_many_pages_as_the_limit_needs(
    limit: str, expected: int, script: Script, address: str
) -> None:
    script.writes = [write(number, alerts_created=1) for number in range(5)]
    listed = json.loads("".join(lines("writes", "--limit", limit, "--json", "--address", address)))
    assert [each["revision"] for each in listed["writes"]] == [f"revision {n}" for n in range(expected)]
    assert len(script.calls) == (expected + 1) // 2


def test_no_writes_are_one_sentence(address: str) -> None:
    assert lines("writes", "--address", address) == ["no writes"]


def test_alerts_are_acknowledged_in_the_name_that_the_server_knows_else_in_the_login_name(
    script: Script, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "me-here")
    with Client(address) as client:
        assert _own_name(client) == "me-here"
        script.caller.principal = "alice"
        assert _own_name(client) == "alice"
