"""The data folder: its lock, and where its cluster is if the database's user can't enter it."""

import contextlib
import hashlib
import itertools
import os
import sys
from pathlib import Path

from server.store.embedded.account import Account, database_account, first_closed_folder
from server.store.embedded.reporting import DataFolderInUseError, EmbeddedPostgresError, Report

if sys.platform != "win32":
    import fcntl

CLUSTER = "postgres"
POINTER = "CLUSTER_MOVED.txt"
SYSTEM_STATE = Path("/var/lib/depgraph")


def known_home(folder: Path) -> Path | None:
    """Return where an earlier start put the cluster of this data folder; None = nowhere."""
    if (folder / CLUSTER).exists():
        return folder
    if (pointer := folder / POINTER).exists():
        return _read_pointer(pointer)
    return None


def new_home(folder: Path, account: Account | None, report: Report) -> Path:
    """Choose where the cluster of a new data folder goes; note the place if it is elsewhere."""
    if account is None or (closed := first_closed_folder(folder, account)) is None:
        return folder
    home = _new_place(folder)
    # Its id depends on the place.
    account = database_account(home / CLUSTER) or account
    reason = f"the database runs as the user {account.name}, who may not enter {closed}"
    (folder / POINTER).touch(mode=0o600)
    (folder / POINTER).write_text(
        f"The database files of this folder are in\n\n{home}\n\nbecause {reason}.\n"
        "To start from nothing, stop the service and delete both folders.\n"
    )
    report(f"keeping the database files in {home}: {reason}")
    return home


def check_home(folder: Path, home: Path, account: Account | None) -> None:
    """Raise if the user of a cluster can't reach it any more: a new one would hide its rows."""
    if account is None:
        return
    if (closed := first_closed_folder(home, account)) is not None:
        raise EmbeddedPostgresError(
            f"the database files of {folder} are in {home} and belong to the user {account.name}, "
            f"who may not enter {closed}: open that folder (chmod o+x), or choose another data folder"
        )


def _read_pointer(pointer: Path) -> Path:
    for line in pointer.read_text().splitlines():
        if (home := Path(line)).is_absolute():
            home.mkdir(mode=0o711, parents=True, exist_ok=True)
            return home
    raise EmbeddedPostgresError(
        f"{pointer} should say where the database files are, and names no folder: restore or delete it"
    )


def _new_place(folder: Path) -> Path:
    """Make a new folder. Rows in an existing one, of a deleted data folder, stay untouched."""
    places = system_folder("clusters")
    name = hashlib.sha256(str(folder).encode()).hexdigest()[:16]
    for attempt in itertools.count(1):
        place = places / (name if attempt == 1 else f"{name}-{attempt}")
        try:
            place.mkdir()
        except FileExistsError:
            continue
        place.chmod(0o711)
        return place
    raise AssertionError(place)  # the count has no end


class FolderLock:
    """
    Holds ``folder/lock``, which names the holder's process, until ``release``.

    Whoever can open the file, even for reading, can hold the lock, so only its owner can open it.
    """

    def __init__(self, folder: Path) -> None:
        """Take the lock; ``DataFolderInUseError`` if any process, even this one, has it."""
        # A link could lead to a file of another program, which would be overwritten.
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
        self._descriptor = os.open(folder / "lock", flags, 0o600)
        os.fchmod(self._descriptor, 0o600)  # earlier versions let all users read it
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = self._holder()
            os.close(self._descriptor)
            raise DataFolderInUseError(folder, holder) from None
        # On a full disk the file stays empty, but the lock holds.
        with contextlib.suppress(OSError):
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def _holder(self) -> int | None:
        with contextlib.suppress(OSError, ValueError):
            return int(os.pread(self._descriptor, 32, 0))
        return None

    def release(self) -> None:
        """Release the folder. The file stays: another process may have opened it."""
        os.close(self._descriptor)


def system_folder(*parts: str) -> Path:
    """Make a folder below ``SYSTEM_STATE`` that all users may enter, unless it exists."""
    target = SYSTEM_STATE.joinpath(*parts)
    for folder in (*reversed(target.parents), target):
        if not folder.exists():
            folder.mkdir()
            folder.chmod(0o755)  # the umask may have closed it
    return target


def open_data_folder(folder: Path) -> None:
    """Make the data folder unless it exists; only root's lets other users pass through."""
    if not folder.exists():
        folder.mkdir(parents=True)
        folder.chmod(0o711 if os.geteuid() == 0 else 0o700)
