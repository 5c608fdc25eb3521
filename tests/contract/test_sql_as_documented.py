"""The embedded database is reached and written with SQL as docs/running.md says."""

import asyncio
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from depgraph import Client
from depgraph.v1.graph_service_pb2 import DIRECTION_DOWNSTREAM, TraverseRequest
from depgraph.v1.types_pb2 import Consistency
from server.store.embedded.cluster import programs
from tests.support.command import ROOT, depgraph_here, serving

# What carries calls makes no difference to the tables.
pytestmark = [pytest.mark.one_transport, pytest.mark.usefixtures("servers_without_numba")]

PSQL = programs(None, lambda _: None) / "psql"


@pytest.fixture(scope="module")
def page() -> str:
    """The section about SQL."""
    text = (ROOT / "docs/running.md").read_text()
    found = re.search(r"^## SQL$(.*?)^## ", text, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture
def server(data_folder: Path) -> Iterator[tuple[str, Path]]:
    """The address and the data folder of a server with an embedded database."""
    with serving("--data-dir", str(data_folder)) as (address, _):
        yield address, data_folder


def block(page: str, language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", page, re.DOTALL)
    assert found is not None
    return found[1]


def test_psql_writes_rows_that_the_server_shows(page: str, server: tuple[str, Path]) -> None:
    address, folder = server
    conninfo = re.fullmatch(r'psql "(.*)"\n', block(page, "sh"))
    assert conninfo is not None
    where = conninfo[1].replace("$PWD/.depgraph", str(folder))
    written = subprocess.run(
        [PSQL, where, "-v", "ON_ERROR_STOP=1", "-c", block(page, "sql")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert written.returncode == 0, written.stderr
    revision = depgraph_here("token", "--data-dir", str(folder)).stdout.strip()
    request = TraverseRequest(
        service_id="web",
        direction=DIRECTION_DOWNSTREAM,
        consistency=Consistency(at_least_as_fresh=revision),
    )
    with Client(address) as client:
        assert list(client.graph.Traverse(request).service_ids) == ["search"]


async def test_the_url_and_the_columns_are_those_of_the_page(page: str, server: tuple[str, Path]) -> None:
    _, folder = server
    url = re.search(r"`(postgresql://\S+)`", page)
    assert url is not None
    connection = await asyncpg.connect(url[1].replace("/path/to/.depgraph", str(folder)))
    try:
        for table in ("services", "service_dependencies"):
            rows = re.search(rf"\| column of `{table}` .*?\n\n", page, re.DOTALL)
            assert rows is not None
            named = {
                name
                for row in rows[0].strip().splitlines()[2:]
                for name in re.findall(r"`(\w+)`", row.split("|")[1])
            }
            columns = await connection.fetch(
                "SELECT column_name FROM information_schema.columns WHERE table_name = $1", table
            )
            assert named == {column["column_name"] for column in columns}
    finally:
        await connection.close()
    lines = await asyncio.to_thread(lambda: next(folder.rglob("postmaster.pid")).read_text().splitlines())
    assert Path(lines[4]) == folder / "run"
