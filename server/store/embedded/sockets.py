"""The folder of the database's Unix socket: private, always at the same path, a short one."""

import contextlib
import hashlib
import os
import re
import stat
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlencode

from server.store.embedded.account import Account, give
from server.store.embedded.reporting import EmbeddedPostgresError

DEFAULT_PORT = 5432
PRIVATE = 0o700
INSIDE_HOME = "run"
LONGEST_SOCKET_PATH = 103 if sys.platform == "darwin" else 107
# A comma or colon in a host means a list of hosts to drivers, and a blank would need quotes in the
# settings.
PLAIN_PATH = re.compile(r"[\w./+-]+", re.ASCII)


def socket_folder(home: Path, account: Account | None) -> Path:
    """Make ``home/run``, or a folder of temporary files if that path is too long or not plain."""
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
    """Remove the folder if it is in the shared folder of temporary files."""
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
