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

from server.store.embedded.home import known_home
from server.store.embedded.state import Report

RESERVE = "reserve"
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
        wanted = NEEDED_BYTES if (home / RESERVE).exists() else 2 * NEEDED_BYTES
        with contextlib.suppress(OSError):
            if (free := shutil.disk_usage(home).free) < wanted:
                return (
                    f"the disk of {home} is full: {_mib(free)} are free; writes are refused until {_mib(wanted)} are, "
                    "reads go on: free some space"
                )
        return None

    return problem


def give_room(home: Path, report: Report) -> None:
    """Use the kept room when the disk is full."""
    short = short_of_room(home)
    reserve = home / RESERVE
    if short is not None and reserve.exists():
        reserve.unlink()
        report(
            f"warning: {short}: it uses the room that was kept for this; free some space, writes are refused until then"
        )


def keep_room(home: Path) -> None:
    """Keep room for a start, unless it is kept already or there is not plenty. Blocks for milliseconds, and rarely."""
    reserve = home / RESERVE
    with contextlib.suppress(OSError):
        if not reserve.exists() and shutil.disk_usage(home).free >= PLENTY_BYTES:
            _take_up_room(reserve)


def _take_up_room(reserve: Path) -> None:
    if not hasattr(os, "posix_fallocate"):
        return  # macOS
    descriptor = os.open(reserve, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.posix_fallocate(descriptor, 0, NEEDED_BYTES)
    except OSError:
        reserve.unlink()
    finally:
        os.close(descriptor)


def _mib(number: int) -> str:
    return f"{number / 2**20:.1f} MiB"
