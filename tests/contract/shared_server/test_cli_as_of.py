"""``--as-of`` of every command that asks the graph, against the real server."""

import json
import re
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from server.app import Application
from tests.support.command import ROOT, Command
from tests.support.marking import change, mark

if TYPE_CHECKING:
    import asyncpg

    Connection = asyncpg.Connection[asyncpg.Record]

# What commands print does not depend on the transport.
pytestmark = pytest.mark.one_transport

COMMANDS = (
    *("show checkout", "show payments --depth 1 --effective", "around cart", "map", "search check"),
    *("components", "impact inventory", "paths storefront accounts -k 3", "cuts loyalty", "audit", "drift"),
    f"check {ROOT / 'examples/release.json'}",
)
CHANGES = """
UPDATE services SET team = 'web', criticality = 'low' WHERE service_id = 'checkout';
UPDATE service_dependencies SET timeout_ms = 1, criticality = 'soft', protocol = 'amqp';
DELETE FROM services WHERE service_id IN ('loyalty', 'cart', 'inventory');
INSERT INTO services (service_id) VALUES ('newcomer'), ('checkroom'), ('søk');
INSERT INTO service_dependencies (source_service_id, target_service_id, communication_mode, discovery_source)
SELECT a.id, b.id, 'sync', 'manual' FROM services AS a, services AS b
WHERE (a.service_id, b.service_id) IN (('newcomer', 'checkout'), ('accounts', 'søk'), ('søk', 'accounts'));
"""


@pytest_asyncio.fixture(loop_scope="module")
async def then(connection: "Connection", online_shop: None) -> str:
    """The time at which the sample was as it is in its file."""
    return await mark(connection)


async def test_every_command_answers_about_then_what_it_answered_then(
    quick_command: Command, connection: "Connection", application: Application, online_shop: None
) -> None:
    before = {command: await quick_command(*command.split()) for command in COMMANDS}
    then = await mark(connection)
    await change(connection, application, CHANGES)
    for command, answer in before.items():
        past = await quick_command(*command.split(), "--as-of", then)
        heading, *lines = past.stdout.splitlines()
        assert re.fullmatch(r"as of \S+ \S+ \(marked \S+ \S+\)", heading), past.stderr
        assert lines == answer.stdout.splitlines(), command
        assert past.returncode == answer.returncode
        assert (await quick_command(*command.split())).stdout != answer.stdout, "so much has changed"


async def test_json_says_which_mark_an_answer_is_of(quick_command: Command, then: str) -> None:
    for command in COMMANDS:
        answer = await quick_command(*command.split(), "--as-of", then, "--json")
        freshness = json.loads(answer.stdout)["freshness"]
        assert freshness["as_of_time"][:26] == then[:26], command
        assert freshness["approximate"] is False
        assert "lag" not in freshness
        now = json.loads((await quick_command(*command.split(), "--json")).stdout)["freshness"]
        assert "as_of_time" not in now
        assert now["lag"]


async def test_pictures_of_then_say_so_in_a_comment(quick_command: Command, then: str) -> None:
    for form, comment in (("dot", "// as of "), ("mermaid", "%% as of ")):
        now = await quick_command("show", "cart", "--format", form)
        past = await quick_command("show", "cart", "--format", form, "--as-of", then)
        heading, rest = past.stdout.split("\n", 1)
        assert heading.startswith(comment)
        assert rest == now.stdout


async def test_a_service_that_was_not_there_then_is_unknown(
    quick_command: Command, connection: "Connection", application: Application, then: str
) -> None:
    await change(connection, application, CHANGES)
    for command in ("impact newcomer", "show newcomer", "around newcomer"):
        past = await quick_command(*command.split(), "--as-of", then)
        assert (past.returncode, past.stdout) == (2, "")
        assert re.fullmatch(
            r"depgraph: no service named 'newcomer' as of \S+ \S+: there is one now\n", past.stderr
        )
    past = await quick_command("impact", "inventry", "--as-of", then)
    assert past.stderr.endswith("did you mean 'inventory'?\n")
    assert (await quick_command("impact", "inventory", "--as-of", then)).returncode == 0
    assert (await quick_command("impact", "inventory")).returncode == 2
