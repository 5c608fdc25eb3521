"""Where the server listens: ``HOST:PORT`` or ``unix:PATH``."""

import errno
import os
import socket
from pathlib import Path

import grpc

_UNIX = "unix:"


class ListenError(OSError):
    """The server can't listen at the address that it was told; the message names it and says why."""


class AddressInUseError(ListenError):
    """Another program listens there."""


def bind(server: grpc.aio.Server, address: str) -> str:
    """
    Let a server that has not started listen; returns the address with the port that it got.

    Raises ``AddressInUseError`` or ``ListenError``.
    """
    is_unix = address.startswith(_UNIX)
    # gRPC doesn't tell why an address can't be had, and takes a Unix socket away from whoever listens there.
    try:
        if is_unix:
            _try_unix(Path(address.removeprefix(_UNIX)))
        else:
            _try_tcp(address)
        port = server.add_insecure_port(address)
    except OSError as error:
        raise _explained(address, error) from None
    except (ValueError, RuntimeError):
        raise ListenError(
            f"can't listen on {address}: give HOST:PORT, such as 127.0.0.1:50051, or unix:PATH"
        ) from None
    return address if is_unix else f"{address.rpartition(':')[0]}:{port}"


def _try_unix(path: Path) -> None:
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise OSError(errno.EACCES, f"the folder {path.parent} is missing or can't be written")
    if path.exists() and not path.is_socket():
        raise OSError(errno.EEXIST, "something else than a socket is there")
    with socket.socket(socket.AF_UNIX) as probe:
        if probe.connect_ex(str(path)) == 0:
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))


def _try_tcp(address: str) -> None:
    """Bind as gRPC will; ``ValueError`` when it is no HOST:PORT, ``OSError`` with the reason when it can't be had."""
    host, colon, port = address.rpartition(":")
    if not colon or not 0 <= int(port) <= 0xFFFF:  # noqa: PLR2004 - ports are 16 bits
        raise ValueError(address)
    family, kind, *_, where = socket.getaddrinfo(
        host.strip("[]") or None, int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    with socket.socket(family, kind) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(where)


def _explained(address: str, error: OSError) -> ListenError:
    if error.errno == errno.EADDRINUSE:
        return AddressInUseError(
            f"{address} is in use by another program, perhaps another depgraph: "
            "stop that one or choose another address"
        )
    return ListenError(f"can't listen on {address}: {error.strerror or error}")
