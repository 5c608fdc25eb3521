"""
What compiled code uses of Python: addresses in a table beside the code of each kernel, which the loader fills.

So object code refers to nothing outside, and no platform's way of finding symbols matters.
"""

import numpy as np

FUNCTIONS = (
    "PyLong_AsLongLong",
    "PyFloat_AsDouble",
    "PyObject_IsTrue",
    "PyLong_FromLongLong",
    "PyFloat_FromDouble",
    "PyBool_FromLong",
    "PyErr_Occurred",
    "PyErr_SetString",
    "PyEval_SaveThread",
    "PyEval_RestoreThread",
    "PyMem_RawMalloc",
    "PyMem_RawFree",
    "Py_IncRef",
)
"""Functions of the C API."""

OBJECTS = {
    "ndarray": np.ndarray,
    "TypeError": TypeError,
    "OverflowError": OverflowError,
    "RuntimeError": RuntimeError,
    "None": None,
}
"""Objects whose addresses follow."""

_NAMES = (*FUNCTIONS, *OBJECTS)


def table_name(symbol: str) -> str:
    """Name the table of the kernel that is called ``symbol``."""
    return f"{symbol} table"


def table_text(symbol: str) -> str:
    """Return LLVM's text for an empty table."""
    return f'@"{table_name(symbol)}" = global [{len(_NAMES)} x ptr] zeroinitializer'


def at(symbol: str, name: str) -> str:
    """Return LLVM's text for where the address of ``name`` stands."""
    return f'getelementptr (ptr, ptr @"{table_name(symbol)}", i64 {_NAMES.index(name)})'
