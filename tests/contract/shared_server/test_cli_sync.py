"""``depgraph sync`` against the real server and replayed sources."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import grpc
import pytest

from depgraph.v1.catalog_service_pb2 import AddAliasRequest, ListServicesRequest
from depgraph.v1.dependency_service_pb2 import ListDependenciesRequest
from depgraph.v1.graph_service_pb2 import GetAdjacencyListRequest
from depgraph.v1.types_pb2 import COMMUNICATION_MODE_UNKNOWN, DEPENDENCY_CRITICALITY_UNKNOWN
from tests.support.calls import FRESH, Stubs
from tests.support.command import ROOT, Command, clean_environment
from tests.support.eventually import PATIENCE_SECONDS
from tests.support.replay import Answer, Replay, prometheus, replaying
from tests.support.sources import sources_file

# What the command prints does not depend on the transport.
pytestmark = pytest.mark.one_transport

PATH = "/api/v1/query"
NOWHERE = "127.0.0.1:1"
CALLS = {("shop", "cart"), ("cart", "orders")}


@pytest.fixture
def replay() -> Iterator[Replay]:
    with replaying() as running:
        running.answers[PATH] = prometheus(("shop-v1", "cart"), ("cart", "orders"), total=3)
        yield running


@pytest.fixture
def file(replay: Replay, tmp_path: Path) -> Path:
    rules = '[source.names]\nrewrites = [["-v[0-9]+$", ""]]'
    return sources_file(tmp_path, f'name = "prom"\nkind = "prometheus"\nurl = "{replay.url}"\n{rules}')


async def calls(channel: grpc.aio.Channel) -> set[tuple[str, str]]:
    page = await Stubs(channel).dependencies.ListDependencies(ListDependenciesRequest())
    unknown = (COMMUNICATION_MODE_UNKNOWN, DEPENDENCY_CRITICALITY_UNKNOWN)
    assert {(each.communication_mode, each.criticality) for each in page.dependencies} <= {unknown}
    return {(each.source_service_id, each.target_service_id) for each in page.dependencies}


async def test_a_pull_is_sent_and_printed_and_a_second_one_changes_nothing(
    quick_command: Command, channel: grpc.aio.Channel, connection: asyncpg.Connection, file: Path
) -> None:
    first = await quick_command("sync", str(file), "--once")
    assert (first.returncode, first.stderr) == (0, "")
    assert " ".join(first.stdout.split()) == (
        "prom: 3 elements, 1 not used; 3 services created; dependencies: 2 created, 0 updated, 0 unchanged"
    )
    assert await calls(channel) == CALLS
    versions = "SELECT id, xmin::text FROM services UNION ALL SELECT id, xmin::text FROM service_dependencies"
    before = set(await connection.fetch(versions))
    second = await quick_command("sync", str(file), "--once")
    assert "0 created, 0 updated, 2 unchanged" in " ".join(second.stdout.split())
    assert set(await connection.fetch(versions)) == before
    assert len(before) == 5


async def test_one_shop_under_the_names_of_three_sources_is_one_graph(
    quick_command: Command, channel: grpc.aio.Channel, replay: Replay, tmp_path: Path
) -> None:
    replay.answers[PATH] = prometheus(("web-v2", "cart-v1"), ("cart-v1", "orders-v1"))
    replay.answers["/api/dependencies"] = Answer(
        [{"parent": "shop.web", "child": "shop.cart", "callCount": 1}]
    )
    replay.answers["/api/v2/dependencies"] = Answer(
        [{"parent": "storefront", "child": "cart", "callCount": 1}]
    )
    url = f'url = "{replay.url}"'
    file = sources_file(
        tmp_path,
        f'name = "a"\nkind = "prometheus"\n{url}\nnames = {{rewrites = [["-v[0-9]+$", ""]]}}',
        f'name = "b"\nkind = "jaeger"\n{url}\nnames = {{rewrites = [["^shop[.]", ""]]}}',
        f'name = "c"\nkind = "zipkin"\n{url}',
    )
    stubs = Stubs(channel)
    await stubs.write_services("web")
    await stubs.catalog.AddAlias(AddAliasRequest(alias="storefront", service_id="web"))
    assert (await quick_command("sync", str(file), "--once")).returncode == 0
    assert await calls(channel) == {("web", "cart"), ("cart", "orders")}
    listed = (await stubs.catalog.ListServices(ListServicesRequest())).services
    assert {each.service_id for each in listed} == {"web", "cart", "orders"}


async def test_once_fails_when_one_source_fails_and_sends_the_others(
    quick_command: Command, channel: grpc.aio.Channel, replay: Replay, tmp_path: Path
) -> None:
    replay.answers["/api/dependencies"] = Answer(b"", 503)
    file = sources_file(
        tmp_path,
        f'name = "prom"\nkind = "prometheus"\nurl = "{replay.url}"',
        f'name = "jaeger"\nkind = "jaeger"\nurl = "{replay.url}"',
    )
    finished = await quick_command("sync", str(file), "--once")
    assert finished.returncode == 1
    assert finished.stderr.startswith(f"jaeger: failed: {replay.url}/api/dependencies: HTTP 503")
    assert await calls(channel) == {("shop-v1", "cart"), ("cart", "orders")}


async def test_a_partial_answer_changes_nothing(
    quick_command: Command, channel: grpc.aio.Channel, replay: Replay, file: Path
) -> None:
    await quick_command("sync", str(file), "--once")
    replay.answers[PATH] = prometheus(("shop", "new"), warnings=["a store did not answer"])
    finished = await quick_command("sync", str(file), "--once")
    assert finished.returncode == 1
    assert "the answer may be partial: a store did not answer" in " ".join(finished.stderr.split())
    assert await calls(channel) == CALLS


async def test_a_dry_run_shows_names_and_news_and_writes_nothing(
    quick_command: Command, channel: grpc.aio.Channel, file: Path
) -> None:
    stubs = Stubs(channel)
    await stubs.write_services("shop", "order-store")
    await stubs.catalog.AddAlias(AddAliasRequest(alias="orders", service_id="order-store"))
    asked = GetAdjacencyListRequest(consistency=FRESH)
    assert len([row async for row in stubs.graph.GetAdjacencyList(asked)]) == 2
    finished = await quick_command("sync", str(file), "--dry-run")
    assert (finished.returncode, finished.stderr) == (0, "")
    assert finished.stdout.splitlines() == [
        "prom: 3 elements",
        "  names",
        "    cart is cart",
        "    orders is orders",
        "    shop-v1 is shop",
        "  not used",
        "    1: a counter that did not rise",
        "  new services",
        "    cart",
        "  new dependencies",
        "    cart → order-store",
        "    shop → cart",
    ]
    assert await calls(channel) == set()


async def test_a_dry_run_after_a_pull_finds_nothing_new(
    quick_command: Command, channel: grpc.aio.Channel, file: Path
) -> None:
    await quick_command("sync", str(file), "--once")
    asked = GetAdjacencyListRequest(consistency=FRESH)
    assert len([row async for row in Stubs(channel).graph.GetAdjacencyList(asked)]) == 3
    finished = await quick_command("sync", str(file), "--dry-run")
    assert finished.stdout.splitlines()[-1] == "  nothing new"


async def test_a_dry_run_leaves_out_calls_between_names_of_one_service(
    quick_command: Command, channel: grpc.aio.Channel, replay: Replay, file: Path
) -> None:
    stubs = Stubs(channel)
    await stubs.write_services("cart")
    await stubs.catalog.AddAlias(AddAliasRequest(alias="basket", service_id="cart"))
    asked = GetAdjacencyListRequest(consistency=FRESH)
    assert len([row async for row in stubs.graph.GetAdjacencyList(asked)]) == 1
    replay.answers[PATH] = prometheus(("basket", "cart"))
    finished = await quick_command("sync", str(file), "--dry-run")
    assert finished.stdout.splitlines()[-1] == "  nothing new"
    await quick_command("sync", str(file), "--once")
    assert await calls(channel) == set()


async def test_a_dry_run_shows_timeouts_and_retries_of_callees(
    quick_command: Command, tmp_path: Path
) -> None:
    (tmp_path / "all.yaml").write_bytes((ROOT / "tests/data/shop/kubernetes.yaml").read_bytes())
    file = sources_file(tmp_path, 'name = "manifests"\nkind = "kubernetes"\npath = "all.yaml"')
    finished = await quick_command("sync", str(file), "--dry-run")
    lines = finished.stdout.splitlines()
    place = lines.index("  timeouts and retries, for the dependencies that exist")
    assert lines[place + 1 :] == [
        "    cart: timeout 750 ms, 3 retries",
        "    legacy: timeout 90,000 ms",
        "    pricing: timeout 2,000 ms, 2 retries",
        "    web → pricing: timeout 600 ms, 1 retry",
    ]


async def test_a_dry_run_without_a_server_shows_the_names_and_fails(
    quick_command: Command, file: Path
) -> None:
    finished = await quick_command("sync", str(file), "--dry-run", "--address", NOWHERE)
    assert finished.returncode == 1
    assert "    shop-v1 is shop" in finished.stdout.splitlines()
    said = " ".join(finished.stderr.split())
    assert said.startswith(f"what would be new is not known: no answer from {NOWHERE}")


async def test_a_pull_without_a_server_fails_with_the_cause(quick_command: Command, file: Path) -> None:
    finished = await quick_command("sync", str(file), "--once", "--address", NOWHERE)
    assert finished.returncode == 1
    assert finished.stderr.startswith(f"prom: failed: no answer from {NOWHERE} (Connection refused)")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
async def test_a_signal_ends_it(
    server_address: str, replay: Replay, file: Path, number: signal.Signals, code: int
) -> None:
    with subprocess.Popen(  # noqa: ASYNC220 - its pipes are read in threads
        [sys.executable, "-m", "server.cli", "sync", str(file), "--address", server_address],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=clean_environment(),
    ) as process:
        assert process.stdout is not None
        assert (await asyncio.to_thread(process.stdout.readline)).startswith("prom: 3 elements")
        os.kill(process.pid, number)
        out, err = await asyncio.to_thread(process.communicate, timeout=PATIENCE_SECONDS)
    assert (process.returncode, err) == (code, "")
    assert "Traceback" not in out


async def test_a_file_that_can_not_be_used_is_named(quick_command: Command, tmp_path: Path) -> None:
    (tmp_path / "sources.toml").write_text("[[source]]\nname = 'a'")
    finished = await quick_command("sync", str(tmp_path / "sources.toml"))
    assert finished.returncode == 2
    assert "source 'a': kind: is missing" in " ".join(finished.stderr.split())
