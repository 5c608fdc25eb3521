"""The embedded database of a service that runs now, for commands that want to use it beside that service."""

import os
from pathlib import Path

from server.store.embedded.home import CLUSTER, known_home
from server.store.embedded.readiness import DATABASE, is_ready
from server.store.embedded.sockets import database_url

PORT_LINE, SOCKET_LINE = 3, 4


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
