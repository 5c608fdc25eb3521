"""
Which user the database runs as, and giving files to it.

PostgreSQL refuses root, so root gives the database a user id without an account. The user
``nobody`` would not do: other programs run as that user too, and could connect, read the files and
alter them.
"""

import hashlib
import os
import re
import stat
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from server.store.embedded.reporting import EmbeddedPostgresError, Report

if sys.platform != "win32":  # where this package can be imported, but refuses to start
    import grp
    import pwd

# No distribution uses them, says systemd's documentation; containers usually have the first 65,536
# ids.
PRIVATE_IDS = range(60706, 61184)
ID_MAPS = (Path("/proc/self/uid_map"), Path("/proc/self/gid_map"))
# Its owner changes last, so that the next start finishes an interrupted take-over.
MARK = "PG_VERSION"
# What PostgreSQL keeps in pg_wal, after a crash or a recovery too.
_OF_THE_LOG = re.compile(
    r"[0-9A-F]{24}(\..+)?|[0-9A-F]{8}\.history|xlogtemp\.\d+|RECOVERY(XLOG|HISTORY)|archive_status|summaries"
)


@dataclass(frozen=True, slots=True)
class Account:
    """A user other than our own that database processes run as."""

    name: str
    uid: int
    gid: int


def database_account(cluster: Path) -> Account | None:
    """
    Choose who runs the database; None = this process, which is not root.

    As root it is the owner of an existing cluster, since PostgreSQL insists on that. A new cluster,
    or one of ``nobody``, gets a user id without account and process: the first free id from a place
    in ``PRIVATE_IDS`` that depends on the path. In a user namespace without these ids it is
    ``nobody``.
    """
    if os.geteuid() != 0:
        return None
    if cluster.exists():
        owner = cluster.stat()
        if owner.st_uid not in (0, uid_of_nobody()):
            return Account(_user_name(owner.st_uid), owner.st_uid, owner.st_gid)
    for number in _private_ids(cluster):
        if all(_is_mapped(number, id_map) for id_map in ID_MAPS) and _is_free(number):
            return Account(_user_name(number), number, number)
    return nobody()


def nobody() -> Account:
    """Return the user without rights that every system has."""
    try:
        found = pwd.getpwnam("nobody")
    except KeyError:
        raise EmbeddedPostgresError(
            "PostgreSQL does not run as root, and there is no user nobody to create the database: "
            "start as an ordinary user"
        ) from None
    return Account(found.pw_name, found.pw_uid, found.pw_gid)


def is_nobody(account: Account | None) -> bool:
    """Whether programs other than depgraph may run as the account."""
    return account is not None and account.uid == uid_of_nobody()


def uid_of_nobody() -> int | None:
    """Return the user id of ``nobody``; None = there is no such user."""
    try:
        return pwd.getpwnam("nobody").pw_uid
    except KeyError:
        return None


def first_closed_folder(path: Path, account: Account) -> Path | None:
    """
    Find the outermost part of an absolute path that the account may not enter; None = none.

    Mode bits decide, since a home folder is closed by them; access lists are not looked at.
    """
    for part in (*reversed(path.parents), path):
        if not _may_enter(part.stat(), account):
            return part
    return None


def _may_enter(status: os.stat_result, account: Account) -> bool:
    if status.st_uid == account.uid:
        return bool(status.st_mode & stat.S_IXUSR)
    if status.st_gid == account.gid:
        return bool(status.st_mode & stat.S_IXGRP)
    return bool(status.st_mode & stat.S_IXOTH)


def _private_ids(cluster: Path) -> Iterator[int]:
    start = int.from_bytes(hashlib.sha256(os.fsencode(cluster)).digest()[:4], "big")
    return (PRIVATE_IDS[(start + step) % len(PRIVATE_IDS)] for step in range(len(PRIVATE_IDS)))


def _is_mapped(number: int, id_map: Path) -> bool:
    """Whether the id exists here. Systems without user namespaces have no such file and all ids."""
    try:
        lines = id_map.read_text().splitlines()
    except FileNotFoundError:
        return True
    ranges = ([int(field) for field in line.split()] for line in lines)
    return any(first <= number < first + count for first, _, count in ranges)


def _is_free(number: int) -> bool:
    """Whether neither an account, a group nor a process has the id."""
    for look_up in (pwd.getpwuid, grp.getgrgid):
        with suppress(KeyError):
            look_up(number)
            return False
    return not any(number in _ids_of(process) for process in Path("/proc").glob("[0-9]*"))


def _ids_of(process: Path) -> set[int]:
    """Read the user and group ids of a process; who owns its folder says less."""
    try:
        lines = (process / "status").read_text().splitlines()
    except OSError:
        return set()  # ended meanwhile
    ids = (line.split()[1:] for line in lines if line.startswith(("Uid:", "Gid:", "Groups:")))
    return {int(number) for numbers in ids for number in numbers}


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def give(path: Path, account: Account | None) -> None:
    """Make the account the owner; None = do nothing."""
    if account is not None:
        os.chown(path, account.uid, account.gid, follow_symlinks=False)


def give_all(folder: Path, account: Account) -> None:
    """Make the account the owner of a folder and its content. No other user may get there."""
    for path in (*folder.rglob("*"), folder):
        give(path, account)


def take_over(cluster: Path, account: Account | None, report: Report) -> None:
    """
    Give a cluster of ``nobody``, on which no process works, to the account. O(files).

    Raises ``EmbeddedPostgresError``, having changed nothing, when the link ``pg_wal`` leads to
    something other than a log.
    """
    if account is None or is_nobody(account):
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
    # From now on processes of ``nobody`` can't enter.
    give(cluster, account)
    for folder in (cluster, *moved):
        _take_over(folder, account, but=mark)
    for space in {folder.parent for folder in moved if folder.name.startswith("PG_")}:
        if _is_of_nobody(space):
            give(space, account)
    give(mark, account)


def _moved_log(cluster: Path) -> Iterator[Path]:
    """Find the log if it is elsewhere. A program of ``nobody`` may have changed the link."""
    link = cluster / "pg_wal"
    if not link.is_symlink() or not link.is_dir():
        return
    folder = link.resolve()
    for name in sorted(path.name for path in folder.iterdir()):
        if not _OF_THE_LOG.fullmatch(name):
            raise EmbeddedPostgresError(
                f"the database files {cluster} belong to the user nobody, and can't be taken over: "
                f"the link {link} leads to {folder}, where {name!r} is not PostgreSQL's: "
                "move it away, or correct the link"
            )
    yield folder


def _moved_tablespaces(cluster: Path, major: str) -> Iterator[Path]:
    """Find the folders of this version in the tablespaces that PostgreSQL would follow."""
    for link in cluster.glob("pg_tblspc/*"):
        if link.is_symlink() and link.is_dir() and link.name.isdecimal():
            for folder in link.resolve().glob(f"PG_{major}_*"):
                if _is_of_nobody(folder) and not folder.is_symlink():
                    yield folder


def _take_over(folder: Path, account: Account, but: Path) -> None:
    for path, folders, files, at in os.fwalk(folder):
        for name in (".", *folders, *files):
            # A program of ``nobody`` may have put links to files of others there.
            is_theirs = os.lstat(name, dir_fd=at).st_uid == uid_of_nobody()
            if is_theirs and Path(path, name) != but:
                os.chown(name, account.uid, account.gid, dir_fd=at, follow_symlinks=False)


def _is_of_nobody(path: Path) -> bool:
    try:
        return path.lstat().st_uid == uid_of_nobody()
    except OSError:
        return False  # a cluster without it is refused later
