"""``depgraph export``, and the commands that set and delete one service or dependency."""

import json

import grpc
import pytest

from depgraph.v1.graph_service_pb2 import ListComponentsRequest
from depgraph.v1.graph_service_pb2_grpc import GraphServiceStub
from depgraph.v1.types_pb2 import Consistency
from tests.support.command import Command
from tests.support.graph_tables import Connection, tables

# What the commands print and write does not depend on the transport.
pytestmark = pytest.mark.one_transport


async def settled(channel: grpc.aio.Channel) -> None:
    """Wait until memory holds what was written."""
    request = ListComponentsRequest(consistency=Consistency(fully_consistent=True))
    await GraphServiceStub(channel).ListComponents(request)


async def test_exported_json_imports_to_the_same_tables(
    quick_command: Command, online_shop: None, connection: Connection
) -> None:
    await quick_command("service", "set", "audit-log", "--team", "säkerhet", "--kind", "queue")
    await quick_command("dependency", "set", "checkout", "audit-log", "--mode", "async", "--retries", "0")
    await connection.execute(
        "INSERT INTO service_aliases (alias, service_id) SELECT 'kassa', id FROM services"
        " WHERE service_id = 'checkout'"
    )
    await connection.execute(
        "UPDATE service_dependencies SET is_stale = TRUE WHERE discovery_source = 'otel_service_graph'"
    )
    before = await tables(connection)
    assert all(before.values())
    exported = await quick_command("export", "json", "--include-stale")
    assert exported.returncode == 0, exported.stderr
    await connection.execute("DELETE FROM services")
    imported = await quick_command("import", "json", "-", stdin=exported.stdout.encode())
    assert imported.returncode == 0, imported.stderr
    assert await tables(connection) == before
    log_rows = await connection.fetchval("SELECT count(*) FROM depgraph_feed.change_log")
    again = await quick_command("import", "json", "-", stdin=exported.stdout.encode())
    assert again.returncode == 0
    assert await connection.fetchval("SELECT count(*) FROM depgraph_feed.change_log") == log_rows


@pytest.mark.parametrize(
    "options",
    [("--source", "manual"), ("--reporter", "me"), ("--rewrite", "a=b"), ("--forget-guesses",)],
)
async def test_options_that_mean_nothing_for_exported_json_are_refused(
    quick_command: Command, options: tuple[str, ...]
) -> None:
    refused = await quick_command("import", "-", *options, stdin=b'{"services": [{"service_id": "a"}]}')
    assert refused.returncode == 2
    assert options[0] in refused.stderr


async def test_a_neighbourhood_holds_what_a_walk_finds(quick_command: Command, online_shop: None) -> None:
    exported = await quick_command("export", "json", "pricing", "--depth", "1", "--direction", "downstream")
    found = json.loads(exported.stdout)
    assert [row["service_id"] for row in found["services"]] == ["pricing", "promotions"]
    assert [(row["source_service_id"], row["target_service_id"]) for row in found["dependencies"]] == [
        ("pricing", "promotions")
    ]


@pytest.mark.parametrize(
    ("form", "begin"),
    [("csv", "source_service_id,"), ("graphml", "<?xml"), ("dot", "digraph"), ("mermaid", "flowchart LR")],
)
async def test_other_programs_get_the_whole_graph(
    quick_command: Command, online_shop: None, form: str, begin: str
) -> None:
    exported = await quick_command("export", form)
    assert exported.returncode == 0, exported.stderr
    assert exported.stdout.startswith(begin)
    assert "storefront" in exported.stdout


async def test_an_unknown_service_is_not_exported(quick_command: Command, online_shop: None) -> None:
    finished = await quick_command("export", "dot", "pricin")
    assert finished.returncode == 2
    assert "pricing" in finished.stderr


async def test_a_service_is_created_then_changed_in_what_is_given(
    quick_command: Command, connection: Connection
) -> None:
    made = await quick_command("service", "set", "ledger", "--criticality", "high", "--metadata", '{"a": 1}')
    assert made.stdout == "created ledger: high\n"
    await connection.execute("UPDATE services SET discovered = TRUE")
    changed = await quick_command("service", "set", "ledger", "--team", "money")
    assert changed.stdout == "set ledger: high, team money\n"
    [row] = await connection.fetch("SELECT team, criticality, metadata::text, discovered FROM services")
    assert tuple(row) == ("money", "high", '{"a": 1}', False)
    await quick_command("service", "set", "ledger", "--team", "")
    assert await connection.fetchval("SELECT team FROM services") is None


async def test_metadata_that_is_no_object_is_refused(quick_command: Command) -> None:
    finished = await quick_command("service", "set", "ledger", "--metadata", "[1]")
    assert finished.returncode == 2
    assert "--metadata is not a JSON object" in finished.stderr


async def test_deleting_a_service_says_what_goes(
    quick_command: Command, online_shop: None, connection: Connection
) -> None:
    count = await connection.fetchval(
        "SELECT count(*) FROM service_dependencies AS d JOIN services AS s"
        " ON s.id IN (d.source_service_id, d.target_service_id) WHERE s.service_id = 'loyalty'"
    )
    finished = await quick_command("service", "delete", "loyalty", "--yes")
    assert finished.stdout == f"deleted loyalty with {count} dependencies\n"
    assert not await connection.fetchval("SELECT count(*) FROM services WHERE service_id = 'loyalty'")
    again = await quick_command("service", "delete", "loyalty", "--yes")
    assert again.returncode == 2


async def test_nothing_is_deleted_without_consent(
    quick_command: Command, online_shop: None, connection: Connection
) -> None:
    for answer, cause in ((b"n\n", "not confirmed: nothing was changed"), (b"", "confirm with --yes")):
        finished = await quick_command("service", "delete", "loyalty", stdin=answer)
        assert finished.returncode == 1
        assert f"depgraph: {cause}" in finished.stderr
    assert await connection.fetchval("SELECT count(*) FROM services WHERE service_id = 'loyalty'")


async def test_a_dependency_is_created_then_changed_in_what_is_given(
    quick_command: Command, online_shop: None, connection: Connection
) -> None:
    pair = ("search", "loyalty")
    refused = await quick_command("dependency", "set", *pair)
    assert refused.returncode == 2
    assert "--mode" in refused.stderr
    made = await quick_command("dependency", "set", *pair, "--mode", "sync", "--timeout-ms", "200")
    assert made.stdout == "created search → loyalty: sync hard 200 ms\n"
    unclear = await quick_command("dependency", "set", *pair, "--backoff", "linear")
    assert (unclear.returncode, unclear.stderr) == (
        2, "depgraph: --backoff: say with --retries how many attempts follow the first\n"
    )  # fmt: skip
    change = ("--criticality", "soft", "--backoff", "linear", "--retries", "2")
    await quick_command("dependency", "set", *pair, *change)
    too_long = await quick_command("dependency", "set", *pair, "--timeout-ms", str(2**31))
    assert (too_long.returncode, "--timeout-ms" in too_long.stderr) == (2, True)
    row = await connection.fetchrow(
        "SELECT d.communication_mode, d.criticality, timeout_ms, retry_config->>'backoff_strategy'"
        " FROM service_dependencies AS d JOIN services AS s ON s.id = source_service_id"
        " JOIN services AS t ON t.id = target_service_id"
        " WHERE s.service_id = 'search' AND t.service_id = 'loyalty'"
    )
    assert row is not None
    assert tuple(row) == ("sync", "soft", 200, "linear")


async def test_deleting_a_dependency_takes_those_of_all_sources_or_of_one(
    quick_command: Command, online_shop: None
) -> None:
    await quick_command("dependency", "set", "search", "pricing", "--mode", "sync")
    one = await quick_command("dependency", "delete", "search", "pricing", "--source", "manual", "--yes")
    assert one.stdout == "deleted 1 dependency search → pricing: sync hard\n"
    rest = await quick_command("dependency", "delete", "search", "pricing", "--yes")
    assert rest.stdout.startswith("deleted 1 dependency search → pricing: sync hard (otel service graph)")
    none = await quick_command("dependency", "delete", "search", "pricing", "--yes")
    assert none.returncode == 2
    assert "there is no dependency search → pricing" in none.stderr
