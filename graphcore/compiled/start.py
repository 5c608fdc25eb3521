"""
Getting kernels to run compiled: from a file in a moment, from the compiler in half a minute.

Nothing here imports numba before something must be compiled, nor LLVM before something can be loaded.
"""

import pkgutil
import time
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from pathlib import Path

from graphcore.compiled import cache
from graphcore.compiled.folders import usual_folders
from graphcore.compiled.kernel import KERNELS, Kernel, Kernels, KernelState
from graphcore.compiled.keys import kernel_keys
from graphcore.compiled.parts import compile_kernels

Tell = Callable[[str], None]


def kernel_state() -> KernelState:
    """Return how the kernels of this program run now."""
    return KERNELS.state


def import_kernels(packages: Iterable[str], kernels: Kernels = KERNELS) -> tuple[Kernel, ...]:
    """Import packages with all that is in them and return the kernels declared there."""
    for package in packages:
        module = import_module(package)
        for inner in pkgutil.walk_packages(getattr(module, "__path__", ()), f"{package}."):
            import_module(inner.name)
    inside = tuple(f"{package}." for package in packages)
    return tuple(kernel for kernel in kernels if kernel.name.startswith(inside))


def load_kept(kernels: Sequence[Kernel], where: Iterable[Path], book: Kernels = KERNELS) -> bool:
    """Let the kernels run as a file in one of the folders has them compiled; whether there was such a file."""
    began = time.perf_counter()
    found = cache.find(where, kernel_keys(kernels))
    if found is None:
        return False
    path, code = found
    _switch(book, code)
    book.state = KernelState(compiled=True, told=f"loaded from {path} in {time.perf_counter() - began:.2f} s")
    return True


def is_kept(kernels: Iterable[Kernel], where: Iterable[Path]) -> bool:
    """Whether a file in one of the folders has the kernels compiled."""
    return cache.find(where, kernel_keys(kernels)) is not None


def load_packed(kernels: Sequence[Kernel], content: bytes, told: str, book: Kernels = KERNELS) -> None:
    """Let the kernels run as ``content``, see ``cache.packed``, has them; ``ValueError`` when it lacks some of them."""
    keys = kernel_keys(kernels)
    code = cache.unpacked(content, keys)
    if code.keys() != keys.keys():
        raise ValueError("what was compiled is not what was asked for")
    _switch(book, code)
    book.state = KernelState(compiled=True, told=told)


def compile_and_keep(
    kernels: Sequence[Kernel], where: Sequence[Path], tell: Tell, *, alone: bool = False
) -> tuple[Path | None, bytes]:
    """
    Compile what no file in the folders holds yet; return the file, None when it can't be kept, and its content.

    Raises ``KernelError``. Takes half a second and some 0.3 s for each kernel that is new or has changed; many are shared among a few processes, unless this one is to do
    it ``alone``. Of several processes that are asked for this at once one compiles, the others wait for it.
    """
    keys = kernel_keys(kernels)
    with cache.only_one(where):
        found = cache.find(where, keys)
        if found is not None:
            tell(f"{len(keys)} compiled kernels are in {found[0]}")
            return found[0], cache.packed(found[1], keys)
        began = time.perf_counter()
        code = _compile(kernels, cache.find_parts(where, keys), tell, alone=alone)
        path = cache.keep(where, code, keys)
    tell(
        f"compiled in {time.perf_counter() - began:.1f} s, kept in {path or 'no folder: none can be written'}"
    )
    return path, cache.packed(code, keys)


def compile_all(kernels: Kernels = KERNELS) -> None:
    """Let all kernels run compiled from now on, compiling in this process what no file holds yet."""
    where, every = usual_folders(), tuple(kernels)
    _, content = compile_and_keep(every, where, lambda _: None)
    load_packed(every, content, "compiled in this process", kernels)


def _compile(kernels: Iterable[Kernel], known: cache.Code, tell: Tell, *, alone: bool) -> cache.Code:
    wanted = [kernel for kernel in kernels if kernel.name not in known]
    if not wanted:
        return known
    tell(f"compiling {len(wanted)} kernels ...")
    return {**known, **compile_kernels(wanted, alone=alone)}


def _switch(book: Kernels, code: cache.Code) -> None:
    from graphcore.compiled.loader import load  # noqa: PLC0415 - imports LLVM

    book.switch(load(code))
