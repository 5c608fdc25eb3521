"""Which transport serves an address."""

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
    """The transport that was asked for is not installed; the message says what to do."""


class Transport(Protocol):
    """
    An HTTP/2 server for the methods of all services.

    Made where the event loop runs. First ``serve`` is told what to answer, then ``listen`` where, then it starts.
    """

    @property
    def name(self) -> TransportName:
        """What it is called in settings, status and metrics."""

    async def all_came(self, came: Callable[[], int], /) -> None:
        """Wait, not for long, until all calls that stand before the server have come to ``answering.admission``, which counts them in ``came``."""

    def serve(self, methods: Sequence[Method], answering: Answering) -> None:
        """Take over what is to be answered."""

    def listen(self, address: str, /) -> int:
        """Take an address, ``HOST:PORT`` or ``unix:PATH``; returns the port. Raises ``OSError``, ``RuntimeError``, ``ValueError``."""

    async def start(self) -> None:
        """Let calls in."""

    async def stop(self, flush: timedelta | None) -> None:
        """Close; what is answered already gets so long to leave the process, None = no time at all."""


def transport_for(wanted: TransportName, listen: str) -> TransportName:
    """
    Choose between "grpcio" and "native".

    "auto" is native where only this host can connect, for it has no bounds for callers that are not trusted, and grpcio elsewhere and where native is not installed. Raises
    ``TransportMissingError`` when that one is wanted by name.
    """
    is_there = find_spec(_NATIVE) is not None
    if wanted == "native" and not is_there:
        raise TransportMissingError(
            "the transport 'native' is not installed: pygrpc-native has wheels for Linux and macOS, on x86_64 and arm64; "
            "use --transport grpcio, or auto"
        )
    if wanted == "auto":
        return "native" if is_there and is_reached_by_this_host_only(listen) else "grpcio"
    return wanted


def make_transport(
    wanted: TransportName, listen: str, limits: Limits, *, share_port: bool = False
) -> Transport:
    """Make the transport for an address; raises ``TransportMissingError``."""
    if transport_for(wanted, listen) == "grpcio":
        return GrpcioTransport(limits, share_port=share_port)
    # Where it is not installed it must not be asked for.
    from server.rpc.transport.native import NativeTransport  # noqa: PLC0415

    return NativeTransport(limits, share_port=share_port)
