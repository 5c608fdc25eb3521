"""``depgraph impact`` and ``depgraph paths`` against the real server."""

import json

import asyncpg
import grpc
import pytest

from depgraph.v1.graph_service_pb2 import ListComponentsRequest
from tests.support.calls import FRESH, Stubs
from tests.support.command import Command

# What the command prints does not depend on the transport.
pytestmark = pytest.mark.one_transport


async def test_impact_counts_what_is_reached_and_lists_it(quick_command: Command, online_shop: None) -> None:
    finished = await quick_command("impact", "inventory")
    assert (finished.returncode, finished.stderr) == (0, "")
    assert finished.stdout.splitlines() == [
        "inventory: 7 services reached, at most 2 hops away, 5 by synchronous calls alone",
        "  weakest      3 hard, 4 soft",
        "  criticality  4 critical, 3 high",
        "  team         2 discovery, 2 purchase, 1 fulfilment, 1 payments, 1 web",
        "",
        "HOPS  SERVICE     WEAKEST  CRITICALITY  TEAM        PATH",
        "1     catalog     soft     high         discovery   catalog → inventory",
        "1     checkout    hard     critical     purchase    checkout → inventory",
        "1     orders      hard     critical     fulfilment  orders → inventory",
        "2     cart        soft     high         purchase    cart → catalog → inventory",
        "2     payments    soft     critical     payments    payments → orders → inventory",
        "2     search      soft     high         discovery   search → catalog → inventory",
        "2     storefront  hard     critical     web         storefront → catalog → inventory",
    ]


async def test_impact_lists_at_most_top_services(quick_command: Command, online_shop: None) -> None:
    finished = await quick_command("impact", "inventory", "--top", "2", "--mode", "sync", "--max-hops", "1")
    first, *_, nearest, following, last = finished.stdout.splitlines()
    assert first == "inventory: 3 services reached, at most 1 hop away, 3 by synchronous calls alone"
    assert (nearest.split()[1], following.split()[1]) == ("catalog", "checkout")
    assert last == "… and 1 more (--top 0 lists all)"
    none = await quick_command("impact", "storefront")
    assert none.stdout == "storefront: no other service is reached\n"


async def test_impact_prints_json(quick_command: Command, online_shop: None) -> None:
    options = ("--criticality", "hard", "--min-confidence", "0.9", "--effective", "--include-stale", "--json")
    answer = json.loads((await quick_command("impact", "inventory", *options)).stdout)
    assert answer["service_id"] == "inventory"
    assert answer["summary"]["service_count"] == 3
    assert [service["path"] for service in answer["services"]] == [
        ["checkout", "inventory"],
        ["orders", "inventory"],
        ["storefront", "checkout", "inventory"],
    ]
    assert answer["freshness"]["revision"]


async def test_paths_lists_each_hop(quick_command: Command, online_shop: None) -> None:
    finished = await quick_command("paths", "storefront", "inventory", "-k", "2")
    assert (finished.returncode, finished.stderr) == (0, "")
    assert finished.stdout.splitlines() == [
        "2 hops",
        "  storefront → catalog  sync hard http 800 ms + sync hard (otel service graph) confidence 0.99",
        "  catalog → inventory   sync soft grpc 250 ms",
        "",
        "2 hops",
        "  storefront → checkout  sync hard http 3,000 ms + sync hard (otel service graph) confidence 0.98",
        "  checkout → inventory   sync hard grpc 400 ms",
    ]
    finished = await quick_command("paths", "checkout", "orders", "--effective")
    assert "async hard kafka (manual, otel service graph)" in finished.stdout
    none = await quick_command("paths", "inventory", "storefront", "--source", "manual")
    assert (none.returncode, none.stdout) == (0, "inventory does not reach storefront\n")


async def test_paths_prints_json(quick_command: Command, online_shop: None) -> None:
    finished = await quick_command("paths", "storefront", "inventory", "--max-hops", "2", "-k", "9", "--json")
    answer = json.loads(finished.stdout)
    assert (answer["source_service_id"], answer["target_service_id"]) == ("storefront", "inventory")
    assert [path["service_ids"][1] for path in answer["paths"]] == ["catalog", "checkout"]
    assert answer["truncated"] is False


@pytest.mark.parametrize("arguments", [["impact", "chekout"], ["paths", "storefront", "chekout"]])
async def test_an_unknown_service_gets_similar_names(
    quick_command: Command, online_shop: None, arguments: list[str]
) -> None:
    finished = await quick_command(*arguments)
    assert finished.returncode == 2
    assert finished.stderr == "depgraph: no service named 'chekout': did you mean 'checkout'?\n"


async def test_long_paths_are_shortened_and_control_characters_escaped(
    quick_command: Command, channel: grpc.aio.Channel, connection: asyncpg.Connection
) -> None:
    stubs = Stubs(channel)
    await connection.execute("INSERT INTO services (service_id) VALUES (E'a\\n')")
    await stubs.write_edges("a\n>s1", *(f"s{hop}>s{hop + 1}" for hop in range(1, 11)))
    # The command asks memory; this waits for it.
    await stubs.graph.ListComponents(ListComponentsRequest(consistency=FRESH))
    [last] = (await quick_command("impact", "s11", "--top", "11")).stdout.splitlines()[-1:]
    assert last.endswith(r"a\n → s1 → s2 → s3 → … → s10 → s11 (11 hops)")
