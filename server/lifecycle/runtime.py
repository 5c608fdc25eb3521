"""The interpreter of a serving process: background tasks, thread switching, garbage and free memory."""

import asyncio
import ctypes
import gc
import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeAlias

import structlog

Background: TypeAlias = Callable[[Coroutine[Any, Any, None]], None]
"""Starts a coroutine beside."""


@asynccontextmanager
async def background(patience: timedelta | None = None) -> AsyncIterator[Background]:
    """
    Give a function that starts a coroutine beside; at the end all of them are cancelled and waited for.

    One that does not end within ``patience`` is cancelled again, None = never. A single cancellation may do no more than end the wait
    for a database that does not answer, and begin the wait for the cancellation of the statement there.
    """
    running: set[asyncio.Task[None]] = set()
    try:
        yield lambda work: running.add(asyncio.ensure_future(work))
    finally:
        for task in running:
            task.cancel()
        while patience is not None and (unfinished := [task for task in running if not task.done()]):
            await asyncio.wait(unfinished, timeout=patience.total_seconds())
            for task in unfinished:
                task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


# Whoever waits for the interpreter gets it after so long; 5 ms unless set. A call takes ten turns of the event loop, and waits at each of them for a
# thread that runs Python, as analyses do.
LONGEST_WAIT_SECONDS = 0.0005


def let_the_loop_in() -> None:
    """Let the event loop have the interpreter soon, whatever runs in threads of this process. Free where nothing does."""
    sys.setswitchinterval(LONGEST_WAIT_SECONDS)


def settle() -> None:
    """
    Take what is alive now out of the collector's sight.

    What was dropped in circles since the last time is collected first, for it would stay otherwise; that takes as long as there is new.
    """
    gc.collect()
    gc.freeze()


def hide() -> None:
    """Do the same at once, for what is so large that looking through it a single time is to be avoided."""
    gc.freeze()


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
