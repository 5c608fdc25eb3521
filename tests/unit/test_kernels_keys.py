"""Whatever changes the machine code of a kernel changes its key, and nothing else does."""

import textwrap
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from graphcore.compiled import Kernels
from graphcore.compiled.keys import kernel_keys, set_key
from graphcore.compiled.signature import Array, Scalar, Signature, parse_signature

SOURCE = """
import math
import constants

LIMIT = 3

@kernel("int64(int64)")
def helper(number):
    return number + 1

@kernel("int64(int64)")
def caller(number):
    return helper(number) * LIMIT + constants.WIDTH

@kernel("int64(int64)")
def bystander(number):
    return number
"""


def keys_of(source: str, width: int = 8, **more: Any) -> dict[str, str]:
    """Give the keys of the kernels in a module with this source."""
    book, constants = Kernels(), ModuleType("constants")
    constants.__dict__["WIDTH"] = width
    lines = textwrap.dedent(source).replace("import constants", "")
    space = {"__name__": "made", "kernel": book.declare, "constants": constants, **more}
    exec(compile(lines, "made.py", "exec"), space)  # noqa: S102 - kernels come from source, here as elsewhere
    return {name.removeprefix("made."): key for name, key in kernel_keys(book).items()}


BEFORE = keys_of(SOURCE)

CHANGES: dict[str, tuple[Callable[[], dict[str, str]], set[str]]] = {
    "where it stands": (lambda: keys_of("\n\n# moved\n" + SOURCE), set()),
    "its own code": (lambda: keys_of(SOURCE.replace("* LIMIT", "- LIMIT")), {"caller"}),
    "a constant in it": (lambda: keys_of(SOURCE.replace("number + 1", "number + 2")), {"helper", "caller"}),
    "its signature": (
        lambda: keys_of(SOURCE.replace('int64(int64)")\ndef caller', 'int64(int32)")\ndef caller')),
        {"caller"},
    ),
    "a global number": (lambda: keys_of(SOURCE.replace("LIMIT = 3", "LIMIT = 4")), {"caller"}),
    "its type": (lambda: keys_of(SOURCE.replace("LIMIT = 3", "LIMIT = 3.0")), {"caller"}),
    "a number of a module": (lambda: keys_of(SOURCE, width=9), {"caller"}),
    "whether it lets others run": (
        lambda: keys_of(
            SOURCE.replace('int64(int64)")\ndef helper', 'int64(int64)", nogil=False)\ndef helper')
        ),
        {"helper", "caller"},
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_key_follows(change: str) -> None:
    after, changed = CHANGES[change]
    keys = after()
    assert {name for name in keys if keys[name] != BEFORE[name]} == changed
    assert (set_key(keys) != set_key(BEFORE)) == bool(changed)


def test_a_key_follows_a_table() -> None:
    source = """
    @kernel("int64(int64)")
    def looked_up(number):
        return TABLE[number]
    """
    keys = [keys_of(source, TABLE=np.array(values))["looked_up"] for values in ([1, 2], [1, 3], [1, 2])]
    assert keys[0] == keys[2] != keys[1]


def test_a_global_that_can_change_unseen_is_refused() -> None:
    source = """
    @kernel("int64(int64)")
    def looked_up(number):
        return TABLE[number]
    """
    with pytest.raises(TypeError, match=r"made\.looked_up uses a global dict"):
        keys_of(source, TABLE={})


def test_kernels_that_call_in_a_circle_are_refused() -> None:
    source = """
    @kernel("int64(int64)")
    def odd(number):
        return even(number - 1)

    @kernel("int64(int64)")
    def even(number):
        return odd(number - 1)
    """
    with pytest.raises(ValueError, match=r"made\.odd > made\.even > made\.odd"):
        keys_of(source)


def test_a_signature_is_read() -> None:
    text = (
        "boolean(int32[:, ::1], float64[::1], uint8[:, :, ::1], int64, Array(uint8, 1, 'C', readonly=True))"
    )
    assert parse_signature(text) == Signature(
        "boolean",
        (
            Array("int32", 2),
            Array("float64", 1),
            Array("uint8", 3),
            Scalar("int64"),
            Array("uint8", 1, writable=False),
        ),
    )


@pytest.mark.parametrize(
    "text", ["int64", "str(int64)", "int64(str)", "int64(int64[:])", "int64(boolean[::1])", "void(uint8)"]
)
def test_what_kernels_can_not_take_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="kernel"):
        parse_signature(text)
