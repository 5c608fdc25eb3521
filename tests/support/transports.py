"""On which transports a test is run."""

from importlib.util import find_spec
from zlib import crc32

import pytest

KNOWN = ("grpcio", "native")
INSTALLED = KNOWN if find_spec("pygrpc_native") else ("grpcio",)


def transports_of(item: pytest.Item, wanted: str, *, full: bool) -> tuple[str, ...]:
    """
    Choose the transports of a test.

    ``grpcio_only`` marks what native does not promise, ``native_only`` what only native has.
    ``one_transport`` marks files that no transport can change: each runs on one of them, always
    the same, half of the files on either. ``costly`` marks what does so unless the run is ``full``.
    """
    possible = tuple(one for one in INSTALLED if not _is_only_of_another(item, one))
    on_one = ("one_transport",) if full else ("one_transport", "costly")
    if wanted == "usual" and any(item.get_closest_marker(mark) for mark in on_one):
        return (possible[crc32(item.path.name.encode()) % len(possible)],)
    return tuple(one for one in possible if wanted in ("usual", "both", one))


def _is_only_of_another(item: pytest.Item, transport: str) -> bool:
    return any(item.get_closest_marker(f"{one}_only") for one in KNOWN if one != transport)
