"""Object code to functions that Python calls; needs LLVM (60 ms, 45 MB of which all processes share most), not numba."""

import ctypes
import sys
from collections.abc import Callable, Mapping
from typing import Any

import llvmlite.binding as llvm
import numpy as np

from graphcore.compiled import entry, table

_FAST_CALL = 0x80


class _Definition(ctypes.Structure):
    """CPython's PyMethodDef."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("address", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    )


# Code stays for as long as the process: a function that is still on its way somewhere must not lose it.
_loaded: list[Any] = []


def load(code: Mapping[str, bytes]) -> dict[str, Callable[..., Any]]:
    """
    Return the functions that object code holds, by the names of their kernels; takes about 1 ms each.

    The code must come from ``compiler`` on this platform with this Python and be trusted: it runs. ``RuntimeError`` when arrays
    don't look in memory as it takes them to.
    """
    _check_arrays()
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_triple(llvm.get_process_triple()).create_target_machine(jit=True)
    empty = llvm.parse_assembly("")
    empty.triple = llvm.get_process_triple()
    engine = llvm.create_mcjit_compiler(empty, machine)
    for each in code.values():
        engine.add_object_file(llvm.ObjectFileRef.from_data(each))
    engine.finalize_object()
    _loaded.append(engine)
    return {name: _function(engine, name) for name in code}


def _function(engine: Any, name: str) -> Callable[..., Any]:
    _fill(engine.get_global_value_address(table.table_name(name)))
    short = name.rpartition(".")[2].encode()
    definition = _Definition(short, engine.get_function_address(name), _FAST_CALL, None)
    _loaded.append(definition)
    make = ctypes.pythonapi.PyCFunction_NewEx
    make.restype, make.argtypes = ctypes.py_object, (ctypes.c_void_p, ctypes.py_object, ctypes.py_object)
    function: Callable[..., Any] = make(ctypes.addressof(definition), None, name.rpartition(".")[0])
    return function


def _fill(address: int) -> None:
    """Write the addresses of what the code uses of Python beside it."""
    functions = (getattr(ctypes.pythonapi, name) for name in table.FUNCTIONS)
    addresses = [ctypes.cast(function, ctypes.c_void_p).value for function in functions]
    addresses += [id(each) for each in table.OBJECTS.values()]
    ctypes.memmove(address, (ctypes.c_void_p * len(addresses))(*addresses), 8 * len(addresses))


def _check_arrays() -> None:
    """Look at an array in memory whether everything is where the entries of kernels look for it."""
    array = np.zeros((2, 3), np.int32)

    def read(kind: Any, base: int, offset: int) -> Any:
        return kind.from_address(base + offset).value

    here, pointer, number = id(array), ctypes.c_void_p, ctypes.c_int
    descriptor = read(pointer, here, entry.DESCRIPTOR)
    shape = read(pointer, here, entry.SHAPE)
    found = (
        read(pointer, here, entry.TYPE),
        read(pointer, here, entry.POINTER),
        read(number, here, entry.DIMENSIONS),
        [read(ctypes.c_int64, shape, offset) for offset in (0, 8)],
        read(number, here, entry.FLAGS),
        read(number, descriptor, entry.TYPE_NUMBER),
        read(ctypes.c_char, descriptor, entry.BYTE_ORDER),
    )
    flags = entry.C_CONTIGUOUS | entry.ALIGNED | entry.WRITABLE
    number_of_type, order = array.dtype.num, array.dtype.byteorder.encode()
    there = (id(np.ndarray), array.ctypes.data, 2, [2, 3], found[4] | flags, number_of_type, order)
    if found != there or sys.maxsize < 1 << 32 or sys.implementation.name != "cpython":
        raise RuntimeError(f"arrays are not where compiled kernels look for them: {found}, expected {there}")
