"""The context of a call that came as an HTTP request."""

import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, TypeAlias

import grpc

Metadata: TypeAlias = Sequence[tuple[str, str | bytes]]
Scope: TypeAlias = MutableMapping[str, Any]
# Code, message, trailing metadata with the details.
Status: TypeAlias = tuple[grpc.StatusCode, str, Metadata]

# Of a connection with TLS; where grpc keeps it for a call.
CERTIFICATE = "x509_pem_cert"


@dataclass(frozen=True, slots=True)
class Sender:
    """
    Who sent a request: the address of its end of the connection, the headers, the certificate.

    ``peer`` is written as gRPC does, ``certificate`` in PEM; None = it showed none.
    """

    peer: str
    metadata: Metadata = ()
    certificate: bytes | None = None

    @classmethod
    def of(cls, scope: Scope) -> "Sender":
        """Read it from the scope of a request."""
        headers = [(key.decode("latin-1"), value.decode("latin-1")) for key, value in scope["headers"]]
        return cls(peer_of(scope.get("client")), headers, scope.get("state", {}).get(CERTIFICATE))


def peer_of(client: "Sequence[Any] | None") -> str:
    """Write the address of a client, host and port first, as gRPC does; empty = it is not known."""
    if client is None:
        return ""
    host, port, *_ = client
    return f"ipv6:%5B{host}%5D:{port}" if ":" in host else f"ipv4:{host}:{port}"


class HttpCall:
    """
    The part of ``grpc.aio.ServicerContext`` that handlers use.

    ``seconds`` are those until the deadline, None = there is none. ``begin`` is called before the
    first message of a stream is there, ``send_part`` sends each.
    """

    def __init__(
        self,
        sender: Sender,
        seconds: float | None = None,
        *,
        begin: Callable[[], Awaitable[None]] | None = None,
        send_part: Callable[[bytes], Awaitable[None]] | None = None,
    ) -> None:
        self._sender = sender
        self._ends = None if seconds is None else time.monotonic() + seconds
        self._begin = begin
        self._send_part = send_part
        self._callbacks: list[Callable[[Any], None]] = []
        self.status: Status = grpc.StatusCode.OK, "", ()
        """How the call failed; OK = it did not."""

    def peer(self) -> str:
        """Return the address of the caller's end of the connection, as gRPC writes it."""
        return self._sender.peer

    def invocation_metadata(self) -> Metadata:
        """Return the headers of the request."""
        return self._sender.metadata

    def auth_context(self) -> Mapping[str, Any]:
        """Return what the connection says about the caller."""
        certificate = self._sender.certificate
        return {} if certificate is None else {CERTIFICATE: [certificate]}

    def time_remaining(self) -> float | None:
        """Return the seconds until the call's deadline; None = it has none."""
        return None if self._ends is None else max(0.0, self._ends - time.monotonic())

    async def send_initial_metadata(self, _: Any) -> None:
        """Begin the answer of a stream."""
        if self._begin is not None:
            await self._begin()

    async def write(self, message: bytes) -> None:
        """Send a message of a stream when its reader has room for it."""
        if self._send_part is None:
            raise RuntimeError("only calls of methods with a stream of answers write parts")
        await self._send_part(message)

    async def abort(
        self, code: grpc.StatusCode, details: str = "", trailing_metadata: Metadata = ()
    ) -> NoReturn:
        """End the call with a status."""
        self.status = code, details, trailing_metadata
        raise grpc.aio.AbortError(details)

    def set_code(self, code: grpc.StatusCode) -> None:
        """Set what ``code`` returns."""
        self.status = code, "", ()

    def set_details(self, details: str) -> None:
        """Do nothing: gRPC's code that sets details also aborts."""

    def code(self) -> grpc.StatusCode | None:
        """Return the status that was set."""
        return None if self.status[0] is grpc.StatusCode.OK else self.status[0]

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        """Call ``callback`` when the answer was sent."""
        self._callbacks.append(callback)

    def end(self) -> None:
        """Run the done callbacks."""
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback(self)
