"""Compiled kernels give what their plain forms give, and refuse what they can't take."""

import pickle
import resource
import sys
import time
from collections.abc import Callable
from importlib import import_module
from threading import Thread
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from graphcore.compiled import KERNELS, Kernel, Kernels, import_kernels
from graphcore.compiled.compiler import Compiler
from graphcore.compiled.loader import load
from server.lifecycle.kernels import KERNEL_PACKAGES
from tests.support import tiny_kernels
from tests.support.tiny_kernels import TINY

INT64 = st.integers(-(2**63), 2**63 - 1)
INT32 = st.integers(-(2**31), 2**31 - 1)

Forms = dict[str, Callable[..., Any]]


@pytest.fixture(scope="module")
def compiled() -> Forms:
    compiler = Compiler()
    return load({kernel.name: compiler.object_code(kernel) for kernel in TINY})


def form(compiled: Forms, kernel: Kernel) -> Callable[..., Any]:
    return compiled[kernel.name]


def int32s(*values: int) -> NDArray[np.int32]:
    return np.array(values, np.int32)


@given(values=st.lists(INT32, max_size=20), factor=st.integers(-(2**20), 2**20))
def test_kernels_call_each_other(compiled: Forms, values: list[int], factor: int) -> None:
    array = int32s(*values)
    assert form(compiled, tiny_kernels.total)(array) == sum(values)
    assert form(compiled, tiny_kernels.far_total)(array, factor) == sum(values) * factor + 1_000


@given(rows=st.integers(1, 5), columns=st.integers(1, 5), at=st.tuples(st.integers(0, 4), st.integers(0, 4)))
def test_an_array_of_two_dimensions_is_read_where_numpy_reads_it(
    compiled: Forms, rows: int, columns: int, at: tuple[int, int]
) -> None:
    table = np.arange(rows * columns, dtype=np.float64).reshape(rows, columns)
    row, column = at[0] % rows, at[1] % columns
    assert form(compiled, tiny_kernels.cell)(table, row, column) == table[row, column]


def test_an_array_of_three_dimensions_has_its_shape_and_size(compiled: Forms) -> None:
    cube = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    expected = tiny_kernels.shape_sum.plain(cube, -5)
    assert form(compiled, tiny_kernels.shape_sum)(cube, -5) == expected == 200 + 30 + 4 + 24_000 + 13 - 5


@given(content=st.binary(max_size=50))
def test_an_array_that_is_only_read_may_be_a_view_of_bytes(compiled: Forms, content: bytes) -> None:
    target = np.zeros(len(content), np.uint8)
    assert form(compiled, tiny_kernels.copy)(target, np.frombuffer(content, np.uint8)) is None
    assert target.tobytes() == content


@given(ask=st.booleans(), value=st.floats(), limit=st.integers(-100, 100))
def test_truth_values_and_floats_go_in_and_out(compiled: Forms, ask: bool, value: float, limit: int) -> None:
    assert form(compiled, tiny_kernels.decide)(ask, value, limit) is (ask and value > limit)


@given(number=INT64, by=INT64.filter(bool))
def test_whole_numbers_of_64_bits_go_in_and_out(compiled: Forms, number: int, by: int) -> None:
    if number != -(2**63) or by != -1:
        assert form(compiled, tiny_kernels.divided)(number, by) == number // by


def test_numbers_of_numpy_are_numbers(compiled: Forms) -> None:
    assert form(compiled, tiny_kernels.divided)(np.int32(7), np.int64(2)) == 3
    assert form(compiled, tiny_kernels.decide)(np.bool_(True), np.float64(2), 1) is True


def test_a_table_among_the_globals_is_compiled_in(compiled: Forms) -> None:
    assert [form(compiled, tiny_kernels.square)(number) for number in range(10)] == [n * n for n in range(10)]


def test_nothing_goes_in(compiled: Forms) -> None:
    assert form(compiled, tiny_kernels.five)() == 5


def test_a_kernel_has_memory_of_its_own_and_gives_it_back(compiled: Forms) -> None:
    values = np.random.default_rng(1).random(10_000)
    weigh = form(compiled, tiny_kernels.sorted_sum)
    expected = sum(rank * value for rank, value in enumerate(sorted(values.tolist())))
    assert weigh(values) == pytest.approx(expected)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(300):
        weigh(values)
    # Each of the 300 calls takes 240 kB; ru_maxrss counts kB on Linux, bytes on macOS.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000 * (
        1_024 if sys.platform == "darwin" else 1
    )


@pytest.mark.parametrize(
    "wrong",
    [
        np.arange(10, dtype=np.int32)[::2],
        np.arange(10, dtype=np.int64),
        np.arange(10, dtype=np.uint32),
        np.arange(10, dtype=np.dtype(np.int32).newbyteorder()),
        np.zeros((2, 2), np.int32),
        np.frombuffer(bytes(8), np.int32),
        np.frombuffer(bytearray(9), np.uint8)[1:].view(np.int32),
        [1, 2],
        7,
        None,
    ],
    ids=["gaps", "wide", "unsigned", "swapped", "2-d", "read-only", "unaligned", "list", "int", "None"],
)
def test_another_kind_of_array_is_refused_by_name(compiled: Forms, wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"total argument 1 must be a C-contiguous, writable array of int32"):
        form(compiled, tiny_kernels.total)(wrong)


def test_an_array_that_has_been_pickled_is_taken(compiled: Forms) -> None:
    assert form(compiled, tiny_kernels.total)(pickle.loads(pickle.dumps(int32s(1, 2)))) == 3  # noqa: S301 - our own


@pytest.mark.parametrize("arguments", [(), (int32s(1),), (int32s(1), 1, 1)])
def test_another_count_of_arguments_is_refused(compiled: Forms, arguments: tuple[Any, ...]) -> None:
    with pytest.raises(TypeError, match=r"far_total takes 2 positional argument"):
        form(compiled, tiny_kernels.far_total)(*arguments)


@pytest.mark.parametrize(
    ("kernel", "arguments", "error"),
    [
        (tiny_kernels.divided, (2**63, 1), OverflowError),
        (tiny_kernels.divided, ("1", 1), TypeError),
        (tiny_kernels.divided, (1.5, 1), TypeError),
        (tiny_kernels.shape_sum, (np.zeros((2, 2, 2), np.int16), 2**31), OverflowError),
        (tiny_kernels.decide, (True, "1", 1), TypeError),
        (tiny_kernels.divided, (1, 0), RuntimeError),
    ],
)
def test_what_does_not_fit_raises(
    compiled: Forms, kernel: Kernel, arguments: tuple[Any, ...], error: type[Exception]
) -> None:
    with pytest.raises(error):
        form(compiled, kernel)(*arguments)


def test_a_minus_one_is_no_error(compiled: Forms) -> None:
    assert form(compiled, tiny_kernels.divided)(-1, -1) == 1
    assert form(compiled, tiny_kernels.decide)(True, -1.0, -1) is False


def test_other_threads_run_while_a_kernel_runs(compiled: Forms) -> None:
    flags = int32s(0, 0, 1)

    def set_once_counted() -> None:
        while not flags[1]:
            time.sleep(0)
        flags[0] = 1

    setter = Thread(target=set_once_counted)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(60)  # the kernel lets go by itself or not at all
    try:
        setter.start()
        assert form(compiled, tiny_kernels.spin)(flags, 2_000_000_000) == 1
    finally:
        sys.setswitchinterval(interval)
        flags[1] = 1
        setter.join()


def test_a_kernel_that_would_need_numba_beside_it_is_refused() -> None:
    book = Kernels()

    @book.declare("int64(int64)")
    def spelled(number: int) -> int:
        return len(str(number))

    with pytest.raises(ValueError, match="can't run without numba"):
        Compiler().object_code(spelled)


def test_a_function_with_defaults_is_no_kernel() -> None:
    with pytest.raises(TypeError, match="can't be a kernel"):

        @Kernels().declare("int64(int64)")
        def with_default(number: int = 1) -> int:
            return number


def test_no_kernel_of_the_program_is_left_out() -> None:
    import_module("server.app")
    declared = {kernel.name for kernel in KERNELS if kernel.name.startswith(("graphcore.", "server."))}
    assert declared == {kernel.name for kernel in import_kernels(KERNEL_PACKAGES)}
