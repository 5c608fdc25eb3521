"""
Kernels: functions over arrays that numba compiles to machine code.

``kernel`` declares one. Callers use its ``run`` and never ask which form that is: plain Python
until a folder with machine code is in use, then compiled. A compiled kernel is loaded at its first
call, which takes about 5 ms; ``load_kernels`` does that ahead of time.

The machine code is in numba's own cache files, for any processor of this architecture. A process
that uses a folder never compiles and never writes there: a kernel that it can't load stays plain
Python, which gives the same answers. ``kernel_cache`` says which files count.
"""

import contextlib
import logging
import multiprocessing
import os
import pkgutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from threading import RLock
from types import FunctionType
from typing import Any

from graphcore.kernel_cache import OPTIONS, CachePlace, find_compiled, kernel_keys, remove_old, set_key

_PLAIN_SLOWDOWN = 100
# A process takes 1.5 s to begin with, and compiles for itself what kernels of others call.
_MOST_PROCESSES, _LEAST_KERNELS = 4, 20
# Those that this process may use, which may be fewer than there are.
_PROCESSORS = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
_LOWEST_PRIORITY = 19

log = logging.getLogger(__name__)
_loading = RLock()


class KernelError(Exception):
    """A kernel can't be compiled or loaded; says which, and why."""


class Kernel:
    """
    A kernel: ``run`` is its fastest form at the moment, ``plain`` the function as written.

    Look ``run`` up at every call: it is replaced once the compiled form is available. ``nogil``:
    the compiled form lets other threads run; ``checked``: it refuses arguments that don't fit.
    """

    __slots__ = ("checked", "nogil", "plain", "run", "signature")

    def __init__(self, signature: str, plain: FunctionType, *, nogil: bool, checked: bool) -> None:
        self.signature = signature
        self.plain = plain
        self.nogil = nogil
        self.checked = checked
        self.run: Callable[..., Any] = plain

    def __call__(self, *arguments: Any) -> Any:
        """Run it; plain kernels call each other like this."""
        return self.run(*arguments)

    @property
    def name(self) -> str:
        """The module that declares it, and its name there."""
        return f"{self.plain.__module__}.{self.plain.__qualname__}"

    def globals_used(self) -> dict[str, Any]:
        """Return the globals that its code may look at, by name."""
        known = self.plain.__globals__
        return {name: known[name] for name in sorted(self.plain.__code__.co_names) if name in known}

    def callees(self) -> dict[str, "Kernel"]:
        """Return the kernels that it calls, by the names it has for them."""
        return {name: value for name, value in self.globals_used().items() if isinstance(value, Kernel)}


class Kernels(list[Kernel]):
    """Kernels that are compiled together, in the order of their declaration."""

    are_compiled = False  # also when a single one stays plain, since budgets rest on it

    def declare(
        self, signature: str, *, nogil: bool = True, checked: bool = True
    ) -> Callable[[Callable[..., Any]], Kernel]:
        """
        Declare a kernel with numba's signature, such as ``"int64(int32[:, ::1], int64)"``.

        It may call other kernels by their names, never in a cycle, and sees the values that globals
        had when it was compiled. ``nogil`` costs 0.05 µs a call; a thread that calls short kernels
        without a pause, beside others that run Python, gets a third less done than one that keeps
        the lock. ``checked=False`` saves 0.5 µs a call of ten arguments: only for kernels of
        microseconds whose caller passes arrays that are always of the right type, since one of
        another type is read as if it were.
        """

        def declare(plain: Callable[..., Any]) -> Kernel:
            if not isinstance(plain, FunctionType) or plain.__closure__ or plain.__defaults__:
                raise TypeError(
                    f"{plain!r} can't be a kernel: it has a closure or defaults, or is no function"
                )
            kernel = Kernel(signature, plain, nogil=nogil, checked=checked)
            self.append(kernel)
            return kernel

        return declare

    def use(self, folder: Path, kernels: Sequence[Kernel]) -> None:
        """
        Let kernels run compiled from their next call on, as ``compile_kernels`` left them there.

        Imports numba, which takes a second and may fail.
        """
        _numba()
        keys = kernel_keys(kernels)
        self.are_compiled = True
        for each in kernels:
            each.run = partial(_run_first, self, each, folder, keys[each.name])


KERNELS = Kernels()
"""All kernels of the program whose modules have been imported."""

kernel = KERNELS.declare


def budget(steps: int) -> int:
    """Return how many steps of a kernel take at most the time that ``steps`` take compiled."""
    return steps if KERNELS.are_compiled else max(steps // _PLAIN_SLOWDOWN, 1)


def import_kernels(packages: Iterable[str], kernels: Kernels = KERNELS) -> tuple[Kernel, ...]:
    """Import packages with all modules in them; return the kernels that they declare."""
    for package in packages:
        module = import_module(package)
        for inner in pkgutil.walk_packages(getattr(module, "__path__", ()), f"{package}."):
            import_module(inner.name)
    inside = tuple(f"{package}." for package in packages)
    return tuple(kernel for kernel in kernels if kernel.name.startswith(inside))


def load_kernels(kernels: Iterable[Kernel]) -> None:
    """Load now, and not at their first calls, those of the kernels that no other one calls."""
    every = tuple(kernels)
    inner = {callee.name for each in every for callee in each.callees().values()}
    for each in every:
        if isinstance(each.run, partial) and each.name not in inner:
            _load(*each.run.args)


def _run_first(registry: Kernels, kernel: Kernel, folder: Path, key: str, *arguments: Any) -> Any:
    _load(registry, kernel, folder, key)
    return kernel.run(*arguments)


def _load(registry: Kernels, kernel: Kernel, folder: Path, key: str) -> None:
    """Replace ``run`` by the compiled form, or by the plain one if that can't be loaded."""
    with _loading:
        if not isinstance(kernel.run, partial):
            return
        place = CachePlace(folder, key, is_writable=False)
        try:
            place.check()
            form = _njit(kernel, place, {})
            kernel.run = form if kernel.checked else form.get_overload(kernel.signature)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with a file, the plain form is right
            kernel.run = kernel.plain
            registry.are_compiled = False
            log.warning("kernels: %s stays plain Python, which is slower: %s", kernel.name, error)


def _njit(kernel: Kernel, place: CachePlace, callees: Mapping[str, Any]) -> Any:
    """Return numba's form of a kernel, out of its cache or compiled from its plain form."""
    plain = kernel.plain
    function = FunctionType(plain.__code__, plain.__globals__ | dict(callees), plain.__name__)
    function.__qualname__, function.__module__ = plain.__qualname__, plain.__module__
    function.__dict__["cache_place"] = place
    return _numba().njit(kernel.signature, nogil=kernel.nogil, cache=True, **OPTIONS)(function)


@cache
def _numba() -> Any:
    """Import numba: 0.7 s of a core and about 60 MB, half of which processes share."""
    for name in [name for name in os.environ if name.startswith("NUMBA_")]:
        del os.environ[name]
    # Walks wait for memory: code for this very processor is no faster, and an image can't take it
    # along.
    os.environ["NUMBA_CPU_NAME"] = "generic"
    os.environ["NUMBA_CACHE_LOCATOR_CLASSES"] = f"{CachePlace.__module__}.{CachePlace.__name__}"
    return import_module("numba")


def compile_kernels(kernels: Sequence[Kernel], folder: Path, processes: int = _MOST_PROCESSES) -> bool:
    """
    Compile into a folder what it lacks; return whether anything was missing.

    Takes 0.3 s of a core for each kernel that is new or has changed, or whose files are broken or
    not trusted, and loads the others. Of several processes that are asked for this at once one
    compiles and the others wait. Changes the umask of this process. Raises ``KernelError``.
    """
    os.umask(0o022)  # files that others can write don't count
    with _only_process(folder):
        was_complete = find_compiled([folder], kernels) is not None
        processes = min(processes, _PROCESSORS, len(kernels) // _LEAST_KERNELS)
        if processes > 1 and not was_complete:
            _compile_shared(kernels, folder, processes)
        compiled = _compile(kernels, folder)
        (folder / set_key(kernels)).touch()
        remove_old(folder, kernels)
    return compiled > 0 or not was_complete


def main() -> None:
    """Compile kernels at the lowest priority; arguments: the folder, the packages."""
    with contextlib.suppress(AttributeError, OSError):
        os.nice(_LOWEST_PRIORITY)
    folder, *packages = sys.argv[1:]
    try:
        compile_kernels(import_kernels(packages), Path(folder), processes=1)
    except KernelError as error:
        raise SystemExit(str(error)) from error


def _compile_shared(kernels: Sequence[Kernel], folder: Path, processes: int) -> None:
    """Compile in several processes: numba keeps only one processor busy."""
    # Kernels of one module call each other: neighbours go to the same process.
    shares = [
        kernels[len(kernels) * part // processes : len(kernels) * (part + 1) // processes]
        for part in range(processes)
    ]
    named = [[(each.plain.__module__, each.name) for each in share] for share in shares]
    # Spawned: a fork would take over threads of gRPC and LLVM in whatever state they are.
    # Semaphores may be missing, and a program read from standard input can't be started again.
    with (
        contextlib.suppress(OSError, ImportError, BrokenProcessPool),
        ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool,
    ):
        list(pool.map(_compile_share, named, [folder] * processes))


def _compile_share(share: Sequence[tuple[str, str]], folder: Path) -> None:
    for module, _ in share:
        import_module(module)
    names = {name for _, name in share}
    _compile([each for each in KERNELS if each.name in names], folder)


def _compile(kernels: Iterable[Kernel], folder: Path) -> int:
    """Compile those of the kernels that can't be loaded from the folder; return how many."""
    forms: dict[str, Any] = {}
    for each in kernels:
        _compile_one(each, folder, forms)
    return sum(form.stats.cache_misses.total() for form in forms.values())


def _compile_one(kernel: Kernel, folder: Path, forms: dict[str, Any]) -> Any:
    """Load a kernel from the folder, else compile it, and before that those that it calls."""
    if kernel.name in forms:
        return forms[kernel.name]
    callees = {name: _compile_one(each, folder, forms) for name, each in kernel.callees().items()}
    place = CachePlace(folder, kernel_keys([kernel])[kernel.name], is_writable=True)
    try:
        try:
            place.check()
            form = _njit(kernel, place, callees)
        except Exception:  # noqa: BLE001 - whatever is wrong with its files, others can be made
            place.remove()
            form = _njit(kernel, place, callees)
    except Exception as error:
        # numba's first line says at which step, the next ones what is wrong, many more where.
        words = " ".join(str(error).split("\n\n")[0].split())
        raise KernelError(f"{kernel.name} can't be compiled: {type(error).__name__}: {words}") from error
    forms[kernel.name] = form
    return form


@contextlib.contextmanager
def _only_process(folder: Path) -> Iterator[None]:
    """Wait until no other process is in here with the same folder."""
    with (folder / "lock").open("w") as lock:
        # Windows has no fcntl: two processes compile the same there, and neither is harmed.
        with contextlib.suppress(ImportError):
            import fcntl  # noqa: PLC0415

            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
