"""On which transports a test is run."""

from importlib.util import find_spec
from zlib import crc32

import pytest

INSTALLED = ("grpcio", "native") if find_spec("pygrpc_native") else ("grpcio",)


def transports_of(item: pytest.Item, wanted: str) -> tuple[str, ...]:
    """
    Choose the transports of a test.

    ``grpcio_only`` marks what native does not promise. ``one_transport`` marks what differs in nothing: half of those files run on one and half on the other,
    each always on the same.
    """
    possible = INSTALLED if item.get_closest_marker("grpcio_only") is None else ("grpcio",)
    if wanted == "usual" and item.get_closest_marker("one_transport") is not None:
        return (possible[crc32(item.path.name.encode()) % len(possible)],)
    return tuple(one for one in possible if wanted in ("usual", "both", one))
