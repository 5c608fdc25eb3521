"""Which user the database runs as: PostgreSQL refuses root, so root lends it a user without rights."""

import os
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

from server.store.embedded.errors import EmbeddedPostgresError

if sys.platform != "win32":
    import pwd


@dataclass(frozen=True, slots=True)
class Account:
    """A user other than our own that database processes run as."""

    name: str
    uid: int
    gid: int


def database_account(cluster: Path) -> Account | None:
    """
    Who runs the database; None = we ourselves, being an ordinary user.

    As root it is the owner of an existing cluster, since PostgreSQL insists on that, and ``nobody`` for a new one.
    """
    if sys.platform == "win32" or os.geteuid() != 0:
        return None
    if cluster.exists() and (owner := cluster.stat()).st_uid != 0:
        return Account(_user_name(owner.st_uid), owner.st_uid, owner.st_gid)
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        raise EmbeddedPostgresError(
            "PostgreSQL does not run as root and there is no user nobody to lend it: start as an ordinary user"
        ) from None
    return Account(nobody.pw_name, nobody.pw_uid, nobody.pw_gid)


def first_closed_folder(path: Path, account: Account) -> Path | None:
    """
    Find the outermost part of an absolute path that the account may not enter; None = all of it is open.

    Judged by mode bits, which is what a home folder is closed by; access lists are not looked at.
    """
    for part in (*reversed(path.parents), path):
        if not _may_enter(part.stat(), account):
            return part
    return None


def give(path: Path, account: Account | None) -> None:
    """Make the account the owner, where there is one to give to."""
    if sys.platform != "win32" and account is not None:
        os.chown(path, account.uid, account.gid, follow_symlinks=False)


def _may_enter(status: os.stat_result, account: Account) -> bool:
    if status.st_uid == account.uid:
        return bool(status.st_mode & stat.S_IXUSR)
    if status.st_gid == account.gid:
        return bool(status.st_mode & stat.S_IXGRP)
    return bool(status.st_mode & stat.S_IXOTH)


def _user_name(uid: int) -> str:
    if sys.platform != "win32":
        try:
            return pwd.getpwuid(uid).pw_name
        except KeyError:
            pass
    return f"uid {uid}"
