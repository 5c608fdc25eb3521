"""The runtime of a serving process: background tasks, thread switching, garbage, free memory."""

import asyncio
import ctypes
import gc
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeAlias

import structlog

log = structlog.get_logger(__name__)

Background: TypeAlias = Callable[[Coroutine[Any, Any, None]], None]
"""Starts a coroutine as a background task."""

# How long a thread runs Python before it must yield the interpreter; Python's default is 5 ms. A
# call takes ten iterations of the event loop. In each of them it may wait for a thread that runs
# Python, such as an analysis.
SWITCH_INTERVAL_SECONDS = 0.0005

LOOK = timedelta(milliseconds=500)
# Memory is given back when it has grown or shrunk by this much since the last time: by these bytes,
# or by this share of all memory if that is more.
WORTH_BYTES, WORTH_SHARE = 32 * 1024 * 1024, 1 / 16
STATISTICS = Path("/proc/self/statm")
_RESIDENT = 1


@asynccontextmanager
async def background(patience: timedelta | None = None) -> AsyncIterator[Background]:
    """
    Give a function that starts background tasks; at the end cancel them all and wait for them.

    A task that does not end within ``patience`` is cancelled again, None = never: the first
    cancellation may only end the wait for a database, and begin that for its own cancellation.
    """
    running: set[asyncio.Task[None]] = set()

    def start(work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        running.add(task)
        task.add_done_callback(running.discard)

    try:
        yield start
    finally:
        tasks = set(running)
        for task in tasks:
            task.cancel()
        while patience is not None and (unfinished := [task for task in tasks if not task.done()]):
            await asyncio.wait(unfinished, timeout=patience.total_seconds())
            for task in unfinished:
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def freeze_garbage_collector() -> None:
    """
    Exclude all objects that are alive from garbage collection, after one collection.

    Looking through a million records takes it a quarter of a second, and none is in a reference
    cycle. Reference counts still free them.
    """
    gc.collect()
    gc.freeze()


class _MallInfo(ctypes.Structure):
    """glibc's statistics of its memory, see mallinfo(3)."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    ]


async def give_back_memory() -> None:
    """
    Give free memory back to the system whenever there is much; runs until cancelled.

    After a large batch, glibc would keep what lies between pieces in use. Needs glibc 2.33.
    """
    glibc = ctypes.CDLL(None)
    if not (hasattr(glibc, "malloc_trim") and hasattr(glibc, "mallinfo2") and os.access(STATISTICS, os.R_OK)):
        return
    glibc.mallinfo2.restype = _MallInfo
    least, most_used = resident_bytes(), 0
    while True:
        resident, info = resident_bytes(), glibc.mallinfo2()
        used = info.uordblks + info.hblkhd
        worth = max(WORTH_BYTES, least * WORTH_SHARE)
        if resident < least + worth and used > most_used - worth:
            least, most_used = min(least, resident), max(most_used, used)
        else:
            # A tenth of a millisecond for each MiB, without the interpreter lock.
            await asyncio.to_thread(glibc.malloc_trim, 0)
            least, most_used = resident_bytes(), used
            log.debug("gave memory back", resident_bytes_before=resident, resident_bytes=least)
        await asyncio.sleep(LOOK.total_seconds())


def resident_bytes() -> int:
    """How much memory the process holds."""
    return int(STATISTICS.read_text().split()[_RESIDENT]) * os.sysconf("SC_PAGE_SIZE")
