"""Transports: the HTTP/2 servers that receive calls and send answers."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from importlib.util import find_spec
from typing import Protocol

from server.config import Limits, TransportName
from server.rpc.answering import Answering
from server.rpc.listening import is_reached_by_this_host_only
from server.rpc.methods import Method
from server.rpc.transport.grpcio import GrpcioTransport

_NATIVE = "pygrpc_native"


class TransportMissingError(Exception):
    """The wanted transport is not installed; the message says what to do."""


class Transport(Protocol):
    """An HTTP/2 server, made in the event loop. Call ``serve``, then ``listen``, then ``start``."""

    @property
    def name(self) -> TransportName:
        """Its name in settings, status and metrics."""

    async def admit_backlog(self, count_arrived: Callable[[], int], /) -> None:
        """
        Let ``answering.admission`` admit or refuse the calls that wait here; takes a short time.

        ``count_arrived`` returns how many calls that has happened to so far.
        """

    def serve(self, methods: Sequence[Method], answering: Answering) -> None:
        """Set the methods to serve."""

    def listen(self, address: str, /) -> int:
        """Bind, return the port; raises ``OSError``, ``ValueError`` or ``RuntimeError``."""

    async def start(self) -> None:
        """Accept calls."""

    async def stop(self, flush: timedelta | None) -> None:
        """Close; answers have the time ``flush`` to leave the process, None = no time."""


def transport_for(wanted: TransportName, listen: str) -> TransportName:
    """
    Choose a transport; raises ``TransportMissingError`` for a native one that is not installed.

    "auto" is native where it is installed and only this host can connect, because native has no
    limits for untrusted callers.
    """
    is_installed = find_spec(_NATIVE) is not None
    if wanted == "native" and not is_installed:
        raise TransportMissingError(
            "the transport 'native' is not installed: pygrpc-native has wheels for Linux and macOS, "
            "on x86_64 and arm64; use --transport grpcio, or auto"
        )
    if wanted == "auto":
        return "native" if is_installed and is_reached_by_this_host_only(listen) else "grpcio"
    return wanted


def make_transport(
    wanted: TransportName, listen: str, limits: Limits, *, share_port: bool = False
) -> Transport:
    """Make the transport of an address; raises ``TransportMissingError``."""
    if transport_for(wanted, listen) == "grpcio":
        return GrpcioTransport(limits, share_port=share_port)
    # Imported late: it may not be installed.
    from server.rpc.transport.native import NativeTransport  # noqa: PLC0415

    return NativeTransport(limits, share_port=share_port)
