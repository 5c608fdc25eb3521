"""
The data folder: its lock, where its cluster is, and room on its disk for a start.

PostgreSQL must write to start; then it answers reads on a full disk. So a file takes up room, and a
start that finds too little deletes the file.
"""

import contextlib
import errno
import hashlib
import itertools
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from server.store.embedded.account import Account, database_account, first_closed_folder
from server.store.embedded.reporting import DataFolderInUseError, EmbeddedPostgresError, Report

if sys.platform != "win32":
    import fcntl

CLUSTER = "postgres"
POINTER = "CLUSTER_MOVED.txt"
SYSTEM_STATE = Path("/var/lib/depgraph")
RESERVE = "reserve"
# The reserve has this name until it takes up all its room.
_BEING_MADE = "reserve.new"
# A segment of the write-ahead log takes half of it.
NEEDED_BYTES = 32 * 2**20
PLENTY_BYTES = 4 * NEEDED_BYTES
_WHY_NO_FOLDER = {
    errno.EACCES: "this user may not write there",
    errno.ENOENT: "its file system takes no new folders",  # as in /proc
    errno.ENOSPC: "the disk is full",
    errno.ENOTDIR: "its path leads through a file",
    errno.EROFS: "the disk is read-only",
}


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
    try:
        if not folder.exists():
            folder.mkdir(parents=True)
            folder.chmod(0o711 if os.geteuid() == 0 else 0o700)
    except OSError as error:
        cause = _WHY_NO_FOLDER.get(error.errno or 0) or error.strerror or str(error)
        raise EmbeddedPostgresError(
            f"the data folder {folder} can't be made: {cause}; choose another folder"
        ) from None
    if not folder.is_dir():
        raise EmbeddedPostgresError(f"the data folder {folder} is not a folder: choose another one")


def short_of_room(folder: Path) -> str | None:
    """Say how little is free if that is too little for a start; None = enough is free."""
    free = shutil.disk_usage(folder).free
    if free >= NEEDED_BYTES:
        return None
    return (
        f"the disk of {folder} is full: {_mib(free)} are free, "
        f"and the database needs up to {_mib(NEEDED_BYTES)} to start"
    )


def disk_watch(data_dir: Path) -> Callable[[], str | None]:
    """
    Make a function that says why the database's disk is too full to write; None = it is not.

    Calls take microseconds. Writes stop before PostgreSQL has no room for its log, because it would
    end and could not start. Without the reserve, the room for a start must stay free too.
    """
    home = known_home(data_dir.expanduser().resolve()) or data_dir

    def problem() -> str | None:
        wanted = NEEDED_BYTES if is_kept(home) else 2 * NEEDED_BYTES
        with contextlib.suppress(OSError):
            if (free := shutil.disk_usage(home).free) < wanted:
                return (
                    f"the disk of {home} is full: {_mib(free)} are free; "
                    f"writes are refused until {_mib(wanted)} are, reads go on: free some space"
                )
        return None

    return problem


def give_room(home: Path, report: Report) -> None:
    """Free the reserved room when the disk is full; delete an unfinished reserve, or a copy."""
    reserve = home / RESERVE
    (home / _BEING_MADE).unlink(missing_ok=True)
    if not is_kept(home):
        reserve.unlink(missing_ok=True)
    short = short_of_room(home)
    if short is not None and reserve.exists():
        reserve.unlink()
        report(
            f"warning: {short}: it uses the room that was kept for this; "
            "free some space, writes are refused until then"
        )


def is_kept(home: Path) -> bool:
    """Whether room is reserved, and not just a file of that name there. Takes microseconds."""
    try:
        return (home / RESERVE).stat().st_blocks * 512 >= NEEDED_BYTES
    except OSError:
        return False


def keep_room(home: Path) -> None:
    """Reserve room for a start if there is plenty. Blocks for milliseconds the first time."""
    with contextlib.suppress(OSError):
        # Not is_kept: some file systems allocate nothing for zeros, and would be asked each time.
        if not (home / RESERVE).exists() and shutil.disk_usage(home).free >= PLENTY_BYTES:
            _take_up_room(home)


def _take_up_room(home: Path) -> None:
    if not hasattr(os, "posix_fallocate"):
        return  # macOS
    growing = home / _BEING_MADE
    growing.unlink(missing_ok=True)
    descriptor = os.open(growing, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.posix_fallocate(descriptor, 0, NEEDED_BYTES)
        growing.rename(home / RESERVE)
    finally:
        os.close(descriptor)
        growing.unlink(missing_ok=True)


def _mib(number: int) -> str:
    return f"{number / 2**20:.1f} MiB"
