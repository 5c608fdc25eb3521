"""The database's Unix socket: its private folder, its URL, and whether a server answers there."""

import contextlib
import hashlib
import os
import re
import stat
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlencode

from server.postgres import Session, connect
from server.store.embedded.account import Account, give
from server.store.embedded.data_folder import CLUSTER, known_home
from server.store.embedded.reporting import EmbeddedPostgresError

DEFAULT_PORT = 5432
PRIVATE = 0o700
INSIDE_HOME = "run"
LONGEST_SOCKET_PATH = 103 if sys.platform == "darwin" else 107
# A comma or colon in a host means a list of hosts to drivers, and a blank would need quotes in the
# settings.
PLAIN_PATH = re.compile(r"[\w./+-]+", re.ASCII)
DATABASE = "depgraph"
STATUS_LINE = 7
PORT_LINE, SOCKET_LINE = 3, 4


def socket_folder(home: Path, account: Account | None) -> Path:
    """Make ``home/run``, or a temporary folder if that path is too long or not plain."""
    folder = home / INSIDE_HOME
    if not _fits(folder):
        return _temporary_folder(home, account)
    folder.mkdir(mode=PRIVATE, exist_ok=True)
    folder.chmod(PRIVATE)
    give(folder, account)
    return folder


def remove_stale_sockets(folder: Path) -> None:
    """Delete the sockets of a killed database. The caller knows that none runs."""
    for left in folder.glob(".s.PGSQL.*"):
        left.unlink(missing_ok=True)


def leave_sockets(folder: Path) -> None:
    """Remove the folder if it is a temporary one."""
    if folder.name != INSIDE_HOME:
        with contextlib.suppress(OSError):
            folder.rmdir()


def database_url(folder: Path, port: int, database: str) -> str:
    """Write a URL that asyncpg, libpq and SQLAlchemy read alike, whatever ``PGPORT`` says."""
    return f"postgresql://postgres@/{database}?{urlencode({'host': str(folder), 'port': port}, safe='/')}"


def _fits(folder: Path) -> bool:
    longest = folder / ".s.PGSQL.65535"
    return len(os.fsencode(longest)) <= LONGEST_SOCKET_PATH and bool(PLAIN_PATH.fullmatch(str(folder)))


def _temporary_folder(home: Path, account: Account | None) -> Path:
    uid = account.uid if account is not None else os.getuid()
    name = f"depgraph-{uid}-{hashlib.sha256(os.fsencode(home)).hexdigest()[:12]}"
    for parent in (Path(tempfile.gettempdir()), Path("/tmp")):  # noqa: S108 - owner and mode are checked below
        if _fits(parent / name):
            return _private_folder(parent / name, uid, account)
    raise EmbeddedPostgresError(
        f"no folder for temporary files has a path short enough for a socket of {home}"
    )


def _private_folder(folder: Path, uid: int, account: Account | None) -> Path:
    """Make a private folder. An existing one is trusted only if it is ours and closed."""
    try:
        folder.mkdir(mode=PRIVATE)
    except FileExistsError:
        status = folder.lstat()
        if (
            not stat.S_ISDIR(status.st_mode)
            or status.st_uid != uid
            or stat.S_IMODE(status.st_mode) != PRIVATE
        ):
            raise EmbeddedPostgresError(
                f"{folder} should be a folder of uid {uid} with mode 700, and is not: remove it"
            ) from None
    else:
        give(folder, account)
    return folder


def is_ready(cluster: Path, pid: int) -> bool:
    """Whether the server with this process id accepts connections, by its pid file."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        lines = (cluster / "postmaster.pid").read_text().splitlines()
        return int(lines[0]) == pid and lines[STATUS_LINE].strip() == "ready"
    return False


async def ensure_database(server_url: str) -> None:
    """Create the service's database if need be; ``server_url`` leads to another database."""
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
    Return the URL of the database that a service runs in a data folder; None = none does.

    A few small reads. Raises ``OSError`` when the folder may not be read.
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
        pass  # another user's
    return True
