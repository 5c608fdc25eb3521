"""A real PgBouncer in front of a database, reached by a Unix socket in a folder of its own."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import asyncpg

from server.postgres import parse_database_url
from server.store.embedded.account import database_account, give
from tests.support.eventually import PATIENCE_SECONDS
from tests.support.folders import open_folder
from tests.support.required import required_program

# The name of a file only, since nothing listens at a port.
PORT = 6432


@asynccontextmanager
async def pgbouncer(url: str, mode: str, **settings: str) -> AsyncIterator[str]:
    """Run PgBouncer with a ``pool_mode`` before a database; gives the URL through it."""
    program = required_program("pgbouncer")
    with open_folder() as folder:
        [(host, _)] = parse_database_url(url).addresses
        # Only who owns the database's socket may open it.
        account = database_account(Path(host))
        configuration = folder / "pgbouncer.ini"
        configuration.write_text(_configuration(url, folder, {"pool_mode": mode} | settings))
        # Who runs it makes its socket in the folder.
        give(folder, account)
        user: dict[str, Any] = (
            {} if account is None else {"user": account.uid, "group": account.gid, "extra_groups": []}
        )
        process = _started(program, configuration, folder / "log", user)
        try:
            through = f"postgresql://anyone@/graph?{urlencode({'host': str(folder), 'port': PORT})}"
            await _until_it_answers(through, process, folder)
            yield through
        finally:
            process.terminate()
            process.wait(PATIENCE_SECONDS)


def _started(program: str, configuration: Path, log: Path, user: dict[str, Any]) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        return subprocess.Popen([program, str(configuration)], stdout=output, stderr=output, **user)


def _configuration(url: str, folder: Path, settings: dict[str, str]) -> str:
    target = parse_database_url(url)
    [(host, port)] = target.addresses
    server = {
        "host": host,
        "port": port,
        "dbname": target.database,
        "user": target.user,
        "password": target.password,
    }
    database = " ".join(f"{name}={value}" for name, value in server.items() if value)
    own = {
        "listen_addr": "",
        "listen_port": str(PORT),
        "unix_socket_dir": str(folder),
        # Whoever reaches the socket is the user named above.
        "auth_type": "any",
        "default_pool_size": "40",
        "query_wait_timeout": "60",
    } | settings
    lines = "\n".join(f"{name} = {value}" for name, value in own.items())
    return f"[databases]\ngraph = {database}\n\n[pgbouncer]\n{lines}\n"


async def _until_it_answers(url: str, process: subprocess.Popen[bytes], folder: Path) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            assert process.poll() is None, (folder / "log").read_text()
            try:
                connection = await asyncpg.connect(url)
            except (OSError, asyncpg.PostgresError):
                await asyncio.sleep(0.01)
            else:
                connection.terminate()
                return
