"""Small kernels in a registry of their own, for each thing that kernels take, return and do."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphcore.compiling import Kernels

Int32s = NDArray[np.int32]
Float64s = NDArray[np.float64]
Bytes = NDArray[np.uint8]

TINY = Kernels()
OFFSET = 1_000
SQUARES = np.arange(10, dtype=np.int64) ** 2


@TINY.declare("int64(int32[::1])", nogil=False)
def total(values: Int32s) -> int:
    result = 0
    for value in values:
        result += value
    return result


@TINY.declare("int64(int32[::1], int64)")
def far_total(values: Int32s, factor: int) -> Any:
    return total(values) * factor + OFFSET


@TINY.declare("float64(float64[:, ::1], int64, int64)")
def cell(table: Float64s, row: int, column: int) -> Any:
    return table[row, column]


@TINY.declare("int32(int16[:, :, ::1], int32)", nogil=False)
def shape_sum(cube: NDArray[np.int16], more: int) -> Any:
    return cube.shape[0] * 100 + cube.shape[1] * 10 + cube.shape[2] + cube.size * 1_000 + cube[1, 0, 1] + more


@TINY.declare("void(uint8[::1], Array(uint8, 1, 'C', readonly=True))")
def copy(target: Bytes, source: Bytes) -> None:
    for index in range(source.shape[0]):
        target[index] = source[index]


@TINY.declare("boolean(boolean, float64, int64)")
def decide(ask: bool, value: float, limit: int) -> bool:
    return ask and value > limit


@TINY.declare("int64(int64, int64)")
def divided(number: int, by: int) -> int:
    return number // by


@TINY.declare("int64(int64)")
def square(number: int) -> Any:
    return SQUARES[number]


@TINY.declare("float64(float64[::1])")
def sorted_sum(values: Float64s) -> float:
    """Weigh the values by their rank; needs memory of its own."""
    order = np.argsort(values)
    ranked = np.zeros((values.shape[0], 2), np.float64)
    result = 0.0
    for rank in range(values.shape[0]):
        ranked[rank, 1] = values[order[rank]]
    for rank in range(values.shape[0]):
        result += ranked[rank, 0] + ranked[rank, 1] * rank
    return result


@TINY.declare("int64()")
def five() -> int:
    return 5


@TINY.declare("int64(int32[::1], int64)")
def spin(flags: Int32s, tries: int) -> int:
    """
    Wait until the first flag is set, by another thread; give up after so many tries.

    The third flag says which one is counted up. The compiler can't know, so each is read anew.
    """
    for _ in range(tries):
        flags[flags[2]] += 1
        if flags[0] != 0:
            return 1
    return 0
