"""
Reserved room on the disk of the database files, for a start when the disk is full.

PostgreSQL must write to start; then it answers reads on a full disk. So a file takes up room, and a
start that finds too little deletes the file.
"""

import contextlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from server.store.embedded.data_folder import known_home
from server.store.embedded.reporting import Report

RESERVE = "reserve"
# The reserve has this name until it takes up all its room.
_BEING_MADE = "reserve.new"
# A segment of the write-ahead log takes half of it.
NEEDED_BYTES = 32 * 2**20
PLENTY_BYTES = 4 * NEEDED_BYTES


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
