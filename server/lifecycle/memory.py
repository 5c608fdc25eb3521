"""Memory that is free and that the process has kept, given back to the system."""

import asyncio
import ctypes
import os
from datetime import timedelta
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)

LOOK = timedelta(milliseconds=500)
# So much more than after the last time is worth looking for: so many bytes, and such a share of all.
WORTH_BYTES, WORTH_SHARE = 32 * 1024 * 1024, 1 / 16
STATISTICS = Path("/proc/self/statm")
_RESIDENT = 1


async def give_back_forever() -> None:
    """
    Give free memory back when much was freed, or the process holds much more than it did; ends where the system has no way to.

    glibc keeps what is freed for the next who needs it, among pieces that are in use: after an attack, or a large batch, for good.
    """
    allocator = _Allocator.of_this_process()
    if allocator is None:
        return
    least, most_used = resident_bytes(), allocator.used_bytes()
    while True:
        await asyncio.sleep(LOOK.total_seconds())
        resident, used = resident_bytes(), allocator.used_bytes()
        worth = max(WORTH_BYTES, least * WORTH_SHARE)
        if resident < least + worth and used > most_used - worth:
            least, most_used = min(least, resident), max(most_used, used)
            continue
        # A tenth of a millisecond for each MiB, without the interpreter.
        await asyncio.to_thread(allocator.trim)
        least, most_used = resident_bytes(), used
        log.debug("gave memory back", resident_bytes_before=resident, resident_bytes=least)


class _MallInfo(ctypes.Structure):
    """What glibc tells of its memory, see mallinfo(3)."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    ]


class _Allocator:
    """The allocator of the C library."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library
        self._info = library.mallinfo2
        self._info.restype = _MallInfo

    @classmethod
    def of_this_process(cls) -> "_Allocator | None":
        """Find it; None = it is not that of glibc 2.33 or later, on Linux."""
        library = ctypes.CDLL(None)
        has_all = hasattr(library, "malloc_trim") and hasattr(library, "mallinfo2") and STATISTICS.exists()
        return cls(library) if has_all else None

    def used_bytes(self) -> int:
        """Bytes that are handed out; O(free pieces), a few milliseconds at most."""
        info = self._info()
        return int(info.uordblks + info.hblkhd)

    def trim(self) -> None:
        """Give back whole pages of what is free."""
        self._library.malloc_trim(0)


def resident_bytes() -> int:
    """How much memory the process holds."""
    return int(STATISTICS.read_text().split()[_RESIDENT]) * os.sysconf("SC_PAGE_SIZE")
