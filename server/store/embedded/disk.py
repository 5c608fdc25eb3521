"""
Room on the disk of the database files: some is kept for a start when the disk is full.

PostgreSQL starts after a crash, or on a disk without a free block, only if it can write; then it answers reads for as
long as nobody frees space. So a file takes up room while there is plenty, and is deleted by a start that finds none.
"""

import contextlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from server.store.embedded.data_folder import known_home
from server.store.embedded.reporting import Report

RESERVE = "reserve"
# It has the name of the kept room once it takes up all of it.
_BEING_MADE = "reserve.new"
# A segment of the write-ahead log takes half of it.
NEEDED_BYTES = 32 * 2**20
PLENTY_BYTES = 4 * NEEDED_BYTES


def short_of_room(folder: Path) -> str | None:
    """Say how little is free, when that is less than the database may need for a start; None = there is enough."""
    free = shutil.disk_usage(folder).free
    if free >= NEEDED_BYTES:
        return None
    return f"the disk of {folder} is full: {_mib(free)} are free, and the database needs up to {_mib(NEEDED_BYTES)} to start"


def disk_watch(data_dir: Path) -> Callable[[], str | None]:
    """
    Give a function that says whether the disk of a data folder's database is too full to write; None = it is not.

    It costs microseconds. Writing stops before PostgreSQL has to: without room for its log it ends, and can't start.
    What a start may need is left alone, so more must be free once the kept room has been used.
    """
    home = known_home(data_dir.expanduser().resolve()) or data_dir

    def problem() -> str | None:
        wanted = NEEDED_BYTES if is_kept(home) else 2 * NEEDED_BYTES
        with contextlib.suppress(OSError):
            if (free := shutil.disk_usage(home).free) < wanted:
                return (
                    f"the disk of {home} is full: {_mib(free)} are free; writes are refused until {_mib(wanted)} are, "
                    "reads go on: free some space"
                )
        return None

    return problem


def give_room(home: Path, report: Report) -> None:
    """Use the kept room when the disk is full. What only looks like it goes: half of one, or a copy that takes up nothing."""
    reserve = home / RESERVE
    (home / _BEING_MADE).unlink(missing_ok=True)
    if not is_kept(home):
        reserve.unlink(missing_ok=True)
    short = short_of_room(home)
    if short is not None and reserve.exists():
        reserve.unlink()
        report(
            f"warning: {short}: it uses the room that was kept for this; free some space, writes are refused until then"
        )


def is_kept(home: Path) -> bool:
    """Whether room for a start is kept, not just a file of that name. It costs microseconds."""
    try:
        return (home / RESERVE).stat().st_blocks * 512 >= NEEDED_BYTES
    except OSError:
        return False


def keep_room(home: Path) -> None:
    """Keep room for a start, unless it is kept already or there is not plenty. Blocks for milliseconds, and rarely."""
    with contextlib.suppress(OSError):
        # Not is_kept: some file systems give no room to zeros, and would be asked again and again.
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
