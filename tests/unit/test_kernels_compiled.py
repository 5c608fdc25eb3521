"""Compiled kernels return what their plain forms return, and refuse arrays of another kind."""

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from graphcore.compiling import KERNELS, KernelError, Kernels, budget, compile_kernels, import_kernels
from server.lifecycle.kernels import KERNEL_PACKAGES, LOADED_AT_START
from tests.support import tiny_kernels
from tests.support.kernel_forms import kernels_in_form
from tests.support.tiny_kernels import TINY, copy, decide, divided, far_total, spin, total


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("kernels")
    compile_kernels(tuple(TINY), made)
    TINY.use(made, tuple(TINY))
    return made


def int32s(*values: int) -> NDArray[np.int32]:
    return np.array(values, np.int32)


CALLS: dict[str, tuple[Any, ...]] = {
    "far_total": (int32s(1, -2, 2**31 - 1), 2**20),
    "cell": (np.arange(6.0).reshape(2, 3), 1, 2),
    "shape_sum": (np.arange(24, dtype=np.int16).reshape(2, 3, 4), -5),
    "decide": (True, -1.0, -1),
    "divided": (np.int32(-7), np.int64(2)),
    "square": (9,),
    "sorted_sum": (np.random.default_rng(1).random(1_000),),
    "five": (),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_compiled_kernel_returns_what_its_plain_form_returns(name: str) -> None:
    kernel = getattr(tiny_kernels, name)
    result = kernel.run(*CALLS[name])
    assert kernel.run is not kernel.plain
    assert result == pytest.approx(kernel.plain(*CALLS[name]))


def test_an_array_that_is_only_read_may_be_a_view_of_bytes() -> None:
    target = np.zeros(4, np.uint8)
    copy.run(target, np.frombuffer(b"read", np.uint8))
    assert target.tobytes() == b"read"


@pytest.mark.parametrize(
    "wrong",
    [
        np.arange(10, dtype=np.int32)[::2],
        np.arange(10, dtype=np.int64),
        np.arange(10, dtype=np.uint32),
        np.arange(10, dtype=np.dtype(np.int32).newbyteorder()),
        np.zeros((2, 2), np.int32),
        np.frombuffer(bytes(8), np.int32),
        7,
        None,
    ],
    ids=["gaps", "wide", "unsigned", "swapped", "2-d", "read-only", "int", "None"],
)
def test_an_array_of_another_kind_is_refused(wrong: Any) -> None:
    with pytest.raises((TypeError, NotImplementedError)):
        total.run(wrong)


def test_an_unchecked_kernel_refuses_what_is_no_array(tmp_path: Path) -> None:
    registry = Kernels()
    kernel = registry.declare("int64(int32[::1])", checked=False)(total.plain)
    compile_kernels([kernel], tmp_path)
    registry.use(tmp_path, [kernel])
    assert kernel.run(int32s(1, 2)) == 3
    assert kernel.run is not kernel.plain
    with pytest.raises(TypeError):
        kernel.run(7)


@pytest.mark.parametrize("arguments", [(), (int32s(1),), (int32s(1), 1, 1), ("1", 1)])
def test_other_arguments_are_refused(arguments: tuple[Any, ...]) -> None:
    with pytest.raises(TypeError):
        far_total.run(*arguments)


def test_errors_inside_a_kernel_are_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        divided.run(1, 0)
    assert divided.run(-1, -1) == 1
    assert decide.run(True, -1.0, -1) is False


def test_other_threads_run_while_a_kernel_runs() -> None:
    flags = int32s(0, 0, 1)

    def set_once_counted() -> None:
        while not flags[1]:
            time.sleep(0)
        flags[0] = 1

    setter = Thread(target=set_once_counted)
    spin.run(int32s(1, 0, 1), 1)  # loaded before the clock begins
    interval = sys.getswitchinterval()
    sys.setswitchinterval(60)  # the kernel lets go by itself or not at all
    try:
        setter.start()
        assert spin.run(flags, 2_000_000_000) == 1
    finally:
        sys.setswitchinterval(interval)
        flags[1] = 1
        setter.join()


def test_first_calls_on_several_threads_load_a_kernel_once(folder: Path) -> None:
    TINY.use(folder, tuple(TINY))
    starting = Barrier(4)

    def call(_: int) -> tuple[int, Any]:
        starting.wait()
        return far_total.run(int32s(1, 2), 2), far_total.run

    with ThreadPoolExecutor(4) as threads:
        results, forms = zip(*threads.map(call, range(4)), strict=True)
    assert set(results) == {1_006}
    assert len(set(map(id, forms))) == 1


def test_a_kernel_that_can_not_be_compiled_is_named(tmp_path: Path) -> None:
    registry = Kernels()

    @registry.declare("int64(int64)")
    def bad(number: int) -> int:
        return number.no_such_thing  # type: ignore[attr-defined,no-any-return]

    with pytest.raises(KernelError, match=r"bad can't be compiled: TypingError: .*no_such_thing"):
        compile_kernels(tuple(registry), tmp_path)


def test_a_function_with_defaults_is_no_kernel() -> None:
    with pytest.raises(TypeError, match="can't be a kernel"):

        @Kernels().declare("int64(int64)")
        def with_default(number: int = 1) -> int:
            return number


def test_every_kernel_of_the_program_is_in_the_packages_that_are_compiled() -> None:
    import_module("server.app")
    declared = {kernel.name for kernel in KERNELS if kernel.name.startswith(("graphcore.", "server."))}
    assert declared == {kernel.name for kernel in import_kernels(KERNEL_PACKAGES)}


def test_every_name_of_what_is_loaded_at_start_has_kernels() -> None:
    names = [kernel.name for kernel in import_kernels(KERNEL_PACKAGES)]
    assert all(any(name.startswith(beginning) for name in names) for beginning in LOADED_AT_START)


def test_plain_kernels_get_a_smaller_budget() -> None:
    with kernels_in_form("plain"):
        assert budget(1_000) == 10
        assert budget(10) == 1
