"""Addresses to listen on: ``HOST:PORT`` or ``unix:PATH``."""

import errno
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any, TypeAlias

_Where: TypeAlias = tuple[Any, ...]
_UNIX = "unix:"
# Missing on Windows. Linux distributes connections among the listeners; others give all to one.
CAN_SHARE_PORTS = hasattr(socket, "SO_REUSEPORT")


class ListenError(OSError):
    """The server can't listen on an address; the message names it and the reason."""


class AddressInUseError(ListenError):
    """Another program listens on the address."""


def is_socket_path(address: str) -> bool:
    """Whether an address is a Unix socket's."""
    return address.startswith(_UNIX)


def is_reached_by_this_host_only(address: str) -> bool:
    """
    Whether only this host can connect: a Unix socket, or a name of loopback addresses only.

    False for a name that can't be resolved.
    """
    if is_socket_path(address):
        return True
    try:
        found = resolved(address)
    except (OSError, ValueError):
        return False
    return all(ip_address(where[0].partition("%")[0]).is_loopback for _, _, where in found)


def bind(listen: Callable[[str], int], address: str, *, reserved: bool = False) -> str:
    """
    Bind a server that has not started by its ``listen``; returns the address with the actual port.

    ``reserved`` = the address is held by ``reserve`` for servers that share it. Raises
    ``AddressInUseError`` or ``ListenError``.
    """
    is_unix = is_socket_path(address)
    with _explained(address):
        # gRPC gives no reason when it can't bind, and takes a Unix socket from another listener.
        if is_unix:
            _try_unix(Path(address.removeprefix(_UNIX)))
        elif not reserved:
            _try_tcp(address)
        port = listen(address)
    return address if is_unix else f"{address.rpartition(':')[0]}:{port}"


@contextmanager
def reserve(address: str) -> Iterator[str]:
    """
    Hold ``HOST:PORT`` for servers of this user that share it; gives it with the actual port.

    This alone does not listen: connections are refused meanwhile. Raises ``ListenError``, and
    ``AddressInUseError`` even if another depgraph of this user shares the port among its workers.
    """
    with _explained(address):
        family, kind, where = resolved(address)[0]
        if where[1]:  # the kernel shares no port that it chooses itself
            _try_tcp(address)
        keeper = socket.socket(family, kind)
    with keeper:
        with _explained(address):
            keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            # Connections of a stopped server linger for a minute and must not prevent this ...
            keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            keeper.bind(where)
            # ... but another program that reuses addresses must not get this one meanwhile.
            keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        yield f"{address.rpartition(':')[0]}:{keeper.getsockname()[1]}"


def _try_unix(path: Path) -> None:
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise OSError(errno.EACCES, f"the folder {path.parent} is missing or can't be written")
    if path.exists() and not path.is_socket():
        raise OSError(errno.EEXIST, "something else than a socket is there")
    with socket.socket(socket.AF_UNIX) as probe:
        if probe.connect_ex(str(path)) == 0:
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))


def _try_tcp(address: str) -> None:
    """Listen as gRPC will, for a moment; raises ``ValueError`` when it is no HOST:PORT."""
    family, kind, where = resolved(address)[0]
    with socket.socket(family, kind) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(where)
        # Two sockets that reuse addresses may be bound to one, but only one of them may listen.
        probe.listen()


def resolved(address: str) -> list[tuple[socket.AddressFamily, socket.SocketKind, _Where]]:
    """Resolve ``HOST:PORT``; there is at least one address."""
    host, colon, port = address.rpartition(":")
    if not colon or not 0 <= int(port) <= 0xFFFF:  # noqa: PLR2004 - ports are 16 bits
        raise ValueError(address)
    found = socket.getaddrinfo(
        host.strip("[]") or None, int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    return [(family, kind, where) for family, kind, *_, where in found]


@contextmanager
def _explained(address: str) -> Iterator[None]:
    """Raise what goes wrong with an address as a ``ListenError``."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise AddressInUseError(
                f"{address} is in use by another program, perhaps another depgraph: "
                "stop that one or choose another address"
            ) from None
        raise ListenError(f"can't listen on {address}: {error.strerror or error}") from None
    except (ValueError, RuntimeError):
        raise ListenError(
            f"can't listen on {address}: give HOST:PORT, such as 127.0.0.1:50051, or unix:PATH"
        ) from None
