"""``depgraph alias``, and ``depgraph show`` of a service that has aliases."""

import json

import grpc
import pytest
import pytest_asyncio

from depgraph.v1 import catalog_service_pb2 as pb
from depgraph.v1 import graph_service_pb2 as graph
from depgraph.v1.types_pb2 import Consistency
from tests.support.calls import Stubs
from tests.support.command import Command

# What the command prints does not depend on the transport.
pytestmark = pytest.mark.one_transport


@pytest_asyncio.fixture(loop_scope="module")
async def stubs(channel: grpc.aio.Channel) -> Stubs:
    """Stubs of a server with calls of `shop` and `web-shop`, in memory."""
    stubs = Stubs(channel)
    await stubs.write_edges("a>shop", "a>web-shop", "shop>db", "shop>web-shop")
    await in_memory(stubs)
    return stubs


async def in_memory(stubs: Stubs) -> None:
    fresh = Consistency(fully_consistent=True)
    await stubs.graph.ListComponents(graph.ListComponentsRequest(consistency=fresh))


async def aliases(stubs: Stubs) -> list[tuple[str, str]]:
    listed = await stubs.catalog.ListAliases(pb.ListAliasesRequest())
    return [(each.alias, each.service_id) for each in listed.aliases]


async def test_an_alias_is_added_listed_and_removed(quick_command: Command, stubs: Stubs) -> None:
    added = await quick_command("alias", "add", "store", "web-shop")
    assert (added.returncode, added.stdout) == (0, "store is an alias of web-shop\n")
    assert await aliases(stubs) == [("store", "web-shop")]

    for service in ([], ["web-shop"], ["store"]):
        listed = await quick_command("alias", "list", *service)
        assert listed.stdout == "ALIAS  SERVICE\nstore  web-shop\n"
    assert (await quick_command("alias", "list", "a")).stdout == "no aliases\n"
    as_json = json.loads((await quick_command("alias", "list", "--json")).stdout)
    assert [each["alias"] for each in as_json["aliases"]] == ["store"]

    removed = await quick_command("alias", "remove", "store")
    assert (removed.returncode, removed.stdout) == (0, "removed the alias store\n")
    assert await aliases(stubs) == []


async def test_what_is_wrong_with_an_alias_is_said_in_one_line(quick_command: Command, stubs: Stubs) -> None:
    await quick_command("alias", "add", "store", "web-shop", "--json")
    for arguments, message in (
        (["add", "a", "shop"], "a service named 'a' exists already: merge it into 'shop'"),
        (["add", "store", "shop"], "'store' is an alias of the service 'web-shop'"),
        (["add", "x", "web-shp"], "did you mean 'web-shop'?"),
        (["list", "WEB"], "did you mean 'web-shop'?"),
        (["remove", "x"], "no service has the alias 'x'"),
        (["merge", "store", "shop", "--yes"], "'store' is an alias of the service 'web-shop'"),
    ):
        finished = await quick_command("alias", *arguments)
        assert finished.returncode != 0
        assert message in finished.stderr
        assert finished.stderr.count("\n") == 1


async def test_a_merge_says_what_it_would_do_and_asks_first(quick_command: Command, stubs: Stubs) -> None:
    would = (
        "would merge shop into web-shop: 1 dependency moved, 1 merged with parallel ones, "
        "1 call between the two dropped, 0 aliases moved\nshop would be an alias\n"
    )
    tried = await quick_command("alias", "merge", "shop", "web-shop", "--dry-run")
    assert (tried.returncode, tried.stdout, tried.stderr) == (0, would, "")

    refused = await quick_command("alias", "merge", "shop", "web-shop", stdin=b"n\n")
    assert refused.returncode != 0
    assert refused.stderr.startswith(would + "Merge them? [y/N]:")
    assert await aliases(stubs) == []

    tried = await quick_command("alias", "merge", "shop", "web-shop", "--dry-run", "--json")
    merged = await quick_command("alias", "merge", "shop", "web-shop", "--yes", "--json")
    assert json.loads(merged.stdout)["self_calls_dropped"] == 1
    assert json.loads(tried.stdout)["dependencies_moved"] == json.loads(merged.stdout)["dependencies_moved"]
    assert await aliases(stubs) == [("shop", "web-shop")]


async def test_a_merge_that_is_confirmed_is_made(quick_command: Command, stubs: Stubs) -> None:
    merged = await quick_command("alias", "merge", "shop", "web-shop", stdin=b"y\n")
    assert merged.returncode == 0
    assert merged.stdout.strip().startswith("merged shop into web-shop: 1 dependency moved")
    assert await aliases(stubs) == [("shop", "web-shop")]


async def test_show_names_the_aliases_and_the_one_that_was_asked_for(
    quick_command: Command, stubs: Stubs
) -> None:
    for alias in ("store", "boutique"):
        await quick_command("alias", "add", alias, "shop")
    await in_memory(stubs)

    own, by_alias = await quick_command("show", "shop"), await quick_command("show", "store")

    assert "aliases: boutique, store" in own.stdout
    assert by_alias.stdout.splitlines()[0] == own.stdout.splitlines()[0]
    assert set(by_alias.stdout.splitlines()) - set(own.stdout.splitlines()) == {
        line for line in by_alias.stdout.splitlines() if "(asked for by the alias store)" in line
    }
    answer = json.loads((await quick_command("show", "store", "--json")).stdout)
    assert (answer["service_id"], answer["aliases"]) == ("shop", ["boutique", "store"])
    assert answer["resolved_aliases"] == [{"alias": "store", "service_id": "shop"}]


async def test_a_service_is_not_deleted_by_an_alias_and_is_set_by_one(
    quick_command: Command, stubs: Stubs
) -> None:
    await quick_command("alias", "add", "store", "shop")
    deleted = await quick_command("service", "delete", "store", "--yes")
    assert deleted.returncode != 0
    assert "'store' is an alias of the service 'shop': delete that one by its own name" in deleted.stderr
    changed = await quick_command("service", "set", "store", "--team", "payments")
    assert changed.stdout.startswith("set shop: ")
