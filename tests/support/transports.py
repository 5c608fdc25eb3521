"""On which transports a test is run."""

from importlib.util import find_spec
from zlib import crc32

import pytest

KNOWN = ("grpcio", "native")
INSTALLED = KNOWN if find_spec("pygrpc_native") else ("grpcio",)


def transports_of(item: pytest.Item, wanted: str) -> tuple[str, ...]:
    """
    Choose the transports of a test.

    ``grpcio_only`` marks what native does not promise, ``native_only`` what only native has.
    ``one_transport`` marks files that no transport can change: each runs on one of them, always
    the same, half of the files on either.
    """
    possible = tuple(one for one in INSTALLED if not _is_only_of_another(item, one))
    if wanted == "usual" and item.get_closest_marker("one_transport") is not None:
        return (possible[crc32(item.path.name.encode()) % len(possible)],)
    return tuple(one for one in possible if wanted in ("usual", "both", one))


def _is_only_of_another(item: pytest.Item, transport: str) -> bool:
    return any(item.get_closest_marker(f"{one}_only") for one in KNOWN if one != transport)
