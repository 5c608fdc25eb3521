"""
The kernels of a server get to run compiled: loaded before the graph is read if they were compiled before, else compiled aside.

Compiling takes a minute and happens in a process of its own, which gives way to others; serving goes on meanwhile with kernels as plain
Python, and memory never holds a compiler.
"""

import asyncio
import contextlib
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import structlog

from graphcore.compiled import (
    KERNELS,
    KernelState,
    import_kernels,
    is_kept,
    kernel_state,
    load_kept,
    load_packed,
    usual_folders,
)
from server.config import Settings
from server.lifecycle.runtime import background

KERNEL_PACKAGES = ("graphcore.kernels", "server.wire")
"""Where kernels are declared; each is imported with all that is in it."""

# What was compiled before is loaded in 0.2 s; whatever holds it up longer shall not hold up serving.
LONGEST_WAIT_SECONDS = 5.0
# -P: modules are found where this process found them, never in the folder that it was started from.
COMMAND = (sys.executable, "-P", "-m", "graphcore.compiled", "--aside")

log = structlog.get_logger(__name__)


def kernel_folders(kernel_cache: Path | None, data_dir: Path) -> list[Path]:
    """List where compiled kernels are looked for and kept, best first; a data folder that isn't there is not made for them."""
    return usual_folders(first=kernel_cache, last=data_dir if data_dir.is_dir() else None)


@asynccontextmanager
async def compiled_kernels(settings: Settings) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """
    See to it that kernels get to run compiled, while the context lasts.

    Gives a function that waits until those compiled before are loaded, and not at all when there are none.
    """
    looked = asyncio.Event()

    async def loaded() -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(looked.wait(), LONGEST_WAIT_SECONDS)

    async with background() as tasks:
        tasks(provide_kernels(kernel_folders(settings.kernel_cache, settings.data_dir), looked))
        yield loaded


async def provide_kernels(where: Sequence[Path], looked: asyncio.Event) -> None:
    """
    Load the kernels from one of the folders or compile them aside; sets ``looked`` once it knows which.

    Whatever goes wrong is one line in the log: kernels stay plain Python then, and answers are right.
    """
    try:
        if not kernel_state().compiled:
            await _provide(where, looked)
    except Exception as error:  # noqa: BLE001 - no trouble with compilers shall touch those who serve
        _stay_plain(f"{type(error).__name__}: {error}")
    finally:
        looked.set()


async def _provide(where: Sequence[Path], looked: asyncio.Event) -> None:
    kernels = await asyncio.to_thread(import_kernels, KERNEL_PACKAGES)
    if await asyncio.to_thread(load_kept, kernels, where):
        log.info("kernels: %s", kernel_state().told)
        return
    # Fails where LLVM is missing: what can't be loaded need not be compiled.
    await asyncio.to_thread(import_module, "graphcore.compiled.loader")
    looked.set()
    if find_spec("numba") is None:
        _stay_plain("numba is not installed")
        return
    KERNELS.state = KernelState(compiled=False, told="compiling aside")
    log.info("kernels: compiling aside; answers are slower until then")
    began = time.monotonic()
    packed = await _compiled_aside(where)
    told = f"compiled in {time.monotonic() - began:.1f} s"
    await asyncio.to_thread(load_packed, kernels, packed, told)
    log.info("kernels: %s", told)
    if not await asyncio.to_thread(is_kept, kernels, where):
        _tell_unkept(where)


async def _compiled_aside(where: Sequence[Path]) -> bytes:
    """Let another process compile and keep the kernels, and return them."""
    chosen = [f"--folder={folder}" for folder in where]
    process = await asyncio.create_subprocess_exec(
        *COMMAND, *chosen, *KERNEL_PACKAGES, stdin=DEVNULL, stdout=PIPE, stderr=PIPE
    )
    try:
        packed, said = await process.communicate()
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if process.returncode:
        last = said.decode(errors="replace").strip().rpartition("\n")[2]
        raise RuntimeError(f"the compiler ended with {process.returncode}: {last}")
    return packed


def _stay_plain(reason: str) -> None:
    KERNELS.state = KernelState(compiled=False, told=reason)
    log.warning("kernels: not compiled; answers stay slower", reason=reason)


def _tell_unkept(where: Sequence[Path]) -> None:
    log.warning(
        "kernels: no folder can keep them, so every start compiles them: "
        "set DEPGRAPH_KERNEL_CACHE to a folder that this user can write",
        tried=[str(folder) for folder in where],
    )
