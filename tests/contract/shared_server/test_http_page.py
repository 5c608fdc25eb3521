"""docs/http.md: its commands print what the page says."""

import asyncio
import re
import shlex
from asyncio.subprocess import PIPE
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from server.app import Application
from server.config import Settings
from server.web.errors import _STATUS_OF_CODES
from tests.support.command import ROOT
from tests.support.http import STATUSES
from tests.support.marking import change, mark
from tests.support.required import required_program

if TYPE_CHECKING:
    import asyncpg

pytestmark = pytest.mark.one_transport

PAGE = (ROOT / "docs/http.md").read_text()
EXAMPLES = [
    example
    for block in re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)
    for example in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE)
]
USUAL = "http://127.0.0.1:8051/"
FORMER = "2026-11-30T14:00:00Z"
LATER = """
INSERT INTO service_dependencies (source_service_id, target_service_id, communication_mode, discovery_source)
SELECT a.id, b.id, 'sync', 'manual' FROM services AS a, services AS b
WHERE (a.service_id, b.service_id) = ('shipping', 'accounts')
"""


@pytest.fixture(scope="module")
def server_settings(database_url: str) -> Settings:
    return Settings(listen="127.0.0.1:0", http_listen="127.0.0.1:0", database_url=database_url)


def pattern_of(printed: str) -> str:
    """Make a pattern out of what is printed, where … stands for anything."""
    return ".*".join(map(re.escape, printed.split("…")))


@pytest_asyncio.fixture(loop_scope="module")
async def former(
    connection: "asyncpg.Connection[asyncpg.Record]", application: Application, online_shop: None
) -> str:
    """A time, after which the graph changed."""
    moment = await mark(connection)
    await change(connection, application, LATER)
    return moment


async def test_the_commands_of_the_page_print_what_it_says(application: Application, former: str) -> None:
    required_program("curl")
    assert len(EXAMPLES) == 7
    differing: list[str] = []
    for command, printed in EXAMPLES:
        there = command.replace(USUAL, application.addresses.console).replace(FORMER, former)
        arguments = shlex.split(there)
        process = await asyncio.create_subprocess_exec(arguments[0], "--silent", *arguments[1:], stdout=PIPE)
        found, _ = await process.communicate()
        assert process.returncode == 0, command
        wrong = not re.fullmatch(pattern_of(printed), found.decode(), re.DOTALL)
        differing += [found.decode()] if wrong else []
    assert differing == []


async def test_the_page_has_the_status_of_each_code() -> None:
    rows = re.findall(r"^\| ([\d, ]+) \| (.*) \|$", PAGE, re.MULTILINE)
    listed = {
        code: int(status)
        for statuses, text in rows
        for status in statuses.split(", ")
        for code in re.findall(r"`([a-z_]+)`", text)
    }
    for code in STATUSES.keys() - {"data_loss"}:
        assert code in listed, code
    assert {code.name.lower() for code in _STATUS_OF_CODES} <= STATUSES.keys() | {"cancelled"}
    for code, status in {"not_found": 404, "aborted": 409, "resource_exhausted": 429}.items():
        assert (listed[code], STATUSES[code]) == (status, status)
