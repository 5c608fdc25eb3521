"""
Signatures of kernels: ``int64(int32[:, ::1], float64[::1], int64)``.

A subset of what numba reads: 64-bit and 32-bit numbers and booleans as results and scalars, C-contiguous arrays, ``void``.
``Array(uint8, 1, 'C', readonly=True)`` takes arrays that can't be written, such as a view of ``bytes``, beside those that can.
"""

import re
from dataclasses import dataclass

SCALARS = {"int64": "i64", "int32": "i32", "float64": "double", "boolean": "i8"}
"""Types of scalars by their names, with LLVM's names for what numba passes."""

ELEMENTS = ("int64", "int32", "int16", "int8", "uint64", "uint32", "uint16", "uint8", "float64", "float32")
"""Types of elements of arrays: numpy's names, which are numba's too."""

_SIGNATURE = re.compile(r"(?P<result>\w+)\((?P<arguments>.*)\)")
_ARGUMENT = re.compile(
    r"(?P<type>\w+)(?P<shape>\[(:, ?)*::1\])?(?:, ?|$)"
    r"|Array\((?P<element>\w+), ?(?P<dimensions>\d), ?'C', ?readonly=True\)(?:, ?|$)"
)


@dataclass(frozen=True, slots=True)
class Scalar:
    """A number or a truth value."""

    type: str


@dataclass(frozen=True, slots=True)
class Array:
    """A C-contiguous array of at least one dimension."""

    type: str
    dimensions: int
    writable: bool = True

    def __str__(self) -> str:
        """Describe it to those who passed something else."""
        writable = ", writable" if self.writable else ""
        return f"a C-contiguous{writable} array of {self.type} with {self.dimensions} dimension(s)"


@dataclass(frozen=True, slots=True)
class Signature:
    """What a kernel gives and takes; ``result`` is the name of a scalar's type or ``void``."""

    result: str
    arguments: tuple[Scalar | Array, ...]


def parse_signature(text: str) -> Signature:
    """Read a signature; ``ValueError`` names what it can't hold."""
    found = _SIGNATURE.fullmatch(text)
    if found is None or found["result"] not in (*SCALARS, "void"):
        raise ValueError(
            f"{text!r} is no signature of a kernel: expected RESULT(ARGUMENTS), such as void(int64)"
        )
    return Signature(found["result"], tuple(_arguments(found["arguments"])))


def _arguments(text: str) -> list[Scalar | Array]:
    arguments: list[Scalar | Array] = []
    at = 0
    while at < len(text):
        found = _ARGUMENT.match(text, at)
        if found is None:
            raise ValueError(f"{text[at:]!r} is no argument of a kernel")
        arguments.append(_argument(found))
        at = found.end()
    return arguments


def _argument(found: re.Match[str]) -> Scalar | Array:
    if found["element"]:
        argument: Scalar | Array = Array(found["element"], int(found["dimensions"]), writable=False)
    elif found["shape"]:
        argument = Array(found["type"], found["shape"].count(":") - 1)
    else:
        argument = Scalar(found["type"])
    if argument.type not in (SCALARS if isinstance(argument, Scalar) else ELEMENTS):
        raise ValueError(f"{argument.type} is no type that kernels take as {found[0]!r}")
    return argument
