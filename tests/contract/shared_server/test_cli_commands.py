"""The command against the real server; some of the time as a child process."""

import asyncio
import gzip
import json
import re
import subprocess

import asyncpg
import pytest

from depgraph import AsyncClient
from depgraph.v1.dependency_service_pb2 import IngestGraphRequest
from depgraph.v1.graph_service_pb2 import GetStatusRequest, ListComponentsRequest
from depgraph.v1.types_pb2 import (
    COMMUNICATION_MODE_SYNC,
    DISCOVERY_SOURCE_KUBERNETES,
    DISCOVERY_SOURCE_MANUAL,
    DISCOVERY_SOURCE_SERVICE_MESH,
    Consistency,
    Dependency,
)
from tests.support.command import ROOT, Command, depgraph

# What the command prints does not depend on the transport.
pytestmark = pytest.mark.one_transport

SHOP = "examples/online_shop.json"
REAL = ROOT / "../shared/data"


@pytest.fixture
def command(server_address: str) -> Command:
    """Run a command in a process of its own against the test's server."""

    async def run(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[str]:
        return await asyncio.to_thread(
            depgraph, *arguments, stdin=stdin, environment={"DEPGRAPH_ADDRESS": server_address}
        )

    return run


@pytest.fixture
def shop(online_shop: None) -> None:
    """The sample topology, imported and in memory."""


async def in_memory(address: str, revision: str) -> None:
    """Wait until the server answers from a snapshot that holds a write."""
    async with AsyncClient(address) as client:
        await client.graph.ListComponents(
            ListComponentsRequest(consistency=Consistency(at_least_as_fresh=revision))
        )


async def test_status_of_a_serving_server_exits_with_0(
    command: Command, server_address: str, shop: None
) -> None:
    finished = await command("status")
    assert finished.returncode == 0
    assert re.search(rf"address +{re.escape(server_address)}", finished.stdout)
    assert re.search(r"health +SERVING", finished.stdout)
    assert re.search(r"services +15\b", finished.stdout)
    assert re.search(r"dependencies +32 \(0 stale\)", finished.stdout)


async def test_status_prints_json(quick_command: Command, shop: None) -> None:
    answer = json.loads((await quick_command("status", "--json")).stdout)
    assert answer["health"] == "SERVING"
    assert answer["status"]["service_count"] == "15"
    assert answer["status"]["feed_state"] == "FEED_STATE_FOLLOWING"


async def test_show_draws_what_a_service_calls_and_who_calls_it(quick_command: Command, shop: None) -> None:
    both_saw_it = "async hard kafka + async hard (otel service graph) confidence 0.8"
    finished = await quick_command("show", "pricing", "--depth", "3")
    assert finished.stdout.splitlines() == [
        "pricing  high, team commerce, discovered",
        "│   language: Rust",
        "│   tier: core",
        "├── calls 1 service, reaches 2 within 3 hops",
        "│   └── promotions  sync degraded grpc 150 ms",
        "│       └── loyalty  sync soft grpc 150 ms",
        "│           └── pricing  sync soft grpc 200 ms  ↺ cycle",
        "└── called by 4 services, reached by 8 within 3 hops",
        "    ├── checkout  sync hard grpc 300 ms",
        "    │   └── storefront  sync hard http 3,000 ms + sync hard (otel service graph) confidence 0.98",
        "    ├── search  sync hard (otel service graph) confidence 0.6",
        "    │   └── storefront  sync degraded http 500 ms",
        "    ├── cart  sync degraded grpc 300 ms",
        "    │   ├── checkout  sync hard grpc 500 ms  ↑ expanded under pricing",
        "    │   └── storefront  sync hard http 600 ms",
        "    └── loyalty  sync soft grpc 200 ms",
        "        ├── orders  async soft kafka",
        f"        │   ├── checkout  {both_saw_it}  ↑ expanded under pricing",
        "        │   └── payments  async soft kafka",
        "        └── promotions  sync soft grpc 150 ms",
        "            └── pricing  sync degraded grpc 150 ms  ↺ cycle",
    ]


async def test_show_merges_the_sources_with_effective(quick_command: Command, shop: None) -> None:
    finished = await quick_command(
        "show", "checkout", "--effective", "--depth", "1", "--direction", "upstream"
    )
    assert finished.stdout.splitlines() == [
        "checkout  critical, team purchase, discovered",
        "│   language: Go",
        "│   on_call: #purchase-alerts",
        "│   tier: core",
        "└── called by 1 service",
        "    └── storefront  sync hard http 3,000 ms (manual, otel service graph)",
    ]
    answer = json.loads((await quick_command("show", "checkout", "--effective", "--json")).stdout)
    assert answer["dependencies"] == []
    assert all(each["provenance"] for each in answer["effective_dependencies"])


@pytest.mark.parametrize(
    ("form", "arrow"),
    [
        ("mermaid", '-->|"sync degraded"|'),
        ("dot", '[label="sync degraded", tooltip="sync degraded grpc 150 ms", style=solid];'),
    ],
)
async def test_show_prints_mermaid_and_dot(quick_command: Command, shop: None, form: str, arrow: str) -> None:
    finished = await quick_command("show", "pricing", "--format", form, "--direction", "downstream")
    assert finished.returncode == 0
    assert arrow in finished.stdout


async def test_show_prints_json(quick_command: Command, shop: None) -> None:
    finished = await quick_command(
        "show", "pricing", "--format", "json", "--direction", "downstream", "--depth", "3"
    )
    answer = json.loads(finished.stdout)
    assert (answer["service_id"], answer["direction"], answer["max_depth"]) == ("pricing", "downstream", 3)
    assert (answer["service_ids"], answer["depths"]) == (["promotions", "loyalty"], [1, 2])
    assert [service["service_id"] for service in answer["services"]] == answer["service_ids"]
    assert len(answer["dependencies"]) == 3
    assert answer["freshness"]["revision"]
    assert answer["service"]["team"] == "commerce"


async def test_an_unknown_service_gets_similar_names(command: Command, shop: None) -> None:
    finished = await command("show", "chekout")
    assert finished.returncode == 2
    assert finished.stderr == "depgraph: no service named 'chekout': did you mean 'checkout'?\n"


async def test_names_with_markup_and_control_characters_are_escaped(
    quick_command: Command, server_address: str, connection: asyncpg.Connection
) -> None:
    nasty = '[bold]"a"[/bold]\n\x1b[31m\\'
    await connection.execute("INSERT INTO services (service_id) VALUES ($1)", nasty)
    async with AsyncClient(server_address) as client:
        edge = Dependency(
            source_service_id="a", target_service_id=nasty, communication_mode=COMMUNICATION_MODE_SYNC
        )
        written = await client.dependencies.IngestGraph(
            IngestGraphRequest(discovery_source=DISCOVERY_SOURCE_MANUAL, edges=[edge])
        )
    await in_memory(server_address, written.revision)
    tree = (await quick_command("show", "a")).stdout
    assert r'[bold]"a"[/bold]\n\x1b[31m\\' in tree
    assert "\x1b" not in tree


async def test_importing_again_changes_nothing(quick_command: Command, shop: None) -> None:
    finished = await quick_command("import", "json", SHOP)
    assert finished.stderr == ""
    assert re.fullmatch(
        r"0 services created; dependencies: 0 created, 0 updated, 32 unchanged; "
        r"0 self-calls skipped; \d+\.\d s\n",
        finished.stdout,
    )


async def test_a_jaeger_file_is_read_from_a_pipe_and_self_calls_are_counted(
    command: Command,
) -> None:
    calls = [("a", "b"), ("b", "b"), ("a", "b"), ("b", "c")]
    document = [{"parent": parent, "child": child, "callCount": 1} for parent, child in calls]
    finished = await command(
        "import", "jaeger", "-", "--json", stdin=gzip.compress(json.dumps(document).encode())
    )
    answer = json.loads(finished.stdout)
    assert answer["services_created"] == 3
    assert answer["edges_created"] == 2
    assert answer["self_calls_skipped"] == 1


async def test_entries_of_jaeger_that_cannot_be_used_are_counted_and_do_not_refuse_the_file(
    quick_command: Command,
) -> None:
    calls = [("a", "b", "3"), ("", "b", 1), ("b", "c", 12.0), ("b\n", "c", 1), ("", "c", 1)]
    entries = [{"parent": parent, "child": child, "callCount": count} for parent, child, count in calls]
    document = json.dumps({"dependencies": entries}).encode()
    finished = await quick_command("import", "jaeger", "-", stdin=document)
    assert finished.returncode == 0
    assert "dependencies: 2 created" in finished.stdout
    assert finished.stderr.splitlines() == [
        "warning: 2 entries skipped, the first is entry 1: parent is empty; give 1 to 255 characters",
        "warning: entry 3 skipped: parent holds U+000A, a control character or line break; leave it out",
    ]
    answer = json.loads((await quick_command("import", "jaeger", "-", "--json", stdin=document)).stdout)
    assert [(each["count"], each["first"]) for each in answer["entries_skipped"]] == [(2, 1), (1, 3)]


async def test_an_import_prints_at_most_ten_reasons_for_skipped_entries(quick_command: Command) -> None:
    names = ["a", *("x" * length for length in range(256, 268))]
    entries = [{"parent": name, "child": "b", "callCount": 1} for name in names]
    finished = await quick_command("import", "jaeger", "-", stdin=json.dumps(entries).encode())
    assert finished.returncode == 0
    warnings = finished.stderr.splitlines()
    assert warnings[0].startswith("warning: entry 1 skipped: parent has 256 characters")
    assert (len(warnings), warnings[-1]) == (11, "warning: and 2 more warnings")


async def test_the_source_option_sets_the_discovery_source(
    quick_command: Command, server_address: str
) -> None:
    finished = await quick_command("import", "json", SHOP, "--source", "service_mesh", "--json")
    assert finished.returncode == 0, finished.stderr
    await in_memory(server_address, json.loads(finished.stdout)["revision"])
    async with AsyncClient(server_address) as client:
        status = await client.graph.GetStatus(GetStatusRequest())
    assert [seen.discovery_source for seen in status.last_ingestions] == [DISCOVERY_SOURCE_SERVICE_MESH]
    assert status.dependency_count == 28


async def test_a_refused_import_names_the_bad_fields(command: Command) -> None:
    report = {"discovery_source": DISCOVERY_SOURCE_KUBERNETES, "edges": [{"source_service_id": "a"}]}
    finished = await command("import", "json", "-", stdin=json.dumps(report).encode())
    assert finished.returncode == 2
    assert finished.stderr.count("\n") == 1
    assert "edges[0].target_service_id" in finished.stderr
    assert "edges[0].communication_mode" in finished.stderr
    assert "nothing was imported" in finished.stderr


@pytest.mark.skipif(not REAL.is_dir(), reason="the real inputs are not beside this checkout")
async def test_a_real_jaeger_file_is_imported(quick_command: Command, server_address: str) -> None:
    path = REAL / "jaeger_dependencies_small.json"
    finished = await quick_command("import", "jaeger", str(path), "--json")
    answer = json.loads(finished.stdout)
    assert (answer["services_created"], answer["edges_created"]) == (8, 7)
    await in_memory(server_address, answer["revision"])
    assert (
        "called by 1 service, reached by 2 within 2 hops" in (await quick_command("show", "Service1")).stdout
    )
