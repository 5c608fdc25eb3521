"""
What people see of commands: on terminals of 60 and 120 columns, in a pipe, without colour.

One server has the sample and a company of 1,200 services with a component of 358.
"""

import io
import json
import re
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from depgraph import Client
from depgraph.v1.alert_service_pb2 import ListAlertsRequest
from depgraph.v1.graph_service_pb2 import GetAdjacencyListRequest
from server.cli.commands.services import _degrees
from server.cli.commands.show import _about
from server.cli.main import run
from tests.support.command import depgraph, depgraph_here, serving
from tests.support.eventually import PATIENCE_SECONDS
from tests.support.folders import copy_with_owners, open_folder
from tests.support.large_company import CALLERS, COMPONENT, CUTS, HUB, SERVICES, company, member
from tests.support.terminal import on_terminal

pytestmark = pytest.mark.one_transport

SHOP = "examples/online_shop.json"
WIDTHS = pytest.mark.parametrize("columns", [60, 120])


@pytest.fixture(scope="module")
def folder(data_folder_template: Path) -> Iterator[Path]:
    with open_folder() as opened:
        copy_with_owners(data_folder_template, opened / "data")
        yield opened / "data"


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    with serving("--data-dir", str(folder)) as (listening, _):
        for stdin in (Path(SHOP).read_bytes(), json.dumps(company()).encode()):
            assert depgraph_here("import", "json", "-", "--address", listening, stdin=stdin).returncode == 0
        with Client(listening) as client:
            wait_for_alerts(client, 2)
        yield listening


def wait_for_alerts(client: Client, count: int) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(client.alerts.ListAlerts(ListAlertsRequest()).alerts) < count:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def alert_of(name: str, address: str) -> str:
    listed = depgraph_here("alerts", "list", "--service", name, "--json", "--address", address)
    return str(json.loads(listed.stdout)["alerts"][0]["id"])


class Terminal(io.StringIO):
    """Standard output that says it is a terminal."""

    def isatty(self) -> bool:
        return True


SCREENS = [
    ["status"],
    ["services", "ORDER"],
    ["components"],
    ["show", "checkout", "--depth", "3"],
    ["show", member(3), "--depth", "4"],
    ["alerts", "list"],
    ["cuts", member(0)],
    ["impact", "payments"],
    ["paths", "storefront", "accounts", "-k", "3"],
    ["audit"],
    ["drift"],
    ["doctor"],
]


@pytest.mark.parametrize("arguments", SCREENS, ids=" ".join)
def test_a_screen_is_never_wider_than_the_terminal_and_breaks_between_words(
    arguments: list[str],
    address: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    here = [*arguments, "--address", address]
    here += ["--data-dir", str(folder)] if arguments == ["doctor"] else []
    assert run(here) == 0
    piped = capsys.readouterr().out
    assert not [line for line in piped.splitlines() if line != line.rstrip()]
    monkeypatch.setenv("NO_COLOR", "1")
    screens = []
    for columns in (60, 120):
        screen = Terminal()
        monkeypatch.setenv("COLUMNS", f"{columns}")
        monkeypatch.setattr("sys.stdout", screen)
        assert run(here) == 0
        assert max(map(len, screen.getvalue().splitlines())) <= columns
        screens.append(words(screen.getvalue()))
    if arguments not in (["doctor"], ["status"]):  # they have figures that change from call to call
        assert screens == [words(piped)] * 2


def words(text: str) -> list[str]:
    """Sort the words of an output without rails: a wide table has them in another order."""
    return sorted(text.translate(str.maketrans("", "", "│├└─")).split())


@WIDTHS
def test_an_alert_of_358_members_lists_50_and_wraps(address: str, columns: int) -> None:
    seen = on_terminal("alerts", "show", alert_of(member(0), address), "--address", address, columns=columns)
    assert max(map(len, seen.lines)) <= columns
    text = " ".join(seen.text.split())
    assert f"in the graph a component of {COMPONENT} services" in text
    assert f"and {COMPONENT - 50} more (--top 0 lists them)" in text
    whole = depgraph_here("alerts", "show", alert_of(member(0), address), "--top", "0", "--address", address)
    (line,) = (line for line in whole.stdout.splitlines() if line.startswith("members"))
    assert line.count(", ") == COMPONENT - 1


def test_cuts_list_as_many_rows_as_asked_for_and_say_what_a_cost_is(address: str) -> None:
    lines = depgraph_here("cuts", member(0), "--top", "3", "--address", address).stdout.splitlines()
    assert f"Remove these {CUTS} dependencies" in lines[1]
    assert lines[2].startswith("A hard, synchronous, declared call costs 1;")
    assert len(lines) == 5 + 3 + 1
    assert lines[-1] == f"… and {CUTS - 3} more (--top 0 lists all)"
    everything = depgraph_here("cuts", member(0), "--top", "0", "--address", address).stdout.splitlines()
    assert len(everything) == 5 + CUTS


def test_colour_is_for_terminals_without_no_color(address: str) -> None:
    there = ("show", "payments", "--address", address)
    assert "\x1b[" in on_terminal(*there, columns=120).raw
    assert "\x1b[" not in on_terminal(*there, columns=120, environment={"NO_COLOR": "1"}).raw
    assert "\x1b[" not in depgraph_here(*there).stdout
    assert "\x1b[32m" in on_terminal("status", "--address", address, columns=120).raw


def test_a_hub_as_dot_has_short_labels_in_one_font(address: str) -> None:
    drawn = depgraph_here("show", HUB, "--format", "dot", "--address", address).stdout
    labels = re.findall(r'-> n\d+ \[label="([^"]*)"', drawn)
    assert len(labels) >= 25
    assert set(labels) == {"sync hard"}
    seen = on_terminal("show", HUB, "--format", "dot", "--address", address, columns=60)
    assert seen.text == drawn, "lines for programs are not broken, not even on a terminal"
    assert set(re.findall(r'fontname="([^"]*)"', drawn)) == {"sans-serif"}
    assert f'label="… and {CALLERS - 25} more"' in drawn


@pytest.mark.parametrize(
    ("name", "suggested"),
    [
        ("CHECKOUT", "'checkout'"),
        ("chekout", "'checkout'"),
        ("platform", f"'{HUB}'"),
        ("Order-Management-35", f"'{member(351)}' or '{member(354)}' or '{member(350)}'"),
    ],
)
def test_an_unknown_name_gets_names_in_any_case_and_by_a_part(
    name: str, suggested: str, address: str
) -> None:
    finished = depgraph_here("show", name, "--address", address)
    assert finished.returncode == 2
    assert finished.stderr == f"depgraph: no service named '{name}': did you mean {suggested}?\n"


def test_services_are_found_by_a_part_of_the_name_team_criticality_and_kind(address: str) -> None:
    def found(*arguments: str) -> list[str]:
        listed = depgraph_here("services", *arguments, "--json", "--address", address)
        return [row["service_id"] for row in json.loads(listed.stdout)["services"]]

    assert found("PAY") == ["payments"]
    assert found("--criticality", "critical", "o") == ["accounts", "checkout", "orders", "storefront"]
    assert found("--kind", "service", "PAY") == ["payments"]
    assert found("--kind", "database", "PAY") == []
    assert len(found("--team", "back office")) == SERVICES - COMPONENT - 1
    table = depgraph_here("services", "configuration", "--address", address).stdout.splitlines()
    assert table[0].split("  ")[0] == "SERVICE"
    assert table[1].split() == [HUB, "service", "medium", "-", "0", f"{CALLERS}"]
    assert depgraph_here("services", "nothing-like-it", "--address", address).stdout == "no such services\n"


@pytest.mark.parametrize("arguments", [[], ["o"], ["configuration"]], ids=" ".join)
def test_services_count_the_neighbours_that_the_adjacency_list_has(
    arguments: list[str], address: str
) -> None:
    callees, callers = Counter[str](), Counter[str]()
    with Client(address) as client:
        for row in client.graph.GetAdjacencyList(GetAdjacencyListRequest()):
            callees[row.service_id] = len(row.target_service_ids)
            callers.update(row.target_service_ids)
    listed = depgraph_here("services", *arguments, "--json", "--address", address)
    rows = json.loads(listed.stdout)["services"]
    assert rows
    for row in rows:
        name = row["service_id"]
        assert (row["callee_count"], row["caller_count"]) == (callees[name], callers[name])
    table = depgraph_here("services", *arguments, "--top", "7", "--address", address).stdout.splitlines()
    for row, line in zip(rows[:7], table[1:], strict=False):
        assert line.split()[-2:] == [f"{row['callee_count']:,}", f"{row['caller_count']:,}"]


def test_a_service_that_is_not_in_memory_counts_no_neighbours(address: str) -> None:
    with Client(address) as client:
        callees, callers = _degrees(client, ["unknown", HUB], 10.0)
    assert (callees["unknown"], callers["unknown"], callers[HUB]) == (0, 0, CALLERS)


def test_components_are_listed_largest_first(address: str) -> None:
    lines = depgraph_here("components", "--address", address).stdout.splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [
        [f"{COMPONENT}", f"{COMPONENT - 1 + CUTS}"],
        ["3", "3"],
    ]
    assert lines[1].endswith(f"and {COMPONENT - 6} more")
    asked = depgraph_here("components", "--json", "--min-size", "4", "--address", address)
    answer = json.loads(asked.stdout)
    assert (answer["total_count"], answer["components"][0]["size"]) == (1, COMPONENT)


def test_a_timeout_is_named_when_it_passes(address: str) -> None:
    finished = depgraph_here("services", "--timeout", "0.001", "--address", address)
    assert finished.returncode == 1
    assert finished.stderr == (
        f"depgraph: {address} did not answer in time: --timeout sets how many seconds to wait\n"
    )


@pytest.mark.parametrize("is_running", [True, False], ids=["running", "stopped"])
def test_sql_opens_psql_on_the_embedded_database(
    is_running: bool, address: str, folder: Path, data_folder: Path
) -> None:
    data = str(folder)
    if not is_running:
        data = str(data_folder)
    query = "SELECT 'ships', count(*) > 0 FROM services WHERE service_id = 'shipping'"
    finished = depgraph("sql", "--data-dir", data, "--", "-Atc", query)
    assert (finished.returncode, finished.stdout) == (0, f"ships|{'t' if is_running else 'f'}\n")
    refused = depgraph("sql", "--data-dir", data, "--", "-c", "SELEC")
    assert refused.returncode == 1
    assert "syntax error" in refused.stderr


def test_sql_takes_a_database_url(database_url: str) -> None:
    opened = depgraph("sql", "--", "-Atc", "SELECT 1", environment={"DATABASE_URL": database_url})
    assert (opened.returncode, opened.stdout) == (0, "1\n")


def test_sql_keeps_the_password_off_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    psql = tmp_path / "psql"
    psql.write_text('#!/bin/sh\necho "$@"\necho "$PGPASSWORD"\nexit 3\n')
    psql.chmod(0o700)
    monkeypatch.setattr("server.cli.commands.sql.postgres_program", lambda _: str(psql))
    monkeypatch.setenv("DATABASE_URL", "postgresql://ann:it%27s secret@db.test/graph?sslmode=require")
    assert run(["sql", "--", "-c", "SELECT 1"]) == 3
    assert capfd.readouterr().out.splitlines() == [
        "--dbname=user='ann' dbname='graph' host='db.test' sslmode='require' -c SELECT 1",
        "it's secret",
    ]


def test_show_without_a_database_says_what_it_does_not_know() -> None:
    (line,) = _about(None)
    assert line == "(criticality and team are not known while the database is away)"


def test_sql_says_so_when_there_is_no_psql(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], database_url: str
) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    monkeypatch.setenv("DATABASE_URL", database_url)
    assert run(["sql"]) == 1
    assert capsys.readouterr().err == (
        "depgraph: there is no psql: install PostgreSQL's client, or depgraph[server]\n"
    )


def test_show_of_a_hub_of_20_000_says_how_many_and_draws_some(address: str) -> None:
    calls = [{"parent": f"caller-{number:05}", "child": "hub", "callCount": 1} for number in range(20_000)]
    imported = depgraph_here("import", "jaeger", "-", "--address", address, stdin=json.dumps(calls).encode())
    assert imported.returncode == 0
    shown = ("show", "hub", "--address", address)
    while "called by 20,000 services" not in depgraph_here(*shown).stdout:
        pass
    assert len(depgraph_here(*shown).stdout.splitlines()) == 3 + 25 + 1
