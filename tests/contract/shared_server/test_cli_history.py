"""``depgraph diff`` and ``depgraph changes`` against the real server; wrong times of any."""

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from server.app import Application
from tests.support.command import Command
from tests.support.marking import change, mark

if TYPE_CHECKING:
    import asyncpg

    Connection = asyncpg.Connection[asyncpg.Record]

# What commands print does not depend on the transport.
pytestmark = pytest.mark.one_transport

FUTURE = "2199-01-01T00:00:00Z"


@pytest_asyncio.fixture(loop_scope="module")
async def then(connection: "Connection", online_shop: None) -> str:
    """The time at which the sample was as it is in its file."""
    return await mark(connection)


async def test_diff_lists_what_changed_and_exits_with_3(
    quick_command: Command, connection: "Connection", application: Application, then: str
) -> None:
    await change(
        connection,
        application,
        """
        UPDATE services SET team = 'søk', metadata = metadata || '{"tier": "edge"}'
        WHERE service_id = 'cart';
        INSERT INTO services (service_id, kind) VALUES ('kø', 'queue');
        INSERT INTO service_dependencies (
            source_service_id, target_service_id, communication_mode, discovery_source
        )
        SELECT a.id, b.id, 'sync', 'manual' FROM services AS a, services AS b
        WHERE (a.service_id, b.service_id) = ('accounts', 'checkout');
        INSERT INTO service_aliases (alias, service_id)
        SELECT 'basket', id FROM services WHERE service_id = 'cart';
        """,
    )
    finished = await quick_command("diff", then)
    assert (finished.returncode, finished.stderr) == (3, "")
    start, end, *lines = finished.stdout.splitlines()
    assert re.fullmatch(r"from \S+ \S+ \(marked \S+ \S+\)", start)
    assert re.fullmatch(r"to   \S+ \S+ \(now\)", end)
    assert lines[:17] == [
        "",
        "cycles        1 created",
        "services      1 added, 1 changed (metadata of 1, team of 1)",
        "dependencies  1 added",
        "aliases       1 added",
        "blast radii   12 services",
        "",
        "cycles",
        "  created, 7 services: accounts → checkout → accounts",
        "    closed by accounts → checkout: accounts → checkout → accounts",
        "",
        "services",
        "  + kø    queue, medium",
        "  ~ cart  metadata.tier: core → edge, team: purchase → søk",
        "",
        "dependencies",
        "  + accounts → checkout  sync hard",
    ]
    again = await quick_command("diff", then, await mark(connection))
    assert again.returncode == 3
    assert again.stdout.splitlines()[2:] == lines
    answer = json.loads((await quick_command("diff", then, "--json", "--top", "1")).stdout)
    assert (answer["impact_change_count"], len(answer["impact_changes"])) == (12, 12), "--json has all"
    assert "  … and 11 more (--top lists more)" in (await quick_command("diff", then, "--top", "1")).stdout


async def test_diff_of_the_same_state_finds_nothing(
    quick_command: Command, connection: "Connection", application: Application, then: str
) -> None:
    change_and_back = "UPDATE services SET team = 'x' WHERE service_id = 'cart'"
    await change(connection, application, change_and_back)
    await change(connection, application, change_and_back.replace("'x'", "'purchase'"))
    for times in ([then], [then, then], [then, "now"]):
        finished = await quick_command("diff", *times)
        assert (finished.returncode, finished.stdout.splitlines()[2:]) == (0, ["no difference"])


async def test_diff_takes_revisions_of_answers_and_filters(
    quick_command: Command, connection: "Connection", application: Application, then: str
) -> None:
    answered = json.loads((await quick_command("impact", "cart", "--as-of", then, "--json")).stdout)
    await change(connection, application, "UPDATE service_dependencies SET timeout_ms = 7")
    revision = answered["freshness"]["revision"]
    finished = await quick_command("diff", revision)
    assert finished.returncode == 3
    assert finished.stdout.startswith(f"from revision {revision[:16]}… (marked ")
    only_traces = await quick_command("diff", revision, "--source", "otel_service_graph", "--json")
    found: list[dict[str, Any]] = json.loads(only_traces.stdout)["dependencies"]
    assert {each["after"]["discovery_source"] for each in found} == {"DISCOVERY_SOURCE_OTEL_SERVICE_GRAPH"}
    assert (
        await quick_command("diff", revision, "--min-confidence", "1", "--mode", "unknown")
    ).returncode == 0


async def test_changes_near_a_service_come_first_with_who_and_what(
    quick_command: Command, connection: "Connection", application: Application, then: str
) -> None:
    await change(
        connection, application, "UPDATE services SET team = 'søk' WHERE service_id = 'accounts'", "bob"
    )
    await change(
        connection, application, "UPDATE services SET team = 'x' WHERE service_id = 'checkout'", "ann"
    )
    await change(connection, application, "UPDATE services SET team = 'y' WHERE service_id = 'payments'", "")
    finished = await quick_command("changes", "checkout", "--since", then, "--hops", "1")
    assert (finished.returncode, finished.stderr) == (0, "")
    _, _, within, blank, heads, *rows = finished.stdout.splitlines()
    assert (within, blank, heads.split()) == (
        "within 1 hop of checkout",
        "",
        ["TIME", "HOPS", "WHO", "CHANGE"],
    )
    assert [row.split("  ", 1)[1] for row in rows] == [
        "0     ann  ~ checkout  team: purchase → x",
        "1     -    ~ payments  team: payments → y",
        "1     bob  ~ accounts  team: identity → søk",
    ]
    everything = await quick_command("changes", "--since", then)
    assert [row.split("~ ")[1].split()[0] for row in everything.stdout.splitlines()[4:]] == [
        "payments",
        "checkout",
        "accounts",
    ]


async def test_changes_near_a_removed_service_are_found_by_its_last_name(
    quick_command: Command, connection: "Connection", application: Application, then: str
) -> None:
    await change(connection, application, "DELETE FROM services WHERE service_id = 'loyalty'")
    finished = await quick_command("changes", "loyalty", "--since", then, "--hops", "0")
    assert "within 0 hops of loyalty" in finished.stdout
    assert sorted(line.split("ann  ")[1].split("  ")[0] for line in finished.stdout.splitlines()[5:]) == [
        "- loyalty",
        "- loyalty → pricing",
        "- orders → loyalty",
        "- promotions → loyalty",
    ]


async def test_changes_as_json_are_all_of_them(
    quick_command: Command,
    connection: "Connection",
    application: Application,
    then: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await change(connection, application, "UPDATE service_dependencies SET timeout_ms = 7")
    monkeypatch.setattr("server.cli.commands.changes.PAGE_SIZE", 10)
    answer = json.loads((await quick_command("changes", "--since", then, "--json", "--top", "1")).stdout)
    assert len({each["dependency"]["after"]["id"] for each in answer["changes"]}) == 32
    listed = (await quick_command("changes", "--since", then)).stdout.splitlines()
    assert listed[-1].strip() == "… and 22 more of the same transaction"


async def test_changes_of_an_alias_are_those_of_its_service(
    quick_command: Command, connection: "Connection", application: Application, then: str
) -> None:
    alias = (
        "INSERT INTO service_aliases (alias, service_id) "
        "SELECT 'till', id FROM services WHERE service_id = 'cart'"
    )
    await change(connection, application, alias)
    finished = await quick_command("changes", "till", "--since", then)
    assert "within 2 hops of cart (asked for by the alias till)" in finished.stdout
    assert "+ alias till  cart" in finished.stdout


async def test_the_last_hour_of_a_young_history_is_all_of_it(
    quick_command: Command, connection: "Connection", application: Application, then: str
) -> None:
    await change(connection, application, "UPDATE services SET team = 'x' WHERE service_id = 'cart'")
    finished = await quick_command("changes")
    assert (finished.returncode, finished.stderr) == (0, "")
    assert re.match(r"from (\S+ \S+) \(marked \1\)\n", finished.stdout)
    assert finished.stdout.splitlines()[4].endswith("ann  ~ cart  team: purchase → x")


async def test_no_changes_are_said_and_exit_with_0(quick_command: Command, then: str) -> None:
    finished = await quick_command("changes", "--since", then)
    assert (finished.returncode, finished.stdout.splitlines()[2:]) == (0, ["no changes"])
    answer = json.loads((await quick_command("changes", "--since", then, "--json")).stdout)
    assert (answer["changes"], "next_page_token" in answer) == ([], False)
    assert answer["since"]["as_of_time"][:26] == then[:26]


async def test_changes_near_an_unknown_service_suggest_names(quick_command: Command, then: str) -> None:
    finished = await quick_command("changes", "chekout", "--since", then)
    assert (finished.returncode, finished.stdout) == (2, "")
    assert finished.stderr == "depgraph: no service named 'chekout': did you mean 'checkout'?\n"


@pytest.mark.parametrize("command", ["impact checkout --as-of", "diff", "changes --since"])
async def test_a_time_before_the_first_mark_is_refused_with_the_oldest(
    command: str, quick_command: Command, then: str
) -> None:
    finished = await quick_command(*command.split(), "2001-01-01")
    assert (finished.returncode, finished.stdout) == (1, "")
    assert re.search(r"depgraph: .*2001-01-01.*\d{4}-\d\d-\d\d.*\n", finished.stderr)


@pytest.mark.parametrize("command", ["impact checkout --as-of", "diff", "changes --since"])
async def test_a_history_that_is_off_is_said(
    command: str, quick_command: Command, connection: "Connection", then: str
) -> None:
    await connection.execute("SELECT depgraph_history.set_switch(false)")
    finished = await quick_command(*command.split(), then)
    await connection.execute("SELECT depgraph_history.set_switch(true)")
    assert (finished.returncode, finished.stdout) == (1, "")
    assert "off" in finished.stderr


@pytest.mark.parametrize(
    ("command", "complaint"),
    [
        ("impact a --as-of soon", "Invalid value for '--as-of': 'soon' is no time: expected one such as 2h"),
        (f"impact a --as-of {FUTURE}", "--as-of: "),
        ("diff soon", "Invalid value for 'FROM': 'soon' is no time"),
        ("diff 2h later", "Invalid value for 'TO': 'later' is no time"),
        ("changes --since 25:00", "Invalid value for '--since': '25:00' is no time: hour must be"),
        (f"diff {FUTURE}", "FROM: lies in the future: the server's clock says"),
        (f"diff 2h {FUTURE}", "TO: lies in the future"),
        ("diff 1h 2h", "FROM: is after TO"),
        (f"changes --since 1h --until {FUTURE}", "--until: lies in the future"),
        ("changes --since 1h --until 2h", "--since: is after --until"),
        ("changes --hops 1", "Invalid value for --hops: give the SERVICE"),
    ],
)
async def test_a_wrong_time_exits_with_2_and_names_the_option(
    command: str, complaint: str, quick_command: Command
) -> None:
    finished = await quick_command(*command.split())
    assert (finished.returncode, finished.stdout) == (2, "")
    assert finished.stderr.count("\n") == 1
    assert complaint in finished.stderr
