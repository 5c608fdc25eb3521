"""
Compiled kernels for a server: loaded before it reads the graph, or compiled while it serves.

Compiling takes a minute, in another process of low priority. Meanwhile the server runs kernels as
plain Python.
"""

import asyncio
import contextlib
import os
import sys
import tempfile
import time
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import structlog

import graphcore
from graphcore.compiling import KERNELS, Kernel, import_kernels, load_kernels
from graphcore.kernel_cache import find_compiled, first_writable
from server.config import Settings
from server.lifecycle.runtime import background

KERNEL_PACKAGES = ("graphcore.kernels", "server.wire")
"""Where kernels are declared; each is imported with all that is in it."""

# What walks, components and records call. Analyses load theirs at their first call.
LOADED_AT_START = (
    "graphcore.kernels.adjacency.",
    "graphcore.kernels.components.",
    "graphcore.kernels.names.",
    "graphcore.kernels.walking.",
    "server.wire.",
)

# Loading takes a second; if it takes longer, serving does not wait for it.
LONGEST_WAIT_SECONDS = 5.0
# -P: modules are found where this process found them, never in the folder that it was started from.
COMMAND = (sys.executable, "-P", "-c", "from graphcore.compiling import main; main()")

_SUBFOLDER = "depgraph-kernels"

log = structlog.get_logger(__name__)


def kernel_folders(kernel_cache: Path | None, data_dir: Path | None) -> list[Path]:
    """
    List the folders in which to look for compiled kernels and to keep them, best first.

    None needs to exist. They are in ``kernel_cache``, beside the program (what an image or ``make
    setup`` has compiled), in the user's cache, in the data folder if that exists, and in the folder
    for temporary files.
    """
    user = str(os.geteuid()) if sys.platform != "win32" else os.environ.get("USERNAME", "user")
    parents = (
        kernel_cache,
        Path(graphcore.__file__).parent / "__pycache__",
        _user_cache(),
        data_dir if data_dir and data_dir.is_dir() else None,
    )
    folders = [parent / _SUBFOLDER for parent in parents if parent]
    return [*folders, Path(tempfile.gettempdir()) / f"{_SUBFOLDER}-{user}"]


def _user_cache() -> Path | None:
    """Return the platform's folder for caches of this user; None without a home."""
    try:
        home = Path.home()
    except RuntimeError:
        return None
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", home / "AppData" / "Local"))
    if sys.platform == "darwin":
        return home / "Library" / "Caches"
    named = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    return named if named.is_absolute() else home / ".cache"


@asynccontextmanager
async def compiled_kernels(settings: Settings) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """
    Provide compiled kernels while the context lasts.

    It gives a function that waits until kernels that are already compiled are loaded; if there are
    none, the function returns at once.
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
    Load the kernels from one of the folders, or compile them.

    Sets ``looked`` once they are loaded or it is known that they must be compiled. A failure is one
    line in the log: kernels stay plain Python then, and answers are still right.
    """
    try:
        if not KERNELS.are_compiled:
            await _provide(where, looked)
    except Exception as error:  # noqa: BLE001 - no failure of a compiler may stop the server
        log.warning("kernels: not compiled; answers stay slower", reason=f"{type(error).__name__}: {error}")
    finally:
        looked.set()


async def _provide(where: Sequence[Path], looked: asyncio.Event) -> None:
    kernels = await asyncio.to_thread(import_kernels, KERNEL_PACKAGES)
    began = time.monotonic()
    folder = await asyncio.to_thread(find_compiled, where, kernels)
    if folder is not None:
        await asyncio.to_thread(_use, folder, kernels)
        log.info("kernels: loaded from %s in %.2f s", folder, time.monotonic() - began)
        return
    looked.set()
    folder = await asyncio.to_thread(first_writable, where)
    if folder is None:
        log.warning(
            "kernels: no folder can keep them compiled; answers stay slower: "
            "set DEPGRAPH_KERNEL_CACHE to a folder that this user can write",
            tried=[str(each) for each in where],
        )
        return
    log.info("kernels: compiling aside; answers are slower until then")
    await _compile_aside(folder)
    await asyncio.to_thread(_use, folder, kernels)
    log.info("kernels: compiled in %.1f s", time.monotonic() - began)


def use_compiled_kernels() -> bool:
    """Load compiled kernels if there are any; for programs that are not servers."""
    kernels = import_kernels(KERNEL_PACKAGES)
    folder = find_compiled(kernel_folders(None, None), kernels)
    if folder is not None:
        KERNELS.use(folder, kernels)
    return folder is not None


def _use(folder: Path, kernels: Sequence[Kernel]) -> None:
    KERNELS.use(folder, kernels)
    load_kernels(kernel for kernel in kernels if kernel.name.startswith(LOADED_AT_START))


async def _compile_aside(folder: Path) -> None:
    """Compile the kernels into the folder in another process, which ends with this task."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND, folder, *KERNEL_PACKAGES, stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE
    )
    try:
        _, said = await process.communicate()
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if process.returncode:
        last = said.decode(errors="replace").strip().rpartition("\n")[2]
        raise RuntimeError(f"the compiler ended with {process.returncode}: {last}")
