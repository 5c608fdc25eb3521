"""The addresses of a server, each with a transport of its own, as if they were one transport."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from server.config import KIB, Addresses, Limits, TransportName
from server.rpc.answering import Answering
from server.rpc.listening import bind, reserve
from server.rpc.methods import HEALTH, Method
from server.rpc.transport import Transport, make_transport
from server.rpc.transport.grpcio import GrpcioTransport, tls_credentials

if TYPE_CHECKING:
    from server.access.certificates import TlsFiles
    from server.rpc.transport.native import NativeTransport


class HttpTransport(Protocol):
    """What ``server.web`` serves JSON over HTTP with: see ``GrpcioTransport``."""

    def serve(self, methods: Sequence[Method], answering: Answering) -> None:
        """Set the methods to serve."""

    def listen(self, address: str) -> int:
        """Bind an address, return the port."""

    async def start(self) -> None:
        """Accept requests."""

    async def finish(self, within: timedelta) -> None:
        """Wait until the answers that are made are sent, at most so long."""

    async def stop(self, flush: timedelta | None) -> None:
        """Close; answers have the time ``flush`` to leave the process, None = no time."""


# A probe is a connection with one call. Streams share a limit with those of the other addresses,
# which must have room left.
HEALTH_LIMITS = Limits(
    max_connections=100,
    max_streams_per_connection=4,
    max_question_bytes=4 * KIB,
    max_metadata_request_bytes=4 * KIB,
    max_request_bytes=4 * KIB,
    connection_idle_timeout=timedelta(minutes=1),
)

# A client that has replaced its certificate shows the new one when it connects again, which is
# long before the old one expires: workloads' certificates live for an hour or more.
CONNECTION_AGE = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class _Listener:
    """A transport, the name of its address in ``Addresses``, and what binds it."""

    kind: str
    transport: "Transport | HttpTransport"
    listen: Callable[[str], int]


class Listeners:
    """
    Has the methods of a transport; ``wanted`` has at least one address for calls.

    ``tls`` is needed for the address with TLS, which grpcio serves, as it does the one for probes;
    ``http`` for that of HTTP.
    """

    def __init__(
        self,
        wanted: Addresses,
        limits: Limits,
        *,
        transport: TransportName = "auto",
        tls: "TlsFiles | None" = None,
        http: "HttpTransport | None" = None,
        reserved: bool = False,
    ) -> None:
        self._wanted = wanted
        self._reserved = reserved
        self._listeners: list[_Listener] = []
        self.name: TransportName = "grpcio"
        # All of the first kind hand calls over through the one event loop.
        self._grpcio: list[GrpcioTransport] = []
        self._native: list[NativeTransport] = []
        self._http = http
        if wanted.plain:
            plain = make_transport(transport, wanted.plain, limits, share_port=reserved)
            self.name = plain.name
            self._listeners.append(_Listener("plain", plain, plain.listen))
            if isinstance(plain, GrpcioTransport):
                self._grpcio.append(plain)
            else:
                self._native.append(plain)
        if wanted.tls:
            if tls is None:
                raise ValueError("an address with TLS needs files")
            age = None if tls.client_ca is None else CONNECTION_AGE
            secure = GrpcioTransport(limits, share_port=reserved, connection_age=age)
            listen = partial(secure.listen, credentials=tls_credentials(tls))
            self._listeners.append(_Listener("tls", secure, listen))
            self._grpcio.append(secure)
        if wanted.health:
            probed = GrpcioTransport(HEALTH_LIMITS, share_port=reserved)
            self._listeners.append(_Listener("health", probed, probed.listen))
        if wanted.http:
            if http is None:
                raise ValueError("an address of HTTP needs its transport")
            self._listeners.append(_Listener("http", http, http.listen))

    async def admit_backlog(self) -> None:
        """Admit or refuse the calls that wait in any of the transports."""
        for native in self._native:
            await native.admit_backlog()
        # Otherwise a flood at the other transport would look like a backlog of these.
        if self._grpcio:
            await self._grpcio[0].admit_backlog(lambda: sum(each.arrived for each in self._grpcio))

    def serve(self, methods: Sequence[Method], answering: Answering) -> None:
        """Set the methods to serve; only those of health are served for probes."""
        health = [method for method in methods if method.name.startswith(HEALTH)]
        for each in self._listeners:
            each.transport.serve(health if each.kind == "health" else methods, answering)

    async def start(self) -> Addresses:
        """
        Accept calls; returns the actual addresses.

        Raises ``ListenError``, for example ``AddressInUseError``, before any address is served.
        """
        bound: dict[str, Any] = {}
        for each in self._listeners:
            wanted = getattr(self._wanted, each.kind)
            bound[each.kind] = bind(each.listen, wanted, reserved=self._reserved)
        for each in self._listeners:
            await each.transport.start()
        return replace(self._wanted, **bound)

    async def finish(self, within: timedelta) -> None:
        """Wait until answers that take long to send are sent: those that are written as JSON."""
        if self._http is not None:
            await self._http.finish(within)

    async def stop(self, flush: timedelta | None) -> None:
        """Close all; answers have the time ``flush`` to leave the process, None = no time."""
        await asyncio.gather(*(each.transport.stop(flush) for each in self._listeners))


@contextmanager
def reserved(wanted: Addresses) -> Iterator[Addresses]:
    """Hold addresses for servers that share them, see ``listening.reserve``; gives actual ones."""
    with ExitStack() as stack:
        held: dict[str, Any] = {
            kind: stack.enter_context(reserve(address))
            for kind in ("plain", "tls", "health", "http")
            if (address := getattr(wanted, kind))
        }
        yield replace(wanted, **held)
