"""Giving files to the account that runs the database."""

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from server.store.embedded.account import Account, is_nobody, uid_of_nobody
from server.store.embedded.errors import EmbeddedPostgresError
from server.store.embedded.state import Report

# It changes its owner last, so that an interrupted take-over is seen and finished by the next start.
MARK = "PG_VERSION"
# What PostgreSQL keeps in pg_wal, after a crash or a recovery too.
_OF_THE_LOG = re.compile(
    r"[0-9A-F]{24}(\..+)?|[0-9A-F]{8}\.history|xlogtemp\.\d+|RECOVERY(XLOG|HISTORY)|archive_status|summaries"
)


def give(path: Path, account: Account | None) -> None:
    """Make the account the owner, where there is one to give to."""
    if sys.platform != "win32" and account is not None:
        os.chown(path, account.uid, account.gid, follow_symlinks=False)


def give_all(folder: Path, account: Account) -> None:
    """Make the account the owner of a folder and all that is in it, as long as nobody else can get there."""
    for path in (*folder.rglob("*"), folder):
        give(path, account)


def take_over(cluster: Path, account: Account | None, report: Report) -> None:
    """
    Make a cluster that belongs to ``nobody`` the account's. No process may work on it. O(files).

    Raises ``EmbeddedPostgresError``, having changed nothing, when the link ``pg_wal`` leads to something else than a log.
    """
    if sys.platform == "win32" or account is None or is_nobody(account):
        return
    cluster = cluster.resolve()  # it may be a link, and links are not followed from here on
    mark = cluster / MARK
    if not _is_of_nobody(mark):
        return
    moved = (*_moved_log(cluster), *_moved_tablespaces(cluster, mark.read_text().strip()))
    report(
        f"taking the database files {cluster} over from the user nobody, whom other programs run as: "
        f"they belong to {account.name} now"
    )
    # Closed to processes of nobody from now on.
    give(cluster, account)
    for folder in (cluster, *moved):
        _take_over(folder, account, but=mark)
    for space in {folder.parent for folder in moved if folder.name.startswith("PG_")}:
        if _is_of_nobody(space):
            give(space, account)
    give(mark, account)


def _moved_log(cluster: Path) -> Iterator[Path]:
    """Find the log if it is elsewhere. Whoever ran as nobody may have let the link lead anywhere."""
    link = cluster / "pg_wal"
    if not link.is_symlink() or not link.is_dir():
        return
    folder = link.resolve()
    for name in sorted(path.name for path in folder.iterdir()):
        if not _OF_THE_LOG.fullmatch(name):
            raise EmbeddedPostgresError(
                f"the database files {cluster} belong to the user nobody, and can't be taken over: the link {link} leads to "
                f"{folder}, where {name!r} is not PostgreSQL's: move it away, or correct the link"
            )
    yield folder


def _moved_tablespaces(cluster: Path, major: str) -> Iterator[Path]:
    """Find what is of this version in the places that links name which PostgreSQL would follow: the rest is of others."""
    for link in cluster.glob("pg_tblspc/*"):
        if link.is_symlink() and link.is_dir() and link.name.isdecimal():
            for folder in link.resolve().glob(f"PG_{major}_*"):
                if _is_of_nobody(folder) and not folder.is_symlink():
                    yield folder


def _take_over(folder: Path, account: Account, but: Path) -> None:
    for path, folders, files, at in os.fwalk(folder):
        for name in (".", *folders, *files):
            # Whoever ran as nobody may have put links to files of others there.
            is_theirs = os.lstat(name, dir_fd=at).st_uid == uid_of_nobody()
            if is_theirs and Path(path, name) != but:
                os.chown(name, account.uid, account.gid, dir_fd=at, follow_symlinks=False)


def _is_of_nobody(path: Path) -> bool:
    try:
        return path.lstat().st_uid == uid_of_nobody()
    except OSError:
        return False  # a cluster without it is refused later
