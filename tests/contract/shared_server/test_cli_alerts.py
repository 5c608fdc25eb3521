"""``depgraph alerts`` against the real server; in a thread, which is quicker than a process."""

import asyncio
import json
import re
import subprocess
from functools import partial

import asyncpg
import grpc
import pytest

from depgraph.v1 import alert_service_pb2 as pb
from tests.support.calls import Stubs
from tests.support.command import Command, depgraph
from tests.support.eventually import PATIENCE_SECONDS

# What the command prints does not depend on the transport.
pytestmark = pytest.mark.one_transport

LONG = [f"service-{number:03}" for number in range(350)]
SHORTENED = "service-000 → service-001 → service-002 → service-003 → … → service-000 (350 services)"


@pytest.fixture
def command(quick_command: Command, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run ``depgraph alerts …`` as the user ann."""
    monkeypatch.setenv("LOGNAME", "ann")
    return partial(quick_command, "alerts")


@pytest.fixture
def stubs(channel: grpc.aio.Channel) -> Stubs:
    return Stubs(channel)


async def create(stubs: Stubs, *path: str) -> str:
    return (await stubs.alerts.CreateAlert(pb.CreateAlertRequest(cycle_path=path))).alert.id


async def stored(stubs: Stubs, key: str) -> tuple[str, str]:
    alert = (await stubs.alerts.GetAlert(pb.GetAlertRequest(id=key))).alert
    return alert.acknowledged_by, alert.resolution_notes


def lines(finished: subprocess.CompletedProcess[str]) -> list[str]:
    """What a command printed, times taken out, once it is known to have worked."""
    assert (finished.returncode, finished.stderr) == (0, "")
    return re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?", "TIME", finished.stdout).splitlines()


async def test_list_prints_a_line_for_each_live_alert(command: Command, stubs: Stubs) -> None:
    resolved, opened, long, taken = [
        await create(stubs, *path) for path in (["a", "b"], ["a", "b", "c"], LONG, ["x", "y z"])
    ]
    await stubs.alerts.ResolveAlert(pb.ResolveAlertRequest(id=resolved, resolution_notes="done"))
    await stubs.alerts.AcknowledgeAlert(pb.AcknowledgeAlertRequest(id=taken, acknowledged_by="ann lee"))

    assert lines(await command("list")) == [
        "ID        STATUS        SIZE  SINCE (UTC)  WHO      CYCLE".replace(
            "SINCE (UTC)", "SINCE (UTC)     "
        ),
        f"{taken[:8]}  acknowledged  -     TIME  ann lee  x → y z → x",
        f"{long[:8]}  open          -     TIME  -        {SHORTENED}",
        f"{opened[:8]}  open          -     TIME  -        a → b → c → a",
    ]
    assert [line.split()[0] for line in lines(await command("list", "--status", "resolved"))[1:]] == [
        resolved[:8]
    ]
    assert len(lines(await command("list", "--status", "all"))) == 1 + 4
    assert len(lines(await command("list", "--service", "service-349"))) == 1 + 1
    assert lines(await command("list", "--service", "missing")) == ["no live alerts"]


async def test_list_works_as_a_child_process(stubs: Stubs, server_address: str) -> None:
    key = await create(stubs, "a", "b")
    finished = await asyncio.to_thread(depgraph, "alerts", "list", "--address", server_address)
    assert lines(finished)[1:] == [f"{key[:8]}  open    -     TIME  -    a → b → a"]


async def test_the_alert_of_an_imported_cycle_is_listed_and_resolves_itself(
    command: Command, online_shop: None, connection: asyncpg.Connection
) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while lines(await command("list")) == ["no live alerts"]:
            await asyncio.sleep(0.02)
        (listed,) = lines(await command("list", "--service", "pricing"))[1:]
        assert re.fullmatch(
            r"[0-9a-f]{8}  open    3     TIME  -    loyalty → pricing → promotions → loyalty", listed
        )
        await connection.execute("DELETE FROM services WHERE service_id = 'pricing'")
        while lines(await command("list")) != ["no live alerts"]:
            await asyncio.sleep(0.02)
    assert "notes         the cycle is gone" in (await command("show", listed.split()[0])).stdout


async def test_list_prints_json(command: Command, stubs: Stubs) -> None:
    key = await create(stubs, "a", "b")
    answer = json.loads((await command("list", "--json")).stdout)
    (alert,) = answer["alerts"]
    assert (alert["id"], alert["cycle_path"], alert["status"]) == (key, ["a", "b"], "ALERT_STATUS_OPEN")
    assert (alert["members"], alert["size"], alert["is_present"]) == ([], 0, False)
    assert json.loads((await command("list", "--status", "resolved", "--json")).stdout) == {"alerts": []}


async def test_an_alert_is_acknowledged_handed_over_and_resolved(command: Command, stubs: Stubs) -> None:
    key = await create(stubs, "a", "b")
    assert lines(await command("ack", key)) == [f"acknowledged by ann: {key[:8]} a → b → a"]
    assert lines(await command("ack", key[:8], "--by", "ben")) == [
        f"acknowledged by ben: {key[:8]} a → b → a"
    ]
    assert await stored(stubs, key) == ("ben", "")
    assert lines(await command("resolve", key[:6].upper(), "--notes", "cut")) == [
        f"resolved: {key[:8]} a → b → a"
    ]
    assert await stored(stubs, key) == ("ben", "cut")

    again = await command("resolve", key, "--notes", "cut")
    assert (again.returncode, again.stdout) == (1, "")
    assert again.stderr == f"depgraph: the alert {key} is resolved and can't be changed any more\n"


async def test_ack_and_resolve_print_the_alert_as_json(command: Command, stubs: Stubs) -> None:
    key = await create(stubs, "a", "b")
    taken = json.loads((await command("ack", key, "--json")).stdout)["alert"]
    assert (taken["id"], taken["status"]) == (key, "ALERT_STATUS_ACKNOWLEDGED")
    assert taken["acknowledged_by"] == "ann"
    closed = json.loads((await command("resolve", key, "--notes", "cut", "--json")).stdout)["alert"]
    assert (closed["status"], closed["resolution_notes"]) == ("ALERT_STATUS_RESOLVED", "cut")


async def test_an_alert_is_shown_with_members_and_history(
    command: Command, stubs: Stubs, connection: asyncpg.Connection
) -> None:
    key = await create(stubs, "a", "b")
    await connection.execute("UPDATE circular_dependency_alerts SET size = 4, is_present = true")
    await connection.execute(
        """INSERT INTO circular_dependency_alert_members (alert_id, service_id)
        VALUES ($1, 'b'), ($1, 'a'), ($1, E'c\\n')""",
        key,
    )
    await connection.execute(
        """INSERT INTO circular_dependency_alert_events
            (alert_id, kind, actor, note, status, cycle_path, size)
        VALUES ($1, 'witness_changed', 'detection', 'a -> c is gone', 'open', '["a", "b"]', 4)""",
        key,
    )
    resolved = await command("resolve", key, "--notes", "we live\x1b with it")
    assert "still in the graph" in lines(resolved)[1]

    assert lines(await command("show", key[:8])) == [
        f"id            {key}",
        "status        resolved",
        r"notes         we live\x1b with it",
        "cycle         a → b → a",
        "in the graph  a component of 4 services",
        r"members       a, b, c\n, and 1 more",
        "since         TIME UTC",
        "changed       TIME UTC",
        "history",
        "  TIME  opened",
        "  TIME  witness changed by detection (4 services): a -> c is gone",
        r"  TIME  resolved (4 services): we live\x1b with it",
    ]
    answer = json.loads((await command("show", key, "--json")).stdout)
    assert answer["alert"]["members"] == ["a", "b", "c\n"]
    assert [event["kind"] for event in answer["events"]] == [
        "ALERT_EVENT_KIND_OPENED",
        "ALERT_EVENT_KIND_WITNESS_CHANGED",
        "ALERT_EVENT_KIND_RESOLVED",
    ]


async def test_an_ambiguous_or_unknown_id_is_refused(
    command: Command, connection: asyncpg.Connection
) -> None:
    await connection.execute(
        """INSERT INTO circular_dependency_alerts (id, cycle_path)
        VALUES ('aaaaaaaa-0000-4000-8000-000000000000', '["a", "b"]'),
            ('aaaaaaaa-0000-4000-8000-00000000000a', '["a", "c"]'),
            ('bbbbbbbb-0000-4000-8000-000000000000', '["a", "d"]')"""
    )
    assert [line.split()[0] for line in lines(await command("list"))[1:]] == [
        "bbbbbbbb-0000-4000-8000-000000000000",
        "aaaaaaaa-0000-4000-8000-00000000000a",
        "aaaaaaaa-0000-4000-8000-000000000000",
    ]
    assert "acknowledged by ann" in lines(await command("ack", "b"))[0]
    for wanted, said in (
        ("aaaa", "2 alerts have an id that begins with 'aaaa': aaaaaaaa-0000-4000-8000-00000000000a, "),
        ("c", "no alert has an id that begins with 'c': 'depgraph alerts list --status all' shows them"),
        ("%", "no alert has an id that begins with '%'"),
        ("", "no id given"),
        ("cccccccc-0000-4000-8000-000000000000", "no alert has the id cccccccc-0000-4000-8000-000000000000"),
        ("c" * 36, "id: 'cccc"),
    ):
        failed = await command("show", wanted)
        assert (failed.returncode, failed.stdout, failed.stderr.count("\n")) == (2, "", 1)
        assert failed.stderr.startswith(f"depgraph: {said}")


@pytest.mark.parametrize(
    ("arguments", "field"),
    [(("ack", "--by", " "), "acknowledged_by"), (("resolve", "--notes", ""), "resolution_notes")],
)
async def test_an_empty_name_or_note_is_refused(
    command: Command, stubs: Stubs, arguments: tuple[str, ...], field: str
) -> None:
    key = await create(stubs, "a", "b")
    failed = await command(arguments[0], key, *arguments[1:])
    assert (failed.returncode, failed.stderr.count("\n")) == (2, 1)
    assert field in failed.stderr


async def test_an_empty_list_says_no_alerts(command: Command) -> None:
    assert lines(await command("list", "--status", "all")) == ["no alerts"]
    assert lines(await command("list", "--status", "open")) == ["no open alerts"]
