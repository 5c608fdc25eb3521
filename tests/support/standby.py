"""A second server that follows the first by streaming replication, made with ``pg_basebackup``."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import asyncpg

from server.store.embedded import EmbeddedPostgres
from server.store.embedded.account import database_account, give
from server.store.embedded.cluster import programs
from server.store.embedded.data_folder import CLUSTER
from server.store.embedded.processes import GuardedProcess
from tests.support.eventually import PATIENCE_SECONDS
from tests.support.scene import connected


@asynccontextmanager
async def standby_of(primary_url: str, folder: Path) -> AsyncIterator[EmbeddedPostgres]:
    """Copy the running primary into a new folder, and run the copy as its hot standby."""
    await asyncio.to_thread(_copy, primary_url, folder)
    async with EmbeddedPostgres(folder, durable=False) as standby:
        yield standby


async def replayed_all(primary_url: str, standby_url: str) -> None:
    """Wait until the standby holds everything that the primary has written by now."""
    async with connected(primary_url) as primary, connected(standby_url) as standby:
        written = await primary.fetchval("SELECT pg_current_wal_lsn()::text")
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not await standby.fetchval("SELECT pg_last_wal_replay_lsn() >= $1::text::pg_lsn", written):
                await asyncio.sleep(0.02)


def url_of_both(primary_url: str, standby_url: str) -> str:
    """Write a URL with both hosts that means the one that accepts writes."""
    queries = [parse_qs(urlsplit(url).query) for url in (primary_url, standby_url)]
    lists = {name: ",".join(query[name][0] for query in queries) for name in ("host", "port")}
    wanted = urlencode(lists | {"target_session_attrs": "read-write"}, safe="/,")
    return urlsplit(primary_url)._replace(query=wanted).geturl()


async def replayed_received(standby: asyncpg.Connection) -> None:
    """Wait until a standby whose primary is gone shows everything that it was sent."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await standby.fetchval(
            """SELECT NOT EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming')
                AND pg_last_wal_replay_lsn() >= pg_last_wal_receive_lsn()"""
        ):
            await asyncio.sleep(0.02)


async def promote(standby_url: str) -> None:
    """Make the standby a primary of its own, and wait until it is one."""
    async with connected(standby_url) as standby:
        assert await standby.fetchval("SELECT pg_promote()")


def _copy(primary_url: str, folder: Path) -> None:
    query = parse_qs(urlsplit(primary_url).query)
    cluster = folder / CLUSTER
    folder.mkdir(mode=0o711)
    cluster.mkdir(mode=0o700)
    # Only who owns the primary's socket may open it, and the standby follows through that.
    account = database_account(Path(query["host"][0]))
    give(cluster, account)
    command = [
        str(programs(account, lambda _: None) / "pg_basebackup"),
        f"--pgdata={cluster}",
        f"--host={query['host'][0]}",
        f"--port={query['port'][0]}",
        "--username=postgres",
        "--wal-method=stream",
        "--checkpoint=fast",
        "--no-sync",
        "--write-recovery-conf",
    ]
    log = folder / "pg_basebackup.log"
    copying = GuardedProcess(command, account, log)
    copying.wait()
    assert copying.exit_code == 0, log.read_text()
