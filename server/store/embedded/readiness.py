"""Whether the server of a cluster takes connections, and at which URL."""

import contextlib
import os
from pathlib import Path

from server.postgres import Session, connect
from server.store.embedded.data_folder import CLUSTER, known_home
from server.store.embedded.sockets import database_url

DATABASE = "depgraph"
STATUS_LINE = 7
PORT_LINE, SOCKET_LINE = 3, 4


def is_ready(cluster: Path, pid: int) -> bool:
    """Whether the server with this process id accepts connections, by its pid file."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        lines = (cluster / "postmaster.pid").read_text().splitlines()
        return int(lines[0]) == pid and lines[STATUS_LINE].strip() == "ready"
    return False


async def ensure_database(server_url: str) -> None:
    """Create the service's database if need be; ``server_url`` leads to another one there."""
    connection = await connect(server_url, Session(name="depgraph start"))
    try:
        if not await connection.fetchval(
            "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", DATABASE
        ):
            await connection.execute(f'CREATE DATABASE "{DATABASE}"')
    finally:
        await connection.close()


def running_url(data_dir: Path) -> str | None:
    """
    Address the database that a service runs in a data folder; None = none does. A few small reads.

    Raises ``OSError`` when the folder may not be read.
    """
    home = known_home(data_dir.expanduser().resolve())
    if home is None:
        return None
    try:
        lines = (home / CLUSTER / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return None
    pid = int(lines[0])
    # A service that was killed leaves the file behind.
    if not is_ready(home / CLUSTER, pid) or not _is_alive(pid):
        return None
    return database_url(Path(lines[SOCKET_LINE]), int(lines[PORT_LINE]), DATABASE)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
