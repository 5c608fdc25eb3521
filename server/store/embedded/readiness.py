"""When a started server is of use: it says so in its pid file, and the service's database exists."""

import contextlib
from pathlib import Path

from server.postgres import Session, connect

DATABASE = "depgraph"
STATUS_LINE = 7


def is_ready(cluster: Path, pid: int) -> bool:
    """Whether the server with this process id takes connections, by the last line of its pid file. One small read."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        lines = (cluster / "postmaster.pid").read_text().splitlines()
        return int(lines[0]) == pid and lines[STATUS_LINE].strip() == "ready"
    return False


async def ensure_database(server_url: str) -> None:
    """Create the service's database unless it exists; ``server_url`` leads to any other database of that server."""
    connection = await connect(server_url, Session(name="depgraph start"))
    try:
        if not await connection.fetchval(
            "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", DATABASE
        ):
            await connection.execute(f'CREATE DATABASE "{DATABASE}"')
    finally:
        await connection.close()
