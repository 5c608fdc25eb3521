"""Transports: the HTTP/2 servers that receive calls and send answers."""

from importlib.util import find_spec
from typing import TYPE_CHECKING, TypeAlias

from server.config import Limits, TransportName
from server.rpc.listening import is_reached_by_this_host_only
from server.rpc.transport.grpcio import GrpcioTransport

if TYPE_CHECKING:
    from server.rpc.transport.native import NativeTransport

Transport: TypeAlias = "GrpcioTransport | NativeTransport"

_NATIVE = "pygrpc_native"


class TransportMissingError(Exception):
    """The wanted transport is not installed; the message says what to do."""


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
