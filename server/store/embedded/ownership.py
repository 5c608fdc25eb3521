"""Giving files to the account that runs the database."""

import os
import sys
from pathlib import Path

from server.store.embedded.account import Account, is_nobody, uid_of_nobody
from server.store.embedded.state import Report

# It changes its owner last, so that an interrupted take-over is seen and finished by the next start.
MARK = "PG_VERSION"


def give(path: Path, account: Account | None) -> None:
    """Make the account the owner, where there is one to give to."""
    if sys.platform != "win32" and account is not None:
        os.chown(path, account.uid, account.gid, follow_symlinks=False)


def give_all(folder: Path, account: Account) -> None:
    """Make the account the owner of a folder and all that is in it, as long as nobody else can get there."""
    for path in (*folder.rglob("*"), folder):
        give(path, account)


def take_over(cluster: Path, account: Account | None, report: Report) -> None:
    """Make a cluster that belongs to ``nobody`` the account's. No process may work on it. O(files)."""
    if sys.platform == "win32" or account is None or is_nobody(account):
        return
    mark = cluster / MARK
    if not _is_of_nobody(mark):
        return
    report(
        f"taking the database files {cluster} over from the user nobody, whom other programs run as: "
        f"they belong to {account.name} now"
    )
    # Closed to processes of nobody from now on.
    give(cluster, account)
    moved = (link for link in (cluster / "pg_wal", *cluster.glob("pg_tblspc/*")) if link.is_symlink())
    for folder in (cluster, *(link.resolve() for link in moved)):
        _take_over(folder, account, but=mark)
    give(mark, account)


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
