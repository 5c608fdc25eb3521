"""Memory that is free and that the process has kept, given back to the system."""

import asyncio
import ctypes
import os
from collections.abc import Callable
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
    Give free memory back whenever the process holds much more than it did; ends where the system has no way to.

    glibc keeps what is freed for the next who needs it, among pieces that are in use: after an attack, or a large batch, for good.
    """
    trim = _trimmer()
    if trim is None:
        return
    least = resident_bytes()
    while True:
        await asyncio.sleep(LOOK.total_seconds())
        now = resident_bytes()
        if now < least + max(WORTH_BYTES, least * WORTH_SHARE):
            least = min(least, now)
            continue
        # A tenth of a millisecond for each MiB, without the interpreter.
        await asyncio.to_thread(trim)
        least = resident_bytes()
        log.debug("gave memory back", resident_bytes_before=now, resident_bytes=least)


def resident_bytes() -> int:
    """How much memory the process holds."""
    return int(STATISTICS.read_text().split()[_RESIDENT]) * os.sysconf("SC_PAGE_SIZE")


def _trimmer() -> Callable[[], object] | None:
    library = ctypes.CDLL(None)
    if not hasattr(library, "malloc_trim") or not STATISTICS.exists():
        return None
    return lambda: library.malloc_trim(0)
